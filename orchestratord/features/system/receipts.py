"""Which calls with idempotency keys were begun, and how to answer them again.

On disk: key, method, a hash of the parameters, and the ids in the result. The
answers themselves are in memory, the newest ``MEMORY`` bytes; after a restart
an answer is read anew through ``answer_for``. A feature whose method writes its
ticket down settles or releases the key in the very commit that tells what came
of it (``settling``, ``releasing``). A call without a key costs nothing here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import NotFound
from orchestratord.log import Log
from orchestratord.rpc.receipts import LIFETIME, AnswerGone, Ids, OutcomeUnknown, Ticket
from orchestratord.store.db import Statement, Store
from orchestratord.store.fault import StoreBusy, StoreFailing, StoreFull

MEMORY = 8 << 20
"""Bytes of answers kept to be given again as they were."""
SLICE = 1000
"""Receipts deleted in one transaction."""

_ID = re.compile(r"[a-z][1-9][0-9]{0,17}\Z")
_NO_DISK = (StoreBusy, StoreFailing, StoreFull)

_CLAIM = "INSERT INTO receipts (uid, key, method, params_hash, at) VALUES (?, ?, ?, ?, ?)"
_SETTLE = """
INSERT INTO receipts (uid, key, method, params_hash, at, ids, whole) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (uid, key) DO UPDATE SET ids = excluded.ids, whole = excluded.whole WHERE ids IS NULL
"""
_RELEASE = "DELETE FROM receipts WHERE uid = ? AND key = ? AND ids IS NULL"
_FORGET = "DELETE FROM receipts WHERE uid = ? AND key = ?"
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


class _Row(NamedTuple):
    method: str
    params_hash: str
    at: str
    ids: str | None
    whole: int

    def of(self, ticket: Ticket) -> Ticket:
        """Return the ticket under whose name this was written."""
        return msgspec.structs.replace(ticket, method=self.method, params_hash=self.params_hash)


def settling(ticket: Ticket, ids: Ids, at: str, *, whole: bool = False) -> Statement:
    """Return the statement that keeps what a call did; what was kept first stays."""
    text = msgspec.json.encode(ids).decode()
    fields = (*ticket.name, ticket.method, ticket.params_hash, at, text, int(whole))
    return Statement(_SETTLE, fields)


def releasing(ticket: Ticket) -> Statement:
    """Return the statement that frees a key whose call did nothing; a settled one stays."""
    return Statement(_RELEASE, ticket.name)


def revoking(ticket: Ticket) -> Statement:
    """Return the statement that frees a key though its call was settled: it was undone."""
    return Statement(_FORGET, ticket.name)


class DurableReceipts:
    """The receipts of this daemon and of those before it, for 24 hours.

    While the store cannot be written, claims are kept in memory only: a method
    that needs the disk is refused by its own commit, and one that must always
    work (kill, interrupt) is not refused here.

    ``resolved`` waits until it is on record what an open call did, False if that
    is never told of its method; ``answer_for`` gives a method's answer for its
    ids as JSON, None if it cannot. App fills both.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.resolved: Callable[[Ticket], Awaitable[bool]] = _untold
        self.answer_for: Callable[[str, Ids], Awaitable[bytes | None]] = _forgotten
        self._store = store
        self._clock = clock
        self._kept: dict[tuple[int, str], _Kept] = {}
        self._size = 0

    async def claim(self, ticket: Ticket) -> bytes | None:
        kept = self._kept.get(ticket.name)
        if kept is not None and self._clock.monotonic() < kept.until:
            kept.ticket.check(ticket)
            if kept.answer is not None:
                return kept.answer
            await self._resolve(ticket)
        self._forget(ticket)
        try:
            await self._begin(ticket)
        except sqlite3.IntegrityError:
            return await self._earlier(ticket)
        return None

    async def settle(self, ticket: Ticket, answer: bytes) -> None:
        self._keep(ticket, answer)
        ids, whole = ids_of(answer)
        at = rfc3339(self._clock.now())
        try:
            await self._store.commit([settling(ticket, ids, at, whole=whole)])
        except _NO_DISK as fault:  # it has happened; a later daemon will call it unknown
            log.warning("an answer is kept in memory only", reason=str(fault))

    async def release(self, ticket: Ticket) -> None:
        if self._forget(ticket):
            return
        try:
            await self._store.commit([releasing(ticket)], sync=False)
        except _NO_DISK as fault:
            log.warning("a key stays open", reason=str(fault))

    async def expire(self) -> int:
        """Forget what is older than 24 hours; return how many receipts on disk that were."""
        now = self._clock.monotonic()
        for kept in [kept for kept in self._kept.values() if kept.until <= now]:
            self._forget(kept.ticket)
        before = self._oldest()
        count = "SELECT count(*) FROM receipts WHERE at < ?"
        ((old,),) = await self._store.query(count, (before,))
        for _ in range(0, old, SLICE):
            await self._store.commit([Statement(_EXPIRE, (before, SLICE))], sync=False)
        return int(old)

    async def _begin(self, ticket: Ticket, *before: Statement) -> None:
        """Claim a key on disk, or in memory on a disk that takes nothing."""
        at = rfc3339(self._clock.now())
        claim = Statement(_CLAIM, (*ticket.name, ticket.method, ticket.params_hash, at))
        try:
            await self._store.commit([*before, claim], sync=False)
        except _NO_DISK as fault:
            log.warning("a key is kept in memory only", reason=str(fault))
            self._keep(ticket, None)

    async def _earlier(self, ticket: Ticket) -> bytes | None:
        """Answer a key that is on disk: of an earlier life, unanswered, or expired."""
        row = await self._row(ticket)
        if row is not None and row.at < self._oldest():
            await self._begin(ticket, Statement(_FORGET, ticket.name))
            return None
        if row is not None:
            row.of(ticket).check(ticket)
            if row.ids is None:
                await self._resolve(ticket)
                row = await self._row(ticket)
        if row is None:  # it came to nothing, and its claim with it
            await self._begin(ticket)
            return None
        return None if row.ids is None else await self._answer(ticket, row.ids, row.whole)

    async def _row(self, ticket: Ticket) -> _Row | None:
        found = await self._store.query(_FIND, ticket.name)
        return _Row(*found[0]) if found else None

    async def _resolve(self, ticket: Ticket) -> None:
        """Wait until what an open call did is on record; if nothing is, it did nothing."""
        if not await self.resolved(ticket):
            raise OutcomeUnknown(key=ticket.key)

    async def _answer(self, ticket: Ticket, text: str, whole: int) -> bytes:
        if whole:
            return text.encode()
        ids = msgspec.json.decode(text)
        try:
            answer = await self.answer_for(ticket.method, ids)
        except NotFound:
            raise AnswerGone(key=ticket.key, ids=ids) from None
        if answer is None:
            raise OutcomeUnknown(key=ticket.key, ids=ids)
        return answer

    def _oldest(self) -> str:
        return rfc3339(self._clock.now() - timedelta(seconds=LIFETIME))

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


async def _untold(_: Ticket) -> bool:
    return False


async def _forgotten(_: str, __: Ids) -> bytes | None:
    return None
