"""The output of one pane: a file that its copier grows, and a window onto it.

The n-th byte that the pane wrote in an epoch is at offset n of that epoch's
file. Reads are by cursor; what was freed shows as a gap. Only the spool writes
to a stream's state.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestratord.clock import Clock
from orchestratord.tmux.inotify import punch
from orchestratord.tmux.process import Process, identify, read_stat

KEEP = 8 << 20
"""Bytes of a pane's output that stay readable."""

CREDIT = 64 << 20
"""Bytes that a copier may write beyond what the daemon has seen."""

PUNCH_STEP = 1 << 20
CHUNK = 256 << 10
"""Bytes handed to a follower at once."""

PIECE = 64 << 10
"""Bytes handed to a listener at once; what it does with them, at 15 ms/MiB, holds up the loop."""

_TICK = 0.02
"""Seconds: two entries of the time index are at least that far apart."""

_ENTRY = struct.Struct("<Qd")


class Cursor(msgspec.Struct, frozen=True, order=True):
    """A place in a pane's output. Epochs count the holes of unknown size."""

    epoch: int
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read a cursor back; None if the text is none."""
        epoch, dot, offset = text.partition(".")
        if not (dot and epoch.isdecimal() and offset.isdecimal() and len(text) < 40):
            return None
        return cls(int(epoch), int(offset))


class Slice(msgspec.Struct, frozen=True):
    """Bytes of a stream; ``gap`` says that bytes between the cursor given and these are gone."""

    data: bytes
    next: Cursor
    gap: bool


Listener = Callable[[Slice], None]


class Tap:
    """A listener's place in a pane's output, whatever its epoch.

    ``ended`` is called once per epoch, when the pane has ended and all was heard.
    """

    def __init__(
        self, listener: Listener, at: Cursor, ended: Callable[[], None] = lambda: None
    ) -> None:
        self.listener = listener
        self.at = at
        self.ended = ended
        self.told_end = 0


class Stream:
    """The output of one pane. Its only writer is the Spool."""

    def __init__(
        self, directory: Path, pane: str, epoch: int, clock: Clock, taps: list[Tap]
    ) -> None:
        self.pane = pane
        self.epoch = epoch
        self.start = 0
        self.end = 0
        self.told = 0
        self.copier = 0
        self.closed = False
        self.sealed: int | None = None
        self.finished = False
        self.taps = taps
        self.last_output: float | None = None
        self._directory = directory
        self._clock = clock
        self._fd = -1
        self._process: Process | None = None
        self._credit = 0
        self._mark: tuple[bytes, int, asyncio.Future[None]] | None = None
        self._times: list[tuple[int, float]] = []
        self._opened = asyncio.Event()

    @property
    def cursor(self) -> Cursor:
        """Behind the last byte that was seen."""
        return Cursor(self.epoch, self.end)

    def open(self, name: str, copier: int) -> None:
        """Take the file of this epoch, which its copier has just made."""
        self._fd = os.open(self._directory / name, os.O_RDWR | os.O_CLOEXEC)
        self.copier = copier
        self._process = _writer(copier, self._fd)
        self._load_times()
        self.start = _first_data(self._fd)
        self.look(os.fstat(self._fd).st_mtime)
        self._opened.set()

    def look(self, written: float | None = None) -> None:
        """See how far the file has grown, by now or when it was ``written``; bound it."""
        if self._fd < 0:
            return
        found = os.fstat(self._fd)
        if found.st_nlink == 0:
            self.closed = True  # somebody removed it: its copier writes for nobody
        if self._mark is not None:
            self._seek_mark(found.st_size)
        end = found.st_size if self.sealed is None else min(found.st_size, self.sealed)
        if end > self.end:
            self.end = end
            self._note_time(written or self._clock.now().timestamp())
            self._extend_credit(found.st_size)
            self._free()

    def await_mark(self, mark: bytes) -> asyncio.Future[None]:
        """Show nothing of what comes now until the mark comes; the output ends before it."""
        self.look()
        self.sealed = self.end
        there: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mark = (mark, self.end, there)
        return there

    def forgo_mark(self) -> None:
        """Show everything again, unless the mark has come."""
        if self._mark is not None:
            self._mark = self.sealed = None

    def _seek_mark(self, size: int) -> None:
        assert self._mark is not None
        mark, at, there = self._mark
        data = os.pread(self._fd, size - at, at)
        place = data.find(mark)
        if place < 0:
            self._mark = (mark, max(at, at + len(data) - len(mark) + 1), there)
            return
        self.sealed, self._mark = at + place, None
        os.ftruncate(self._fd, self.sealed)  # a later daemon must not take it for output
        if not there.done():
            there.set_result(None)

    def read(self, since: Cursor, limit: int) -> Slice:
        """Return bytes from a cursor on; what is no longer there shows as a gap."""
        gap = since.epoch != self.epoch or not self.start <= since.offset <= self.end
        if since.epoch > self.epoch or (since.epoch == self.epoch and since.offset > self.end):
            return Slice(b"", self.cursor, True)
        at = self.start if gap else since.offset
        data = b"" if self._fd < 0 else os.pread(self._fd, min(limit, self.end - at), at)
        return Slice(data, Cursor(self.epoch, at + len(data)), gap)

    def tail(self, size: int) -> bytes:
        """Return the last bytes."""
        at = max(self.start, self.end - size)
        return b"" if self._fd < 0 else os.pread(self._fd, self.end - at, at)

    def timed(self) -> list[tuple[float, bytes]]:
        """Return all that is kept, cut where time passed, with Unix times."""
        marks = [(o, t) for o, t in self._times if o > self.start]
        out, at = [], self.start
        for offset, when in marks:
            out.append((when, os.pread(self._fd, offset - at, at)))
            at = offset
        return out

    def pump(self) -> bool:
        """Give each listener its next piece; True if some have more to read."""
        read: dict[Cursor, Slice] = {}
        for tap in tuple(self.taps):
            if tap.at < self.cursor and tap in self.taps:
                at = tap.at
                if at not in read:
                    read[at] = self.read(at, PIECE)
                tap.at = read[at].next
                tap.listener(read[at])
            if self.finished and tap.at >= self.cursor and tap.told_end < self.epoch:
                tap.told_end = self.epoch
                if tap in self.taps:
                    tap.ended()
        return any(tap.at < self.cursor for tap in self.taps)

    def idle(self) -> bool:
        """Whether the copier sleeps, so that all it was given is in the file, or is gone."""
        stat = read_stat(self.copier) if self.copier_alive() else None
        return stat is None or stat.state == "S"

    def copier_alive(self) -> bool:
        """Whether the process that grows the file is there."""
        return not self.closed and self._process is not None and self._process.alive()

    async def opened(self) -> None:
        """Wait until the copier has made its file."""
        await self._opened.wait()

    def on_disk(self) -> int:
        """Return the bytes that the file takes on disk, which are fewer than it is long."""
        return os.fstat(self._fd).st_blocks * 512 if self._fd >= 0 else 0

    def release(self) -> None:
        """Close the descriptor; the file stays."""
        with contextlib.suppress(OSError):  # times are worth no more than that
            self._save_times()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _extend_credit(self, size: int) -> None:
        if size + CREDIT // 2 > self._credit and self.copier_alive():
            self._credit = size + CREDIT
            try:
                _, hard = resource.prlimit(self.copier, resource.RLIMIT_FSIZE)
                resource.prlimit(self.copier, resource.RLIMIT_FSIZE, (self._credit, hard))
            except (ProcessLookupError, PermissionError, ValueError):
                pass  # a copier that is gone has closed its file, which is heard

    def _free(self) -> None:
        behind = min((t.at.offset for t in self.taps if t.at.epoch == self.epoch), default=self.end)
        start = max(min(self.end - KEEP, behind), self.end - CREDIT)
        start -= start % 4096
        if start - self.start >= PUNCH_STEP and punch(self._fd, 0, start):
            self.start = start

    def _note_time(self, now: float) -> None:
        self.last_output = now
        if self._times and self._times[-1][0] == self.end:
            return
        if self._times and now - self._times[-1][1] < _TICK:
            self._times[-1] = (self.end, self._times[-1][1])
        else:
            self._times.append((self.end, now))
        if len(self._times) > 100_000:
            self._times = [entry for entry in self._times[50_000:] if entry[0] > self.start]

    @property
    def times_file(self) -> Path:
        """Where the times of its output are kept when it is released."""
        return self._directory / f"{self.pane}.{self.epoch}.times"

    def _save_times(self) -> None:
        if self._times:
            self.times_file.write_bytes(b"".join(_ENTRY.pack(*e) for e in self._times))

    def _load_times(self) -> None:
        if self.times_file.exists():
            data = self.times_file.read_bytes()
            usable = len(data) - len(data) % _ENTRY.size
            self._times = [(int(o), float(t)) for o, t in _ENTRY.iter_unpack(data[:usable])]


def _writer(pid: int, fd: int) -> Process | None:
    """Return the process with that pid if it has the file open: a later one has not.

    Right after the file was made its copier is a shell that moves the descriptor
    to its place, so one that vanishes is a reason to look again.
    """
    process, wanted = identify(pid), os.fstat(fd)
    moved = process is not None
    while moved:
        moved = False
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                try:
                    if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), wanted):  # noqa: PTH116
                        return process
                except FileNotFoundError:
                    moved = True
        except PermissionError:
            return process  # a daemon with fewer rights than its tmux cannot know
        except OSError:
            return None
    return None


def _first_data(fd: int) -> int:
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:
        return 0
