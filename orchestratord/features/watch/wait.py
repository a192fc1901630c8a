"""One wait: panes that are looked at until something that was asked for happens.

Knows no store and no deadline; ``waits`` owns it. Everything happens between two
awaits, so a wait ends exactly once, with the first thing that decides it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from orchestratord.clock import Clock
from orchestratord.errors import FailedPrecondition
from orchestratord.features.panes.model import Exit
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch.echo import Echoes
from orchestratord.features.watch.fault import NoPrompt
from orchestratord.features.watch.feed import Feeds
from orchestratord.features.watch.lines import Lines
from orchestratord.features.watch.lookout import NOTHING, Lookout, Occurrence
from orchestratord.features.watch.model import Condition, Outcome, PaneResult
from orchestratord.features.watch.needle import Needle, TooSlow
from orchestratord.features.watch.record import Conditions
from orchestratord.features.watch.sieve import Sifted
from orchestratord.features.watch.typing import Typing
from orchestratord.tmux.stream import Cursor

SHOWN = 2000
"""Characters of a line, a match or a group that an answer tells."""

GROUPS = 50
"""Groups of a match that an answer tells."""

Prompts = Callable[[str, Callable[[], None]], Callable[[], None]]
"""Calls a function each time a pane's shell is at its prompt, at once if it is now.

The returned function stops that. Raises ``FailedPrecondition`` where that cannot be known.
"""


class PaneWait:
    """The part of a wait that looks at one pane. ``result`` is there once that has ended."""

    def __init__(
        self, conditions: Conditions, needles: Sequence[Needle], pane: PaneRecord, clock: Clock,
        feeds: Feeds, typing: Typing, on_end: Callable[[PaneWait], None],
    ) -> None:  # fmt: skip
        self.needles = needles
        self.pane = pane
        self.incarnation = pane.incarnation
        self.result: PaneResult | None = None
        self.at = Cursor(pane.epoch, 0)
        self._conditions = conditions
        self._clock = clock
        self._feeds = feeds
        self._typing = typing
        self._echoes = Echoes()
        self._on_end = on_end
        self._lookout = Lookout(needles)
        self._heard_at = clock.monotonic()
        self._prompted: Cursor | None = None
        self._undo = ExitStack()

    def start(self, since: Cursor | None, prompts: Prompts) -> None:
        """Begin to look. Raises ``NoPrompt`` if that was asked for and cannot be known."""
        conditions = self._conditions
        self._undo.callback(self._feeds.join(self.pane, self, since))
        if conditions.idle is not None:
            task = asyncio.create_task(self._await_silence(conditions.idle))
            self._undo.callback(task.cancel)
        if conditions.prompt:
            try:
                self._undo.callback(prompts(self.pane.id, self._at_prompt))
            except FailedPrecondition:
                self.stop()
                raise NoPrompt(pane=self.pane.id) from None

    def stop(self) -> None:
        """Look no longer."""
        self._undo.close()

    def unfinished(self, outcome: Outcome) -> PaneResult:
        """Return the result of what another thing has ended."""
        return self.result or PaneResult(outcome=outcome, pane=self.pane.id, cursor=str(self.at))

    def check_incarnation(self) -> None:
        """End if the program that was waited for is not the one that runs now."""
        if self.pane.incarnation != self.incarnation:
            self._left()

    # What the feed tells

    def begin(self, at: Cursor, pending: str) -> None:
        self.at = at
        self._lookout = Lookout(self.needles, pending)
        typed = self._typing.recent(self.pane) if self.needles else []
        self._echoes = Echoes(typed)
        if typed and (earliest := min(t.cursor for t in typed)) < at:
            self._echoes.lines(self._feeds.between(self.pane, earliest, at))

    def heard(self, lines: Lines, sources: Sifted | None) -> None:
        if not lines.final:
            self._heard_at = self._clock.monotonic()
        if lines.gap:
            if self.pane.incarnation != self.incarnation:
                self._left()
                return
            self._lookout.reset()
            if self.needles:
                self.at = lines.end
                self._end("lagged", reason="output was lost")
                return
        hidden = self._echoes.lines(lines) if self._echoes else NOTHING
        try:
            for found in self._lookout.lines(lines, sources, hidden):
                self.at = lines.cursor(found.number or 0)
                self._found(found)
                return
        except TooSlow:
            self._end("lagged", reason="a pattern takes too long")
            return
        self.at = lines.end
        if self._prompted is not None and self.at >= self._prompted:
            self._end("matched", "prompt")

    def paused(self, pending: str, at: Cursor, sources: Sifted | None) -> None:
        hidden = self._echoes.pending(pending) if self._echoes else ()
        for found in self._lookout.pending(pending, sources, hidden):
            self._found(found)
            return

    def ended(self) -> None:
        self._left()

    # What ends it

    def _found(self, found: Occurrence) -> None:
        stop = found.order >= len(self._conditions.patterns)
        self._end(
            "stopped" if stop else "matched", "stop" if stop else "pattern",
            pattern=found.needle.name, match=found.match[:SHOWN], line=found.line[:SHOWN],
            groups=[group and group[:SHOWN] for group in found.groups[:GROUPS]],
        )  # fmt: skip

    def _left(self) -> None:
        """The program has ended, whoever noticed."""
        pane = self.pane
        same = pane.incarnation == self.incarnation
        known = not same or (pane.exit is not None and not pane.lost)
        self._end(
            "exited" if known else "gone",
            "exit" if self._conditions.exit else None,
            exit=pane.exit if same else None,
        )

    def _at_prompt(self) -> None:
        """Note that the shell is at its prompt; what it printed before may not be heard yet."""
        end = self._feeds.stream(self.pane).cursor
        if self.at >= end:
            asyncio.get_running_loop().call_soon(self._end, "matched", "prompt")
        else:
            self._prompted = end

    async def _await_silence(self, seconds: float) -> None:
        while True:
            left = self._heard_at + seconds - self._clock.monotonic()
            if left <= 0:
                if self._feeds.stream(self.pane).cursor <= self.at:
                    self._end("matched", "idle")
                    return
                left = 0.01
            await self._clock.sleep(left)

    def _end(
        self, outcome: Outcome, condition: Condition | None = None, *, pattern: str | None = None,
        match: str | None = None, line: str | None = None, groups: Sequence[str | None] = (),
        exit: Exit | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        if self.result is not None:
            return
        self.result = PaneResult(
            outcome=outcome, pane=self.pane.id, condition=condition, pattern=pattern, match=match,
            groups=list(groups), line=line, cursor=str(self.at), exit=exit,
            reason=reason,
        )  # fmt: skip
        self.stop()
        self._on_end(self)
