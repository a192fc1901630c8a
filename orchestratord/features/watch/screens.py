"""The rendered screens of panes, for who looks for patterns there: captured when they change.

A pane that is written to is captured at once, then at most every 50 ms, and once
more after its last output; one that is not costs nothing. Several who look at a
pane share its captures. Nothing here survives a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from orchestratord.clock import Clock
from orchestratord.errors import Fault
from orchestratord.features.panes.fault import PaneExited
from orchestratord.features.panes.output import Output
from orchestratord.features.panes.record import PaneRecord
from orchestratord.log import Log
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.spool import Spool

INTERVAL = 0.05
"""Seconds between two captures of a pane."""

AGAIN = 1.0
"""Seconds until a capture that failed is tried again."""

AT_ONCE = 4
"""Captures under way at once, so that they hold up no other command."""

log = Log("watch.screens")


class Viewer(Protocol):
    """Who looks at a screen. Nothing may be awaited in it."""

    def looked(self, lines: list[str], cursor: str) -> None:
        """The screen shows these lines; the stream was at the cursor."""
        ...


class _Screen:
    """One pane's captures: who looks, and whether it has changed since the last look."""

    def __init__(self, pane: PaneRecord) -> None:
        self.pane = pane
        self.viewers: list[Viewer] = []
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Screens:
    """The screens that somebody looks at. Takes over ``on_grown`` of the spool."""

    def __init__(self, spool: Spool, output: Output, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        self._screens: dict[str, _Screen] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        spool.on_grown = self._grown

    def join(self, pane: PaneRecord, viewer: Viewer) -> Callable[[], None]:
        """Show a pane's screen to somebody, now and when it changes, until it has ended.

        The returned function ends it.
        """
        screen = self._screens.get(pane.id)
        if screen is None:
            screen = self._screens[pane.id] = _Screen(pane)
            screen.task = asyncio.create_task(self._follow(screen), name=f"screen of {pane.id}")
        screen.viewers.append(viewer)
        screen.changed.set()
        return lambda: self._leave(screen, viewer)

    def _leave(self, screen: _Screen, viewer: Viewer) -> None:
        if viewer in screen.viewers:
            screen.viewers.remove(viewer)
        if not screen.viewers and self._screens.get(screen.pane.id) is screen:
            del self._screens[screen.pane.id]
            if screen.task is not None:
                screen.task.cancel()

    def _grown(self, pane_id: str) -> None:
        if (screen := self._screens.get(pane_id)) is not None:
            screen.changed.set()

    async def _follow(self, screen: _Screen) -> None:
        while True:
            await screen.changed.wait()
            screen.changed.clear()
            pause = INTERVAL
            try:
                async with self._turn:
                    cursor = str(self._output.end(screen.pane))
                    shown = await self._output.capture(
                        screen.pane, history=False, lines=None, escapes=False, join=True
                    )
                lines = [line.rstrip() for line in shown.text.split("\n")]
                for viewer in tuple(screen.viewers):
                    viewer.looked(lines, cursor)
            except PaneExited:
                pass  # nothing to see, unless it is respawned
            except (Fault, TmuxGone) as problem:
                log.debug("no capture", pane=screen.pane.id, reason=str(problem))
                screen.changed.set()
                pause = AGAIN
            await self._clock.sleep(pause)
