"""What can happen to commands and shells. The class name is the event's kind."""

from __future__ import annotations

from orchestratord.events import Fact
from orchestratord.features.shell.model import EndedBy


class ExecStarted(Fact, frozen=True, kw_only=True):
    """A command was given to a shell. ``size`` is in bytes; the command itself is not told."""

    exec: str
    size: int


class ExecTimedOut(Fact, frozen=True, kw_only=True):
    """A command ran longer than its caller wanted; ``then`` says what was done about it."""

    exec: str
    then: str


class ExecFinished(Fact, frozen=True, kw_only=True):
    """A command ended, or is followed no longer; ``ended_by`` says by which evidence."""

    exec: str
    ended_by: EndedBy
    exit_code: int | None
    duration: float
