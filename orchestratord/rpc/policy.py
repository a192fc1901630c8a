"""What every call passes: the limits, the method's entry made callable, the counts.

Owns no connection and no socket. The connections of one server share one
``Policy``; only they and the server change it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec

from orchestratord.clock import Clock
from orchestratord.errors import Fault, PermissionDenied, ResourceExhausted, Unavailable
from orchestratord.rpc.audit import Account, Auditor, NoAudit
from orchestratord.rpc.method import Call, Method, Table
from orchestratord.rpc.params import Given, Reader, params_hash
from orchestratord.rpc.principal import EVERYTHING, Acting, ByUid, Identities, Principal
from orchestratord.rpc.receipts import Once, Receipts, Ticket
from orchestratord.rpc.wire import MAX_FRAME

_encode = msgspec.json.Encoder().encode


class Stopping(Unavailable):
    """The daemon is stopping; the next one takes the call."""

    template = "the daemon is stopping"
    hint = "call again in a second"


class TooManySubscriptions(ResourceExhausted):
    """The connection has as many streams as one may have."""

    template = "this connection has {limit} subscriptions, the most that one may have"
    hint = "cancel one, or open another connection"


class BuffersFull(ResourceExhausted):
    """All connections together have sent too much of lines that they did not end."""

    template = "the daemon holds {limit} bytes of unfinished lines; this one was skipped"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller may cost. Bytes and seconds."""

    frame: int = MAX_FRAME
    calls: int = 1024  # in flight on a connection; at that, its reading pauses
    load: int = 8 * 1024 * 1024  # bytes of requests in flight on a connection; likewise
    subscriptions: int = 64
    unsent: int = 16 * 1024 * 1024  # a connection that lets more pile up is cut off
    unsent_pause: int = 1024 * 1024  # at that, its streams and its reading pause
    stalled: float = 10.0  # without reading anything, until its streams end
    frame_seconds: float = 30.0  # from a line's first byte to its newline
    partial: int = 64 * 1024 * 1024  # unfinished lines, all connections together
    unsent_total: int = 128 * 1024 * 1024  # all connections together; the largest is cut off
    connections: int | None = None  # None: three quarters of the file descriptors
    uids: frozenset[int] = frozenset({os.geteuid()})


class Statistics(msgspec.Struct, kw_only=True):
    """Counts since the start, beside what is so now (connections, in_flight, subscriptions)."""

    connections: int = 0
    in_flight: int = 0
    subscriptions: int = 0
    accepted: int = 0
    denied: int = 0
    accept_pauses: int = 0
    calls: int = 0
    faults: int = 0
    malformed: int = 0
    cut_off: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Bound:
    """A method with its service: reads parameters, calls the handler."""

    def __init__(self, entry: Method, service: object) -> None:
        self.entry = entry
        self.needs, self.mutates = entry.needs, entry.mutates
        self.at_once = not entry.awaits and not entry.streams
        self.read = Reader(entry.name, entry.params, entry.mutates and not entry.streams).read
        self._service = service
        self._defaults = {
            field.name: field.default for field in msgspec.structs.fields(entry.params)
        }

    def admit(self, given: Given, acting: Acting, size: int) -> None:
        """Let in a caller who is not free, or raise what it lacks; counts for its quota."""
        acting.enter()
        for field, scope in self.entry.conditions:
            if not field or getattr(given.params, field) != self._defaults[field]:
                acting.principal.require(scope)
        acting.force = getattr(given.params, "force", False)
        if acting.principal.meter is not None:
            acting.principal.meter.take(0 if self.at_once and given.key is None else size)

    def account(self, given: Given, acting: Acting) -> Account | None:
        """Return what is noted of a call in the end; None for one that can only read."""
        if not self.entry.mutates and acting.principal.scopes is EVERYTHING:
            return None
        return self.opened(given, acting)

    def opened(self, given: Given, acting: Acting) -> Account:
        """Open the account of a call."""
        return Account.of(self.entry.name, self.entry.mutates, acting, bytes(given.raw))

    def seconds(self, params: msgspec.Struct) -> float | None:
        """Return the time the call may take: its own ``timeout`` and a second, or the method's.

        None for a method that ends by itself.
        """
        if self.entry.deadline is None:
            return None
        timeout = getattr(params, "timeout", None)
        return self.entry.deadline if timeout is None else timeout + 1.0

    def invoke(self, params: msgspec.Struct, call: Call) -> Any:
        """Call the handler; what comes back may have to be awaited."""
        if self.entry.wants_call:
            return self.entry.handler(self._service, params, call)
        return self.entry.handler(self._service, params)

    def invoke_at_once(self, params: msgspec.Struct, call: Call) -> bytes:
        """Call a handler that is a plain function; return its encoded result."""
        return _encode(self.invoke(params, call))

    async def act(self, params: msgspec.Struct, call: Call) -> bytes:
        """Call the handler, wait for it, return its encoded result."""
        result = self.invoke(params, call)
        return _encode(await result if self.entry.awaits else result)

    async def open(self, params: msgspec.Struct, call: Call) -> AsyncIterator[Any]:
        """Call a handler that streams; what it raises before its first item is the answer."""
        items = self.invoke(params, call)
        return cast(AsyncIterator[Any], await items if self.entry.awaits else items)


class Policy:
    """What the connections of one server share."""

    def __init__(
        self,
        table: Table,
        services: Mapping[type, object],
        limits: Limits,
        receipts: Receipts,
        clock: Clock,
        identities: Identities | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        self.identities = identities or ByUid()
        self.auditor = auditor or NoAudit()
        self.methods = {
            name: Bound(entry, services[entry.service]) for name, entry in table.items()
        }
        self.limits = limits
        self.clock = clock
        self.once = Once(receipts, clock)
        self.statistics = Statistics()
        self.partial = 0
        self.stopping = False

    def note(self, account: Account | None, fault: Fault | None) -> None:
        """Take down a call that changes something, or was denied."""
        if account is not None and (account.mutates or isinstance(fault, PermissionDenied)):
            self.auditor.note(account, fault)

    def ticket(
        self, entry: Method, params: msgspec.Struct, principal: Principal, key: str | None
    ) -> Ticket | None:
        """Return what a call with an idempotency key is known by; agents' keys never meet."""
        if key is None:
            return None
        return Ticket(
            uid=principal.uid,
            key=key if principal.agent is None else f"{principal.agent}/{key}",
            method=entry.name,
            params_hash=params_hash(params),
        )
