"""In which pane a process runs, by what the kernel says of it and of its ancestors.

A controlling terminal belongs to one session of processes, and each pane's session
is that of its holder. A process that detached itself from the terminal is found by
its ancestors; each must have begun before its child, else another process has its
pid by now. The environment is only a hint: it is believed where nothing else is
known, because then it can only take rights away. Reads /proc, some 15 us a process.
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
LARGEST = 256 << 10
"""Bytes of an environment that are looked at."""
_HINTS = (b"ORCH_PANE", b"TMUX", b"TMUX_PANE")


class Found(NamedTuple):
    """A pane, and what says so."""

    pane: PaneRecord
    how: Evidence


def find(
    pid: int,
    in_session: Callable[[int], PaneRecord | None],
    by_id: Callable[[str], PaneRecord | None],
    tmux_socket: Path,
    look: Callable[[int], Stat | None] = read_stat,
) -> Found | None:
    """Return the pane in which a process runs; None if it runs in none of ours."""
    first = look(pid) if pid > 0 else None
    stat = first
    for _ in range(DEEPEST):
        if stat is None:
            break
        pane = in_session(stat.session)
        if pane is not None and stat.started >= pane.place.process.started:
            at_terminal = stat is first and stat.terminal == device(pane.place.tty)
            return Found(pane, "terminal" if at_terminal else "ancestor")
        stat = _parent(stat, look)
    return _hinted(first, by_id, tmux_socket) if first is not None else None


def device(tty: str) -> int | None:
    """Return the number by which /proc names a pseudo-terminal: major 136 (proc(5), tty_nr)."""
    number = tty.removeprefix("/dev/pts/")
    if number == tty or not number.isdecimal():
        return None
    minor = int(number)
    return (minor & 0xFF) | 136 << 8 | (minor & ~0xFF) << 12


def _parent(child: Stat, look: Callable[[int], Stat | None]) -> Stat | None:
    if child.parent <= 1:
        return None
    parent = look(child.parent)
    return parent if parent is not None and parent.started <= child.started else None


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
