"""What panes show and have written: captures of the screen, reads of the stream.

A capture is what a person would see, rendered by tmux. A read is what the
program wrote, from the pane's file; its cursors stay good while the bytes are
kept, also over restarts of the daemon. The two are never mixed.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from orchestratord.clock import Clock
from orchestratord.errors import TmuxRefused
from orchestratord.features.panes.asciicast import asciicast
from orchestratord.features.panes.fault import BadCursor, PaneExited
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.text import Plain, plain, unfinished
from orchestratord.tmux.command import command, target
from orchestratord.tmux.link import Link
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor, Stream

CAPTURED = 3 << 19
"""Bytes of a capture that are told, the last ones: with escaping they stay below a frame."""

SEARCHED = 1 << 20
"""Bytes at the end of a pane's output that a search looks at."""


class Text(NamedTuple):
    """A piece of output. ``gap`` says that what should come before it is gone."""

    text: str
    cursor: Cursor
    gap: bool


class Tail(NamedTuple):
    """Output as it comes: complete lines, and the unfinished one as it stands."""

    text: str
    pending: str
    cursor: Cursor
    gap: bool


class Screen(NamedTuple):
    """A pane as a person sees it."""

    text: str
    row: PaneRow
    truncated: bool


class Output:
    """Reads what panes wrote. Keeps no state."""

    def __init__(self, link: Link, spool: Spool, clock: Clock) -> None:
        self._link = link
        self._spool = spool
        self._clock = clock

    async def capture(
        self, pane: PaneRecord, *, history: bool, lines: int | None, escapes: bool, join: bool
    ) -> Screen:
        """Return the screen, with the history before it if asked, or its last lines."""
        server = pane.place.server
        words = ["capture-pane", "-p", *(["-e"] if escapes else []), *(["-J"] if join else [])]
        if history:
            words += ["-S", "-"]
        elif lines is not None:
            words += ["-S", f"-{lines}"]
        ask = command(*words, "-t", target(pane.place.pane))
        look = command("display-message", "-p", "-t", target(pane.place.pane), "--", PaneRow.FORMAT)
        try:
            bodies = await self._link.request(ask, what="a capture", opaque=True, server=server)
            seen = await self._link.request(look, what="a look at a pane", server=server)
        except TmuxRefused:
            raise PaneExited(pane=pane.id) from None
        if seen[0][0].startswith(b"\t"):  # what is shown of a pane that is gone
            raise PaneExited(pane=pane.id)
        shown = [line.decode("utf-8", "replace") for line in bodies[0]]
        while shown and not shown[-1].strip():
            shown.pop()
        if lines is not None:
            shown = shown[len(shown) - min(lines, len(shown)) :]
        kept = _last(shown, CAPTURED)
        return Screen("\n".join(kept), PaneRow.parse(seen[0][0]), len(kept) < len(shown))

    def cursor(self, pane: PaneRecord, text: str | None) -> Cursor:
        """Read a caller's cursor; None means the oldest byte that is kept."""
        if text is None:
            stream = self._stream(pane)
            return Cursor(stream.epoch, stream.start)
        found = Cursor.parse(text)
        if found is None:
            raise BadCursor(cursor=text[:40])
        return found

    def end(self, pane: PaneRecord) -> Cursor:
        """Return the cursor behind the last byte."""
        return self._stream(pane).cursor

    def read(self, pane: PaneRecord, since: Cursor, limit: int) -> Text:
        """Return output from a cursor on, as plain text.

        Stops before a character, an escape sequence or, if there is more, a
        line that is not complete, so that the next read begins where it makes
        sense.
        """
        stream = self._stream(pane)
        stream.look()
        part = stream.read(since, limit)
        data = part.data
        more = part.next < stream.cursor
        cut = _complete(data, more=more, final=stream.finished)
        if more and not cut:  # what does not fit into the limit would never come
            cut = len(data)
        cursor = Cursor(part.next.epoch, part.next.offset - (len(data) - cut))
        return Text(plain(data[:cut]), cursor, part.gap)

    def read_raw(self, pane: PaneRecord, since: Cursor, limit: int) -> Text:
        """Return output from a cursor on, byte for byte, as base64."""
        stream = self._stream(pane)
        stream.look()
        part = stream.read(since, limit)
        return Text(base64.b64encode(part.data).decode(), part.next, part.gap)

    async def tail(self, pane: PaneRecord, since: Cursor, raw: bool) -> AsyncIterator[Tail]:
        """Yield output as it is written, until the pane has ended.

        Lines come when they are complete; the unfinished one comes along as it
        stands, and the cursor is before it.
        """
        reader = Plain(pane.width or 200)
        cursor, shown = since, ""
        async for part in self._spool.follow(pane.id, since):
            if raw:
                encoded = base64.b64encode(part.data).decode()
                yield Tail(encoded, "", part.next, part.gap)
                continue
            if part.gap:
                reader = Plain(pane.width or 200)
            text = reader.feed(part.data)
            if text:
                line_end = part.data.rfind(b"\n") + 1
                begin = part.next.offset - len(part.data)
                cursor = Cursor(part.next.epoch, begin + line_end) if line_end else cursor
            if text or part.gap or reader.pending != shown:
                shown = reader.pending
                yield Tail(text, shown, cursor, part.gap)
        rest = "" if raw else reader.finish()
        if rest:
            yield Tail(rest, "", self.end(pane), False)

    def recent(self, pane: PaneRecord) -> bytes:
        """Return the last that a pane wrote."""
        stream = self._stream(pane)
        stream.look()
        return stream.tail(SEARCHED)

    @staticmethod
    def lines(data: bytes, count: int | None) -> list[str]:
        """Return output as its last lines; touches nothing, so that a thread may do it."""
        lines = plain(data).split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return lines if count is None else lines[len(lines) - min(count, len(lines)) :]

    def record(self, pane: PaneRecord) -> Iterator[str]:
        """Return all output that is kept as the lines of an asciicast v2."""
        stream = self._stream(pane)
        stream.look()
        timed = stream.timed()
        started = timed[0][0] if timed else self._clock.now().timestamp()
        return asciicast(
            width=pane.width or 80, height=pane.height or 24, title=pane.name or pane.id,
            started_at=started, chunks=timed,
        )  # fmt: skip

    def _stream(self, pane: PaneRecord) -> Stream:
        return self._spool.get(pane.id) or self._spool.expect(pane.id, pane.epoch)


def _last(lines: list[str], size: int) -> list[str]:
    """Return the last lines that are no longer than that many bytes in all."""
    first = len(lines)
    while first and (size := size - len(lines[first - 1].encode()) - 1) >= 0:
        first -= 1
    return lines[first:]


def _complete(data: bytes, *, more: bool, final: bool) -> int:
    """Return how much of the data makes sense by itself."""
    if more and (line_end := data.rfind(b"\n") + 1):
        return line_end
    return len(data) - (0 if final and not more else unfinished(data))
