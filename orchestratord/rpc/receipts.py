"""Acting once: what happens to a call that carries an idempotency key.

``Once`` runs such a call in a task of its own, so that neither the caller's
disconnection nor its deadline ends it: the caller comes back with the same key
and gets the answer. Calls with a key that is running wait for that run.
``Receipts`` remembers keys beyond the run; the daemon's is durable and lives
with the store, ``MemoryReceipts`` serves where nothing must survive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from orchestratord.clock import Clock
from orchestratord.errors import (
    FailedPrecondition,
    Fault,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)

LIFETIME = 24 * 3600.0
"""Seconds for which a key gives its first answer."""
GRACE = 60.0
"""Seconds that a run may take beyond its caller's deadline; a retry meanwhile joins it."""
MAX_RUNNING = 4096

Ids = dict[str, Any]
"""What a record keeps of a result: ids of ours by the member that held them."""


class KeyReused(InvalidArgument):
    """The idempotency key belongs to another call: other method or other parameters."""

    template = "the idempotency key {key!r} was used for another call of {method}"
    hint = "a new call needs a new key"

    @property
    def kind(self) -> str:
        return "InvalidArgument"


class OutcomeUnknown(FailedPrecondition):
    """The first call with this key ended without telling what it did."""

    template = "whether the first call with the idempotency key {key!r} had its effect is not known"
    hint = "look at the state, then call with a new key"


class AnswerGone(NotFound):
    """The first call with this key did what it should; what it made is gone since."""

    template = "what the first call with the idempotency key {key!r} made is gone: {ids}"
    hint = "it was made once; a new call needs a new key"


class TooManyKeyedCalls(ResourceExhausted):
    """As many calls with idempotency keys are running as the daemon takes."""

    template = "{limit} calls with idempotency keys are running"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Names a call for ever: whose key, for which method, with which parameters.

    All that a record may hold beside it are ids from the result. Never the
    parameters, output, or an environment value.
    """

    uid: int
    key: str
    method: str
    params_hash: str

    @property
    def name(self) -> tuple[int, str]:
        """What must be unique: keys of different users never meet."""
        return self.uid, self.key

    def check(self, other: Ticket) -> None:
        """Raise ``KeyReused`` unless the other is the same call again."""
        if other != self:
            raise KeyReused(key=other.key, method=self.method)


class Receipts(Protocol):
    """Remembers which keyed calls were begun and what they answered.

    Each claim that returned None is followed by one ``settle`` or one
    ``release``, or by neither if the call was cancelled, had a defect, or the
    daemon died: such a key is open, and its outcome unknown unless the method
    writes its ticket down with what it does. Per ``Ticket.name``, calls never
    overlap.
    """

    async def claim(self, ticket: Ticket) -> bytes | None:
        """Return the first answer (a result as JSON), or None: the caller acts now.

        Raises ``KeyReused`` if the key names another call, ``OutcomeUnknown`` if
        it is open and nobody knows more, ``AnswerGone`` if its answer cannot be
        given any more. When it returns None, the claim outlives the process.
        """
        ...

    async def settle(self, ticket: Ticket, answer: bytes) -> None:
        """Keep what is needed to give this answer (a result as JSON) again."""
        ...

    async def release(self, ticket: Ticket) -> None:
        """Forget the claim: the call failed and, as far as is on record, changed nothing."""
        ...


class MemoryReceipts:
    """Receipts that end with the process: the newest ``size`` keys, for 24 hours."""

    def __init__(self, clock: Clock, size: int = 10_000) -> None:
        self._clock = clock
        self._size = size
        self._kept: dict[tuple[int, str], tuple[Ticket, bytes | None, float]] = {}

    async def claim(self, ticket: Ticket) -> bytes | None:
        now = self._clock.monotonic()
        kept = self._kept.get(ticket.name)
        if kept is not None and now < kept[2]:
            kept[0].check(ticket)
            if kept[1] is None:
                raise OutcomeUnknown(key=ticket.key)
            return kept[1]
        self._kept.pop(ticket.name, None)
        while len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
        self._kept[ticket.name] = (ticket, None, now + LIFETIME)
        return None

    async def settle(self, ticket: Ticket, answer: bytes) -> None:
        self._kept[ticket.name] = (ticket, answer, self._clock.monotonic() + LIFETIME)

    async def release(self, ticket: Ticket) -> None:
        self._kept.pop(ticket.name, None)


class _Run:
    __slots__ = ("ends_by", "task", "ticket", "waiters")

    def __init__(self, ticket: Ticket, task: asyncio.Task[bytes], ends_by: float | None) -> None:
        self.ticket = ticket
        self.task = task
        self.ends_by = ends_by
        self.waiters = 0


class Once:
    """The keyed calls that are running. One task each; no state survives them."""

    def __init__(self, receipts: Receipts, clock: Clock) -> None:
        self._receipts = receipts
        self._clock = clock
        self._runs: dict[tuple[int, str], _Run] = {}

    @property
    def tasks(self) -> list[asyncio.Task[bytes]]:
        """The runs that have not ended."""
        return [run.task for run in self._runs.values()]

    async def run(
        self, ticket: Ticket, act: Callable[[], Awaitable[bytes]], seconds: float | None
    ) -> bytes:
        """Return the encoded result of ``act``, which is awaited once for each key.

        Cancelling the caller leaves the run going. Raises what ``act`` raises,
        ``KeyReused`` and ``OutcomeUnknown``.
        """
        run = self._runs.get(ticket.name)
        if run is None:
            if len(self._runs) >= MAX_RUNNING:
                raise TooManyKeyedCalls(limit=MAX_RUNNING)
            ends_by = None if seconds is None else self._clock.monotonic() + seconds + GRACE
            task = asyncio.get_running_loop().create_task(self._act(ticket, act))
            run = self._runs[ticket.name] = _Run(ticket, task, ends_by)
            task.add_done_callback(lambda _: self._runs.pop(ticket.name))
        else:
            run.ticket.check(ticket)
        run.waiters += 1
        try:
            return await asyncio.shield(run.task)
        finally:
            run.waiters -= 1

    def abandon(self, ticket: Ticket) -> None:
        """Cancel a run whose only caller has asked for that."""
        run = self._runs.get(ticket.name)
        if run is not None and run.waiters <= 1:
            run.task.cancel()

    def sweep(self, now: float) -> None:
        """Cancel the runs that are far beyond their callers' deadlines."""
        for run in self._runs.values():
            if run.ends_by is not None and now >= run.ends_by:
                run.task.cancel()

    async def _act(self, ticket: Ticket, act: Callable[[], Awaitable[bytes]]) -> bytes:
        answer = await self._receipts.claim(ticket)
        if answer is not None:
            return answer
        try:
            answer = await act()
        except Fault as fault:
            if not fault.may_have_acted:
                await self._receipts.release(ticket)
            raise
        await self._receipts.settle(ticket, answer)
        return answer
