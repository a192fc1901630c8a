"""Which calls with idempotency keys were begun, and how to answer them again.

On disk: key, method, a hash of the parameters, and the ids in the result. The
answers themselves are in memory, the newest ``MEMORY`` bytes; after a restart
an answer is read anew through ``answer_for``. A call without a key costs
nothing here. Called by the rpc engine alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.log import Log
from orchestratord.rpc.receipts import LIFETIME, OutcomeUnknown, Ticket
from orchestratord.store.db import Statement, Store
from orchestratord.store.fault import StoreBusy, StoreFailing, StoreFull

MEMORY = 8 << 20
"""Bytes of answers kept to be given again as they were."""
SLICE = 1000
"""Receipts deleted in one transaction."""

Ids = dict[str, Any]
_ID = re.compile(r"[a-z][1-9][0-9]{0,17}\Z")
_NO_DISK = (StoreBusy, StoreFailing, StoreFull)

_CLAIM = "INSERT INTO receipts (uid, key, method, params_hash, at) VALUES (?, ?, ?, ?, ?)"
_SETTLE = "UPDATE receipts SET ids = ?, whole = ? WHERE uid = ? AND key = ?"
_RELEASE = "DELETE FROM receipts WHERE uid = ? AND key = ?"
_FIND = "SELECT method, params_hash, at, ids, whole FROM receipts WHERE uid = ? AND key = ?"
_EXPIRE = """
DELETE FROM receipts
WHERE (uid, key) IN (SELECT uid, key FROM receipts WHERE at < ? LIMIT ?)
"""

log = Log("receipts")


class _Kept(NamedTuple):
    ticket: Ticket
    answer: bytes | None
    until: float


class DurableReceipts:
    """The receipts of this daemon and of those before it, for 24 hours.

    While the store cannot be written, claims are kept in memory only: a method
    that needs the disk is refused by its own commit, and one that must always
    work (kill, interrupt) is not refused here.

    ``outcome_of`` tells which ids an unsettled call of an earlier life resulted
    in, None if it cannot; ``answer_for`` gives a method's answer for its ids as
    JSON, None if it cannot. App fills both.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.outcome_of: Callable[[Ticket], Awaitable[Ids | None]] = _unknown
        self.answer_for: Callable[[str, Ids], Awaitable[bytes | None]] = _forgotten
        self._store = store
        self._clock = clock
        self._kept: dict[tuple[int, str], _Kept] = {}
        self._size = 0

    async def claim(self, ticket: Ticket) -> bytes | None:
        kept = self._kept.get(ticket.name)
        if kept is not None and self._clock.monotonic() < kept.until:
            kept.ticket.check(ticket)
            if kept.answer is None:
                raise OutcomeUnknown(key=ticket.key)
            return kept.answer
        self._forget(ticket)
        at = rfc3339(self._clock.now())
        claim = Statement(_CLAIM, (*ticket.name, ticket.method, ticket.params_hash, at))
        try:
            await self._store.commit([claim], sync=False)
        except sqlite3.IntegrityError:
            return await self._earlier(ticket, claim)
        except _NO_DISK as fault:
            log.warning("a key is kept in memory only", reason=str(fault))
            self._keep(ticket, None)
        return None

    async def settle(self, ticket: Ticket, answer: bytes) -> None:
        in_memory_only = self._kept.get(ticket.name) is not None
        self._keep(ticket, answer)
        if in_memory_only:
            return
        ids, whole = ids_of(answer)
        text = msgspec.json.encode(ids).decode()
        try:
            await self._store.commit([Statement(_SETTLE, (text, whole, *ticket.name))])
        except _NO_DISK as fault:  # it has happened; a later daemon will call it unknown
            log.warning("an answer is kept in memory only", reason=str(fault))

    async def release(self, ticket: Ticket) -> None:
        if self._forget(ticket):
            return
        try:
            await self._store.commit([Statement(_RELEASE, ticket.name)], sync=False)
        except _NO_DISK as fault:
            log.warning("a key stays open", reason=str(fault))

    async def expire(self) -> int:
        """Forget what is older than 24 hours; return how many receipts on disk that were."""
        now = self._clock.monotonic()
        for kept in [kept for kept in self._kept.values() if kept.until <= now]:
            self._forget(kept.ticket)
        before = rfc3339(self._clock.now() - timedelta(seconds=LIFETIME))
        count = "SELECT count(*) FROM receipts WHERE at < ?"
        ((old,),) = await self._store.query(count, (before,))
        for _ in range(0, old, SLICE):
            await self._store.commit([Statement(_EXPIRE, (before, SLICE))], sync=False)
        return int(old)

    async def _earlier(self, ticket: Ticket, claim: Statement) -> bytes | None:
        """Answer a key that is on disk: of an earlier life, unanswered, or expired."""
        ((method, params_hash, at, ids, whole),) = await self._store.query(_FIND, ticket.name)
        if at < rfc3339(self._clock.now() - timedelta(seconds=LIFETIME)):
            await self._store.commit([Statement(_RELEASE, ticket.name), claim], sync=False)
            return None
        first = Ticket(uid=ticket.uid, key=ticket.key, method=method, params_hash=params_hash)
        first.check(ticket)
        if ids is not None and whole:
            return str(ids).encode()
        found = await self.outcome_of(ticket) if ids is None else msgspec.json.decode(ids)
        if found is None:
            raise OutcomeUnknown(key=ticket.key)
        answer = await self.answer_for(method, found)
        if answer is None:
            raise OutcomeUnknown(key=ticket.key, ids=found)
        return answer

    def _keep(self, ticket: Ticket, answer: bytes | None) -> None:
        self._forget(ticket)
        self._kept[ticket.name] = _Kept(ticket, answer, self._clock.monotonic() + LIFETIME)
        self._size += _cost(answer)
        while self._size > MEMORY:
            self._forget(next(iter(self._kept.values())).ticket)

    def _forget(self, ticket: Ticket) -> bool:
        kept = self._kept.pop(ticket.name, None)
        if kept is not None:
            self._size -= _cost(kept.answer)
        return kept is not None


def ids_of(answer: bytes) -> tuple[Ids, bool]:
    """Return the members of a result that are ids of ours, and whether those are all of it."""
    result = msgspec.json.decode(answer)
    if not isinstance(result, dict):
        return {}, False
    ids = {name: value for name, value in result.items() if _is_ids(value)}
    return ids, len(ids) == len(result)


def _is_ids(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) and _ID.match(item) for item in value)
    return isinstance(value, str) and _ID.match(value) is not None


def _cost(answer: bytes | None) -> int:
    return 500 + len(answer or b"")


async def _unknown(_: Ticket) -> Ids | None:
    return None


async def _forgotten(_: str, __: Ids) -> bytes | None:
    return None
