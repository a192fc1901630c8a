"""The audit: every call that changed something, and every one that was denied.

Noted in memory at once, so that no call waits, and written a moment later, many in
one unsynced change: kill -9 can lose the last ``PAUSE``. A full disk loses none while
``WAITING`` suffices; how many were lost is an entry itself. State: the head of the
chain and what is not written yet; written here alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.features.agents.chain import GENESIS, Entry, Link, chained, follow
from orchestratord.features.agents.model import AuditEntry, Verified
from orchestratord.log import Log
from orchestratord.rpc.audit import Account
from orchestratord.store.db import Statement, Store

log = Log("audit")

PAUSE = 0.2
"""Seconds between an entry and its writing; what comes meanwhile is written with it."""

AGAIN = 1.0
"""Seconds between two attempts on a disk that takes nothing."""

WAITING = 10_000
"""Entries that wait in memory for the disk: some megabytes."""

BATCH = 500
"""Entries in one change: it is built in a few milliseconds."""

KEPT = 100_000
"""Entries that are kept; about 25 MB."""

SLICE = 1000
"""Entries deleted, or verified, at a time."""

LOST = "audit.lost"
"""Stands for the method in an entry that says that others were lost; its size is how many."""

_INSERT = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHECKPOINT = "INSERT OR REPLACE INTO audit_checkpoint VALUES (1, ?, ?)"
_PRUNE = "DELETE FROM audit WHERE seq <= ?"
_LAST = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
_FROM = "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"


class Audit:
    """Keeps what was noted. An ``Auditor`` of the rpc engine.

    ``days`` says for how many days entries are kept.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.days: Callable[[], float] = lambda: 30.0
        self._store = store
        self._clock = clock
        self._head = Link(0, GENESIS)
        self._seq = 0
        self._first = 1
        self._waiting: deque[Entry] = deque()
        self._lost = 0
        self._noted = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Go on where the daemon before has stopped."""
        checkpoint = await self._checkpoint()
        rows = await self._store.query(_LAST)
        self._head = Link(*rows[0]) if rows else checkpoint
        self._seq, self._first = self._head.seq, checkpoint.seq + 1
        self._writer = asyncio.create_task(self._write_for_ever(), name="audit")

    async def stop(self) -> None:
        """Write what waits, if the disk takes it."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        await self.flush()

    def note(self, account: Account, fault: Fault | None) -> None:
        """Take down how a call ended."""
        if len(self._waiting) >= WAITING:
            self._lost += 1
            return
        who = account.acting.principal
        self._seq += 1
        self._waiting.append(
            Entry(
                self._seq, rfc3339(self._clock.now()), who.uid, who.pid, who.agent, who.pane,
                account.method, account.acting.touched, fault.kind if fault else "ok",
                account.size, account.digest,
            )
        )  # fmt: skip
        self._noted.set()

    async def flush(self) -> bool:
        """Write what waits; False if the disk does not take it."""
        async with self._writing:
            while self._waiting:
                batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
                hash_ = self._head.hash
                statements: list[Statement] = []
                for entry in batch:
                    hash_ = chained(hash_, entry)
                    statements.append(Statement(_INSERT, (*entry, hash_)))
                try:
                    await self._store.commit(statements, sync=False)
                except Fault as problem:
                    log.warning("entries wait", waiting=len(self._waiting), reason=str(problem))
                    return False
                self._head = Link(batch[-1].seq, hash_)
                for _ in batch:
                    self._waiting.popleft()
                self._tell_of_lost()
        return True

    async def entries(
        self, *, since: int | None, agent: str | None, method: str | None, limit: int
    ) -> list[AuditEntry]:
        """Return entries after a number, in order; without one, the last ones."""
        await self.flush()
        where, args = ["seq > ?"], [since if since is not None else 0]
        for column, value in (("agent", agent), ("method", method)):
            if value is not None:
                where.append(f"{column} = ?")
                args.append(value)  # type: ignore[arg-type]
        order = "DESC" if since is None else "ASC"
        rows = await self._store.query(
            f"SELECT * FROM audit WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?",
            (*args, limit),
        )
        rows.sort()
        return [AuditEntry(**Entry(*row[:-1])._asdict(), hash=row[-1]) for row in rows]

    async def verify(self) -> Verified:
        """Follow the whole chain, from the last checkpoint to the head."""
        await self.flush()
        head = self._head
        start = at = await self._checkpoint()
        broken: int | None = None
        while broken is None and at.seq < head.seq:
            rows = await self._store.query(_FROM, (at.seq, min(SLICE, head.seq - at.seq)))
            if not rows:
                broken = at.seq + 1
                break
            at, broken = await asyncio.to_thread(follow, at, rows)
        if broken is None and at != head:
            broken = at.seq
        return Verified(
            ok=broken is None, checked=at.seq - start.seq, checkpoint=start.seq,
            head=at.seq, hash=at.hash, broken_at=broken,
        )  # fmt: skip

    async def prune(self) -> None:
        """Delete entries that are too many or too old; the hash of the last one remains."""
        before = rfc3339(self._clock.now() - timedelta(days=self.days()))
        while True:
            upto = self._head.seq - KEPT
            old = await self._store.query(
                "SELECT seq, hash, at FROM audit ORDER BY seq LIMIT ?", (SLICE,)
            )
            doomed = [row for row in old if row[0] <= upto or row[2] < before]
            doomed = [row for row in doomed if row[0] < self._head.seq]
            if not doomed:
                return
            seq, hash_, _ = doomed[-1]
            await self._store.commit(
                [Statement(_CHECKPOINT, (seq, hash_)), Statement(_PRUNE, (seq,))], sync=False
            )
            self._first = seq + 1

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"audit_entries": max(0, self._seq - self._first + 1)}

    # Inside

    def _tell_of_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._seq += 1
            at = rfc3339(self._clock.now())
            self._waiting.append(
                Entry(self._seq, at, 0, 0, None, None, LOST, None, "lost", lost, "")
            )

    async def _write_for_ever(self) -> None:
        pruned = self._clock.monotonic()
        while True:
            await self._noted.wait()
            self._noted.clear()
            await self._clock.sleep(PAUSE)
            while not await self.flush():
                await self._clock.sleep(AGAIN)
            if self._clock.monotonic() - pruned >= 60:
                pruned = self._clock.monotonic()
                with contextlib.suppress(Fault):
                    await self.prune()

    async def _checkpoint(self) -> Link:
        rows: list[tuple[Any, ...]] = await self._store.query(
            "SELECT seq, hash FROM audit_checkpoint"
        )
        return Link(*rows[0]) if rows else Link(0, GENESIS)
