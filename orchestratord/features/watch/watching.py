"""One watch at work: takes what its sights find, writes it down, then acts.

A match is on disk before it is acted on, together with the place behind it, so a
watch acts at most once on each: what a crash cuts off is told as ``unknown``.
Acts of one match come one after the other; those of different matches do not wait
for each other, except in the same pane.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.events import Fact
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch import table
from orchestratord.features.watch.action import Action, word
from orchestratord.features.watch.actor import INTO_PANES, Actor, Order
from orchestratord.features.watch.fact import WatchActed, WatchEnded, WatchLagged, WatchMatched
from orchestratord.features.watch.firing import Debounce, LoopGuard
from orchestratord.features.watch.model import Act, Firing
from orchestratord.features.watch.needle import Needle
from orchestratord.features.watch.record import Fired, WatchRecord
from orchestratord.features.watch.sight import Seen, Sight
from orchestratord.log import Log
from orchestratord.store.db import Statement

log = Log("watch")

QUEUED = 10_000
"""Matches that wait to be written; a watch that finds more cannot keep up, and says so."""

GROUP = 128
"""Matches written at once."""

ACTING = 1000
"""Matches that are being acted on; the next ones are skipped, and said so."""

SHOWN = 500
"""Characters of a match or line that events and history tell."""

LAG_INTERVAL = 1.0
"""Seconds between two events that tell of the same lag."""

Write = Callable[[list[Statement], list[Fact]], Coroutine[Any, Any, None]]


class Watching:
    """A watch that is known to this daemon, at work or not.

    In memory: its sights by their panes, matches that wait, debouncing and rates.
    """

    def __init__(
        self, record: WatchRecord, needles: Sequence[Needle], actor: Actor, clock: Clock,
        write: Write, next_id: Callable[[], int],
    ) -> None:  # fmt: skip
        self.record = record
        self.needles = needles
        self.sights: dict[str, Sight] = {}
        self._actor = actor
        self._clock = clock
        self._write = write
        self._next_id = next_id
        self._queue: deque[tuple[Seen, int]] = deque()
        self._wake = asyncio.Event()
        self._debounce = Debounce(record.terms.debounce)
        self._guard = LoopGuard()
        self._lag_told = -LAG_INTERVAL
        self.fired = False
        self._acts: set[asyncio.Task[None]] = set()
        self._worker = asyncio.create_task(self._work(), name=f"{record.id}")
        self._worker.add_done_callback(self._over)

    @property
    def active(self) -> bool:
        """Whether it looks, and acts on what it finds."""
        return self.record.state == "active" and not self.fired

    @property
    def acting(self) -> bool:
        """Whether something is being done about a match."""
        return bool(self._acts)

    async def settled(self) -> None:
        """Wait until what is under way is done, a moment at most."""
        if self._acts:
            await asyncio.wait(self._acts, timeout=1)

    def waits_for(self, pane_id: str) -> bool:
        """Whether matches in a pane wait to be written."""
        return any(seen.pane.id == pane_id for seen, _ in self._queue)

    def leave(self, pane_id: str) -> None:
        """Look at a pane no longer."""
        if (sight := self.sights.pop(pane_id, None)) is not None:
            sight.leave()
        self._debounce.forget(pane_id)
        self._guard.forget(pane_id)

    def leave_all(self) -> None:
        """Look at nothing."""
        for pane_id in list(self.sights):
            self.leave(pane_id)

    async def close(self) -> None:
        """Stop at once; what was begun and not written is ``unknown`` to the next daemon."""
        self.leave_all()
        tasks = [self._worker, *self._acts]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.3)

    def stop(self, reason: str) -> None:
        """End for good."""
        if self.record.state == "stopped":
            return
        self.record.state, self.record.reason = "stopped", reason
        self.leave_all()
        self._queue.clear()
        ended = WatchEnded(watch=self.record.id, reason=reason)
        self._spawn(self._write([table.save(self.record)], [ended]))

    # What sights tell

    def matched(self, sight: Sight, seen: Sequence[Seen]) -> None:
        now = self._clock.monotonic()
        for found in seen:
            if not self.active:
                break
            suppressed = self._debounce.passes(found.pane.id, found.pattern, now)
            if suppressed is None:
                continue
            if len(self._queue) >= QUEUED:
                self.lagged(sight, "too many matches", 1)
                continue
            self._queue.append((found, suppressed))
            if self.record.terms.fire == "once":
                self.fired = True
        self._wake.set()

    def lagged(self, sight: Sight, reason: str, missed: int) -> None:
        self.record.missed += missed
        self.record.gaps += not missed
        now = self._clock.monotonic()
        if missed and now - self._lag_told < LAG_INTERVAL:
            return
        self._lag_told = now
        told = WatchLagged(
            session=sight.pane.session, pane=sight.pane.id, watch=self.record.id, reason=reason,
            missed=self.record.missed,
        )  # fmt: skip
        self._spawn(self._write([table.save(self.record)], [told]))

    def slow(self) -> None:
        self.stop("slow")

    # Writing down, and acting

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
                await self._take(batch)
            if self.fired:
                self.leave_all()

    async def _take(self, batch: Sequence[tuple[Seen, int]]) -> None:
        """Write matches down, then begin to act on them."""
        record, terms = self.record, self.record.terms
        entries: list[tuple[Fired, PaneRecord]] = []
        facts: list[Fact] = []
        places: dict[str, Statement] = {}
        for seen, suppressed in batch:
            pane = seen.pane
            entries.append((self._entry(seen), pane))
            facts.append(
                WatchMatched(
                    session=pane.session, pane=pane.id, watch=record.id, cursor=seen.cursor,
                    pattern=self.needles[seen.pattern].name, match=seen.match[:SHOWN],
                    suppressed=suppressed,
                )
            )  # fmt: skip
            if (sight := self.sights.get(pane.id)) is not None:
                spot = msgspec.structs.replace(sight.spot(), cursor=seen.cursor)
                places[pane.id] = table.place(record.id, pane.id, spot)
        before, record.matches = record.matches, record.matches + len(batch)
        statements = [table.save(record), *places.values()]
        statements += [table.fired(entry) for entry, _ in entries]
        if before // table.HISTORY != record.matches // table.HISTORY:
            statements.append(table.trim(record.id))
        await self._write(statements, facts)
        for entry, pane in entries:
            if terms.actions:
                self.act_on(entry, pane)
            elif self.fired:
                self.stop("fired")

    def _entry(self, seen: Seen) -> Fired:
        terms, now = self.record.terms, self._clock.now()
        firing = Firing(
            at=rfc3339(now), pane=seen.pane.id, pattern=self.needles[seen.pattern].name,
            match=seen.match[:SHOWN], line=seen.line[:SHOWN], cursor=seen.cursor, acts=[],
        )  # fmt: skip
        return Fired(
            id=self._next_id(), watch=self.record.id, firing=firing,
            due=now.timestamp() + terms.after if terms.after else None,
            begun=not terms.after, done=not terms.actions,
        )  # fmt: skip

    def act_on(self, entry: Fired, pane: PaneRecord) -> None:
        """Act on a match, when it is due."""
        self._spawn(self._act_on(entry, pane, skip=len(self._acts) >= ACTING))

    async def _act_on(self, entry: Fired, pane: PaneRecord, *, skip: bool) -> None:
        terms = self.record.terms
        if entry.due is not None:
            await self._clock.sleep(max(0.0, entry.due - self._clock.now().timestamp()))
            entry.begun = True
            await self._write([table.fired(entry)], [])
        for number, action in enumerate(terms.actions, 1):
            order = Order(self.record.id, self.record.rights, action, pane, entry.firing.line)
            if skip or self.record.state != "active" or self._loops(order):
                act = Act(do=word(action), result="skipped")
            else:
                act = await self._actor.carry_out(order)
                self.record.acted += act.result == "done"
            entry.firing.acts.append(act)
            entry.done = number == len(terms.actions)
            fact = WatchActed(
                session=pane.session, pane=pane.id, watch=self.record.id, action=act.do,
                result=act.result, detail=act.detail,
            )  # fmt: skip
            statements = [table.save(self.record), table.fired(entry)]
            await self._write(statements, [fact])
        if self.fired:
            self.stop("fired")

    def _loops(self, order: Order) -> bool:
        """Count an action into a pane that may come of another; end this watch if it loops."""
        if not isinstance(order.action, INTO_PANES) or not self._actor.caused(order.pane.id):
            return False
        target = getattr(order.action, "pane", None) or order.pane.id
        if not self._guard.loops(target, self._clock.monotonic()):
            return False
        self.stop("loop")
        return True

    def _over(self, worker: asyncio.Task[None]) -> None:
        """Say so if the watch has ended by a defect of ours; never be silent."""
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("a watch failed", watch=self.record.id, error=repr(error))
            self.stop("defect")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)


def cut_off(entry: Fired, actions: Sequence[Action]) -> list[Act]:
    """Return what is told of the actions that a crash cut off."""
    return [Act(do=word(action), result="unknown") for action in actions[len(entry.firing.acts) :]]
