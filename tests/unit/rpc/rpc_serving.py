"""A server with a small table, and a client that speaks raw lines. For the tests of the engine."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from orchestratord.clock import Clock
from orchestratord.errors import FailedPrecondition
from orchestratord.model import Empty, Params, Result
from orchestratord.rpc.method import Call, Table, method
from orchestratord.rpc.policy import Limits
from orchestratord.rpc.receipts import Receipts
from orchestratord.rpc.server import Server
from orchestratord.rpc.socket import listen

PATIENCE = 60.0
"""Seconds; nothing takes one of them, except on a machine that is busy with other things."""


class Nope(FailedPrecondition):
    """The test asked for it."""

    template = "no, because of {why}"


class Pong(Result, frozen=True):
    """An answer."""

    number: int


class Item(Result, frozen=True):
    """One item of a stream."""

    seq: int
    text: str = ""


class Count(Params, frozen=True):
    upto: Annotated[int, Meta(ge=0)]
    size: int = 0


class Wait(Params, frozen=True):
    timeout: Annotated[float, Meta(ge=0)] | None = None
    name: Annotated[str, Meta(pattern=r"^[a-z]+$", description="Lower-case letters.")] = "a"
    mode: Literal["polite", "stubborn"] = "polite"
    labels: dict[str, Annotated[str, Meta(max_length=5)]] = msgspec.field(default_factory=dict)
    secret: Annotated[str, Meta(pattern="^t", extra_json_schema={"writeOnly": True})] = "t"


class Fail(Params, frozen=True):
    how: Literal["fault", "defect", "surrogate"]


class Add(Params, frozen=True):
    by: int = 1
    fail: bool = False


class Bench:
    """What the methods act on. Gates open by hand, counters say what happened."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.started = asyncio.Semaphore(0)
        self.cancelled = asyncio.Semaphore(0)
        self.closed = asyncio.Semaphore(0)
        self.produced = 0
        self.total = 0
        self.runs = 0
        self.calls: list[Call] = []


@method("test.ping")
def ping(bench: Bench, params: Empty) -> Pong:
    """Answer at once."""
    return Pong(number=1)


@method("test.echo")
async def echo(bench: Bench, params: Count) -> Item:
    """Answer with a text of that size."""
    return Item(seq=params.upto, text="x" * params.size)


@method("test.wait", deadline=5.0)
async def wait(bench: Bench, params: Wait, call: Call) -> Pong:
    """Wait for the gate."""
    bench.calls.append(call)
    bench.started.release()
    try:
        await bench.gate.wait()
    except asyncio.CancelledError:
        bench.cancelled.release()
        if params.mode == "polite":
            raise
        await bench.gate.wait()
    return Pong(number=2)


@method("test.fail", errors=(Nope,))
async def fail(bench: Bench, params: Fail) -> Item:
    """Fail as told."""
    if params.how == "fault":
        raise Nope(why="the test")
    if params.how == "defect":
        raise ZeroDivisionError("SECRET")
    return Item(seq=1, text="\ud800")


@method("test.add", mutates=True, errors=(Nope,), deadline=5.0)
async def add(bench: Bench, params: Add, call: Call) -> Pong:
    """Add to the total, once the gate is open."""
    bench.runs += 1
    bench.calls.append(call)
    bench.started.release()
    try:
        await bench.gate.wait()
    except asyncio.CancelledError:
        bench.cancelled.release()
        raise
    if params.fail:
        raise Nope(why="the test")
    bench.total += params.by
    return Pong(number=bench.total)


@method("test.count")
async def count(bench: Bench, params: Count) -> AsyncIterator[Item]:
    """Count up."""
    try:
        for number in range(1, params.upto + 1):
            bench.produced = number
            yield Item(seq=number, text="x" * params.size)
    finally:
        bench.closed.release()


@method("test.checked")
async def checked(bench: Bench, params: Count) -> AsyncIterator[Item]:
    """Stream until cancelled, unless refused."""
    if params.upto == 0:
        raise Nope(why="nothing to count")

    async def items() -> AsyncIterator[Item]:
        try:
            for number in range(params.upto):
                yield Item(seq=number)
            await bench.gate.wait()
            raise ZeroDivisionError
        finally:
            bench.closed.release()

    return items()


def table() -> Table:
    module = ModuleType("methods")
    for handler in (ping, echo, wait, fail, add, count, checked):
        setattr(module, handler.__name__, handler)
    return Table.collect([module])


class Client:
    """Raw lines in both directions. Notifications and answers are kept apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.notifications: list[dict[str, Any]] = []

    def send(self, *messages: Any) -> None:
        for message in messages:
            self.write(msgspec.json.encode({"jsonrpc": "2.0"} | message) + b"\n")

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Any:
        """Return the next line, decoded; None at the end of the stream."""
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        return msgspec.json.decode(line) if line else None

    async def answer(self) -> Any:
        """Return the next answer; notifications on the way are kept."""
        while isinstance(message := await self.receive(), dict) and "method" in message:
            self.notifications.append(message)
        return message

    async def notification(self) -> dict[str, Any]:
        if self.notifications:
            return self.notifications.pop(0)
        message = await self.receive()
        assert "method" in message, message
        return dict(message)

    async def call(self, method: str, /, id: Any = 1, **params: Any) -> Any:
        self.send({"id": id, "method": method, "params": params})
        return await self.answer()

    async def result(self, method: str, /, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def fault(self, method: str, /, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "error" in answer, answer
        return answer["error"]

    async def ended(self) -> bool:
        """Whether the server closes the connection (everything before is thrown away)."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self) -> None:
        self.writer.close()


class Serving:
    """A running server and how to reach it."""

    def __init__(self, server: Server, bench: Bench, path: Path) -> None:
        self.server, self.bench, self.path = server, bench, path
        self._clients: list[Client] = []
        self._spare: list[int] = []

    async def client(self, connected: socket.socket | None = None) -> Client:
        """Return a client on a new connection, or on that one."""
        if connected is None:
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connected.setblocking(False)
            connected.connect(str(self.path))
        client = Client(*await asyncio.open_unix_connection(sock=connected, limit=64 * 1024 * 1024))
        self._clients.append(client)
        return client

    async def client_without_accept(self, limit: Callable[[int], None]) -> Client:
        """Connect with the last descriptor: ``limit`` is given the number that leaves none."""
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        limit(max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 1)
        spare = []
        try:
            while True:
                spare.append(os.dup(ours.fileno()))
        except OSError:
            self._spare += spare
        ours.connect(str(self.path))
        return await self.client(ours)

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        for descriptor in self._spare:
            os.close(descriptor)


@asynccontextmanager
async def serving(
    *,
    limits: Limits | None = None,
    clock: Clock | None = None,
    receipts: Receipts | None = None,
) -> AsyncIterator[Serving]:
    bench = Bench()
    with tempfile.TemporaryDirectory(prefix="rpc") as directory:
        listener = listen(Path(directory) / "private" / "rpc.sock")
        server = Server(
            table(), {Bench: bench}, limits=limits, clock=clock, receipts=receipts, version="9"
        )
        await server.serve(listener.socket)
        running = Serving(server, bench, listener.path)
        try:
            yield running
        finally:
            bench.gate.set()
            running.close_clients()
            await server.drain(timeout=2)
            listener.close()


async def until(condition: Any, seconds: float = PATIENCE) -> None:
    """Return when the condition holds; fail when it does not in that time."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not condition():
        assert loop.time() < ends, "the condition did not come to hold"
        await asyncio.sleep(0.005)
