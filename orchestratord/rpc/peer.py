"""One connection: bytes in, frames to its calls.

Works in turns of a few milliseconds, so that a flood on one connection does
not hold up the others. Reading pauses while too many calls are in flight, and
while the peer does not read its answers. After the peer has shut its sending
side the connection goes on until everything it asked for has ended. ``server``
makes connections and sweeps them four times a second.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec
from msgspec import UNSET

from orchestratord import log
from orchestratord.errors import Fault
from orchestratord.rpc import wire
from orchestratord.rpc.calls import Calls, Reply
from orchestratord.rpc.method import Peer
from orchestratord.rpc.outlet import Outlet
from orchestratord.rpc.params import InvalidParams
from orchestratord.rpc.policy import BuffersFull, Policy, Stopping
from orchestratord.rpc.wire import Id, Line, Overlong, Refusal, Request

TURN = 0.004
"""Seconds of the loop that one connection may take before the others get theirs."""

_log = log.Log("rpc")


class _Cancel(msgspec.Struct):
    id: Id


_CANCEL = msgspec.json.Decoder(_Cancel)


class Connection(asyncio.Protocol):
    """A peer, from accept to the last byte. ``lost`` is done when it has gone.

    It stands in ``register`` by its number from the first moment to the last.
    """

    def __init__(self, peer: Peer, policy: Policy, register: dict[int, Connection]) -> None:
        self.peer = peer
        self._policy = policy
        self._register = register
        self._framer = wire.Framer(policy.limits.frame)
        self._lines: deque[Line] = deque()
        self._working = False
        self._turn_due = False
        self._reading = True
        self._eof = False
        self._held = 0
        self._line_began = 0.0
        self._closing_since = 0.0
        self._aborted = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._outlet = Outlet(self._transport, self._policy)
        self.calls = Calls(
            self.peer,
            self._policy,
            send=self._send,
            writable=self._outlet.writable,
            on_end=self._schedule,
        )
        self._register[self.peer.connection] = self

    def data_received(self, data: bytes) -> None:
        self._policy.statistics.bytes_in += len(data)
        self._receive(self._framer.feed(data))

    def eof_received(self) -> bool:
        """Serve what was asked before the peer shut its side; one that closed is gone."""
        if self._hung_up():
            return False
        self._eof = True
        self._receive(self._framer.finish())
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.clear()
        self._policy.partial -= self._held
        self._held = 0
        self._outlet.resume()
        self.calls.close()
        del self._register[self.peer.connection]
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._outlet.pause()

    def resume_writing(self) -> None:
        self._outlet.resume()
        self._schedule()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read."""
        return self._outlet.unsent

    def sweep(self, now: float) -> None:
        """End what takes too long: calls, half a line, a peer that does not read."""
        limits = self._policy.limits
        self.calls.sweep(now)
        if self._transport.is_closing():
            if now - self._closing_since >= limits.stalled:
                self._transport.abort()
        elif (self._eof or not self._reading) and self._hung_up():
            self._transport.abort()
        elif self._held and self._reading and now - self._line_began >= limits.frame_seconds:
            self._cut_off(wire.FrameTooSlow(seconds=limits.frame_seconds))
        elif (stalled := self._outlet.stalled_for(now)) >= limits.stalled:
            if self.calls.subscriptions:
                self._policy.statistics.cut_off += 1
                self.calls.end_subscriptions("slow")
            if stalled >= 3 * limits.stalled:
                self.abort("it does not read")

    def shut_down(self) -> None:
        """Answer what still runs with ``Stopping``; close when everything has been sent."""
        self.calls.give_up_all(Stopping())
        self._close()

    def abort(self, why: str) -> None:
        """End the connection at once; what the peer has not read is lost."""
        if self._aborted:
            return
        self._aborted = True
        _log.warning("cut off", connection=self.peer.connection, pid=self.peer.pid, why=why)
        self._policy.statistics.cut_off += 1
        self.calls.end_subscriptions("slow")
        self._transport.abort()

    def _receive(self, lines: list[Line]) -> None:
        held = self._framer.held
        if lines or not self._held:
            self._line_began = self._policy.clock.monotonic()
        self._lines.extend(lines)
        self._policy.partial += held - self._held
        self._held = held
        limit = self._policy.limits.partial
        if held and self._policy.partial > limit:
            self._policy.partial -= held
            self._held = 0
            id = wire.overlong(self._framer.skip(), limit).id
            self._refuse(Refusal(id, BuffersFull(limit=limit)))
        self._turn()

    def _turn(self) -> None:
        """Work on the lines that have come, for a few milliseconds."""
        if self._working or self._transport.is_closing():
            return
        self._working = True
        self._outlet.begin_turn()
        ends = time.monotonic() + TURN
        try:
            while self._lines and not self._blocked:
                self._take(self._lines.popleft())
                if time.monotonic() > ends:
                    break
        finally:
            self._outlet.end_turn()
            self._working = False
        if self._outlet.overfull:
            self.abort("it does not read its answers")
        elif self._lines and not self._blocked:
            self._schedule()
        self._set_reading(not self._lines and not self._blocked)
        if self._eof and not self._lines and self.calls.idle:
            self._close()

    def _schedule(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_due = False
        self._turn()

    @property
    def _blocked(self) -> bool:
        return self._outlet.paused or self.calls.full

    def _set_reading(self, reading: bool) -> None:
        if reading == self._reading or self._eof or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._line_began = self._policy.clock.monotonic()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _take(self, line: Line) -> None:
        if isinstance(line, Overlong):
            self._refuse(wire.overlong(line, self._policy.limits.frame))
            return
        message = wire.decode(line)
        if isinstance(message, Request):
            self._request(message, len(line), self._reply)
        elif isinstance(message, list):
            self._batch(message, len(line))
        elif wire.speaks_http(line):
            self._cut_off(wire.HttpSpoken())
        else:
            self._refuse(message)

    def _request(self, request: Request, size: int, reply: Reply) -> None:
        if request.method == "$/cancel":
            self._cancel(request, reply)
        else:
            self.calls.start(request, size, reply)

    def _batch(self, entries: wire.Batch, size: int) -> None:
        expected = sum(isinstance(entry, Refusal) or entry.id is not UNSET for entry in entries)
        batch = _Batch(expected, self._send, self._policy.limits.frame)
        for entry in entries:
            if isinstance(entry, Refusal):
                self._policy.statistics.malformed += 1
                batch.add(entry.id, wire.encode_error(entry.id, entry.fault))
            else:
                self._request(entry, size // len(entries), batch.add)

    def _cancel(self, request: Request, reply: Reply) -> None:
        """Serve ``$/cancel``; sent as a request, it answers whether such a call ran."""
        try:
            cancelled = self.calls.cancel(_CANCEL.decode(request.params).id)
        except msgspec.ValidationError:
            fault = InvalidParams(reason="$/cancel takes the id of a call", field="id")
            if request.id is not UNSET:
                reply(request.id, wire.encode_error(request.id, fault))
            return
        if request.id is not UNSET:
            answer = msgspec.json.encode({"cancelled": cancelled})
            reply(request.id, wire.encode_result(request.id, answer))

    def _reply(self, id: Id, frame: bytes, then: Callable[[], None] | None = None) -> None:
        self._send(frame)
        if then is not None:
            then()

    def _send(self, frame: bytes) -> None:
        self._outlet.send(frame)
        if not self._working and self._outlet.overfull:
            self.abort("it does not read its answers")

    def _refuse(self, refusal: Refusal) -> None:
        self._policy.statistics.malformed += 1
        self._send(wire.encode_error(refusal.id, refusal.fault))

    def _cut_off(self, fault: Fault) -> None:
        """Say why, and close once that has been sent."""
        self._policy.statistics.cut_off += 1
        self._lines.clear()
        self._refuse(Refusal(None, fault))
        asyncio.get_running_loop().call_soon(self._close)

    def _close(self) -> None:
        if not self._transport.is_closing():
            self._lines.clear()
            self._closing_since = self._policy.clock.monotonic()
            self._transport.close()

    def _hung_up(self) -> bool:
        # A Unix peer that closed gives POLLHUP, one that shut its sending side does not.
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))


class _Batch:
    """Gathers the answers of a batch into one line of at most ``limit`` bytes."""

    def __init__(self, expected: int, send: Callable[[bytes], None], limit: int) -> None:
        self._expected = expected
        self._send = send
        self._limit = limit
        self._answers: list[bytes] = []
        self._size = 0
        self._after: list[Callable[[], None]] = []

    def add(self, id: Id, frame: bytes, then: Callable[[], None] | None = None) -> None:
        """Take one answer; the last one sends the line, then starts the batch's streams."""
        room = self._limit - 512 * (self._expected - len(self._answers))
        if self._size + len(frame) > room and len(frame) > 512:
            fault = wire.AnswerTooLong(size=self._size + len(frame), limit=self._limit)
            frame = wire.encode_error(id, fault)
        self._answers.append(frame)
        self._size += len(frame)
        if then is not None:
            self._after.append(then)
        if len(self._answers) == self._expected:
            self._send(wire.encode_batch(self._answers))
            for start in self._after:
                start()
