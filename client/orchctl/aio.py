"""An asyncio client for programs: one connection, many calls at a time, streams that resume.

    async with await connect() as client:
        pane = await client.call("pane.create", session="dev")
        async for event in client.subscribe("event.subscribe", kinds=["pane.exited"]):
            ...

Standard library only. Starts no daemon; ``orchctl up`` does.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from orchctl.wire import PATIENCE, TOKEN, Lost, RpcError, socket_path, unavailable

__all__ = ["Client", "Lost", "RpcError", "connect"]

LONGEST_LINE = 64 << 20
"""More than any daemon's MAX_FRAME is set to."""

_END: Any = object()


async def connect(
    path: str | None = None, patience: float = PATIENCE, token: str | None = None
) -> "Client":
    """Connect to the daemon, trying for ``patience`` seconds. Raises ``RpcError``."""
    client = Client(path or socket_path(), token=token)
    await client.open(patience)
    return client


class Client:
    """One connection to a daemon, at ``path`` or as ``dial`` makes it.

    ``token`` says as which agent to call; default: ``ORCHESTRATORD_TOKEN``.
    Holds the calls in flight and the streams; its reader task alone completes
    them. A lost connection fails the calls with ``Lost`` (whether they took
    effect is not known) and the next call makes another connection.
    """

    def __init__(
        self,
        path: str,
        dial: Callable[[], Awaitable[socket.socket]] | None = None,
        token: str | None = None,
    ) -> None:
        self.path = path
        self.token = token or os.environ.get(TOKEN)
        self._dial = dial
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[str, asyncio.Queue[Any]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self, patience: float = PATIENCE) -> None:
        """Connect, if there is no connection. ``patience`` is for a path; ``dial`` has its own."""
        async with self._opening:
            if self._writer is not None:
                return
            if self._dial is not None:
                self._begin(
                    *await asyncio.open_unix_connection(sock=await self._dial(), limit=LONGEST_LINE)
                )
                return
            deadline = asyncio.get_running_loop().time() + patience
            while True:
                try:
                    reader, writer = await asyncio.open_unix_connection(
                        self.path, limit=LONGEST_LINE
                    )
                    break
                except OSError as error:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise unavailable(
                            f"no daemon answers at {self.path}: {error.strerror or error}"
                        ) from None
                await asyncio.sleep(0.01)
            self._begin(reader, writer)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader, writer))

    async def close(self) -> None:
        """Close the connection; calls in flight end with ``Lost``."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        if self._writer is not None:  # it was cancelled before it began
            self._writer.close()
            self._writer = None

    async def call(self, method: str, /, **params: Any) -> Any:
        """Call a method and return its result; raises ``RpcError`` with the daemon's error.

        Cancelling the caller cancels the call in the daemon.
        """
        await self.open()
        number, future = self._send(method, params)
        try:
            return await future
        except asyncio.CancelledError:
            self._write({"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": number}})
            raise
        finally:
            self._calls.pop(number, None)

    async def subscribe(self, method: str, /, **params: Any) -> AsyncGenerator[Any]:
        """Yield a stream's items, opened again after a loss where it was.

        Ends when the daemon says that it has finished. Raises its error if it
        failed, ``RpcError`` when the daemon stays away. Close it (``aclose``)
        to cancel it.
        """
        last: dict[str, Any] = {}
        tries = 0
        while True:
            try:
                name = str((await self.call(method, **params | last))["subscription"])
            except Lost:  # it went down again; opening waits for it, so this ends
                tries += 1
                if tries > 10:
                    raise
                continue
            tries = 0
            items = self._streams[name]
            try:
                while (message := await items.get()) is not _END:
                    if "reason" not in message:
                        item = message["item"]
                        last = _mark(item) or last
                        yield item
                    elif message["reason"] == "failed":
                        raise RpcError.from_wire(message["error"])
                    elif message["reason"] in ("slow", "shutdown"):
                        break
                    else:
                        return
            finally:
                self._streams.pop(name, None)
                self._write(
                    {
                        "jsonrpc": "2.0",
                        "method": "subscription.cancel",
                        "params": {"subscription": name},
                    }
                )

    def _send(self, method: str, params: dict[str, Any]) -> tuple[int, asyncio.Future[Any]]:
        self._number += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._writer is None or self._writer.is_closing():
            future.set_exception(Lost())
            return self._number, future
        self._calls[self._number] = future
        if self.token is not None:
            params = {"token": self.token} | params
        self._write({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        return self._number, future

    def _write(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            line = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            self._writer.write(line.encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except OSError:
            pass
        finally:
            self._writer = None
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(Lost())
            for items in self._streams.values():
                items.put_nowait(_END)
            self._streams.clear()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            told = message["params"]
            if items := self._streams.get(told["subscription"]):
                items.put_nowait(told)
            return
        future = self._calls.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(RpcError.from_wire(message["error"]))
        else:
            result = message["result"]
            if isinstance(result, dict) and "subscription" in result:
                # Items may come before the caller runs again and sees the name.
                self._streams[result["subscription"]] = asyncio.Queue()
            future.set_result(result)


def _mark(item: Any) -> dict[str, Any]:
    """Return from where a stream goes on after this item."""
    if isinstance(item, dict):
        for name in ("seq", "cursor"):
            if name in item:
                return {"since": item[name]}
    return {}
