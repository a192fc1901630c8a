"""The paths that ``output_path`` compares, each as a ``Route`` from a pane to the reader."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import functools
import os
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from output_bed import (
    CHUNK,
    CREDIT,
    HANDOVER,
    KEEP,
    LIBC,
    MOVE,
    PAUSED,
    PYTHON,
    STAMP,
    STEP,
    Client,
    Reader,
    Server,
    end,
    quote,
)


class Route:
    """A path from a pane to the reader; this one is `none`: nobody listens.

    `extra` works before `start` too, so that a reader in another process can serve the panes.
    """

    def __init__(self, server: Server, reader: Reader) -> None:
        self.server, self.work, self.loop, self.reader = server, server.work, server.loop, reader
        self.pauses = 0

    def extra(self) -> str:
        """Return what follows new-window in the creating line."""
        return ""

    def start(self, resume: dict[str, int]) -> None:
        """Begin to read. `resume` maps the panes of a dead reader to their bytes on record."""

    def copiers(self) -> list[int]:
        """Return the pids of the processes that stay beside the panes to copy their output."""
        return []

    def close(self) -> None:
        """Release what `start` took."""


class Control(Route):
    """All windows linked into one hub session, read by one control client with pause-after."""

    pause_after = 1  # s; tmux's peak memory is this times the rate while the reader stands still
    pending, attached = b"", False

    def extra(self) -> str:
        return STAMP + " ; link-window -d -s =_orch: -t =hub:"

    def start(self, resume: dict[str, int]) -> None:
        command = ("attach-session", "-t", "=hub", "-f", f"pause-after={self.pause_after}")
        self.client = Client(self.server.socket, *command)
        self.loop.watch(self.client.fd, self.on_ready)
        self.loop.pump(3, lambda: self.attached)

    def on_ready(self) -> None:
        data = os.read(self.client.fd, CHUNK)
        self.attached = True
        if self.reader.discard:
            self.reader.feed("", data)
            for pane in PAUSED.findall(data) if b"%pause" in data else ():
                self.resume(pane)
            return
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"%extended-output "):
                head, _, text = line.partition(b" : ")
                # 0.5 ms/MiB, where re.sub with a callback costs 64 for the same result.
                self.reader.feed(head.split(b" ", 2)[1].decode(), codecs.escape_decode(text)[0])
            elif line.startswith(b"%pause "):
                self.resume(line.split()[1])

    def resume(self, pane: bytes) -> None:
        """Go on with a pane that tmux paused; what it held back is gone from the stream."""
        self.pauses += 1
        self.client.send(f"refresh-client -A '{pane.decode()}:continue'")

    def close(self) -> None:
        self.loop.selector.unregister(self.client.fd)
        self.client.hang_up()


class Handover(Route):
    """`pipe-pane` gives its end of tmux's socket pair to us; no process stays."""

    def __init__(self, server: Server, reader: Reader) -> None:
        super().__init__(server, reader)
        self.path, self.listener = self.work / "handover", socket.socket(socket.AF_UNIX)
        self.helper = f"exec {PYTHON} '{HANDOVER}' {self.path} #{{pane_id}}"
        self.fds: set[int] = set()

    def extra(self) -> str:
        return f" ; pipe-pane -O -t =_orch: {quote(self.helper)}" + STAMP + MOVE

    def start(self, resume: dict[str, int]) -> None:
        self.path.unlink(missing_ok=True)
        self.listener.bind(str(self.path))
        self.listener.listen(256)
        self.loop.watch(self.listener.fileno(), self.on_connect)
        for pane in resume:  # not only where #{pane_pipe} is 0: it is 1 until tmux's next write
            command = ["tmux", "-S", str(self.server.socket), "pipe-pane", "-O", "-t", pane]
            subprocess.run([*command, self.helper], check=True, timeout=5)

    def on_connect(self) -> None:
        peer, _ = self.listener.accept()
        with peer:
            peer.settimeout(1)
            name, (fd, *_), _, _ = socket.recv_fds(peer, 64, 1)
        self.fds.add(fd)
        self.loop.watch(fd, functools.partial(self.on_ready, fd, name.decode()))

    def on_ready(self, fd: int, pane: str) -> None:
        if data := os.read(fd, CHUNK):
            self.reader.feed(pane, data)
        else:
            self.drop(fd)

    def drop(self, fd: int) -> None:
        self.fds.remove(fd)
        self.loop.selector.unregister(fd)
        os.close(fd)

    def close(self) -> None:
        for fd in tuple(self.fds):
            self.drop(fd)
        self.loop.selector.unregister(self.listener)
        self.listener.close()


class Spooled:
    """One spool file: `%N.PID`, appended to by the cat PID, consumed and freed by us."""

    def __init__(self, path: Path, offset: int) -> None:
        self.pane, _, pid = path.name.partition(".")
        self.pid, self.offset, self.freed = int(pid), offset, 0
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def release(self) -> None:
        """Free what is consumed, and let the cat write as much again."""
        if (target := (self.offset - KEEP) & ~4095) < self.freed + STEP:
            return
        start, length = ctypes.c_int64(self.freed), ctypes.c_int64(target - self.freed)
        if LIBC.fallocate64(self.fd, 3, start, length):  # KEEP_SIZE | PUNCH_HOLE
            raise OSError(ctypes.get_errno(), "fallocate")
        self.freed = target
        with contextlib.suppress(ProcessLookupError):  # the pane may be gone already
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (self.offset + CREDIT, hard))


class Spool(Route):
    """One `cat` a pane appends to a file; one inotify watch on the directory wakes us."""

    def __init__(self, server: Server, reader: Reader) -> None:
        super().__init__(server, reader)
        self.files: dict[str, Spooled] = {}
        self.resume: dict[str, int] = {}
        self.spool = self.work / "spool"
        self.spool.mkdir(exist_ok=True)

    def extra(self) -> str:
        # SIGXFSZ is ignored so that a cat out of credit ends with EFBIG, not with a core dump.
        # POSIX counts ulimit -f in 512-byte units.
        limits = f"trap '' XFSZ; ulimit -S -f {CREDIT // 512}"
        words = f"{limits}; exec cat >>{self.spool}/#{{pane_id}}.$$"
        return f" ; pipe-pane -O -t =_orch: {quote(words)}" + STAMP + MOVE

    def names(self) -> set[str]:
        return {path.name for path in self.spool.iterdir()}

    def start(self, resume: dict[str, int]) -> None:
        self.resume = resume
        self.inotify = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if LIBC.inotify_add_watch(self.inotify, bytes(self.spool), 2) < 0:  # IN_MODIFY
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self.loop.watch(self.inotify, self.on_ready)
        for name in self.names():  # after the watch, so that nothing falls between
            self.drain(name)

    def on_ready(self) -> None:
        data, at, names = os.read(self.inotify, 1 << 16), 0, set[str]()
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            if mask & 0x4000:  # IN_Q_OVERFLOW: events were dropped, so look at every file
                names |= self.names()
            else:
                names.add(data[at + 16 : at + 16 + length].rstrip(b"\0").decode())
            at += 16 + length
        for name in names:
            self.drain(name)

    def drain(self, name: str) -> None:
        if not (file := self.files.get(name)):
            file = Spooled(self.spool / name, self.resume.get(name.partition(".")[0], 0))
            self.files[name] = file
        for _ in range(256):  # bounded: a cat that is still writing wakes us again
            if chunk := os.pread(file.fd, CHUNK, file.offset):
                file.offset += len(chunk)
                self.reader.feed(file.pane, chunk)
                file.release()
            if len(chunk) < CHUNK:
                break

    def copiers(self) -> list[int]:
        return [int(name.partition(".")[2]) for name in self.names()]

    def close(self) -> None:
        self.loop.selector.unregister(self.inotify)
        for fd in (self.inotify, *(file.fd for file in self.files.values())):
            os.close(fd)


ROUTES = {"none": Route, "control": Control, "handover": Handover, "spool": Spool}


@contextlib.contextmanager
def bed(name: str) -> Iterator[tuple[Server, Route, Reader]]:
    """Yield a fresh server with a started path; nothing of it is left afterwards.

    The directory is in /var/tmp, which is on a disk where /tmp often is not.
    """
    kind, _, variant = name.partition("-")
    work = Path(tempfile.mkdtemp(prefix="outpath.", dir="/var/tmp"))
    try:
        with Server(work) as server:
            reader = Reader(discard=bool(variant))
            route = ROUTES[kind](server, reader)
            route.start({})
            try:
                yield server, route, reader
            finally:
                route.close()
    finally:
        for path in work.glob("spool/*"):
            end(int(path.name.partition(".")[2]))
        shutil.rmtree(work)
