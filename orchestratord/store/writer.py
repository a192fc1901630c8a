"""The one writer: takes changes in order, writes them in groups, owes what it must.

What gathers while one group is written is the next group; an idle writer runs
no timer. When the database cannot be written, changes are refused by name,
what has already happened in the world is kept in memory in order, and every
second one attempt is made until it works again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from orchestratord.clock import Clock, rfc3339
from orchestratord.events import Fact
from orchestratord.log import Log
from orchestratord.store.connection import Connection
from orchestratord.store.fault import (
    Mode,
    StoreClosed,
    StoreDamaged,
    StoreFault,
    StoreFull,
    again,
    fault_of,
)
from orchestratord.store.group import Change, Groups, Outcome, Statement
from orchestratord.store.journal import Journal

GROUP = 256
"""Changes in one transaction at most, so that the first of them does not wait long."""

OWED = 10_000
"""Changes kept in memory while the disk is full: hours of panes that end."""

PROBE = 1.0
"""Seconds between two attempts while the database cannot be written."""

log = Log("store.writer")


class StoreRecovered(Fact, frozen=True, kw_only=True):
    """The store can be written again."""

    mode: Literal["full", "failing", "busy"]
    reason: str
    seconds: float
    """How long it could not."""
    lost: int = 0
    """Changes since the start that had happened and found no room in memory either."""


class Writer:
    """Owns the queue of changes, the counters and the writer connection.

    Nothing here survives a crash; whatever was answered is on disk.
    """

    def __init__(
        self,
        connection: Connection,
        groups: Groups,
        journal: Journal,
        counters: dict[str, int],
        clock: Clock,
    ) -> None:
        self.trouble: StoreFault | None = None
        self.commits = self.groups = self.refused = self.lost = 0
        self.last_seconds = 0.0
        self._connection = connection
        self._groups = groups
        self._journal = journal
        self._counters = counters
        self._claimed: dict[str, int] = {}
        self._clock = clock
        self._queue: deque[Change] = deque()
        self._owed: deque[Change] = deque()
        self._since = 0.0
        self._closing = False
        self._wake = asyncio.Event()
        self._prober: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name="store writer")

    @property
    def mode(self) -> Mode:
        return self.trouble.mode if self.trouble else "ok"

    @property
    def owed(self) -> int:
        return len(self._owed)

    def next_id(self, noun: str) -> int:
        """Return a number that was never returned for this noun before, in any life."""
        number = self._counters.get(noun, 0) + 1
        self._counters[noun] = self._claimed[noun] = number
        return number

    def submit(
        self, statements: Sequence[Statement], facts: Sequence[Fact], *, sync: bool, owed: bool
    ) -> Change:
        """Queue a change; its future answers. Raises if it cannot be taken at all."""
        if self._closing:
            raise StoreClosed()
        if isinstance(self.trouble, StoreDamaged):
            self.refused += 1
            raise again(self.trouble)
        if owed and self.trouble and len(self._owed) + len(self._queue) >= OWED:
            self.lost += 1
            raise StoreFull(reason=f"{OWED} changes are waiting in memory already")
        at = rfc3339(self._clock.now())
        change = Change(statements, facts, at, sync=sync, owed=owed)
        self._queue.append(change)
        self._wake.set()
        return change

    def damaged(self, fault: StoreDamaged) -> None:
        """Refuse everything from now on: a reader has found damage."""
        self._enter(fault)
        self._refuse((), fault)

    async def close(self, seconds: float) -> bool:
        """Write what is queued, try once what is owed, and end.

        Returns False if a disk that hangs has not ended the last group by then;
        the connection's thread is still in it.
        """
        self._closing = True
        self._wake.set()
        if self._prober:
            self._prober.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return bool(done)

    async def _run(self) -> None:
        try:
            while not self._closing:
                await self._wake.wait()
                self._wake.clear()
                while self._pending() and await self._write(self._gather()):
                    pass
        finally:  # nobody waits for ever, not even after a defect of ours
            self._closing = True
            for change in (*self._owed, *self._queue):
                change.resolve(again(self.trouble or StoreClosed()))

    def _pending(self) -> bool:
        if isinstance(self.trouble, StoreDamaged):
            return False
        return bool(self._owed or self._queue or self.trouble)

    def _gather(self) -> list[Change]:
        """Take what is owed, then what is queued."""
        group: list[Change] = []
        while len(group) < GROUP and (source := self._owed or self._queue):
            group.append(source.popleft())
        return group

    async def _write(self, group: list[Change]) -> bool:
        """Write a group; in trouble, together with the event that would end it."""
        tried = [*group, self._recovery(self.trouble)] if self.trouble else group
        claimed = dict(self._claimed)
        begun = perf_counter()
        try:
            outcomes = await self._connection.call(
                lambda sql: self._groups.write(sql, tried, claimed, self._journal.head)
            )
        except (sqlite3.Error, OSError, StoreDamaged) as error:
            fault = fault_of(error)
        except BaseException:  # a defect, or closed while the disk hangs
            self._refuse(group, self.trouble or StoreClosed())
            raise
        else:
            self.last_seconds = perf_counter() - begun
            self._leave()
            self._claimed = {n: v for n, v in self._claimed.items() if v != claimed.get(n)}
            self._answer(tried, outcomes)
            return True
        self._enter(fault)
        self._refuse(group, fault)
        return False

    def _answer(self, group: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        self.groups += 1
        written = [one for one in outcomes if not isinstance(one, Exception)]
        self.commits += len(written)
        self._journal.extend([event for events in written for event in events])
        for change, outcome in zip(group, outcomes, strict=True):
            change.resolve(outcome)

    def _refuse(self, group: Sequence[Change], fault: StoreFault) -> None:
        """Keep what is owed, in its order; refuse the rest and everybody who waits behind."""
        waiting = [*group, *self._owed, *self._queue]
        damaged = isinstance(fault, StoreDamaged)
        self._queue.clear()
        self._owed = deque(change for change in waiting if change.owed and not damaged)
        for change in waiting:
            if damaged or not change.owed:
                self.refused += 1
                change.resolve(again(fault))
            else:
                change.defer(again(fault))

    def _recovery(self, trouble: StoreFault) -> Change:
        """Build the probe: if this event can be written, the trouble is over."""
        fact = StoreRecovered(
            mode=trouble.mode,  # type: ignore[arg-type]  # the others never recover
            reason=trouble.details["reason"],
            seconds=round(self._clock.monotonic() - self._since, 3),
            lost=self.lost,
        )
        return Change((), (fact,), rfc3339(self._clock.now()), sync=True, owed=False)

    def _enter(self, fault: StoreFault) -> None:
        if self.trouble is None:
            self._since = self._clock.monotonic()
            log.error("store cannot be written", mode=fault.mode, reason=fault.details["reason"])
        if not isinstance(self.trouble, StoreDamaged):
            self.trouble = fault
        if self._prober is None or self._prober.done():
            self._prober = asyncio.create_task(self._probe(), name="store probe")

    def _leave(self) -> None:
        if self.trouble and not isinstance(self.trouble, StoreDamaged):
            log.warning("store can be written again", mode=self.mode, lost=self.lost)
            self.trouble = None

    async def _probe(self) -> None:
        while self.trouble and not isinstance(self.trouble, StoreDamaged):
            await self._clock.sleep(PROBE)
            self._wake.set()
