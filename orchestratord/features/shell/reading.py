"""What is read of a run beside its marks: output, and who has the terminal. Changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from orchestratord.features.panes.keyboard import Terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.view import LINE_EDITORS
from orchestratord.tmux.process import in_session, read_stat
from orchestratord.tmux.stream import Cursor, Stream

SHELLS = frozenset({"bash", "zsh", "fish", "sh", "dash", "ash", "ksh", "mksh", "tcsh"})
GATES = frozenset(
    {"ssh", "mosh-client", "su", "sudo", "doas", "docker", "podman", "kubectl", "machinectl"}
)
"""Programs behind which a shell may wait that is not on this terminal."""

QUIET = 1.0
"""Seconds in which a shell that waits for a line must have printed our marks."""


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


def nested(
    pane: PaneRecord, mode: Terminal | None, ours: Callable[[int], bool], busy_for: float
) -> str | None:
    """Say which shell, not ours, waits at a prompt in the pane; None if none does.

    A shell that replaced ours (exec) has its pid, but ``ours`` does not know it. Ours
    may have lost its marks, too: it waits for a line, and has been ``busy_for`` seconds.
    """
    program = pane.program
    stat = read_stat(program.pid) if program else None
    if program is None or stat is None or stat.started != program.started or mode is None:
        return None
    if stat.foreground != program.pid:
        name = _name(stat.foreground)
        if name in SHELLS and _at_prompt(name, stat.foreground, mode):
            return f"{name} (pid {stat.foreground}) has the terminal"
        if name in GATES and not mode.canonical:
            return f"{name} (pid {stat.foreground}) has the terminal"
        return None
    name = _name(program.pid)
    if not ours(program.pid):
        return "its shell was replaced"
    if busy_for > QUIET and stat.state == "S" and _at_prompt(name, program.pid, mode):
        return "its prompts carry no marks of ours"
    return None


def _at_prompt(name: str, pid: int, mode: Terminal) -> bool:
    """Whether a shell that has the terminal reads a line, and is not a script that runs."""
    if name in LINE_EDITORS:
        return not mode.canonical
    return waits_for_input(pid) is not False


def stopped(pane: PaneRecord) -> bool:
    """Whether a program of the pane is stopped (Ctrl-Z)."""
    return any(stat.state == "T" for stat in in_session(pane.place.process.pid).values())


_PROMPT_SP = re.compile(
    rb"(?:\x1b\[[0-9;]*m)*[^\x1b\r\n]{0,8}(?:\x1b\[[0-9;]*m)* {8,}\r \r\Z"
    rb"|\x1b\[2m\xe2\x8f\x8e\x1b\[m\x0f? {8,}\r\xe2\x8f\x8e \r\x1b\[K(?:\x1b[^\n]*)?\Z"
)
"""What zsh (PROMPT_SP) and fish draw before a prompt, so that it begins a line of its own."""


def drawn_before(stream: Stream, epoch: int, prompt: int) -> int:
    """Return how many bytes before a prompt belong to it and not to what ran before."""
    start = max(stream.start, prompt - 2048)
    data = stream.read(Cursor(epoch, start), prompt - start).data
    found = _PROMPT_SP.search(data)
    return len(found[0]) if found else 0


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
