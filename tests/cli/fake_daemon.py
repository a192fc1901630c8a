"""A daemon's side of the wire for the client's tests: it answers as it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """An error answer."""

    kind: str
    code: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """A subscription: its items, then its end; ``lost`` cuts the connection instead."""

    items: list[Any]
    reason: str = "finished"


@dataclass(frozen=True)
class Raw:
    """A line sent as it is; ``%d`` is the request's id."""

    line: bytes


@dataclass(frozen=True)
class Hang:
    """No answer as long as the connection lives."""


@dataclass(frozen=True)
class Cut:
    """The connection is closed instead of an answer."""


class FakeDaemon:
    """Serves ``answers`` by method; a list is used up, its last entry stays.

    ``requests`` is what arrived, as (method, params).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers: dict[str, Any] = {
            "daemon.ping": {"version": "0.1.0", "pid": 12, "uptime": 1.5}
        }
        self.requests: list[tuple[str, Any]] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while line := await reader.readline():
                if not await self._answer(json.loads(line), writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        method, params = request["method"], request.get("params", {})
        self.requests.append((method, params))
        self.arrived.set()
        if "id" not in request:
            return True
        answer = self.answers.get(method)
        if isinstance(answer, Script):
            answer = answer.lines.pop(0) if len(answer.lines) > 1 else answer.lines[0]
        if callable(answer):
            answer = answer(params)
        if method not in self.answers:
            answer = Failure("MethodNotFound", -32601, f"there is no method {method!r}")
        match answer:
            case Hang():
                return True
            case Cut():
                return False
            case Raw(line):
                writer.write(line.replace(b"%d", str(request["id"]).encode()) + b"\n")
            case Failure(kind, code, message, data):
                body = {"code": code, "message": message, "data": {"kind": kind, **data}}
                _write(writer, {"jsonrpc": "2.0", "id": request["id"], "error": body})
            case Stream(items, reason):
                return await self._stream(request["id"], items, reason, writer)
            case _:
                _write(writer, {"jsonrpc": "2.0", "id": request["id"], "result": answer})
        await writer.drain()
        return True

    async def _stream(
        self, number: int, items: list[Any], reason: str, writer: asyncio.StreamWriter
    ) -> bool:
        name = f"sub{len(self.requests)}"
        _write(writer, {"jsonrpc": "2.0", "id": number, "result": {"subscription": name}})
        for item in items:
            params = {"subscription": name, "item": item}
            _write(writer, {"jsonrpc": "2.0", "method": "subscription.item", "params": params})
        if reason not in ("lost", "open"):
            params = {"subscription": name, "reason": reason}
            _write(writer, {"jsonrpc": "2.0", "method": "subscription.end", "params": params})
        await writer.drain()
        return reason != "lost"


@dataclass
class Script:
    """Answers given one after the other; the last one stays."""

    lines: list[Any]


Handler = Callable[[Any], Any]


def _write(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
