"""Input to panes: keys by name, text byte for byte, signals to who has the terminal.

Text is typed as bytes, never as key names, so nothing in it is interpreted. A
program in canonical mode gets at most 4,095 bytes of a line from the kernel and
never learns of the rest; such a line is refused instead of cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
from collections.abc import Callable, Iterable
from typing import NamedTuple

from orchestratord.errors import FailedPrecondition, InvalidArgument, TmuxRefused
from orchestratord.features.panes.fault import PaneExited, StaleIncarnation
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.start import begun
from orchestratord.features.panes.turn import Turns
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.keys import ALONE, NO_INPUT, forced, named, pressed, rejoin, typed
from orchestratord.tmux.link import Link
from orchestratord.tmux.process import Process, in_session, read_stat

MAX_TEXT = 1 << 20
CANONICAL_LINE = 4095
"""Bytes of a line that the kernel keeps for a program in canonical mode (tty_ldisc)."""

_NAMED = frozenset(
    {"Enter", "Escape", "Tab", "BTab", "Space", "BSpace", "Up", "Down", "Left", "Right"}
    | {"Home", "End", "PageUp", "PageDown", "PPage", "NPage", "IC", "DC", "Insert", "Delete"}
    | {f"F{number}" for number in range(1, 13)}
)
_MODIFIERS = ("C-", "M-", "S-")
_INTERRUPTS = frozenset(b"\x03\x1a\x1c")
"""What a terminal makes a signal of, unless it is told otherwise (termios(3))."""
_TRIES = 25


class BadKey(InvalidArgument):
    """A key's name is none that tmux knows."""

    template = "{key!r} is no key"
    hint = "a key is like Enter, C-c, M-x, Up, F5 or one character; text goes through pane.send"


class BadSignal(InvalidArgument):
    """A signal's name or number is none."""

    template = "{signal!r} is no signal"


class LineTooLong(FailedPrecondition):
    """The program reads whole lines and would silently lose the end of this one."""

    template = "a line of {size} bytes is more than the {limit} that the program in {pane} can read"


class SecretPrompt(FailedPrecondition):
    """The program asks for a secret: it echoes nothing and reads a line."""

    template = "pane {pane} asks for a secret; text is not typed into it"
    hint = "attach and type it yourself"


class InputOff(FailedPrecondition):
    """Somebody at a terminal switched the input of a pane off, and tmux throws keys away."""

    template = "pane {pane} takes no input: somebody switched that off"
    hint = "tmux select-pane -e switches it on again"


class Terminal(NamedTuple):
    """The state of a pane's terminal (termios(3))."""

    echo: bool
    canonical: bool


def terminal(tty: str) -> Terminal | None:
    """Read the state of a terminal; None if it cannot be read."""
    try:
        fd = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        flags = termios.tcgetattr(fd)[3]
    except termios.error:
        return None
    finally:
        os.close(fd)
    return Terminal(bool(flags & termios.ECHO), bool(flags & termios.ICANON))


def signal_number(name: str) -> int:
    """Return the number of ``TERM``, ``SIGTERM`` or ``15``."""
    if name.isdecimal() and name.isascii() and 1 <= int(name) <= 64:
        return int(name)
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        raise BadSignal(signal=name[:40]) from None


def signal_name(number: int | None) -> str | None:
    """Return ``SIGTERM`` for 15; the number as text where it has no name."""
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def check_key(key: str) -> None:
    """Refuse what tmux would type letter by letter because it is no key."""
    bare = key
    while len(bare) > 2 and bare[:2] in _MODIFIERS:
        bare = bare[2:]
    if bare in _NAMED or (len(bare) == 1 and (bare.isprintable() or bare == " ")):
        return
    raise BadKey(key=key[:40])


class Keyboard:
    """Types into panes, one call after the other. Its state is who waits for which pane.

    ``on_typed`` is called with each text before it is typed, or before a program
    shows it as if it had been.
    """

    def __init__(self, link: Link) -> None:
        self.on_typed: Callable[[PaneRecord, str], None] = lambda *_: None
        self._link = link
        self._turns = Turns()

    async def keys(self, pane: PaneRecord, keys: list[str]) -> None:
        """Press keys by their names, all or none."""
        for key in keys:
            check_key(key)
        await begun(pane)
        self.on_typed(pane, "".join(key if len(key) == 1 else "\n" for key in keys))
        await self._type(pane, named(keys, pane.place.pane), leave_mode=False)

    async def text(self, pane: PaneRecord, text: str, submit: bool) -> None:
        """Type text byte for byte; with ``submit`` press Enter after it, as a step of its own.

        What another call types comes before or after all of it. Ends early, with
        ``PaneExited`` or ``StaleIncarnation``, when the program that it began for does.
        """
        data = text.encode()
        state = terminal(pane.place.tty)
        if state is not None and state.canonical:
            if not state.echo:
                raise SecretPrompt(pane=pane.id)
            longest = max(map(len, data.split(b"\n")))
            if longest > CANONICAL_LINE:
                raise LineTooLong(size=longest, limit=CANONICAL_LINE, pane=pane.id)
        if _INTERRUPTS.intersection(data):
            await begun(pane)
        enter = named(["Enter"], pane.place.pane) if submit else []
        self.on_typed(pane, text)
        await self._type(pane, [*typed(data, pane.place.pane), *enter])

    async def raw(self, pane: PaneRecord, data: bytes) -> None:
        """Type bytes of ours, without a look at who reads them."""
        await self._type(pane, typed(data, pane.place.pane))

    async def _type(
        self, pane: PaneRecord, lines: Iterable[bytes], *, leave_mode: bool = True
    ) -> None:
        incarnation = pane.incarnation
        said: list[list[bytes]] = []
        async with self._turns.of(pane.id):
            try:
                for keys in lines:
                    if pane.exit is not None:
                        raise PaneExited(pane=pane.id)
                    if pane.incarnation != incarnation:
                        now = pane.incarnation
                        raise StaleIncarnation(pane=pane.id, now=now, given=incarnation)
                    said += await self._press(pane, keys, leave_mode)
                    if [NO_INPUT] in said:
                        raise InputOff(pane=pane.id)
            except TmuxRefused:
                raise PaneExited(pane=pane.id) from None
            finally:
                if [ALONE] in said:
                    with contextlib.suppress(TmuxGone, TmuxRefused):  # its mark stays
                        await self._ask(pane, rejoin(pane.place.pane))

    async def _press(self, pane: PaneRecord, keys: bytes, leave_mode: bool) -> list[list[bytes]]:
        """Press a line's worth of keys in this pane alone; return what was said of it."""
        try:
            await self._ask(pane, pressed(keys, pane.place.pane, leave_mode=leave_mode))
        except TmuxRefused:  # something is in the way, or the pane is gone
            return await self._ask(pane, forced(keys, pane.place.pane, leave_mode=leave_mode))
        return []

    async def _ask(self, pane: PaneRecord, line: bytes) -> list[list[bytes]]:
        return await self._link.request(line, what="input", server=pane.place.server)

    async def signal_begun(self, pane: PaneRecord, number: int) -> list[int]:
        """Signal the foreground of a pane as ``signal`` does, once its program has begun.

        Tried again for a moment if nobody gets it: a shell that starts takes the
        terminal for a process group of its own, in two steps.
        """
        await begun(pane)
        for _ in range(_TRIES):
            if (pids := self.signal(pane, number)) or pane.exit is not None:
                return pids
            await asyncio.sleep(0.002)
        return []

    def signal(self, pane: PaneRecord, number: int, *, spare_shell: bool = False) -> list[int]:
        """Signal the foreground process group of a pane; return the pids.

        With ``spare_shell`` the pane's own program gets nothing if that has the terminal.
        """
        leader = pane.program or pane.place.process
        stat = read_stat(leader.pid)
        if stat is None or stat.started != leader.started:
            return []
        if spare_shell and stat.foreground == leader.pid:
            return []
        group = stat.foreground if stat.foreground > 0 else leader.pid
        members = [s for s in in_session(pane.place.process.pid).values() if s.group == group]
        holder = pane.place.process.pid if pane.program else 0
        return [
            s.pid for s in members if s.pid != holder and Process(s.pid, s.started).send(number)
        ]
