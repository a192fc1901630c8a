"""The ordered history: read it from any number, wait for what comes next.

The database is the truth; the newest events are also kept in memory, because
nearly every reader is at the end. A reader either gets every event after its
number or is told that they are gone. Only the writer adds events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from itertools import islice
from typing import Any

import msgspec

from orchestratord.errors import FailedPrecondition, InvalidArgument
from orchestratord.events import Bus, Event

TAIL = 1024
"""Events kept in memory: some seconds of a busy daemon, about 1 MiB."""

BATCH = 500
"""Events read at a time by one who follows."""

Query = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]


class EventsCompacted(FailedPrecondition):
    """Events after the given number are gone: too old, or lost with a damaged database."""

    template = "events after {since} are gone; the oldest is {oldest}"
    hint = "take a snapshot, then go on from the number it carries"


class SeqUnknown(InvalidArgument):
    """The given number has not been given to any event yet."""

    template = "there is no event {since} yet; the newest is {head}"


class Journal:
    """What was written: `head` is the newest number, `oldest` the oldest still there.

    An empty journal has ``oldest == head + 1``.
    """

    def __init__(self, query: Query, bus: Bus, *, head: int, oldest: int) -> None:
        self.head = head
        self.oldest = oldest
        self._query = query
        self._bus = bus
        self._tail: deque[Event] = deque(maxlen=TAIL)
        self._news = asyncio.Event()

    async def after(
        self,
        seq: int,
        limit: int = BATCH,
        *,
        kinds: Collection[str] | None = None,
        session: str | None = None,
        pane: str | None = None,
        until: int | None = None,
    ) -> list[Event]:
        """Return at most `limit` events with numbers above `seq`, in order.

        With fewer than `limit` there are no others up to the head that was
        there at the call (or up to `until`, a number, inclusive). Raises
        `EventsCompacted` if any event after `seq` is gone, `SeqUnknown` if
        `seq` lies ahead of the head.
        """
        self._check(seq)
        last = self.head if until is None else min(until, self.head)
        if self._tail and self._tail[0].seq <= seq + 1:
            recent = islice(self._tail, seq + 1 - self._tail[0].seq, None)
            matching = (
                event
                for event in recent
                if event.seq <= last
                and (kinds is None or event.kind in kinds)
                and (session is None or event.session == session)
                and (pane is None or event.pane == pane)
            )
            return list(islice(matching, limit))
        where = "seq > ? AND seq <= ?"
        args: list[int | str] = [seq, last]
        if kinds is not None:
            where += f" AND kind IN ({', '.join('?' * len(kinds))})"
            args += kinds
        for column, value in (("session", session), ("pane", pane)):
            if value is not None:
                where += f" AND {column} = ?"
                args.append(value)
        rows = await self._query(
            "SELECT seq, at, kind, session, pane, agent, data FROM events"
            f" WHERE {where} ORDER BY seq LIMIT ?",
            (*args, limit),
        )
        self._check(seq)  # compaction may have begun in the meantime
        return [_event(row) for row in rows]

    async def wait_beyond(self, seq: int) -> int:
        """Return the head once it is above `seq`."""
        while self.head <= seq:
            await self._news.wait()
        return self.head

    async def follow(
        self,
        seq: int,
        *,
        kinds: Collection[str] | None = None,
        session: str | None = None,
        pane: str | None = None,
    ) -> AsyncIterator[list[Event]]:
        """Yield every matching event after `seq`, in order and in batches, for ever.

        Raises what `after` raises; a follower too slow for the retention gets
        `EventsCompacted`, never a hole.
        """
        while True:
            head = self.head
            events = await self.after(seq, BATCH, kinds=kinds, session=session, pane=pane)
            if events:
                yield events
            seq = events[-1].seq if len(events) == BATCH else head
            if len(events) < BATCH:
                await self.wait_beyond(seq)

    def extend(self, events: Sequence[Event]) -> None:
        """Add what is now on disk and tell everybody. Called by the writer alone."""
        if not events:
            return
        self._tail.extend(events)
        self.head = events[-1].seq
        self._bus.publish(events)
        self._news.set()  # wakes everybody who waits now
        self._news.clear()

    def forget(self, oldest: int) -> None:
        """Refuse readers of anything older. Called before the rows are deleted."""
        self.oldest = max(self.oldest, oldest)

    def _check(self, seq: int) -> None:
        if seq > self.head:
            raise SeqUnknown(since=seq, head=self.head)
        if seq + 1 < self.oldest:
            raise EventsCompacted(since=seq, oldest=self.oldest)


def _event(row: tuple[Any, ...]) -> Event:
    seq, at, kind, session, pane, agent, data = row
    return Event(
        seq=seq,
        at=at,
        kind=kind,
        session=session,
        pane=pane,
        agent=agent,
        data=msgspec.json.decode(data),
    )
