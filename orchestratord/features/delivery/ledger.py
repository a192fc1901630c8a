"""The deliveries that are known, and what is stored and told of them.

In memory: the unfinished deliveries and the last thousand that have ended; on disk the same.
Changed by attempts and the service as deliveries move on. No text is ever told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Fact
from orchestratord.features.delivery.fact import (
    DeliveryCancelled,
    DeliveryConfirmed,
    DeliveryPasted,
    DeliveryQueued,
    DeliveryRefused,
    DeliverySubmitted,
    DeliveryUnknown,
)
from orchestratord.features.delivery.fault import DeliveryNotFound
from orchestratord.features.delivery.model import Arrival, DeliveryState, Evidence, Reason
from orchestratord.features.delivery.record import REMEMBERED, Live, Record, Wanted
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.features.system.receipts import revoking, settling
from orchestratord.log import Log
from orchestratord.rpc.receipts import Ticket
from orchestratord.store.db import Statement, Store

DISK = 0.5
"""Seconds that an answer waits for a disk which is full or hangs: what happened has happened."""

log = Log("delivery")


class Ledger:
    """Every delivery by its id."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._lives: dict[str, Live] = {}
        self._ended: deque[str] = deque()
        self._writing: set[asyncio.Task[None]] = set()

    async def load(self) -> list[Live]:
        """Read what an earlier daemon has stored; return what had not ended, oldest first."""
        rows = await self._store.query("SELECT record FROM deliveries")
        records = [msgspec.json.decode(text, type=Record) for (text,) in rows]
        unfinished = []
        for record in sorted(records, key=lambda record: int(record.id[1:])):
            live = self._lives[record.id] = Live(record, record.text or "")
            if record.ended_at is None:
                live.stored = True
                unfinished.append(live)
            else:
                live.ended.set()
                self._ended.append(record.id)
        return unfinished

    def make(
        self, pane: PaneRecord, text: str, wanted: Wanted, owner: str, ticket: Ticket | None
    ) -> Live:
        """Return a new delivery, and know it."""
        now = self._clock.now()
        record = Record(
            id=f"d{self._store.next_id('delivery')}", pane=pane.id, incarnation=pane.incarnation,
            owner=owner, created_at=rfc3339(now), size=len(text.encode()), wanted=wanted,
            ticket=ticket, expires_at=now.timestamp() + wanted.timeout,
        )  # fmt: skip
        live = self._lives[record.id] = Live(record, text)
        return live

    def get(self, delivery: str) -> Live:
        """Return a delivery by its id.

        Raises:
            DeliveryNotFound: There is none.
        """
        found = self._lives.get(delivery)
        if found is None:
            raise DeliveryNotFound(delivery=delivery)
        return found

    def all(self) -> list[Live]:
        """Return every delivery that is known, oldest first."""
        return list(self._lives.values())

    async def queued(self, live: Live) -> None:
        """Store that a delivery waits, with its text; raises what the store refuses with."""
        record = live.record
        record.text = live.text
        fact = DeliveryQueued(**self._about(live), delivery=record.id, size=record.size)
        try:
            await self._store.commit([record.statement(), *self._settled(record)], [fact])
        except BaseException:
            self._lives.pop(record.id, None)
            raise
        live.stored = True

    async def begun(self, live: Live) -> None:
        """Store that a delivery is about to be typed; raises what the store refuses with."""
        record, text = live.record, live.record.text
        record.begun, record.text = True, None
        try:
            statements = [record.statement(), *self._settled(record)]
            await self._store.commit(statements, sync=False)
        except Fault:
            record.begun, record.text = False, text
            raise

    def pasted(self, live: Live) -> None:
        """Note that the text was given to the terminal."""
        live.text = ""
        fact = DeliveryPasted(**self._about(live), delivery=live.record.id, size=live.record.size)
        self._move(live, "pasted", fact, last=not live.record.wanted.submit)

    def submitted(self, live: Live, arrival: Arrival | None) -> None:
        """Note that Enter was pressed."""
        live.record.arrival, live.record.enters = arrival, 1
        fact = DeliverySubmitted(**self._about(live), delivery=live.record.id, arrival=arrival)
        self._move(live, "submitted", fact, last=not live.record.wanted.confirm)

    def confirmed(self, live: Live, evidence: Evidence) -> None:
        """Note that the program has taken it."""
        live.record.evidence = evidence
        fact = DeliveryConfirmed(
            **self._about(live), delivery=live.record.id, evidence=evidence,
            enters=live.record.enters,
        )  # fmt: skip
        self._move(live, "confirmed", fact)

    def unknown(self, live: Live, reason: Reason) -> None:
        """Note that nobody knows what became of it."""
        live.record.reason = reason
        fact = DeliveryUnknown(**self._about(live), delivery=live.record.id, reason=reason)
        self._move(live, "unknown", fact)

    def refused(self, live: Live, reason: Reason, *, told: bool = False) -> None:
        """Note that nothing was typed, and nothing will be.

        ``told`` says that the call itself fails by it, so that its key is free again.
        """
        ticket = live.record.ticket
        live.record.reason = reason
        fact = DeliveryRefused(**self._about(live), delivery=live.record.id, reason=reason)
        freed = [revoking(ticket)] if ticket is not None and told else []
        self._move(live, "refused", fact, *freed)

    def cancelled(self, live: Live, by: str) -> None:
        """Note that it is not needed any more."""
        fact = DeliveryCancelled(**self._about(live), delivery=live.record.id, by=by)
        self._move(live, "cancelled", fact)

    async def on_disk(self, live: Live) -> None:
        """Wait until what was noted is on disk; not for long if the disk is full or hangs."""
        if live.writing is not None:
            await asyncio.wait({live.writing}, timeout=DISK)

    def _move(
        self, live: Live, state: DeliveryState, fact: Fact, *more: Statement, last: bool = True
    ) -> None:
        record = live.record
        if record.ended_at is not None:
            return
        record.state = state
        statements = list(more)
        if last:
            live.text, record.text = "", None
            if state not in ("unknown", "refused"):
                record.reason = None
            record.ended_at = rfc3339(self._clock.now())
            self._ended.append(record.id)
            statements += self._forget_oldest()
            live.ended.set()
        live.writing = self._write([record.statement(), *statements], [fact])

    def _write(self, statements: Sequence[Statement], facts: Sequence[Fact]) -> asyncio.Task[None]:
        async def write() -> None:
            try:
                await self._store.record(statements, facts)
            except Fault as problem:  # it has happened all the same
                log.warning("a delivery is not on disk", reason=str(problem))

        task = asyncio.create_task(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    def _settled(self, record: Record) -> list[Statement]:
        """Return what makes a key of the call answer with this delivery from now on."""
        if record.ticket is None:
            return []
        ids = {"delivery": record.id}
        return [settling(record.ticket, ids, rfc3339(self._clock.now()))]

    def _about(self, live: Live) -> dict[str, Any]:
        pane = self._registry.panes.get(live.record.pane)
        return {"session": pane.session if pane else None, "pane": live.record.pane}

    def _forget_oldest(self) -> list[Statement]:
        old = [self._ended.popleft() for _ in range(len(self._ended) - REMEMBERED)]
        return [self._lives.pop(delivery).record.forgotten() for delivery in old]
