"""Bytes to JSON-RPC 2.0 frames and back. Does no I/O.

One JSON value a line, UTF-8. A line that holds only blanks is ignored. Of a
member that is given twice, the last counts. ``Framer`` cuts the stream into lines, ``decode``
turns a line into requests, or into refusals that say what to answer; neither
raises, whatever the bytes. The connection (``peer``) is the only caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from orchestratord.errors import Fault, InvalidArgument, NotFound, ResourceExhausted

MAX_FRAME = 4 * 1024 * 1024
"""The longest line in either direction, without its newline."""
MAX_BATCH = 1000
"""Requests in one batch; it is worked on in one go, about 10 ms of the loop."""

Id = int | float | str | None

_BLANKS = b" \t\r"
_HEAD = 512
"""How much of a refused line is looked at for its id."""
_HEAD_ID = re.compile(
    rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*'
    rb'"id"\s*:\s*(-?\d{1,15}|"[^"\\]{0,64}")\s*,'
)
_HTTP = re.compile(
    rb"(?:GET|POST|PUT|HEAD|OPTIONS|DELETE|PATCH|CONNECT|TRACE|PRI) \S* ?HTTP/|"
    rb"(?:GET|POST|PUT|HEAD|OPTIONS|DELETE|PATCH|CONNECT|TRACE|PRI) [/*]"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class ParseError(InvalidArgument):
    """The line is not JSON."""

    code = -32700
    template = "the line is not JSON: {reason}"


class InvalidRequest(InvalidArgument):
    """The line is JSON, but no JSON-RPC 2.0 request."""

    code = -32600
    template = "this is not a JSON-RPC 2.0 request: {reason}"


class FrameTooLong(InvalidRequest):
    """The line is longer than the daemon reads. The rest of it was skipped."""

    template = "the line is longer than {limit} bytes and was skipped"


class FrameTooSlow(InvalidRequest):
    """A line was begun and not ended in time. The connection is closed."""

    template = "the line was not ended within {seconds:g} s"


class HttpSpoken(InvalidRequest):
    """The peer speaks HTTP. The connection is closed."""

    template = "this socket speaks JSON-RPC 2.0, one JSON value a line, not HTTP"


class DuplicateId(InvalidRequest):
    """A call with that id has not been answered yet on this connection."""

    template = "a call with the id {id!r} is running on this connection"


class MethodNotFound(NotFound):
    """The daemon has no method of that name."""

    code = -32601
    template = "there is no method {method!r}"
    hint = "rpc.discover lists every method"


class AnswerTooLong(ResourceExhausted):
    """The result does not fit into one line. The call has had its effect."""

    retryable = False
    may_have_acted = True
    template = "the result has {size} bytes, an answer at most {limit}"
    hint = "ask for less at a time"


class Request(msgspec.Struct, frozen=True, gc=False):
    """One call. Without an id it is a notification, and nothing is answered."""

    jsonrpc: Literal["2.0"]
    method: str
    id: Id | UnsetType = UNSET
    params: Raw = Raw(b"{}")


class Refusal(msgspec.Struct, frozen=True):
    """What to answer to something that is no call."""

    id: Id
    fault: Fault


class Overlong(msgspec.Struct, frozen=True):
    """Stands for a line that was skipped; ``head`` is how it began."""

    head: bytes


Line = bytes | Overlong
Batch = list[Request | Refusal]


class _AnyId(msgspec.Struct):
    id: Raw = Raw(b"null")


_REQUEST = msgspec.json.Decoder(Request)
_ENTRIES = msgspec.json.Decoder(list[Raw])
_ANY_ID = msgspec.json.Decoder(_AnyId)
_ID: msgspec.json.Decoder[Id] = msgspec.json.Decoder(Id)
_encode = msgspec.json.Encoder().encode
_encode_lax = msgspec.json.Encoder(enc_hook=str).encode


class Framer:
    """Cuts a stream into lines. Holds at most one unfinished line of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()
        self._skipping = False

    @property
    def held(self) -> int:
        """Bytes of a line that has begun and not ended."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[Line]:
        """Take bytes in, give back the lines that they complete, blank ones left out."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            if self._skipping:
                del lines[0]
                self._skipping = False
            elif self._partial:
                lines[0] = bytes(self._partial) + lines[0]
                self._partial = bytearray()
        limit = self._limit
        found: list[Line] = [
            stripped if len(line) <= limit else Overlong(line[:_HEAD])
            for line in lines
            if (stripped := line.strip(_BLANKS))
        ]
        if rest and not self._skipping:
            self._partial += rest
            if len(self._partial) > limit:
                found.append(self.skip())
        return found

    def skip(self) -> Overlong:
        """Forget the unfinished line, and what is still to come of it."""
        head = bytes(self._partial[:_HEAD])
        self._partial = bytearray()
        self._skipping = True
        return Overlong(head)

    def finish(self) -> list[Line]:
        """Give back the last line of a stream that ended without a newline."""
        return self.feed(b"\n")


def speaks_http(line: bytes) -> bool:
    """Tell a line that only an HTTP client writes."""
    return _HTTP.match(line) is not None


def decode(line: bytes) -> Request | Refusal | Batch:
    """Turn a line into a request, a refusal, or a batch of both."""
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return Refusal(None, ParseError(reason=f"byte {error.start} is not UTF-8"))
    if not line.startswith(b"["):
        return _decode_request(line)
    try:
        entries = _ENTRIES.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return _unreadable(line, error)
    if not entries:
        return Refusal(None, InvalidRequest(reason="the batch is empty"))
    if len(entries) > MAX_BATCH:
        reason = f"the batch has {len(entries)} entries, at most {MAX_BATCH} are taken"
        return Refusal(None, InvalidRequest(reason=reason))
    return [_decode_request(entry) for entry in entries]


def overlong(line: Overlong, limit: int) -> Refusal:
    """Return the answer to a line that was too long, with its id if that came early."""
    return Refusal(_head_id(line.head), FrameTooLong(limit=limit))


def encode_result(id: Id, result: bytes) -> bytes:
    """Return the line that answers a call with an encoded result."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (_encode(id), result)


def encode_error(id: Id, fault: Fault) -> bytes:
    """Return the line that answers a call with an error; never fails."""
    error = {"code": fault.code, "message": str(fault), "data": fault.data()}
    try:
        body = _encode_lax(error)
    except ValueError:  # a lone surrogate, as in a file name that is not UTF-8
        error["message"] = str(fault).encode(errors="backslashreplace").decode()
        error["data"] = {"kind": fault.kind, "retryable": fault.retryable}
        body = _encode_lax(error)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (_encode(id), body)


def encode_notification(method: str, params: dict[str, Any]) -> bytes:
    """Return the line that tells the peer something it did not ask for."""
    return _encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"


def encode_batch(answers: Sequence[bytes]) -> bytes:
    """Return one line that holds those answers, each of which is a line."""
    return b"[" + b",".join(answer[:-1] for answer in answers) + b"]\n"


def _decode_request(line: bytes | Raw) -> Request | Refusal:
    try:
        return _REQUEST.decode(line)
    except msgspec.ValidationError as error:
        return Refusal(_salvaged_id(line), InvalidRequest(reason=_complaint(str(error))))
    except (msgspec.DecodeError, RecursionError) as error:
        return _unreadable(bytes(line), error)


def _unreadable(line: bytes, error: Exception) -> Refusal:
    # Depth and half surrogate pairs are within JSON's grammar, so such a line may have
    # an id that somebody waits for; a syntax error is answered with null (JSON-RPC 5.1).
    if isinstance(error, RecursionError):
        fault: Fault = InvalidRequest(reason="it is nested too deeply")
        return Refusal(_head_id(line[:_HEAD]), fault)
    if "truncated" in str(error) and _SURROGATE.search(line) and line.endswith(b"}"):
        fault = InvalidRequest(reason="a \\u escape is half of a surrogate pair")
        return Refusal(_head_id(line[:_HEAD]), fault)
    return Refusal(None, ParseError(reason=str(error)))


def _complaint(message: str) -> str:
    if "jsonrpc" in message:
        return 'jsonrpc must be "2.0"'
    if message.endswith("`$.id`"):
        return "id must be a string, a number or null"
    if "method" in message:
        return "method must be a string"
    return "it must be an object"


def _salvaged_id(line: bytes | Raw) -> Id:
    try:
        return _ID.decode(_ANY_ID.decode(line).id)
    except msgspec.DecodeError:
        return None


def _head_id(head: bytes) -> Id:
    found = _HEAD_ID.match(head)
    return _ID.decode(found[1]) if found else None
