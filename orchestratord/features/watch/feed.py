"""Live output for whoever looks for patterns in it: one reading of a pane for all of them.

Lookers of a pane who are at the same place share a feed: its bytes become lines
once, and one sieve serves them all. A looker who begins further back has a feed
of its own until that has caught up. Nothing here survives a crash; lookers keep
their cursors themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch.lines import CONTEXT, Lines, Reader
from orchestratord.features.watch.needle import Needle
from orchestratord.features.watch.sieve import Sieve, Sifted
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor, Slice, Stream

PAUSE = 0.02
"""Seconds without output after which the unfinished line is looked at: it may be a prompt."""

LOOKED_BACK = 256 << 10
"""Bytes that are looked at for the echo of what was typed before somebody joined."""

LONGEST_PAUSE = 0.2
"""Seconds after which it is looked at although output trickles on."""


class Looker(Protocol):
    """Who joins a feed. Nothing may be awaited in any of these, and joining calls none of them."""

    @property
    def needles(self) -> Sequence[Needle]:
        """What to look for; never changes while joined."""
        ...

    def begin(self, at: Cursor, pending: str) -> None:
        """The feed begins here; the line that is being written shows this already."""
        ...

    def heard(self, lines: Lines, sources: Sifted | None) -> None:
        """Something was written. ``sources`` are what the sieve let pass."""
        ...

    def paused(self, pending: str, at: Cursor, sources: Sifted | None) -> None:
        """Output has paused, with a line unfinished."""
        ...

    def ended(self) -> None:
        """The pane has ended, and everything was heard."""
        ...


class Feed:
    """One reading of a pane. Its state is the reader, who listens, and the last pause."""

    def __init__(
        self, pane: PaneRecord, reader: Reader, spool: Spool, on_heard: Callable[[Feed], None]
    ):
        self.pane = pane
        self.reader = reader
        self.lookers: list[Looker] = []
        self._on_heard = on_heard
        self._sieve: Sieve | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = self._pending_since = 0.0
        self._stop = spool.listen(pane.id, self._heard, reader.at, self._ended)

    def join(self, looker: Looker) -> None:
        """Let somebody hear what comes from here on."""
        self.lookers.append(looker)
        self._sieve = None
        looker.begin(self.reader.at, self.reader.pending)

    def take_over(self, other: Feed) -> None:
        """Serve the lookers of a feed that is at the same place."""
        self.lookers += other.lookers
        self._sieve = None
        other.lookers.clear()

    def leave(self, looker: Looker) -> None:
        """Let somebody hear nothing any more."""
        self.lookers.remove(looker)
        self._sieve = None

    def close(self) -> None:
        """Read no longer."""
        self._stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _heard(self, part: Slice) -> None:
        self._tell(self.reader.feed(part))
        self._on_heard(self)
        if self.reader.pending and self.lookers:
            now = asyncio.get_running_loop().time()
            self._changed = now
            if self._timer is None:
                self._pending_since = now
                self._arm(PAUSE)

    def _tell(self, lines: Lines) -> None:
        sources = self._sifted(lines.text) if lines.count else {}
        for looker in tuple(self.lookers):
            if looker in self.lookers:
                looker.heard(lines, sources)

    def _sifted(self, text: bytes) -> Sifted | None:
        if self._sieve is None:
            self._sieve = Sieve.of(n for looker in self.lookers for n in looker.needles)
        return self._sieve.sifted(text)

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Look at the unfinished line, if output has paused or trickles on for long."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        if now - self._changed < PAUSE * 0.9 and now - self._pending_since < LONGEST_PAUSE:
            self._arm(PAUSE - (now - self._changed))
            return
        pending = self.reader.pending
        sources = self._sifted(pending.encode()) if pending else {}
        for looker in tuple(self.lookers) if pending else ():
            if looker in self.lookers:
                looker.paused(pending, self.reader.at, sources)

    def _ended(self) -> None:
        last = self.reader.finish()
        if last.count:
            self._tell(last)
        for looker in tuple(self.lookers):
            if looker in self.lookers:
                looker.ended()


class Feeds:
    """All feeds by pane."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._feeds: dict[str, list[Feed]] = {}

    def stream(self, pane: PaneRecord) -> Stream:
        """Return a pane's stream, as far as it has been written by now."""
        stream = self._spool.get(pane.id) or self._spool.expect(pane.id, pane.epoch)
        stream.look()
        return stream

    def join(
        self, pane: PaneRecord, looker: Looker, since: Cursor | None = None
    ) -> Callable[[], None]:
        """Let somebody hear what a pane writes from a cursor on, or from now on.

        The returned function ends it.
        """
        stream = self.stream(pane)
        at = stream.cursor if since is None else since
        for feed in () if stream.finished else self._feeds.get(pane.id, ()):
            if feed.reader.at == at:
                feed.join(looker)
                return lambda: self._leave(pane.id, looker)
        reader = Reader(pane.width or 200, at)
        if at.epoch == stream.epoch and stream.start < at.offset:
            begin = max(stream.start, at.offset - CONTEXT)
            reader.prime(stream.read(Cursor(at.epoch, begin), at.offset - begin).data)
        feed = Feed(pane, reader, self._spool, self._merge)
        self._feeds.setdefault(pane.id, []).append(feed)
        feed.join(looker)
        return lambda: self._leave(pane.id, looker)

    def between(self, pane: PaneRecord, since: Cursor, until: Cursor) -> Lines:
        """Return what a pane wrote between two cursors; of much, the end."""
        stream = self.stream(pane)
        begin = max(since, Cursor(until.epoch, max(stream.start, until.offset - LOOKED_BACK)))
        data = stream.read(begin, max(0, until.offset - begin.offset)).data
        return Reader(pane.width or 200, begin).feed(Slice(data, until, False))

    def _leave(self, pane_id: str, looker: Looker) -> None:
        for feed in self._feeds.get(pane_id, ()):
            if looker in feed.lookers:
                feed.leave(looker)
                if not feed.lookers:
                    self._close(feed)
                return

    def _merge(self, feed: Feed) -> None:
        """Let a feed serve those of another that has caught up with it, or it with that."""
        if feed.lookers and len(feeds := self._feeds.get(feed.pane.id, ())) > 1:
            for other in [f for f in feeds if f is not feed and f.reader.same_as(feed.reader)]:
                feed.take_over(other)
                self._close(other)

    def _close(self, feed: Feed) -> None:
        feed.close()
        known = self._feeds[feed.pane.id]
        known.remove(feed)
        if not known:
            del self._feeds[feed.pane.id]
