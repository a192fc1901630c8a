"""A short form of the storm; see ``daemon_storm``."""

from __future__ import annotations

import uvloop
from daemon_storm import storm


def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed_at_random_moments() -> None:
    figures = uvloop.run(storm(kills=8, panes=8, seed=20))
    assert figures["kills"] >= 8
    assert figures["created"] > 0
    assert figures["killed"] > 0
