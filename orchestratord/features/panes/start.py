"""The first milliseconds of a pane, in which its program is about to begin.

What starts a program ignores INT, QUIT and TSTP (see ``birth.held``), so what a terminal
would interrupt with is held back until the program itself runs.
"""

from __future__ import annotations

import asyncio

from orchestratord.features.panes.record import PaneRecord
from orchestratord.tmux import birth

PATIENCE = 5.0
"""Seconds; a program begins within 3 ms, or 100 times that on a busy machine."""

_PAUSE = 0.001


async def begun(pane: PaneRecord) -> None:
    """Wait until a pane's program has begun or the pane has ended, ``PATIENCE`` at most."""
    ends = asyncio.get_running_loop().time() + PATIENCE
    while not _has_begun(pane) and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110  (the kernel tells nobody)
        await asyncio.sleep(_PAUSE)


def _has_begun(pane: PaneRecord) -> bool:
    if not pane.held or pane.exit is not None or not pane.place.process.alive():
        return True
    return pane.program is not None and birth.begun(pane.program.pid)
