"""A Messages API on the loopback: real HTTP, checks what it is asked, answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KEY = "sk-ant-test-0123456789abcdef"


@dataclass(frozen=True)
class Status:
    """An error answer, to be tried again at once if at all."""

    code: int
    message: str = "no"


@dataclass(frozen=True)
class Body:
    """A body as it is, with status 200."""

    data: bytes
    kind: str = "application/json"


@dataclass(frozen=True)
class HangUp:
    """The connection ends instead of an answer."""


@dataclass
class Gate:
    """The answer comes when ``open`` is set; ``reached`` says that one waits for it."""

    then: Any = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


Answer = Any
"""One of the above, a message as a dict, or a function from the request's body to one."""


Check = Callable[[str, dict[str, str], dict[str, Any]], list[str]]


class MessagesApi:
    """Serves ``answers`` one after the other, the last one for ever.

    ``requests`` are the bodies that arrived, ``problems`` what was wrong with
    them by the documentation of POST /v1/messages, as ``check`` finds it.
    """

    def __init__(self, check: Check | None = None) -> None:
        self._check = check or shape_problems
        self.answers: list[Answer] = [first_option]
        self.requests: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip("\r\n").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest)
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.problems += self._check(line, headers, body)
        self.requests.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Gate):
            answer.reached.set()
            await answer.open.wait()
            answer = answer.then or first_option
        if callable(answer):
            answer = answer(body)
        match answer:
            case HangUp():
                return False
            case Status(code, message):
                error = {"type": "error", "error": {"type": "some_error", "message": message}}
                _write(writer, code, json.dumps(error).encode())
            case Body(data, kind):
                _write(writer, 200, data, kind)
            case _:
                _write(writer, 200, json.dumps(answer).encode())
        await writer.drain()
        return True


def shape_problems(line: str, headers: dict[str, str], body: dict[str, Any]) -> list[str]:
    """Return what the API would refuse in a request."""
    structured = body.get("output_config", {}).get("format", {})
    schema = structured.get("schema") or (body.get("tools") or [{}])[0].get("input_schema", {})
    wrong = {
        "messages": [m["role"] for m in body.get("messages", [])] != ["user"],
        "structure": ("tools" in body) == bool(structured),
        "format": bool(structured) and structured.get("type") != "json_schema",
        "tool_choice": "tools" in body
        and (body["tool_choice"]["type"], body["tool_choice"]["name"])
        != ("tool", body["tools"][0]["name"]),
        "schema": schema.get("additionalProperties") is not False
        or set(schema.get("required", [])) != set(schema.get("properties", {})),
        "enum": len(schema.get("properties", {}).get("choice", {}).get("enum", [])) < 2,
    }
    return common_problems(line, headers, body) + [name for name, bad in wrong.items() if bad]


def common_problems(line: str, headers: dict[str, str], body: dict[str, Any]) -> list[str]:
    """Return what the API would refuse in any request."""
    wrong = {
        "request line": line != "POST /v1/messages HTTP/1.1",
        "authentication": headers.get("x-api-key") != KEY
        and headers.get("authorization") != f"Bearer {KEY}",
        "anthropic-version": not headers.get("anthropic-version"),
        "content-type": headers.get("content-type") != "application/json",
        "max_tokens": not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1,
        "model": not isinstance(body.get("model"), str),
        "system": not isinstance(body.get("system"), str),
    }
    return [name for name, bad in wrong.items() if bad]


def options_of(body: dict[str, Any]) -> list[str]:
    """Return the options that a request allows."""
    if "tools" in body:
        schema = body["tools"][0]["input_schema"]
    else:
        schema = body["output_config"]["format"]["schema"]
    found: list[str] = schema["properties"]["choice"]["enum"]
    return found


def message(
    *content: dict[str, Any], stop: str = "end_turn", tokens: tuple[int, int] = (200, 30)
) -> dict[str, Any]:
    """Return a message of the API."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test",
        "content": list(content), "stop_reason": stop, "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }  # fmt: skip


def says(choice: str, reason: str = "because", **more: Any) -> dict[str, Any]:
    """Return a message whose text is an answer."""
    text = json.dumps({"reason": reason, "choice": choice})
    thought = {"type": "thinking", "thinking": "", "signature": "s"}
    return message(thought, {"type": "text", "text": text}, **more)


def calls(choice: str, name: str = "choose") -> dict[str, Any]:
    """Return a message that calls a tool with an answer."""
    input_ = {"reason": "because", "choice": choice}
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": input_}
    return message(block, stop="tool_use")


def first_option(body: dict[str, Any]) -> dict[str, Any]:
    """Choose the first option, in the form that is asked for."""
    choice = options_of(body)[0]
    return calls(choice) if "tools" in body else says(choice)


Handler = Callable[[dict[str, Any]], Answer]


def _write(writer: asyncio.StreamWriter, code: int, body: bytes, kind: str = "") -> None:
    head = (
        f"HTTP/1.1 {code} X\r\ncontent-type: {kind or 'application/json'}\r\n"
        f"retry-after-ms: 1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
