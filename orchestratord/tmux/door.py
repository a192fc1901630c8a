"""A control client without a program: the protocol of tmux's client, in the one safe order.

tmux 3.2 to 3.6 crash, with every pane, when they notify a client that said it is
a control client and has not finished its introduction (control_write without
control_state; fixed by e5a2a25fa in 3.7). tmux's own client says it first of all
and leaves some 2 ms: at 20 changes of focus a second, one of the first hundred
connections ended the server. Here it is said in the same write as the end of
the introduction, which the server takes in one step: 1,000 of 1,000 connections
at any rate. Protocol 8, whose messages are the same from 3.2 to 3.6; 3.6 frames
them in another way (OpenBSD's imsg, compat/imsg.h).
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 2), (3, 6)
"""Versions that crash, and speak this protocol."""

_OLD_HEADER = struct.Struct("=IHHII")  # type, length, flags, peer (the protocol), pid
_HEADER = struct.Struct("=IIII")  # since 3.6: type, length, peer, pid
_HAS_DESCRIPTOR, _DESCRIPTOR_MARK = 1, 1 << 31
_PROTOCOL = 8

_TERM, _TTY, _STDIN, _DONE, _PID, _CWD, _FEATURES, _STDOUT, _FLAGS = (
    101, 102, 104, 106, 107, 108, 109, 110, 111
)  # fmt: skip
_COMMAND = 200
_PARTINGS = (201, 202, 203, 210)
"""What the server sends to a client that is to go: detach, detach and kill, exit, shutdown."""

_CONTROL, _UTF8, _NO_START = 0x2000, 0x10000, 0x1000


class Way(NamedTuple):
    """Where a server listens, and its version."""

    path: Path
    tier: tuple[int, int]


class Door:
    """A connection to the server that stands in for a client's process.

    ``stdin`` and ``stdout`` are handed to the server; ``gone`` is called once when
    the connection is closed, by whomever. Nothing of it outlives this process.
    """

    def __init__(
        self, way: Way, command: Sequence[str], stdin: int, stdout: int, gone: Callable[[], None]
    ) -> None:
        self._framed_as_of_old = way.tier < (3, 6)
        self.pid = os.getpid()
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.setblocking(False)
            self._socket.connect(str(way.path))
            self._introduce(stdin, stdout, command)
        except BaseException:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._readable)

    def poll(self) -> int | None:
        """Return 0 once the connection is closed, as a process that has ended does."""
        return 0 if self._socket.fileno() < 0 else None

    def wait(self) -> int:
        """Return 0; there is nothing to collect."""
        return 0

    def kill(self) -> None:
        """Close the connection; the server forgets the client."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._loop.call_soon(self._gone)

    def _introduce(self, stdin: int, stdout: int, command: Sequence[str]) -> None:
        self._send(
            self._message(_TERM, b"dumb\0") + self._message(_FEATURES, struct.pack("=i", 0))
            + self._message(_TTY, b"\0") + self._message(_CWD, b"/\0")
        )  # fmt: skip
        self._send(self._message(_STDIN, descriptor=True), stdin)
        self._send(self._message(_STDOUT, descriptor=True), stdout)
        words = b"".join(word.encode() + b"\0" for word in command)
        self._send(
            self._message(_PID, struct.pack("=i", self.pid))
            + self._message(_FLAGS, struct.pack("=Q", _CONTROL | _UTF8 | _NO_START))
            + self._message(_DONE)
            + self._message(_COMMAND, struct.pack("=i", len(command)) + words)
        )  # fmt: skip

    def _send(self, data: bytes, descriptor: int | None = None) -> None:
        rights = [] if descriptor is None else [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        ]  # fmt: skip
        if self._socket.sendmsg([data], rights) != len(data):
            raise BlockingIOError("the tmux server takes nothing")

    def _readable(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self._parts(data):
            self.kill()

    def _message(self, kind: int, data: bytes = b"", *, descriptor: bool = False) -> bytes:
        if self._framed_as_of_old:
            flags, length = _HAS_DESCRIPTOR * descriptor, _OLD_HEADER.size + len(data)
            return _OLD_HEADER.pack(kind, length, flags, _PROTOCOL, self.pid) + data
        length = _HEADER.size + len(data) + _DESCRIPTOR_MARK * descriptor
        return _HEADER.pack(kind, length, _PROTOCOL, self.pid) + data

    def _parts(self, data: bytes) -> bool:
        """Say whether one of these messages means that the client is to go."""
        at = 0
        while at + _HEADER.size <= len(data):
            kind, length, _, _ = _HEADER.unpack_from(data, at)
            if kind in _PARTINGS:
                return True
            at += max(length & (0xFFFF if self._framed_as_of_old else 0xFFFFFF), _HEADER.size)
        return False
