"""Many calls on one connection (``batch``) and any method by its name (``call``)."""

import json
import shlex
import sys
from typing import Any

from orchctl.arguments import Words, parameters
from orchctl.cli import Invocation, find, out
from orchctl.wire import Lost, RpcError, encode, usage


def call(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Call any method, known to the table or not."""
    given = params.get("params", {})
    if not isinstance(given, dict):
        raise usage("the parameters are one JSON object")
    result = invocation.call(params["method"], given, deadline=None, mutates=True)
    invocation.show(result)
    return 0


def batch(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Answer each line of standard input with one line; returns the first failure's status.

    One request runs at a time, so a line can build on the one before it. An
    answer carries its request's id, or the number of the line.
    """
    status = 0
    for number, text in enumerate(sys.stdin.buffer, 1):
        if not text.strip():
            continue
        identity: Any = number
        try:
            request = _request(text)
            identity = request.get("id", number)
            result = _answer(invocation, request)
            answer = f'{{"jsonrpc":"2.0","id":{json.dumps(identity)},"result":{result.decode()}}}'
        except RpcError as error:
            status = status or error.exit_status
            body = {"code": error.code, "message": error.message, "data": error.data}
            answer = json.dumps(
                {"jsonrpc": "2.0", "id": identity, "error": body},
                ensure_ascii=False,
                separators=(",", ":"),
            )
        out(answer.encode(errors="backslashreplace") + b"\n")
    return status


def _answer(invocation: Invocation, request: dict[str, Any]) -> bytes:
    link = invocation.link()
    try:
        number = link.send(request["method"], encode(request.get("params") or {}))
        return link.answer(number)
    except Lost:
        invocation.drop()
        invocation.link(expected=True)
        raise


def _request(text: bytes) -> dict[str, Any]:
    """Read a line: a JSON-RPC request, or a command as it is typed."""
    try:
        line = text.decode().strip()
    except UnicodeDecodeError:
        raise usage("the line is not UTF-8") from None
    if line.startswith("{"):
        try:
            request = json.loads(line)
        except ValueError as error:
            raise RpcError("ParseError", -32700, f"the line is not JSON: {error}") from None
        if not isinstance(request.get("method"), str):
            raise RpcError("InvalidRequest", -32600, "the request names no method")
        return request  # type: ignore[no-any-return]
    try:
        words = Words(shlex.split(line), {})
    except ValueError as error:
        raise usage(f"the line is no command: {error}") from None
    name, entry = find(words.command())
    if ":" in entry[0] or "streams" in entry[6]:
        raise usage(f"{name} is not one call", "a batch takes requests and plain commands")
    return {"method": entry[0], "params": parameters(name, entry, words)}
