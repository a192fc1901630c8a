"""The process behind ``orchctl mcp --shared``: the SDK once, for any number of pumps.

Started by the first pump, ends when nobody has been there for ``IDLE`` seconds. Keeps
nothing between clients; each has its own connections to the daemon, made by its pump.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from orchctl.mcp.pump import GREETING, LENT, READY
from orchctl.wire import RpcError, unavailable

IDLE = 30.0
"""Seconds without a client after which it ends: agents that are started again find it."""

LONGEST_LINE = 16 << 20
LONGEST_HELLO = 1 << 16


class Host:
    """Serves pumps. State: the tasks that serve, one for each."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, idle: float) -> None:
        """Serve until nobody has been there for ``idle`` seconds."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(idle):
                    accepted, _ = await loop.sock_accept(self._listener)
            except TimeoutError:
                if self._tasks:
                    continue
                return
            task = loop.create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            print(f"a client was not served to its end: {error!r}", file=sys.stderr, flush=True)

    async def _serve(self, pump: socket.socket) -> None:
        from mcp.server.stdio import stdio_server

        from orchctl.mcp.reach import Reach
        from orchctl.mcp.server import Desk

        with pump:
            hello, lender = await asyncio.to_thread(_greet, pump)
            with lender:
                pump.setblocking(False)
                reader, writer = await asyncio.open_unix_connection(sock=pump, limit=LONGEST_LINE)
                desk = Desk(Reach(Borrower(lender)), str(hello["cwd"]))
                lines: Any = Lines(reader, writer)
                try:
                    async with stdio_server(lines, lines) as (incoming, outgoing):
                        await desk.serve(incoming, outgoing)
                finally:
                    writer.close()


def _greet(pump: socket.socket) -> tuple[dict[str, Any], socket.socket]:
    """Read who it is and take the descriptor that comes along; answer."""
    pump.settimeout(READY)
    data, descriptors, _, _ = socket.recv_fds(pump, LONGEST_HELLO, 1)
    if len(descriptors) != 1 or not data.endswith(b"\n"):
        raise ConnectionError("the pump did not say who it is")
    lender = socket.socket(fileno=descriptors[0])
    pump.sendall(GREETING)
    hello: dict[str, Any] = json.loads(data)
    return hello, lender


class Borrower:
    """Dials the daemon through a pump: what is connected is the pump's process, not ours."""

    def __init__(self, lender: socket.socket) -> None:
        self._lender = lender

    async def __call__(self, again: bool) -> socket.socket:
        return await asyncio.to_thread(self._borrow)

    def _borrow(self) -> socket.socket:
        try:
            self._lender.sendall(b"\n")
            said, descriptors, _, _ = socket.recv_fds(self._lender, LONGEST_HELLO, 1)
        except OSError:
            said, descriptors = b"", []
        if said == LENT and descriptors:
            made = socket.socket(fileno=descriptors[0])
            made.setblocking(False)
            return made
        if said.endswith(b"\n"):
            error = json.loads(said[1:])
            raise RpcError(error["kind"], error["code"], error["message"], error["data"])
        raise unavailable("the client has left")


class Lines:
    """A stream as the SDK's text files: lines to iterate over, ``write`` and ``flush``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> str:
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):  # ValueError: longer than the limit
            line = b""
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")

    async def write(self, text: str) -> None:
        self._writer.write(text.encode())

    async def flush(self) -> None:
        with contextlib.suppress(OSError):  # it has left; reading ends too
            await self._writer.drain()


def main(path: str) -> int:
    """Serve at ``path``, unless somebody does already."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    place = Path(path)
    place.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(128)
    finally:
        os.umask(before)
    listener.setblocking(False)
    with listener:
        try:
            asyncio.run(Host(listener).run(float(os.environ.get("ORCHCTL_MCP_IDLE", IDLE))))
        finally:
            place.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
