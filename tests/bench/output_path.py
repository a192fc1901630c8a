#!/usr/bin/env python3
"""Compare the ways in which pane output can reach the daemon, on a real tmux.

Owns a private tmux server for each measurement (own socket, `-f /dev/null -u`) and ends it by
process id. Knows nothing of `orchestratord`: it needs only the standard library, so that a path
is judged apart from the code that would use it. Run by people, not by the suite:

    python3 tests/bench/output_path.py [--quick] [--json FILE] [--only none,control,spool]

Paths: `none` (no reader: the base of the slow-down), `control` (hub session, `%extended-output`),
`handover` (`pipe-pane` whose helper gives its standard input to us by SCM_RIGHTS and exits),
`spool` (`pipe-pane` to one `cat` a pane that appends to a file; inotify, pread, hole punching).
A `-discard` variant reads and throws away: the ceiling for any reader on that path.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import ctypes
import functools
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 1 << 20
RING = MIB // 4  # bytes kept of each pane in memory
CHUNK = MIB // 4  # one read
KEEP = MIB  # consumed bytes that stay in a spool file, for a restarted reader to show
STEP = MIB  # consumed bytes between two hole punches: each one wakes our own inotify watch
QUIET = 1.5  # s without a byte, after which what has not come is held to be lost
CREDIT = 64 * MIB  # bytes that a cat may be ahead of us before the kernel refuses its write
MARKER = re.compile(rb"(?:MARK|DONE|LAST|END)-[0-9]+(?=[\r\n\\])")  # the one searched pattern
ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[\]])")
PAUSED = re.compile(rb"^%pause (%[0-9]+)", re.MULTILINE)
# Not plain `python3`: under pyenv that is a bash script of 60 ms.
PYTHON = f"{os.path.realpath(sys.executable)} -I -S -c"
HANDOVER = (  # `_socket`, because `socket` also imports selectors and enum
    "import _socket,sys;s=_socket.socket(1,1);s.connect(sys.argv[1]);"
    "s.sendmsg([sys.argv[2].encode()],[(1,1,bytes(4))])"
)
STAMP = " ; set-option -p -t =_orch: @orch_id p1"
MOVE = " ; move-window -d -s =_orch: -t =user:"
SLEEP = ("sleep", "900")
LIBC = ctypes.CDLL(None, use_errno=True)
Figures = dict[str, float]


def quote(text: str) -> str:
    """Quote one tmux argument, so that no character of it is special to tmux's lexer."""
    return '"' + "".join(c if re.match(r"\w", c, re.A) else f"\\{ord(c):03o}" for c in text) + '"'


def cpu(pid: int) -> float:
    """Return the CPU seconds of a live process, exact to ns (see clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def reaped_cpu(pid: int) -> float:
    """Return the CPU seconds of the children that a process has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def proc_kib(pid: int, file: str, field: str) -> int:
    """Return a `Field: N kB` figure of `/proc/PID/file`."""
    rows = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(f"{field}:"))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int((len(values) - 1) * share)]


def end(pid: int) -> None:
    """Wait up to 2 s for a process that is not our child, then end it by its pid.

    A zombie counts as ended: some containers' PID 1 takes seconds to reap.
    """
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        for attempt in range(400):
            if ") Z" in Path(f"/proc/{pid}/stat").read_text():
                return
            os.kill(pid, signal.SIGKILL if attempt == 200 else 0)
            time.sleep(0.01)


class Loop:
    """One selector for commands and output, because in the daemon they share a loop too."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, ready)

    def pump(self, seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        """Serve ready descriptors until the condition holds; False if the time ran out."""
        deadline = time.monotonic() + seconds
        while not until():
            if (left := deadline - time.monotonic()) <= 0:
                return False
            for key, _ in self.selector.select(min(left, 0.02)):
                key.data()
        return True


class Client:
    """A control-mode client and our ends of its pipes."""

    def __init__(self, sock: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            ["tmux", "-S", sock, "-f", os.devnull, "-u", "-C", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "SHELL": "/bin/sh", "TERM": "dumb"},
        )
        assert self.process.stdin and self.process.stdout
        self.input, self.fd = self.process.stdin, self.process.stdout.fileno()

    def send(self, line: str) -> None:
        self.input.write(line.encode() + b"\n")
        self.input.flush()

    def hang_up(self) -> None:
        """Close its input first: a client left open can keep kill-server from ending."""
        try:
            self.process.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Server:
    """A private tmux server and the command client that started it."""

    def __init__(self, work: Path) -> None:
        self.work, self.socket, self.loop, self.pid = work, work / "tmux.sock", Loop(), 0
        self.pending, self.body, self.sent, self.replied, self.eof = b"", [""], 0, 0, False
        self.client = Client(self.socket, "new-session", "-s", "_orch", "-f", "no-output", *SLEEP)
        self.loop.watch(self.client.fd, self.on_ready)

    def on_ready(self) -> None:
        """Split replies. Bodies here never start with `%`, so all such lines are protocol."""
        data = os.read(self.client.fd, 1 << 16)
        if not data:
            self.eof = True
            self.loop.selector.unregister(self.client.fd)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"%error"):
                raise RuntimeError(f"tmux refused a command: {self.body[-1]}")
            if line.startswith(b"@@"):
                self.replied += 1
            elif not line.startswith(b"%"):
                self.body.append(line.decode())

    def submit(self, line: str) -> None:
        """Send without waiting; the trailing `@@` tells that the whole line has run."""
        self.client.send(f"{line} ; display-message -p @@")
        self.sent += 1

    def run(self, line: str) -> list[str]:
        self.body = []
        self.submit(line)
        if not self.loop.pump(10, lambda: self.replied >= self.sent):
            raise TimeoutError(f"no reply to {line}")
        return self.body

    @staticmethod
    def creating(extra: str, *argv: str) -> str:
        """Build the creating line. Not `-d`: the commands after it mean the current window."""
        words = " ".join(map(quote, argv))
        return f"new-window -t =_orch: -P -F 'P #{{pane_id}} #{{pane_tty}}' {words}{extra}"

    def create(self, extra: str, *argv: str) -> tuple[str, str]:
        """Return the pane's id and terminal."""
        _, pane, tty = self.run(self.creating(extra, *argv))[0].split()
        return pane, tty

    def __enter__(self) -> Server:
        self.pid = int(self.run("display-message -p '#{pid}'")[0])
        self.run("set-option -wg remain-on-exit on ; set-option -s message-limit 0")
        self.run("new-session -d -s hub sleep 900 ; new-session -d -s user sleep 900")
        return self

    def __exit__(self, *_: object) -> None:
        """End the server. Read to EOF first: closing at once can leave the server running."""
        with contextlib.suppress(OSError):
            self.client.send("kill-server")
        self.loop.pump(3, lambda: self.eof)
        self.loop.selector.close()
        self.client.hang_up()
        end(self.pid)


class Reader:
    """The work done on output, the same on every path: ring, strip, search of whole lines."""

    def __init__(self, discard: bool = False, record: int | None = None) -> None:
        self.discard = discard
        self.record = record  # descriptor that gets every byte, for the restart measurement
        self.rings: dict[str, bytearray] = {}
        self.partial: dict[str, bytes] = {}
        self.hits: dict[bytes, float] = {}
        self.bytes, self.last_byte = 0, time.monotonic()

    def feed(self, pane: str, data: bytes) -> None:
        self.bytes, self.last_byte = self.bytes + len(data), time.monotonic()
        if self.record is not None:
            os.write(self.record, data)
        if self.discard:
            # Only to know the end: panes print each DONE twice, so that no split hides both.
            text = data if b"DONE-" in data else b""
        else:
            ring = self.rings.setdefault(pane, bytearray())
            ring += data
            if len(ring) > 2 * RING:
                del ring[:-RING]
            text, _, rest = (self.partial.get(pane, b"") + data + b"\0").rpartition(b"\n")
            self.partial[pane] = rest[:-1]
            text = ESCAPE.sub(b"", text + b"\n")
        for hit in MARKER.findall(text):
            self.hits[hit] = time.monotonic()

    def quiet(self) -> bool:
        return time.monotonic() - self.last_byte > QUIET


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


def creation(name: str, count: int) -> Figures:
    """Time the creating line of the path against a bare new-window, in turns of ten.

    Turns of one would charge the bare line for the helper that still starts in the background.
    """
    bare: list[float] = []
    full: list[float] = []
    helpers = 0.0
    with bed(name) as (server, route, _):
        for turn in range(count // 5):
            extra, taken = (route.extra(), full) if turn % 2 else ("", bare)
            before = reaped_cpu(server.pid) + sum(map(cpu, route.copiers()))
            for _ in range(10):
                began = time.monotonic()
                server.create(extra, *SLEEP)
                taken.append((time.monotonic() - began) * 1e3)
            server.loop.pump(0.2)  # helpers and copiers finish their start
            after = reaped_cpu(server.pid) + sum(map(cpu, route.copiers()))
            helpers += (after - before) * (1 if extra else -1)
    return {
        "create bare p50 ms": percentile(bare, 0.5),
        "create bare p90 ms": percentile(bare, 0.9),
        "create p50 ms": percentile(full, 0.5),
        "create p90 ms": percentile(full, 0.9),
        "create p50 / bare": percentile(full, 0.5) / percentile(bare, 0.5),
        "create helper CPU ms": helpers / count * 1e3,
    }


def flood(name: str, panes: int, lines: int) -> Figures:
    """Let all panes print a coloured file at once; the panes time themselves."""
    with bed(name) as (server, route, reader):
        work, text, gate = server.work, server.work / "flood", server.work / "gate"
        text.write_text("".join(f"\x1b[3{i % 8}m{i:06d}\x1b[0m ok\n" for i in range(lines)))
        os.mkfifo(gate)
        opened = os.open(gate, os.O_RDWR)
        for i in range(panes):
            # Closing the gate gives all panes end of file in the same moment.
            script = (
                f"exec 9<{gate}; >{work}/ready.{i}; read x <&9; b=$(date +%s%N); cat {text};"
                f"e=$(date +%s%N); printf 'DONE-{i}\\nDONE-{i}\\n'; echo $((e-b)) >{work}/t.{i};"
                f"mv {work}/t.{i} {work}/took.{i}; exec sleep 900"
            )
            server.create(route.extra(), "sh", "-c", script)

        def came(what: str) -> bool:
            return len(list(work.glob(f"{what}.*"))) == panes

        server.loop.pump(20, lambda: came("ready"))
        server.loop.pump(0.3)
        pids = route.copiers()
        pss = [proc_kib(pid, "smaps_rollup", "Pss") for pid in pids] or [0]
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # resets VmHWM, the peak
        copied, served, read = sum(map(cpu, pids)), cpu(server.pid), time.process_time()
        began = time.monotonic()
        os.close(opened)
        if name == "none":
            server.loop.pump(60, lambda: came("took"))
            reader.last_byte = time.monotonic()
        else:
            reader.last_byte = began
            server.loop.pump(60, lambda: len(reader.hits) == panes or reader.quiet())
        wall, read = reader.last_byte - began, time.process_time() - read
        served, copied = cpu(server.pid) - served, sum(map(cpu, pids)) - copied
        server.loop.pump(5, lambda: came("took"))
        took = [int(path.read_text()) / 1e9 for path in work.glob("took.*")]
        size = panes * (text.stat().st_size + lines) / MIB  # the tty adds a CR to each line
        return {
            # For control-discard these are the escaped bytes with their heads.
            "flood bytes read %": 100 * reader.bytes / MIB / size,
            "flood ends seen": len(reader.hits),
            "flood wall s": wall,
            "flood MiB/s": size / wall,
            "flood pane mean s": statistics.fmean(took),
            "flood tmux CPU s": served,
            "flood tmux peak MiB": proc_kib(server.pid, "status", "VmHWM") / 1024,
            "flood reader CPU s": read,
            "flood reader ms/MiB": read * 1e3 / size,
            "flood copier CPU s": copied,
            "flood pauses": route.pauses,
            "flood spool left MiB": sum(p.stat().st_blocks for p in work.glob("spool/*")) / 2048,
            "copier PSS KiB a pane": statistics.fmean(pss),
        }


def latency(name: str, samples: int) -> Figures:
    """Write a line on a quiet pane's terminal ourselves, so that no program's start counts."""
    figures: Figures = {}
    with bed(name) as (server, route, reader):
        tty = os.open(server.create(route.extra(), *SLEEP)[1], os.O_WRONLY | os.O_NOCTTY)
        for busy in (0, 3):
            for _ in range(busy):
                server.create(route.extra(), *printing(12000, 200))
            server.loop.pump(0.5)
            taken: list[float] = []
            for i in range(samples):
                mark = b"MARK-%d" % (busy * 10000 + i)
                began = time.monotonic()
                os.write(tty, mark + b"\n")
                server.loop.pump(2, functools.partial(reader.hits.__contains__, mark))
                taken.append((reader.hits.get(mark, began + 2) - began) * 1e3)
                server.loop.pump(0.003)
            figures[f"latency {busy} busy p50 ms"] = percentile(taken, 0.5)
            figures[f"latency {busy} busy p99 ms"] = percentile(taken, 0.99)
        os.close(tty)
    return figures


def printing(lines: int, rate: int) -> tuple[str, ...]:
    """Return the argv of a program that prints numbered lines at a rate, then END."""
    code = (
        f"import time;[(print(f'N-{{i}}', flush=True), time.sleep({1 / rate}))"
        f" for i in range({lines})];print('END-1', flush=True);time.sleep(900)"
    )
    return (*PYTHON.split(), code)


def final(name: str, panes: int, together: int) -> Figures:
    """Count the short panes whose last line came through.

    `together` is how many are being created at a time. One at a time leaves the machine idle
    between them: then tmux reaps a pane before the kernel has shown it the pane's last bytes.
    """
    with bed(name) as (server, route, reader):
        for i in range(panes):
            script = f"seq 1 500; echo LAST-{i}; exit 3"
            server.submit(server.creating(route.extra(), "sh", "-c", script))
            server.loop.pump(5, lambda: server.sent - server.replied < together)
            if together == 1:
                server.loop.pump(0.02)
        server.loop.pump(20, lambda: len(reader.hits) == panes or reader.quiet())
        return {f"last line % {together} at once": 100 * len(reader.hits) / panes}


@contextlib.contextmanager
def reading(name: str, server: Server, resume: dict[str, int]) -> Iterator[None]:
    """Run the path's reader in a child that appends all it reads to the record; kill -9 it."""
    told, tell = os.pipe()
    if not (child := os.fork()):
        try:
            record = os.open(server.work / "record", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            server.loop = Loop()  # the parent's epoll descriptor is shared across fork
            ROUTES[name](server, Reader(record=record)).start(resume)
            os.write(tell, b"r")
            server.loop.pump(30)
        finally:
            os._exit(1)
    os.close(tell)
    try:
        if not os.read(told, 1):
            raise RuntimeError("the reader did not start")
        yield
    finally:
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def restart(name: str, lines: int) -> Figures:
    """Kill the reader for a second, start it again, and count the lines missing on record.

    Only the stream counts: `control` could take lost rows from the screen's history, as text.
    """
    with bed("none") as (server, _, _):
        record, route = server.work / "record", ROUTES[name](server, Reader())
        with reading(name, server, {}):
            pane, _ = server.create(route.extra(), *printing(lines, 500))
            server.loop.pump(5, lambda: record.stat().st_size > 2000)
        server.loop.pump(1)
        with reading(name, server, {pane: record.stat().st_size}):
            server.loop.pump(lines / 500 + 2, lambda: b"END-1\r" in record.read_bytes())
        seen = [int(n) for n in re.findall(rb"^N-(\d+)\r$", record.read_bytes(), re.MULTILINE)]
    return {
        "restart lines missing": lines - len(set(seen)),
        "restart lines twice": len(seen) - len(set(seen)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one small round, below 30 s")
    parser.add_argument("--json", type=Path, help="write the medians and every round here")
    parser.add_argument("--only", help="paths, comma-separated")
    parser.add_argument("--pause-after", type=int, default=1, help="seconds, for control")
    options = parser.parse_args()
    Control.pause_after = options.pause_after
    names = [name + variant for name in ROUTES for variant in ("", "-discard")]
    names.remove("none-discard")
    names = options.only.split(",") if options.only else names
    quick: bool = options.quick
    rounds: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(1 if quick else 3):  # paths in turns, so that a busy minute hits them all
        for name, taken in rounds.items():
            figures = flood(name, 20, 20_000 if quick else 115_000)
            if name in ROUTES and name != "none":
                figures |= creation(name, 20 if quick else 60)
                figures |= latency(name, 40 if quick else 200)
                figures |= final(name, 40 if quick else 200, 8)
                figures |= final(name, 40 if quick else 200, 1)
                figures |= restart(name, 1200)
            taken.append(figures)
            print(f"{name} ", end="", file=sys.stderr, flush=True)
    medians = {
        name: {key: statistics.median(row[key] for row in taken) for key in taken[0]}
        for name, taken in rounds.items()
    }
    if base := medians.get("none"):
        for row in medians.values():
            row["flood slow-down"] = row["flood pane mean s"] / base["flood pane mean s"]
    print(f"\n{'':24}" + "".join(f"{name:>17}" for name in medians))
    for key in dict.fromkeys(key for row in medians.values() for key in row):
        cells = (f"{row[key]:17.2f}" if key in row else " " * 17 for row in medians.values())
        print(f"{key:24}" + "".join(cells))
    if options.json:
        options.json.write_text(json.dumps({"medians": medians, "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()
