"""One command given to a shell: what was asked, how far it is, how it ended. No I/O.

``shell`` moves a run through its states, ``service`` stores it with each move. The
command is kept only until the shell has begun it.
"""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime
from typing import Literal

import msgspec

from orchestratord.features.panes.keyboard import signal_name
from orchestratord.features.panes.typist import Typist
from orchestratord.features.shell.model import EndedBy, Exec, ExecState
from orchestratord.store.db import Statement

OnTimeout = Literal["leave", "interrupt", "kill"]
Way = Literal["marks", "typed"]

MAX_COMMAND = 1 << 20
"""Bytes of a command."""

REMEMBERED = 1000
"""Finished runs that can still be asked for; the oldest go first."""

_SAVE = "INSERT OR REPLACE INTO execs (id, record) VALUES (?, ?)"
_FORGET = "DELETE FROM execs WHERE id = ?"


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks for beside the command. Times are in seconds."""

    timeout: float | None = None
    on_timeout: OnTimeout = "leave"
    until: str | None = None
    idle: float | None = None
    sentinel: bool = False
    fence: int | None = None


class Run(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run as it is stored. ``begin`` and ``end`` are cursors of its output.

    ``left`` says that its caller was answered at its timeout, and it went on.
    """

    id: str
    pane: str
    incarnation: int
    nonce: str
    created_at: str
    wanted: Wanted
    owner: str = ""
    way: Way = "marks"
    command: str | None = None
    state: ExecState = "queued"
    typed: str | None = None
    begin: str | None = None
    end: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration: float | None = None
    ended_by: EndedBy | None = None
    exit_code: int | None = None
    left: bool = False

    @property
    def typist(self) -> Typist:
        """Who types it, also when its turn comes much later."""
        return Typist(self.owner, self.wanted.fence)

    def statement(self) -> Statement:
        """Return the statement that writes it as it is now."""
        return Statement(_SAVE, (self.id, msgspec.json.encode(self).decode()))

    def forgotten(self) -> Statement:
        """Return the statement that deletes it."""
        return Statement(_FORGET, (self.id,))

    def signal(self) -> str | None:
        """Return the signal that its status stands for, by the shells' convention."""
        code = self.exit_code
        if code is None or not 128 < code <= 128 + 64:
            return None
        return signal_name(code - 128)


class Live:
    """A run in this daemon: its record, who waits for it, and its first line for people."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.line = _first_line(run.command)
        self.answered: asyncio.Future[EndedBy] = asyncio.get_running_loop().create_future()
        self.done = asyncio.Event()
        self.size = len(run.command.encode()) if run.command else 0
        self.untold = run.started_at is None
        self.waits_for_turn = False
        self.timed_out = False
        self.cancelled = False
        self.timers: list[asyncio.TimerHandle] = []

    def answer(self, by: EndedBy) -> None:
        """Let whoever waits have the result as it is now."""
        if not self.answered.done():
            self.answered.set_result(by)

    def fail(self, problem: Exception) -> None:
        """Let whoever waits know that it was never begun."""
        if not self.answered.done():
            self.answered.set_exception(problem)
            self.answered.exception()  # nobody may be waiting, and that is no defect

    def let_go(self) -> None:
        """Stop its clocks."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def shown(self, cursor: str | None) -> Exec:
        """Return it as the wire has it; ``cursor`` is where its output ends by now."""
        run = self.run
        return Exec(
            exec=run.id, pane=run.pane, state=run.state, command=self.line,
            exit_code=run.exit_code, ended_by=run.ended_by, signal=run.signal(),
            since=run.begin, cursor=run.end or cursor, started_at=run.started_at,
            ended_at=run.ended_at, duration=run.duration,
        )  # fmt: skip


def aborted_by(status: int) -> EndedBy:
    """Say how a command ended that came to no end mark of its own: the prompt was back."""
    if status == 128 + signal.SIGINT:
        return "signal"
    return "stopped" if status in _STOPPED else "exit_code"


_STOPPED = {128 + n for n in (signal.SIGTSTP, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU)}


def seconds_between(first: str, last: str) -> float:
    """Return the seconds between two times as the wire spells them."""
    begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    return round((end - begin).total_seconds(), 6)


def is_stop(status: int) -> bool:
    """Whether a status is that of a job that was stopped."""
    return status in _STOPPED


def _first_line(command: str | None) -> str | None:
    if command is None:
        return None
    line, newline, _ = command.partition("\n")
    return line[:200] + (" ..." if newline or len(line) > 200 else "")
