"""A short form of the storm; see ``daemon_storm``."""

from __future__ import annotations

import pytest
import uvloop
from daemon_storm import storm


@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed_at_random_moments() -> None:
    figures = uvloop.run(storm(kills=8, panes=8, seed=20))
    assert figures["kills"] == len(range(8))
    assert figures["created"] > 8
    assert figures["killed"] > 0
    assert figures["answer_max"] < 10
