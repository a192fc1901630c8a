"""The output path: every byte that a pane writes is in a file, whatever happens to us.

tmux pipes each pane from birth into a ``cat`` that appends to a private file.
The daemon is woken by inotify and reads only what somebody listens to, so a
slow or dead daemon slows no program and loses nothing, and cursors outlive it.

Bounds: the oldest bytes are freed by punching holes; what a copier may write
beyond what the daemon has seen is a credit, its soft RLIMIT_FSIZE, extended
while the daemon lives. A copier that runs out of credit or disk, or that
anybody ends, closes its file; whoever owns the pane then starts the next epoch
and reports the gap. Above: the panes feature. It knows no SQL.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from orchestratord.clock import Clock
from orchestratord.log import Log
from orchestratord.tmux.command import Word, quote_timed_format
from orchestratord.tmux.inotify import CLOSE_WRITE, DELETE, MODIFY, MOVED_FROM, Inotify
from orchestratord.tmux.shelf import ENDED_BYTES, Shelf
from orchestratord.tmux.stream import CHUNK, CREDIT, PIECE, Cursor, Listener, Slice, Stream, Tap

log = Log("tmux.spool")

_NOTE = re.compile(r"(p[1-9][0-9]*)\.([1-9][0-9]*)\.pid\Z", re.ASCII)
_NAME = re.compile(r"(p[1-9][0-9]*)\.([1-9][0-9]*)\.([1-9][0-9]*)\Z", re.ASCII)

SETTLE = 2.0
"""Seconds after which the last output of a dead pane is taken to be complete."""

TURN = 0.004
"""Seconds that listeners have before everything else that the daemon does has its turn."""

_LAST_PIECES = (1 << 20) // PIECE
"""Pieces of an epoch that a listener still hears when the next one begins; more is a gap."""


class Spool:
    """Every pane's stream. ``on_grown`` and ``on_broken`` are called with a pane's id,
    ``on_noted`` with it, the epoch and the pid when a holder has started its program.

    On disk: the files in ``directory``. In memory: their names by pane, and how far
    each was seen. Both survive in the sense that a new daemon finds the files and goes on.
    """

    def __init__(self, directory: Path, clock: Clock, ended_bytes: int = ENDED_BYTES) -> None:
        self.directory = directory
        self.on_grown: Callable[[str], None] = lambda _: None
        self.on_broken: Callable[[str], None] = lambda _: None
        self.on_noted: Callable[[str, int, int], None] = lambda *_: None
        self._clock = clock
        self._shelf = Shelf(ended_bytes)
        self._streams: dict[str, Stream] = {}
        self._names: dict[str, set[str]] = {}
        self._behind: dict[str, None] = {}
        self._pumping = False
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._inotify: Inotify | None = None
        if directory.is_dir():
            self._list()

    def start(self) -> None:
        """Begin to follow the directory; call ``expect`` for each pane that lives."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._inotify = Inotify(self.directory)
        self._list()
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._wake)

    def stop(self) -> None:
        """Stop following. The copiers go on."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        for stream in self._streams.values():
            stream.release()

    def pipe(self, pane: str, epoch: int) -> Word:
        """Return the argument of ``pipe-pane`` that starts an epoch's copier.

        tmux expands it as a format and as a time, then hands it to sh.
        """
        file = shlex.quote(str(self.directory / f"{pane}.{epoch}."))
        blocks = CREDIT // 512
        shell = f"umask 077; trap '' XFSZ; ulimit -S -f {blocks}; exec cat >>{file}$$"
        return quote_timed_format(os.fsencode(shell))

    def expect(self, pane: str, epoch: int, *, fresh: bool = False) -> Stream:
        """Begin an epoch of a pane's output; its file is there, or its copier makes it soon.

        ``fresh`` says that the copier was not started yet.
        """
        self._shelf.take(pane)
        old = self._streams.get(pane)
        if old is not None:
            old.look()
            for _ in range(_LAST_PIECES):
                if not old.pump():
                    break
            old.release()
        stream = Stream(self.directory, pane, epoch, self._clock, old.taps if old else [])
        self._streams[pane] = stream
        self._tell_followers(pane)
        for name in () if fresh else tuple(self._names.get(pane, ())):
            self._noticed(name, 0)
        self._turn(stream)
        return stream

    def note(self, pane: str, epoch: int) -> Path:
        """Return where the holder of a program notes its pid."""
        return self.directory / f"{pane}.{epoch}.pid"

    def noted(self, pane: str, epoch: int) -> int | None:
        """Return the pid that was noted, None if there is none yet."""
        try:
            return int(self.note(pane, epoch).read_text())
        except (OSError, ValueError):
            return None

    def get(self, pane: str) -> Stream | None:
        """Return a pane's stream."""
        return self._streams.get(pane)

    def listen(
        self,
        pane: str,
        listener: Listener,
        at: Cursor,
        ended: Callable[[], None] = lambda: None,
    ) -> Callable[[], None]:
        """Call the listener with everything from the cursor on, in order and in turns.

        ``ended`` is called when the pane has ended and the listener has heard
        everything; a pane that is respawned then goes on in a new epoch. Neither is
        called before this returns. The returned function ends it.
        """
        stream = self._streams[pane]
        tap = Tap(listener, at, ended)
        stream.taps.append(tap)
        self._turn(stream)
        taps = stream.taps
        return lambda: taps.remove(tap) if tap in taps else None

    async def follow(self, pane: str, at: Cursor) -> AsyncIterator[Slice]:
        """Yield what a pane writes from the cursor on, until it has ended and all was read.

        A reader that takes its time holds up nobody; what is freed meanwhile
        shows as a gap.
        """
        grown = asyncio.Event()
        waiting = self._followers.setdefault(pane, set())
        waiting.add(grown)
        try:
            while (stream := self._streams.get(pane)) is not None:
                grown.clear()
                part = stream.read(at, CHUNK)
                at = part.next
                if part.data or part.gap:
                    yield part
                elif stream.finished:
                    return
                else:
                    await grown.wait()
        finally:
            waiting.discard(grown)

    def finish(self, pane: str) -> None:
        """Say that a pane has ended: its stream has no more to come.

        The output of the panes that ended first goes when all of it is too much.
        """
        stream = self._streams.get(pane)
        if stream is None:
            return
        stream.finished = True
        self._tell_followers(pane)
        self._turn(stream)
        for old in self._shelf.put(pane, stream.on_disk()):
            self._drop(old)

    def _drop(self, pane: str) -> None:
        """Delete an ended pane's output; whoever reads it is told of the gap."""
        stream = self._streams[pane]
        while stream.pump():
            pass
        stream.release()
        stream.times_file.unlink(missing_ok=True)  # just made, and not heard of yet
        stream.start = stream.end
        self._unlink(pane)

    def _unlink(self, pane: str) -> None:
        for name in self._names.pop(pane, ()):
            (self.directory / name).unlink(missing_ok=True)

    def _tell_followers(self, pane: str) -> None:
        for grown in self._followers.get(pane, ()):
            grown.set()

    async def drain(self, pane: str, tty: str) -> bool:
        """Wait until all that was written to a held pane's terminal is in its file.

        Writes an escape sequence that no terminal knows, with a nonce, to the
        terminal: what is before it in the file is everything. The stream ends
        there, and nobody is shown the mark. False if it did not come back in time.
        """
        stream = self._streams[pane]
        mark = b"\x1b]7717;%s\x07" % secrets.token_hex(16).encode()
        try:
            async with asyncio.timeout(SETTLE):
                await stream.opened()
                there = stream.await_mark(mark)
                await _write(tty, mark)
                await there
                return True
        except (TimeoutError, OSError) as problem:
            log.warning("last output may be incomplete", pane=pane, reason=str(problem))
            return False
        finally:
            stream.forgo_mark()
            stream.look()
            self._tell(stream)

    async def settle(self, pane: str, round_trip: Callable[[], Awaitable[object]]) -> bool:
        """Wait until all that a dead pane wrote is in its file; False if that is not sure.

        tmux has read everything before it calls a piped pane dead, but may hold
        some of it for the copier; up to 16 kB of that leave with each turn of
        its event loop (libevent 2.1). So a round trip through tmux that begins
        and ends with a sleeping copier and a file of the same size shows that
        nothing is left.
        """
        stream = self._streams[pane]
        try:
            async with asyncio.timeout(SETTLE):
                await stream.opened()
                while True:
                    stream.look()
                    quiet, size = stream.idle(), stream.end
                    await round_trip()
                    stream.look()
                    if quiet and stream.idle() and stream.end == size:
                        return True
        except TimeoutError:
            log.warning("last output may be incomplete", pane=pane)
            return False
        finally:
            while stream.pump():  # noqa: ASYNC110  (gives the others their turn)
                await asyncio.sleep(0)

    def forget(self, pane: str) -> None:
        """Delete a pane's files."""
        stream = self._streams.pop(pane, None)
        if stream is not None:
            stream.finished = True
            stream.pump()
            stream.release()
            stream.times_file.unlink(missing_ok=True)  # just made, and not heard of yet
        self._tell_followers(pane)
        self._followers.pop(pane, None)
        self._shelf.take(pane)
        self._unlink(pane)

    def clear_strangers(self, known: set[str]) -> None:
        """Delete files of panes that nobody knows."""
        for pane in self._names.keys() - known:
            for name in self._names.pop(pane):
                (self.directory / name).unlink(missing_ok=True)

    def _wake(self) -> None:
        assert self._inotify is not None
        changes = self._inotify.read()
        if changes is None:  # the queue overflowed: look at everything
            names = self._list()
            changes = {name: CLOSE_WRITE if _NOTE.match(name) else 0 for name in names}
            for stream in list(self._streams.values()):
                self._look(stream)
        for name, mask in changes.items():
            self._index(name, mask)
            self._noticed(name, mask)

    def _list(self) -> list[str]:
        """Learn the names of all files, and return them."""
        self._names.clear()
        names = os.listdir(self.directory)  # noqa: PTH208
        for name in names:
            self._index(name)
        return names

    def _index(self, name: str, mask: int = 0) -> None:
        pane = name.partition(".")[0]
        if mask & (MOVED_FROM | DELETE) and not (self.directory / name).exists():
            names = self._names.get(pane, set())
            names.discard(name)
            if not names:
                self._names.pop(pane, None)
        else:
            self._names.setdefault(pane, set()).add(name)

    def _noticed(self, name: str, mask: int) -> None:
        if mask & CLOSE_WRITE and (match := _NOTE.match(name)):
            pid = self.noted(match[1], int(match[2]))
            if pid is not None:
                self.on_noted(match[1], int(match[2]), pid)
            return
        match = _NAME.match(name)
        stream = self._streams.get(match[1]) if match else None
        if match is None or stream is None or stream.epoch != int(match[2]):
            return
        if not stream.copier and not self._open(stream, name, int(match[3])):
            return
        stream.closed = stream.closed or bool(mask & (CLOSE_WRITE | MOVED_FROM | DELETE))
        if mask == MODIFY:  # its copier has just written: nothing else need be looked at
            stream.look()
            self._tell(stream)
        else:
            self._look(stream)

    def _open(self, stream: Stream, name: str, copier: int) -> bool:
        try:
            stream.open(name, copier)
        except FileNotFoundError:
            stream.closed = True
            self.on_broken(stream.pane)
            return False
        except OSError as problem:  # out of descriptors, say: the next change comes here again
            log.error("output cannot be read", pane=stream.pane, reason=str(problem))
            return False
        return True

    def _look(self, stream: Stream) -> None:
        """Take note of what became of a stream: first of what came, then of its end."""
        stream.look()
        self._tell(stream)
        if stream.copier and not stream.copier_alive():
            stream.closed = True
            self.on_broken(stream.pane)

    def _tell(self, stream: Stream) -> None:
        """Tell everybody what has come since the last time, whoever saw it first."""
        if stream.end > stream.told and self._streams.get(stream.pane) is stream:
            stream.told = stream.end
            self.on_grown(stream.pane)
            self._tell_followers(stream.pane)
            self._turn(stream)

    def _turn(self, stream: Stream) -> None:
        """Let a pane's listeners read soon, when the panes before it had their turn."""
        if stream.taps and stream.pane not in self._behind:
            self._behind[stream.pane] = None
            if not self._pumping:
                self._pumping = True
                asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Give panes their turns, one piece each, until the time is up."""
        until = time.monotonic() + TURN
        try:
            while self._behind and time.monotonic() < until:
                pane = next(iter(self._behind))
                del self._behind[pane]
                if (stream := self._streams.get(pane)) is not None and stream.pump():
                    self._behind[pane] = None
        finally:  # a listener with a defect stops nobody else
            self._pumping = bool(self._behind)
            if self._pumping:
                asyncio.get_running_loop().call_soon(self._pump)


async def _write(tty: str, data: bytes) -> None:
    """Write to a terminal whose buffer may be full of what has not been read yet."""
    terminal = os.open(tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        while data:
            try:
                data = data[os.write(terminal, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)
    finally:
        os.close(terminal)
