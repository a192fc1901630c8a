"""A short form of the run of short panes; see ``short_panes``."""

from __future__ import annotations

import uvloop
from short_panes import short_panes


def test_every_end_of_300_short_panes_is_exact_and_its_last_line_is_there() -> None:
    assert uvloop.run(short_panes(panes=300, seed=7))["panes"] >= 300
