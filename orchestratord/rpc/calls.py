"""The calls in flight of one connection: started, answered once, ended in time.

A call is answered by whichever comes first: its handler, ``$/cancel``, its
deadline. After that its handler is cancelled, and counts as in flight until it
has really ended. Knows no bytes of the stream and no socket; ``peer`` owns it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from orchestratord import log
from orchestratord.errors import Cancelled, DeadlineExceeded, Fault, Internal
from orchestratord.rpc.audit import Account
from orchestratord.rpc.caller import Caller
from orchestratord.rpc.meter import Meter
from orchestratord.rpc.method import Call
from orchestratord.rpc.policy import Bound, Policy, Stopping, TooManySubscriptions
from orchestratord.rpc.principal import Peer, acting
from orchestratord.rpc.receipts import Ticket
from orchestratord.rpc.stream import Subscription
from orchestratord.rpc.wire import (
    AnswerTooLong,
    DuplicateId,
    Id,
    MethodNotFound,
    Request,
    encode_error,
    encode_result,
)

_log = log.Log("rpc")


class Reply(Protocol):
    """Where an answer goes; ``then`` runs after it has been sent."""

    def __call__(self, id: Id, frame: bytes, then: Callable[[], None] | None = None) -> None: ...


class _Flight:
    """One call that did not end at once. ``reply`` is None once it is answered."""

    __slots__ = ("account", "deadline", "id", "meter", "reply", "seconds", "size", "task", "ticket")

    def __init__(
        self,
        id: Id | UnsetType,
        reply: Reply | None,
        size: int,
        ticket: Ticket | None,
        account: Account | None,
        meter: Meter | None,
    ) -> None:
        self.id = id
        self.reply = reply
        self.size = size
        self.ticket = ticket
        self.account = account
        self.meter = meter
        self.seconds: float | None = None
        self.deadline: float | None = None
        self.task: asyncio.Task[None] | None = None


class Calls:
    """The calls and subscriptions of one connection.

    ``on_end`` is called when one of them has ended. Nothing survives the
    connection but keyed calls, which ``Once`` owns.
    """

    def __init__(
        self,
        peer: Peer,
        policy: Policy,
        *,
        send: Callable[[bytes], None],
        writable: Callable[[], Any],
        on_end: Callable[[], None],
    ) -> None:
        self._peer = peer
        self._policy = policy
        self._send = send
        self._writable = writable
        self._on_end = on_end
        self._flights: set[_Flight] = set()
        self._by_id: dict[Id, _Flight] = {}
        self._load = 0
        self._number = 0
        self._streams = 0
        self._closed = False
        self._caller = Caller(peer, policy)
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def full(self) -> bool:
        """Whether no further call may start now."""
        limits = self._policy.limits
        return len(self._flights) >= limits.calls or self._load > limits.load

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing streams."""
        return not self._flights and not self.subscriptions

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The calls that have not ended."""
        return [flight.task for flight in self._flights if flight.task is not None]

    def start(self, request: Request, size: int, reply: Reply) -> None:
        """Begin a call of that many bytes. It is answered once, if it has an id."""
        self._policy.statistics.calls += 1
        if request.id is UNSET:
            self._start(request, UNSET, size, None)
        elif request.id in self._by_id:
            self._refuse(request.id, DuplicateId(id=_shown(request.id)), reply)
        else:
            self._start(request, request.id, size, reply)

    def cancel(self, id: Id) -> bool:
        """Answer a call with ``Cancelled`` and end its handler; False if none has that id."""
        flight = self._by_id.get(id)
        if flight is None:
            return False
        if flight.ticket is not None:
            self._policy.once.abandon(flight.ticket)
        self._give_up(flight, Cancelled())
        return True

    def sweep(self, now: float) -> None:
        """End the calls whose deadline has passed."""
        for flight in tuple(self._flights):
            if flight.deadline is not None and now >= flight.deadline:
                flight.deadline = None
                self._give_up(flight, DeadlineExceeded(seconds=flight.seconds))

    def end_subscriptions(self, reason: str) -> None:
        """End every stream, with that reason."""
        for subscription in tuple(self.subscriptions.values()):
            subscription.end(reason)

    def give_up_all(self, fault: Fault) -> None:
        """Answer everything that runs with that fault, and cancel it."""
        for flight in tuple(self._flights):
            self._give_up(flight, fault)

    def close(self) -> None:
        """Cancel everything; the peer is gone."""
        self._closed = True
        for flight in tuple(self._flights):
            flight.reply = None
            if flight.task is not None:
                flight.task.cancel()
        self.end_subscriptions("cancelled")

    def _start(self, request: Request, id: Id | UnsetType, size: int, reply: Reply | None) -> None:
        bound = self._policy.methods.get(request.method)
        try:
            if bound is None:
                raise MethodNotFound(method=_shown(request.method))
            if self._policy.stopping:
                raise Stopping()
            given = bound.read(request.params)
            entrance = self._caller.admit(bound, given, size)
        except Fault as fault:
            self._refuse(id, fault, reply)
            return
        self._number += 1
        name = f"{self._peer.connection}.{self._number}"
        principal = entrance.principal
        ticket = self._policy.ticket(bound.entry, given.params, principal, given.key)
        call = Call(peer=self._peer, principal=principal, request=name, ticket=ticket)
        token = log.request_id.set(name)
        entered = acting.set(entrance.acting) if entrance.acting is not None else None
        try:
            if bound.at_once and ticket is None:
                self._run_at_once(bound, given.params, call, entrance.account, id, reply)
            else:
                flight = _Flight(id, reply, size, ticket, entrance.account, principal.meter)
                self._launch(flight, bound, given.params, call)
        finally:
            if entered is not None:
                acting.reset(entered)
            log.request_id.reset(token)

    def _run_at_once(
        self,
        bound: Bound,
        params: msgspec.Struct,
        call: Call,
        account: Account | None,
        id: Id | UnsetType,
        reply: Reply | None,
    ) -> None:
        try:
            result = bound.invoke_at_once(params, call)
        except Exception as error:
            fault = self._fault(error)
            self._policy.note(account, fault)
            self._refuse(id, fault, reply)
            return
        if account is not None:
            self._policy.note(account, None)
        if reply is not None and id is not UNSET:
            reply(id, self._answer(id, result))

    def _launch(self, flight: _Flight, bound: Bound, params: msgspec.Struct, call: Call) -> None:
        flight.seconds = bound.seconds(params)
        if flight.seconds is not None:
            flight.deadline = self._policy.clock.monotonic() + flight.seconds
        run = self._open if bound.entry.streams else self._run
        self._flights.add(flight)
        self._load += flight.size
        self._policy.statistics.in_flight += 1
        if flight.id is not UNSET:
            self._by_id[flight.id] = flight
        loop = asyncio.get_running_loop()
        flight.task = loop.create_task(run(flight, bound, params, call))
        flight.task.add_done_callback(partial(self._landed, flight))

    async def _run(self, flight: _Flight, bound: Bound, params: msgspec.Struct, call: Call) -> None:
        try:
            if flight.ticket is None:
                result = await bound.act(params, call)
            else:
                act = partial(bound.act, params, call)
                result = await self._policy.once.run(flight.ticket, act, flight.seconds)
        except asyncio.CancelledError:
            self._settle(flight, fault=Cancelled())
        except Exception as error:
            self._settle(flight, fault=self._fault(error))
        else:
            self._settle(flight, result=result)

    async def _open(
        self, flight: _Flight, bound: Bound, params: msgspec.Struct, call: Call
    ) -> None:
        limit = self._policy.limits.subscriptions
        try:
            if len(self.subscriptions) >= limit:
                raise TooManySubscriptions(limit=limit)
            items = await bound.open(params, call)
        except asyncio.CancelledError:
            self._settle(flight, fault=Cancelled())
            return
        except Exception as error:
            self._settle(flight, fault=self._fault(error))
            return
        if self._closed or flight.reply is None:  # nobody would learn the subscription's name
            if (close := getattr(items, "aclose", None)) is not None:
                await close()
            return
        self._streams += 1
        subscription = Subscription(
            f"sub-{self._streams}",
            items,
            send=self._send,
            writable=self._writable,
            fault_of=self._fault,
            on_end=self._stream_ended,
            limit=self._policy.limits.frame,
        )
        self.subscriptions[subscription.name] = subscription
        self._policy.statistics.subscriptions += 1
        result = msgspec.json.encode({"subscription": subscription.name})
        self._settle(flight, result=result, then=subscription.start)

    def _settle(
        self,
        flight: _Flight,
        *,
        result: bytes = b"",
        fault: Fault | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        reply, flight.reply = flight.reply, None
        account, flight.account = flight.account, None
        self._policy.note(account, fault)
        if flight.id is not UNSET and self._by_id.get(flight.id) is flight:
            del self._by_id[flight.id]
        if fault is not None:
            self._refuse(flight.id, fault, reply)
        elif reply is not None and flight.id is not UNSET:
            reply(flight.id, self._answer(flight.id, result), then)

    def _give_up(self, flight: _Flight, fault: Fault) -> None:
        if flight.reply is not None:
            self._settle(flight, fault=fault)
        if flight.task is not None:
            flight.task.cancel()

    def _landed(self, flight: _Flight, _: asyncio.Task[None]) -> None:
        # A task that was cancelled before its first step never ran its own handling.
        if flight.reply is not None:
            self._settle(flight, fault=Cancelled())
        self._flights.discard(flight)
        self._load -= flight.size
        if flight.meter is not None:
            flight.meter.give_back(flight.size)
        self._policy.statistics.in_flight -= 1
        self._on_end()

    def _stream_ended(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription.name]
        self._policy.statistics.subscriptions -= 1
        self._on_end()

    def _answer(self, id: Id, result: bytes) -> bytes:
        frame = encode_result(id, result)
        limit = self._policy.limits.frame
        if len(frame) <= limit:
            return frame
        self._policy.statistics.faults += 1
        return encode_error(id, AnswerTooLong(size=len(frame), limit=limit))

    def _refuse(self, id: Id | UnsetType, fault: Fault, reply: Reply | None) -> None:
        self._policy.statistics.faults += 1
        if reply is not None and id is not UNSET:
            reply(id, encode_error(id, fault))

    def _fault(self, error: Exception) -> Fault:
        """Return what a caller may be told; a defect goes to the log, with its traceback."""
        if isinstance(error, Fault):
            return error
        _log.error("a handler failed")
        return Internal(request=log.request_id.get())


def _shown(value: Id) -> Id:
    return value[:100] if isinstance(value, str) else value
