"""What commands look like on the wire."""

from __future__ import annotations

from typing import Literal

from orchestratord.features.panes.model import Foreground
from orchestratord.model import Result

EndedBy = Literal[
    "exit_code", "signal", "stopped", "pattern", "idle", "sentinel", "timeout", "pane_exit",
    "cancelled",
]  # fmt: skip
ExecState = Literal["queued", "starting", "running", "finished"]


class Exec(Result, frozen=True, kw_only=True):
    """A command given to a shell. ``command`` is its first line, unknown after a restart.

    ``cursor`` is where its output ends by now, ``since`` where it begins.
    """

    exec: str
    pane: str
    state: ExecState
    command: str | None
    exit_code: int | None
    ended_by: EndedBy | None
    signal: str | None
    since: str | None
    cursor: str | None
    started_at: str | None
    ended_at: str | None
    duration: float | None


class ExecResult(Exec, frozen=True, kw_only=True):
    """What came of a command.

    ``signal`` names the signal that the shell's status stands for (above 128 it is the
    shells' convention, and a program can exit with the same status). ``output`` is text,
    or base64 if raw was asked for; of one ``truncated`` the first bytes lack. While the
    command runs ``foreground`` is the program that has the terminal, and ``waiting_input``
    whether that reads from it (null: not known).
    """

    output: str
    truncated: bool
    foreground: Foreground | None
    waiting_input: bool | None
    cwd: str | None


class BegunExec(Result, frozen=True, kw_only=True):
    """A command that the daemon follows by itself; ``exec.wait`` and ``exec.get`` tell of it."""

    exec: str
