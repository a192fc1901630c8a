"""Input to panes: keys by name, text byte for byte, signals to who has the terminal.

Text is typed as bytes, never as key names, so nothing in it is interpreted. A
program in canonical mode gets at most 4,095 bytes of a line from the kernel and
never learns of the rest; such a line is refused instead of cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from orchestratord.errors import FailedPrecondition, InvalidArgument
from orchestratord.features.panes.hand import Hand
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.start import begun
from orchestratord.features.panes.turn import Turns
from orchestratord.features.panes.typist import Typist, whoever
from orchestratord.tmux.keys import named, typed
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


class Terminal(NamedTuple):
    """The state of a pane's terminal (termios(3)).

    ``unread`` is how many bytes of input the program has not taken yet; in canonical
    mode only those of complete lines count.
    """

    echo: bool
    canonical: bool
    unread: int = 0


def terminal(tty: str) -> Terminal | None:
    """Read the state of a terminal; None if it cannot be read."""
    try:
        fd = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        flags = termios.tcgetattr(fd)[3]
        waiting = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    except (OSError, termios.error):
        return None
    finally:
        os.close(fd)
    unread = int.from_bytes(waiting, sys.byteorder)
    return Terminal(bool(flags & termios.ECHO), bool(flags & termios.ICANON), unread)


def check_readable(pane: PaneRecord, data: bytes, *, secret: bool = False) -> None:
    """Refuse what the program in a pane would not read as it is, or not echo.

    Raises:
        SecretPrompt: It asks for a secret, and this is not said to be one.
        LineTooLong: It reads lines, and the kernel would cut one of these.
    """
    state = terminal(pane.place.tty)
    if state is None or not state.canonical:
        return
    if not state.echo and not secret:
        raise SecretPrompt(pane=pane.id)
    longest = max(map(len, data.split(b"\n")))
    if longest > CANONICAL_LINE:
        raise LineTooLong(size=longest, limit=CANONICAL_LINE, pane=pane.id)


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


Gate = Callable[[PaneRecord, Typist], Awaitable[None]]


async def _open(_: PaneRecord, __: Typist) -> None:
    """Let everybody type."""


class Keyboard:
    """Types into panes, one call after the other.

    Its state is who waits for which pane, and how often anything was typed into each.
    ``gate`` is asked each time whether somebody may type, and raises if not. ``on_typed``
    is called with each text before it is typed, or before a program shows it as if it
    had been. Whoever acts types, unless ``by`` says who.
    """

    def __init__(self, link: Link) -> None:
        self.on_typed: Callable[[PaneRecord, str], None] = lambda *_: None
        self.gate: Gate = _open
        self._link = link
        self._turns = Turns()
        self._uses: dict[str, int] = {}

    async def keys(self, pane: PaneRecord, keys: list[str], by: Typist | None = None) -> None:
        """Press keys by their names, all or none."""
        for key in keys:
            check_key(key)
        await begun(pane)
        shown = "".join(key if len(key) == 1 else "\n" for key in keys)
        await self._type(pane, named(keys, pane.place.pane), by, shown, leave_mode=False)

    async def text(
        self, pane: PaneRecord, text: str, submit: bool, by: Typist | None = None
    ) -> None:
        """Type text byte for byte; with ``submit`` press Enter right after it.

        What another call types comes before or after all of it. Ends early, with
        ``PaneExited`` or ``StaleIncarnation``, when the program that it began for does.
        """
        data = text.encode()
        await self.check(pane, data)
        enter = named(["Enter"], pane.place.pane) if submit else []
        await self._type(pane, [*typed(data, pane.place.pane), *enter], by, text)

    async def raw(self, pane: PaneRecord, data: bytes, by: Typist | None = None) -> None:
        """Type bytes of ours, without a look at who reads them."""
        await self._type(pane, typed(data, pane.place.pane), by)

    async def check(self, pane: PaneRecord, data: bytes, *, secret: bool = False) -> None:
        """Refuse what `check_readable` does; wait until who is to be interrupted has begun."""
        check_readable(pane, data, secret=secret)
        if _INTERRUPTS.intersection(data):
            await begun(pane)

    @contextlib.asynccontextmanager
    async def turn(self, pane: PaneRecord, by: Typist | None = None) -> AsyncIterator[Hand]:
        """Wait until nobody else types into a pane; nobody does until this ends.

        The hand types for the incarnation that the pane has now. Raises what the gate
        does: somebody else has the pane's lease, say.
        """
        hand, typist = Hand(self._link, pane, pane.incarnation), by or whoever()
        async with self._turns.of(pane.id):
            await self.gate(pane, typist)
            try:
                yield hand
            finally:
                if hand.used:
                    self._uses[pane.id] = self.uses(pane) + 1
                await hand.let_go()

    def uses(self, pane: PaneRecord) -> int:
        """Return in how many turns something was typed into a pane."""
        return self._uses.get(pane.id, 0)

    async def _type(
        self, pane: PaneRecord, lines: Iterable[bytes], by: Typist | None, shown: str = "", *,
        leave_mode: bool = True,
    ) -> None:  # fmt: skip
        async with self.turn(pane, by) as hand:
            if shown:
                self.on_typed(pane, shown)
            for keys in lines:
                await hand.press(keys, leave_mode=leave_mode)

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
