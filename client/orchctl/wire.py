"""The wire as a command speaks it: one blocking connection, requests out, answers in.

Imports nothing that the interpreter has not loaded already, beside ``_socket``.
An answer's result is handed on as the bytes that arrived; only an answer that
is not laid out as ours are goes through ``json``. Starting a daemon is
``autostart``'s work.
"""

import os
import time
from _socket import AF_UNIX, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 5.0
"""Seconds to go on trying where a daemon is expected: its restart takes less than one."""

TOKEN = "ORCHESTRATORD_TOKEN"
"""The variable that says as which agent to call."""

SYSTEM_SOCKET = "/run/orchestratord/orchestratord.sock"
"""Where the system's units listen for the user whom they serve, in a directory of root's."""

_ESCAPES = {34: '\\"', 92: "\\\\", **{code: f"\\u{code:04x}" for code in range(32)}}
_NOBODY = (2, 22, 61, 111)
"""ENOENT, EINVAL (a listening socket being shut down), ECONNREFUSED of macOS and of Linux."""


class RpcError(Exception):
    """A call failed: the daemon said so, or it could not be reached.

    ``kind`` is what programs switch on; ``data`` has it too, with the details.
    """

    def __init__(
        self, kind: str, code: int, message: str, data: "dict[str, Any] | None" = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.data = {"kind": kind, "retryable": code in (429, 503, 504)} | (data or {})

    @property
    def exit_status(self) -> int:
        """Return the exit status of a command that fails with this."""
        from orchctl.commands import EXIT_STATUS

        return EXIT_STATUS.get(self.code, 70)

    @property
    def hint(self) -> str:
        """Return what the person can do about it, or nothing."""
        return str(self.data.get("hint", ""))

    @classmethod
    def from_wire(cls, error: "dict[str, Any]") -> "RpcError":
        """Build the exception from an answer's ``error`` member."""
        data = error.get("data") if isinstance(error.get("data"), dict) else {}
        kind = str((data or {}).get("kind") or _STANDARD_KINDS.get(error["code"], "Internal"))
        return cls(kind, error["code"], error["message"], data)


_STANDARD_KINDS = {
    -32700: "ParseError",
    -32600: "InvalidRequest",
    -32601: "MethodNotFound",
    -32602: "InvalidArgument",
}


def usage(message: str, hint: str = "") -> RpcError:
    """Return the error of a command that was typed wrongly."""
    return RpcError("InvalidArgument", 400, message, {"hint": hint} if hint else None)


def unavailable(message: str, hint: str = "") -> RpcError:
    """Return the error of a daemon that cannot be reached."""
    return RpcError("Unavailable", 503, message, {"hint": hint} if hint else None)


def encode(value: object) -> str:
    """Return a value as JSON, exactly; floats must be finite."""
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPES) + '"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value - value != 0:
            raise usage(f"{value} is not a number that JSON can carry")
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(encode(str(k)) + ":" + encode(v) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encode, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON")


def home_path(variable: str, below_home: str) -> str:
    """Return an XDG base directory, from its variable or below the home directory."""
    if (base := os.environ.get(variable, "")).startswith("/"):
        return base
    if not (home := os.environ.get("HOME", "")).startswith("/"):
        raise RpcError(
            "FailedPrecondition",
            412,
            f"neither {variable} nor HOME says where the files are",
            {"hint": f"set HOME, or name the socket with --socket; {variable} does too"},
        )
    return home + "/" + below_home


def state_dir() -> str:
    """Return the daemon's state directory as the environment gives it."""
    return os.environ.get("ORCHESTRATORD_STATE_DIR") or (
        home_path("XDG_STATE_HOME", ".local/state") + "/orchestratord"
    )


def socket_path() -> str:
    """Return the daemon's socket as the environment gives it.

    Where nobody answers at the user's own and the system's units serve this
    user, it is theirs.
    """
    if path := os.environ.get("ORCHESTRATORD_SOCKET"):
        return path
    if not _is_our_socket(SYSTEM_SOCKET):
        return own_socket_path()
    try:
        own = own_socket_path()
    except RpcError:
        return SYSTEM_SOCKET
    return SYSTEM_SOCKET if not _answers(own) and _answers(SYSTEM_SOCKET) else own


def _is_our_socket(path: str) -> bool:
    """Say whether there is a socket that belongs to this user; root reaches others' too."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return found.st_mode & 0o170000 == 0o140000 and found.st_uid == os.geteuid()


def _answers(path: str) -> bool:
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def own_socket_path() -> str:
    """Return where the daemon of this user listens that no other is chosen for."""
    if (runtime := os.environ.get("XDG_RUNTIME_DIR", "")).startswith("/"):
        return runtime + "/orchestratord/orchestratord.sock"
    return state_dir() + "/run/orchestratord.sock"


def connect(path: str, patience: float = 0.0) -> socket:
    """Connect, and go on trying for ``patience`` seconds where nobody listens yet.

    A full backlog is always waited for. Raises OSError as the kernel gave it.
    """
    began = time.monotonic()
    pause = 0.002
    while True:
        sock = socket(AF_UNIX, SOCK_STREAM)
        try:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            return sock
        except OSError as error:
            sock.close()
            if isinstance(error, BlockingIOError):
                limit = max(patience, PATIENCE)
            elif error.errno in _NOBODY:
                limit = patience
            else:
                raise
            if time.monotonic() - began + pause > limit:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


class Link:
    """One connection. Not for use by two threads."""

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._rest = b""
        self._calls = 0

    def close(self) -> None:
        """Close it; a call in flight is cancelled by the daemon."""
        self._sock.close()

    def send(self, method: str, params: str) -> int:
        """Send a request, its parameters already JSON, and return its id.

        An agent's token in the environment goes along, unless the parameters name one.
        """
        if (token := os.environ.get(TOKEN)) and '"token":' not in params:
            rest = params[1:] if params == "{}" else "," + params[1:]
            params = '{"token":' + encode(token) + rest
        self._calls += 1
        self.send_line(
            f'{{"jsonrpc":"2.0","id":{self._calls},"method":{encode(method)},"params":{params}}}'
        )
        return self._calls

    def send_line(self, line: str) -> None:
        """Send one line as it is."""
        try:
            data = line.encode() + b"\n"
        except UnicodeEncodeError:
            raise usage("an argument is not UTF-8", "the wire carries text only") from None
        self._sock.settimeout(PATIENCE)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise RpcError("DeadlineExceeded", 504, "the daemon takes no more requests") from None
        except OSError:
            raise Lost() from None

    def line(
        self, seconds: float | None = None, waiting: "Callable[[float], None] | None" = None
    ) -> bytes:
        """Return the next line without its end.

        ``waiting`` is called each second with the seconds waited. Raises
        ``Lost`` at the end of the stream, DeadlineExceeded after ``seconds``.
        """
        began = time.monotonic()
        chunks = [self._rest]
        while (end := chunks[-1].find(b"\n")) < 0:
            chunk = self._receive(began, seconds, waiting)
            if not chunk:
                raise Lost()
            chunks.append(chunk)
        self._rest = chunks[-1][end + 1 :]
        chunks[-1] = chunks[-1][:end]
        return b"".join(chunks)

    def _receive(
        self, began: float, seconds: float | None, waiting: "Callable[[float], None] | None"
    ) -> bytes:
        while True:
            waited = time.monotonic() - began
            left = None if seconds is None else max(seconds - waited, 0.001)
            if waiting:
                left = 1.0 if left is None else min(left, 1.0)
            self._sock.settimeout(left)
            try:
                return self._sock.recv(1 << 18)
            except TimeoutError:
                waited = time.monotonic() - began
                if seconds is not None and waited >= seconds:
                    raise RpcError(
                        "DeadlineExceeded", 504, f"the daemon did not answer within {seconds:g} s"
                    ) from None
                if waiting:
                    waiting(waited)
            except OSError:
                raise Lost() from None

    def answer(
        self,
        number: int,
        seconds: float | None = None,
        waiting: "Callable[[float], None] | None" = None,
    ) -> bytes:
        """Return the result of the request with that id, as the bytes that arrived."""
        start = b'{"jsonrpc":"2.0","id":%d,"result":' % number
        while True:
            line = self.line(seconds, waiting)
            if line.startswith(start) and line.endswith(b"}"):
                return line[len(start) : -1]
            result = _parsed_result(line, number)
            if result is not None:
                return result

    def call(self, method: str, params: object = None, seconds: float | None = 35.0) -> bytes:
        """Call a method and return its result as JSON bytes."""
        return self.answer(self.send(method, encode(params or {})), seconds)


class Lost(RpcError):
    """The connection ended before the answer; whether the call took effect is not known."""

    def __init__(self) -> None:
        super().__init__("Unavailable", 503, "the daemon closed the connection before it answered")


def _parsed_result(line: bytes, number: int) -> bytes | None:
    """Return the result in a line that is not laid out as ours are, None if it is no answer."""
    import json

    try:
        answer = json.loads(line)
    except ValueError:
        raise RpcError("Internal", -32603, "the daemon's answer is not JSON") from None
    if not isinstance(answer, dict) or "method" in answer:
        return None
    if "error" in answer and answer.get("id") in (number, None):
        raise RpcError.from_wire(answer["error"])
    if answer.get("id") != number:
        return None
    return json.dumps(answer["result"], ensure_ascii=False, separators=(",", ":")).encode()
