"""In which pane a process runs, by what the kernel says of it and of its ancestors.

A controlling terminal belongs to one session of processes, and each pane's session
is that of its holder. A process that detached itself from the terminal is found by
its ancestors; each must have begun before its child, else another process has its
pid by now. The environment, of the last ancestor that is left, is only a hint: it is
believed where nothing else is known, because then it can only take rights away. Reads
/proc, some 15 us a process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from orchestratord.features.panes.record import PaneRecord
from orchestratord.rpc.principal import Evidence
from orchestratord.tmux.process import Stat, read_stat

DEEPEST = 64
"""Ancestors that are looked at."""
REMEMBERED = 4096
"""Processes that are known to be in no pane."""
LARGEST = 256 << 10
"""Bytes of an environment that are looked at."""
_HINTS = (b"ORCH_PANE", b"TMUX", b"TMUX_PANE")


class Found(NamedTuple):
    """A pane, and what says so."""

    pane: PaneRecord
    how: Evidence


class Finder:
    """Finds panes of processes. Remembers which processes are in none: that never changes.

    ``in_session`` returns the living pane whose process session a pid leads, ``by_id``
    the pane of an id.
    """

    def __init__(
        self,
        in_session: Callable[[int], PaneRecord | None],
        by_id: Callable[[str], PaneRecord | None],
        tmux_socket: Path,
        look: Callable[[int], Stat | None] = read_stat,
    ) -> None:
        self._in_session = in_session
        self._by_id = by_id
        self._tmux_socket = tmux_socket
        self._look = look
        self._outside: set[tuple[int, int]] = set()

    def find(self, pid: int) -> Found | None:
        """Return the pane in which a process runs; None if it runs in none of ours."""
        stat = self._look(pid) if pid > 0 else None
        chain: list[Stat] = []
        while stat is not None and len(chain) < DEEPEST:
            if (stat.pid, stat.started) in self._outside:
                break
            pane = self._in_session(stat.session)
            if pane is not None and stat.started >= pane.place.process.started:
                at_terminal = not chain and stat.terminal == device(pane.place.tty)
                return Found(pane, "terminal" if at_terminal else "ancestor")
            chain.append(stat)
            stat = self._parent(stat)
        if stat is None and chain:  # the last one is nobody's child any more
            found = _hinted(chain[-1], self._by_id, self._tmux_socket)
            if found is not None:
                return found
        if len(self._outside) > REMEMBERED:
            self._outside.clear()
        self._outside.update((one.pid, one.started) for one in chain[1:])
        return None

    def _parent(self, child: Stat) -> Stat | None:
        if child.parent <= 1:
            return None
        parent = self._look(child.parent)
        return parent if parent is not None and parent.started <= child.started else None


def device(tty: str) -> int | None:
    """Return the number by which /proc names a pseudo-terminal: major 136 (proc(5), tty_nr)."""
    number = tty.removeprefix("/dev/pts/")
    if number == tty or not number.isdecimal():
        return None
    minor = int(number)
    return (minor & 0xFF) | 136 << 8 | (minor & ~0xFF) << 12


def _hinted(
    stat: Stat, by_id: Callable[[str], PaneRecord | None], tmux_socket: Path
) -> Found | None:
    """Believe ``ORCH_PANE`` of a process that began after the pane, on our tmux server."""
    try:
        with open(f"/proc/{stat.pid}/environ", "rb") as file:  # noqa: PTH123
            data = file.read(LARGEST)
    except OSError:  # it has ended, or is another user's
        return None
    if b"ORCH_PANE=" not in data:
        return None
    pairs = (entry.partition(b"=") for entry in data.split(b"\0"))
    said = {name: value.decode(errors="replace") for name, _, value in pairs if name in _HINTS}
    pane = by_id(said.get(b"ORCH_PANE", ""))
    if pane is None or pane.exit is not None or stat.started < pane.place.process.started:
        return None
    ours = said.get(b"TMUX", "").startswith(f"{tmux_socket},")
    return Found(pane, "hint") if ours and said.get(b"TMUX_PANE") == pane.place.pane else None
