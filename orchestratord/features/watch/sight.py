"""One watch's view of one pane: its matches, each once, with the place behind it.

Two kinds: on the stream, and on the rendered screen. Knows no store; ``watches``
owns it and is told of what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch.echo import Echoes, Typed
from orchestratord.features.watch.lines import Lines
from orchestratord.features.watch.lookout import NOTHING, Lookout, Occurrence
from orchestratord.features.watch.needle import Needle, TooSlow
from orchestratord.features.watch.record import Spot
from orchestratord.features.watch.sieve import Sifted
from orchestratord.tmux.stream import Cursor

AT_ONCE = 500
"""Matches that are told of one piece of output; a program that prints more is not followed."""


class Seen(NamedTuple):
    """A match in a pane, and the place in the stream behind it."""

    pane: PaneRecord
    pattern: int
    match: str
    line: str
    cursor: str


class Host(Protocol):
    """Who is told. Nothing may be awaited in any of these."""

    def matched(self, sight: Sight, seen: Sequence[Seen]) -> None: ...
    def lagged(self, sight: Sight, reason: str, missed: int) -> None: ...
    def slow(self) -> None: ...


class Sight(Protocol):
    """A watch's view of a pane."""

    pane: PaneRecord
    leave: Callable[[], None]

    def spot(self) -> Spot:
        """Return where it has looked."""
        ...

    def expect_echo(self, typed: Iterable[Typed]) -> None:
        """Pass over the echo of what the watch types itself."""
        ...


class StreamSight:
    """A view of the stream. ``expect_echo`` keeps a watch from matching what it types itself."""

    def __init__(self, host: Host, needles: Sequence[Needle], pane: PaneRecord) -> None:
        self.pane = pane
        self.needles = needles
        self.leave: Callable[[], None] = lambda: None
        self._host = host
        self._incarnation = pane.incarnation
        self._at = Cursor(pane.epoch, 0)
        self._lookout = Lookout(needles)
        self._echoes = Echoes()

    def spot(self) -> Spot:
        return Spot(cursor=str(self._at), incarnation=self._incarnation)

    def expect_echo(self, typed: Iterable[Typed]) -> None:
        self._echoes.expect(typed)

    # What the feed tells

    def begin(self, at: Cursor, pending: str) -> None:
        self._at = at
        self._lookout = Lookout(self.needles, pending)

    def heard(self, lines: Lines, sources: Sifted | None) -> None:
        if lines.gap:
            self._lookout.reset()
            if self.pane.incarnation == self._incarnation:
                self._host.lagged(self, "output was lost", 0)
            self._incarnation = self.pane.incarnation
        hidden = self._echoes.lines(lines) if self._echoes else NOTHING
        try:
            found = list(islice(self._lookout.lines(lines, sources, hidden), AT_ONCE + 1))
        except TooSlow:
            self._host.slow()
            return
        self._at = lines.end
        if found:
            seen = [self._seen(f, lines.cursor(f.number or 0)) for f in found[:AT_ONCE]]
            self._host.matched(self, seen)
        if len(found) > AT_ONCE:
            self._host.lagged(self, "too many matches at once", 1)

    def paused(self, pending: str, at: Cursor, sources: Sifted | None) -> None:
        hidden = self._echoes.pending(pending) if self._echoes else ()
        if found := self._lookout.pending(pending, sources, hidden):
            self._host.matched(self, [self._seen(f, at) for f in found[:AT_ONCE]])

    def ended(self) -> None:
        """The pane may be respawned: this goes on until it is in tmux no longer."""

    def _seen(self, found: Occurrence, at: Cursor) -> Seen:
        return Seen(self.pane, found.order, found.match, found.line, str(at))


class ScreenSight:
    """A view of the rendered screen: what comes to stand there is told once, while it stands.

    The lines are those of the screen, wrapped ones joined, blanks at their ends cut.
    """

    def __init__(
        self, host: Host, needles: Sequence[Needle], pane: PaneRecord, spot: Spot | None
    ) -> None:
        self.pane = pane
        self.needles = needles
        self.leave: Callable[[], None] = lambda: None
        self._host = host
        self._cursor = spot.cursor if spot else ""
        self._standing = set(spot.standing) if spot else set()

    def spot(self) -> Spot:
        standing = tuple(sorted(self._standing))[:AT_ONCE]
        return Spot(cursor=self._cursor, incarnation=self.pane.incarnation, standing=standing)

    def expect_echo(self, typed: Iterable[Typed]) -> None:
        """Echoes are on the screen as everything else is."""

    def looked(self, lines: list[str], cursor: str) -> None:
        """Look at the screen."""
        self._cursor = cursor
        seen: list[Seen] = []
        now: set[tuple[int, str]] = set()
        text = "\n".join(lines).encode()
        try:
            for order, needle in enumerate(self.needles):
                for line, match in needle.on_screen(lines, text):
                    key = (order, match)
                    if key not in now and key not in self._standing:
                        seen.append(Seen(self.pane, order, match, line, cursor))
                    now.add(key)
        except TooSlow:
            self._host.slow()
            return
        self._standing = now
        if seen:
            self._host.matched(self, seen[:AT_ONCE])
