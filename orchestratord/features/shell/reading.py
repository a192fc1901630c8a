"""What is read of a run beside its marks: output, and who has the terminal. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from orchestratord.features.panes.keyboard import Terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.tmux.process import read_stat
from orchestratord.tmux.stream import Cursor, Stream

SHELLS = frozenset({"bash", "zsh", "fish", "sh", "dash", "ash", "ksh", "mksh", "tcsh"})


def between(stream: Stream | None, begin: str, end: str | None, limit: int) -> tuple[bytes, bool]:
    """Return the last ``limit`` bytes between two cursors, and whether bytes before are missing."""
    first = Cursor.parse(begin)
    if stream is None or first is None:
        return b"", True
    stream.look()
    last = Cursor.parse(end) if end else stream.cursor
    if last is None or last.epoch != stream.epoch:
        return b"", True
    whole = first.epoch == last.epoch
    start = max(first.offset if whole else 0, last.offset - limit, stream.start)
    data = stream.read(Cursor(last.epoch, start), max(0, last.offset - start)).data
    return data, not whole or start > first.offset


def nested(pane: PaneRecord, mode: Terminal | None, ours: Callable[[int], bool]) -> str | None:
    """Say which shell, not ours, waits at a prompt in the pane; None if none does.

    A shell that replaced ours (exec) has its pid, but ``ours`` does not know it.
    """
    program = pane.program
    stat = read_stat(program.pid) if program else None
    if program is None or stat is None or stat.started != program.started:
        return None
    if stat.foreground != program.pid:
        name = _name(stat.foreground)
        if name in SHELLS and mode is not None:
            return f"{name} (pid {stat.foreground}) has the terminal"
        return None
    return None if ours(program.pid) else "its shell was replaced"


def directory(pane: PaneRecord) -> str | None:
    """Return the working directory of a pane's own program; None if it cannot be read."""
    program = pane.program or pane.place.process
    try:
        return os.fsencode(os.readlink(f"/proc/{program.pid}/cwd")).decode("utf-8", "replace")  # noqa: PTH115
    except OSError:
        return None


def waits_for_input(pid: int) -> bool | None:
    """Whether a process reads from its standard input now; None if we may not know."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        return None
    return len(words) > 1 and words[0] in _READS and words[1] == "0x0"


_READS = ("0", "63")
"""read(2) on x86-64 and on arm64."""


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
