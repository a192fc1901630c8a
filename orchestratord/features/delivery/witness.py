"""A witness of one pane: what of its output, screen and terminal speaks for a delivery.

It looks when the pane has written something and at the end of its time. It types nothing
and decides nothing: ``attempt`` asks it, and acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from orchestratord.errors import TmuxRefused
from orchestratord.features.delivery.growth import Growth
from orchestratord.features.delivery.model import Arrival, Evidence, Reason
from orchestratord.features.delivery.sight import Fate, Place, Sight, fate_of, find
from orchestratord.features.panes.fault import PaneExited
from orchestratord.features.panes.keyboard import Terminal, terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.text import plain
from orchestratord.features.shell.prompt import Moment
from orchestratord.tmux.command import command, quote, target
from orchestratord.tmux.link import Link
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor

PATIENCE = 0.5
SHOWN = 1.0
"""Seconds for a program to show anything of what it was given, and to show all of it."""

QUIET = 0.03
"""Seconds without output after which a program has drawn what it wanted to draw."""

BREATH = 0.15
"""Seconds between a text and its Enter for a program with a line editor of its own: some take
what comes within 100 ms of a paste for a part of it."""

PROOF = 3.0
"""Seconds after an Enter in which its effect is looked for."""

SWALLOWED = 0.7
"""Seconds after which an Enter that was read, and has changed nothing, was swallowed."""

GLANCE = 0.1
"""Seconds between two looks while nothing is written."""

LAG = 0.1
"""Seconds that a pane's stream may be behind its screen; it is 1 ms on an idle machine."""

ANSWER = 4096
"""Bytes behind an Enter in which output of the program is looked for."""

_WHERE = quote("#{cursor_x} #{cursor_y}")


class Verdict(NamedTuple):
    """The evidence that an Enter was taken, or why there is none."""

    evidence: Evidence | None
    reason: Reason | None = None


class Witness:
    """Watches a pane, from the moment it is entered until it is left, for one text.

    ``tail`` is the ink by which the text is known. ``moment`` tells what the pane's shell is
    doing, None if it has no integration.
    """

    def __init__(
        self, pane: PaneRecord, link: Link, spool: Spool, tail: str,
        moment: Callable[[], Moment | None],
    ) -> None:  # fmt: skip
        self._pane = pane
        self._link = link
        self._spool = spool
        self._tail = tail
        self._moment = moment
        self._growth = Growth(spool, pane.id)
        self._now = asyncio.get_running_loop().time
        self._earlier: Place | None = None
        self._standing: Place | None = None
        self._before = Sight((), 0, 0)
        self._mode: Terminal | None = None
        self._was: Moment | None = None
        self._entered: Cursor | None = None

    def __enter__(self) -> Self:
        self._growth.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._growth.__exit__(kind, error, trace)

    async def look(self) -> Sight:
        """Return the screen with the cursor in it, both of one moment as far as can be seen.

        Raises:
            PaneExited: The pane is gone.
        """
        where, server = target(self._pane.place.pane), self._pane.place.server
        ask = command("display-message", "-p", "-t", where, "--", _WHERE)
        shot = command("capture-pane", "-p", "-t", where)
        for _ in range(3):
            try:
                before, shown, after = await asyncio.gather(
                    self._link.request(ask, what="a look at a cursor", server=server),
                    self._link.request(shot, what="a capture", opaque=True, server=server),
                    self._link.request(ask, what="a look at a cursor", server=server),
                )
            except TmuxRefused:
                raise PaneExited(pane=self._pane.id) from None
            if before == after:
                break
        try:
            x, y = map(int, after[0][0].split())
        except ValueError:
            raise PaneExited(pane=self._pane.id) from None
        return Sight(tuple(line.decode("utf-8", "replace") for line in shown[0]), x, y)

    async def look_caught_up(self) -> Sight:
        """Return the screen once what it shows is in the pane's stream as well.

        Of a pane that writes on and on, as it is after `LAG`.
        """
        stream = self._spool.get(self._pane.id)
        ends = self._now() + LAG
        while True:
            before = (stream.idle(), stream.end) if stream is not None else None
            sight = await self.look()
            if stream is None or self._now() >= ends:
                return sight
            stream.look()
            if before == (True, stream.end) and stream.idle():
                return sight

    async def arrived(self, before: Sight, seconds: float, *, editor: bool) -> Arrival | None:
        """Wait until the text that was just typed has arrived; None if the program does not read.

        ``before`` is the screen before it was typed. ``editor`` says that the program may
        take an Enter that comes early for a part of the text. Takes `SHOWN` at most, and no
        longer than so many seconds.
        """
        typed = self._now()
        soonest = typed + (BREATH if editor else 0.0)
        self._earlier = find(before, self._tail)
        arrival: Arrival = "quiet"
        seen = -1
        while True:
            now = self._now()
            ends = typed + min(seconds, PATIENCE if arrival == "quiet" else SHOWN)
            if self._growth.count != seen or now >= ends:
                seen = self._growth.count
                if arrival != "echo":
                    arrival = self._arrival(before, await self.look(), arrival)
            mode = terminal(self._pane.place.tty)
            unread = mode is not None and not mode.canonical and mode.unread > 0
            if now >= ends:
                return None if unread and arrival != "echo" else arrival
            at = ends
            if arrival == "echo" or (arrival == "change" and not self._tail):
                calm = arrival == "echo" and not editor
                settled = typed if calm else max(self._growth.last, typed) + QUIET
                at = max(soonest, settled, now + QUIET if unread else 0.0)
            if now >= at:
                return arrival
            await self._growth.wait(min(ends, at) - now)

    async def ready(self) -> None:
        """Note how everything is, right before Enter is pressed."""
        self._before = await self.look()
        place = find(self._before, self._tail)
        self._standing = None if place == self._earlier else place
        self._mode = terminal(self._pane.place.tty)
        self._was = self._moment()
        stream = self._spool.get(self._pane.id)
        if stream is not None:
            stream.look()
            self._entered = stream.cursor

    async def taken(self, seconds: float, again: Callable[[], Awaitable[bool]]) -> Verdict:
        """Look for evidence that the Enter was taken, for so many seconds at most.

        If the text still stands where it stood and nothing else has happened, ``again`` is
        awaited, once: it presses Enter again, and says whether it has.
        """
        entered = self._now()
        last = entered + seconds
        ends, swallowed = min(last, entered + PROOF), entered + SWALLOWED
        fate: Fate | None = None
        seen, looked, left = -1, 0.0, 0.0
        while True:
            if (evidence := self._told()) is not None:
                return Verdict(evidence)
            now, unread = self._now(), self._unread()
            if self._growth.count != seen or now >= min(looked + GLANCE, ends):
                seen, looked = self._growth.count, now
                sight = await self.look()
                fate = self._fate(sight)
                left = (left or now) if fate == "left" and not unread else 0.0
                if fate == "standing" and now >= swallowed and self.unchanged(sight):
                    swallowed = last + 1.0
                    if await again():
                        ends = min(last, self._now() + PROOF)
                    continue
            if left and now >= left + QUIET:
                return Verdict("left" if self._standing is not None else "output")
            if now >= ends:
                return Verdict(None, "unread" if unread else _reason(fate))
            await self._growth.wait(min(ends - now, QUIET if left else GLANCE))

    def unchanged(self, sight: Sight) -> bool:
        """Whether the text still stands, and all is as it was right before Enter was pressed."""
        same = self._standing is not None and sight.around == self._before.around
        return same and not self._unread()

    def _arrival(self, before: Sight, now: Sight, so_far: Arrival) -> Arrival:
        if now.around == before.around:
            return so_far
        return "change" if find(now, self._tail) in (None, self._earlier) else "echo"

    def _told(self) -> Evidence | None:
        """Return what the shell's marks or the terminal say, if they say anything."""
        was, now = self._was, self._moment()
        if was is not None and now is not None and not was.lost:
            if now.commands > was.commands:
                return "command"
            if now.prompts > was.prompts and now.state != "draft":
                return "prompt"
            if was.state != "busy":
                return None
        before, mode = self._mode, terminal(self._pane.place.tty)
        if before is None or mode is None:
            return None
        if (mode.echo, mode.canonical) != (before.echo, before.canonical):
            return "mode"
        if mode.canonical and mode.echo and not mode.unread and b"\n" in self._output():
            return "read"
        return None

    def _fate(self, sight: Sight) -> Fate | None:
        """Say what became of the text; None if it was never seen, and nothing was written."""
        if self._standing is None:
            place = find(sight, self._tail)
            if place is not None and place != self._earlier:  # shown late, or in an answer
                return "standing"
            return "left" if plain(self._output()).strip() else None
        return fate_of(self._standing, sight, self._tail)

    def _output(self) -> bytes:
        """Return the first that was written since Enter was pressed."""
        stream = self._spool.get(self._pane.id)
        if stream is None or self._entered is None:
            return b""
        stream.look()
        return stream.read(self._entered, ANSWER).data

    def _unread(self) -> bool:
        """Whether input waits for the program."""
        mode = terminal(self._pane.place.tty)
        return mode is not None and mode.unread > 0


def _reason(fate: Fate | None) -> Reason:
    if fate == "standing":
        return "standing"
    return "new_line" if fate == "below" else "silent"
