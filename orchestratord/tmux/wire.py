"""Bytes from a control client into replies and notifications. No I/O.

Above: the link, which feeds what it reads and says what it sent. Below: nothing.

A pane decides what ``capture-pane`` prints and may print guesses of our guards,
so a reply is never closed on what merely looks like its end. The link sends each
request as two lines, ``COMMANDS ; display-message -p NONCE`` and
``display-message -p NONCE.``; a nonce has 128 random bits that no pane can know.
The first nonce says that every command ran, the second that nothing more of this
request will come, whether or not it failed. Opaque requests, whose body a pane
controls, are data up to the nonce. Measured on 3.3a, valid for 3.2a to 3.7.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

MAX_LINE = 1 << 24
"""Bytes of a line; a longer one is dropped and counted. A full history of wrapped rows that is
captured as one joined line has 8 MiB (10,000 rows of 200 columns of 4 bytes)."""

_GUARD = re.compile(rb"%(begin|end|error) ([0-9]{1,12}) ([0-9]{1,12}) ([01])\Z")

_NOTIFICATIONS = {
    name.encode(): re.compile(shape)
    for name, shape in {
        "client-detached": rb"\S+\Z",
        "client-session-changed": rb"\S+ \$[0-9]+ \S+\Z",
        "exit": rb".{0,200}\Z",
        "layout-change": rb"@[0-9]+ [0-9a-fx,{}\[\]]+ [0-9a-fx,{}\[\]]+ \S*\Z",
        "pane-mode-changed": rb"%[0-9]+\Z",
        "session-changed": rb"\$[0-9]+ .*\Z",
        "session-renamed": rb"\$[0-9]+ .*\Z",
        "session-window-changed": rb"\$[0-9]+ @[0-9]+\Z",
        "sessions-changed": rb"\Z",
        "unlinked-window-add": rb"@[0-9]+\Z",
        "unlinked-window-close": rb"@[0-9]+\Z",
        "unlinked-window-renamed": rb"@[0-9]+ .*\Z",
        "window-add": rb"@[0-9]+\Z",
        "window-close": rb"@[0-9]+\Z",
        "window-pane-changed": rb"@[0-9]+ %[0-9]+\Z",
        "window-renamed": rb"@[0-9]+ .*\Z",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Notification:
    """A hint that something changed. Its text is never used as state."""

    name: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: a body for each command that ran, or an error."""

    bodies: list[list[bytes]]
    error: bytes | None


class Desync(Exception):
    """The stream does not fit what was sent; the client must be replaced."""


@dataclass(slots=True)
class _Pending:
    nonce: bytes
    opaque: bool
    bodies: list[list[bytes]] = field(default_factory=list)
    error: bytes | None = None
    complete: bool = False


class Wire:
    """Reader of one control client. ``unknown_lines`` and ``overlong_lines`` are public counts."""

    def __init__(self) -> None:
        self.unknown_lines = 0
        self.overlong_lines = 0
        self._pending: deque[_Pending] = deque()
        self._rest: list[bytes] = []
        self._size = 0
        self._skipping = False
        self._guard: tuple[bytes, bytes, bytes] | None = None
        self._body: list[bytes] = []

    def expect(self, nonce: bytes, *, opaque: bool) -> bytes:
        """Note that a request is being sent; return the second of its lines."""
        self._pending.append(_Pending(nonce, opaque))
        return b"display-message -p " + nonce + b".\n"

    def feed(self, data: bytes) -> list[Reply | Notification]:
        """Take bytes in any slicing; return what they complete, in order.

        Raises:
            Desync: a reply came that nobody asked for.
        """
        self._rest.append(data)
        self._size += len(data)
        if b"\n" not in data:
            self._drop_if_overlong()
            return []
        lines = b"".join(self._rest).split(b"\n")
        tail = lines.pop()
        self._rest, self._size = [tail], len(tail)
        out: list[Reply | Notification] = []
        for line in lines:
            if self._skipping or len(line) > MAX_LINE:
                self._skipping = False
                self.overlong_lines += 1
                continue
            if self._guard is None:
                self._outside(line, out)
            else:
                self._inside(line, out)
        self._drop_if_overlong()
        return out

    def _drop_if_overlong(self) -> None:
        if self._size > MAX_LINE:
            self._rest, self._size, self._skipping = [], 0, True

    def _outside(self, line: bytes, out: list[Reply | Notification]) -> None:
        if guard := _GUARD.match(line):
            word, time, number, flag = guard.groups()
            if word != b"begin" or (flag == b"1" and not self._pending):
                raise Desync(f"unexpected {word.decode()} outside a reply")
            self._guard, self._body = (time, number, flag), []
            return
        name, _, rest = line.partition(b" ")
        shape = _NOTIFICATIONS.get(name[1:]) if name[:1] == b"%" else None
        if shape is not None and shape.match(rest):
            out.append(Notification(name[1:].decode()))
        elif line:
            self.unknown_lines += 1

    def _inside(self, line: bytes, out: list[Reply | Notification]) -> None:
        assert self._guard is not None
        if self._guard[2] == b"1" and self._pending[0].opaque:
            self._body.append(line)
            if line.startswith(b"%end "):
                self._close_opaque(out)
            return
        time, number, flag = self._guard
        if line == b"%%end %s %s %s" % (time, number, flag):
            self._close(None, out)
        elif line == b"%%error %s %s %s" % (time, number, flag):
            self._close(b" ".join(self._body), out)
        else:
            self._body.append(line)

    def _close(self, error: bytes | None, out: list[Reply | Notification]) -> None:
        assert self._guard is not None
        flag, body = self._guard[2], self._body
        self._guard, self._body = None, []
        if flag == b"0":
            return
        request = self._pending[0]
        if error is not None:
            request.error = request.error or error or b"unknown error"
        elif body == [request.nonce]:
            request.complete = True
        elif body == [request.nonce + b"."]:
            self._finish(out)
        else:
            request.bodies.append(body)

    def _finish(self, out: list[Reply | Notification]) -> None:
        request = self._pending.popleft()
        error = request.error
        if error is None and not request.complete:
            error = b"the command was not run"
        out.append(Reply(request.bodies, error))

    def _close_opaque(self, out: list[Reply | Notification]) -> None:
        """Look whether the three last lines are the block of one of our two nonces."""
        body, request = self._body, self._pending[0]
        assert self._guard is not None
        time, number, _ = self._guard
        if len(body) < 4 or not (end := _GUARD.match(body[-1])):
            return
        begin = b"%%begin %s %s 1" % (end[2], end[3])
        if body[-3] != begin:
            return
        if body[-2] == request.nonce:
            # The last of what looks like the end is the end: only blocks of hooks come after it.
            at = _last(body[:-3], b"%%end %s %s 1" % (time, number))
            if at is None:
                raise Desync("a reply has no end")
            request.bodies.append(body[:at])
            request.complete, request.opaque = True, False
            self._guard, self._body = None, []
        elif body[-2] == request.nonce + b".":
            self._fail_opaque(out)

    def _fail_opaque(self, out: list[Reply | Notification]) -> None:
        """The last nonce came without the first: it was an error, and what followed no data."""
        assert self._guard is not None
        time, number, _ = self._guard
        body, request = self._body[:-3], self._pending[0]
        try:
            end = body.index(b"%%error %s %s 1" % (time, number))
        except ValueError:
            raise Desync("a failed request has no error") from None
        self._guard, self._body = None, []
        request.error = b" ".join(body[:end]) or b"unknown error"
        self._finish(out)
        for line in body[end + 1 :]:
            if self._guard is None:
                self._outside(line, out)
            else:
                self._inside(line, out)


def _last(lines: list[bytes], wanted: bytes) -> int | None:
    return next((at for at in range(len(lines) - 1, -1, -1) if lines[at] == wanted), None)
