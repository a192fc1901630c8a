"""A tmux server and a reader for ``output_path``: what is the same on every path.

Knows nothing of `orchestratord` and nothing of the paths.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
