"""What happens to the daemon itself, as facts."""

from __future__ import annotations

from orchestratord.events import Fact


class DaemonStarted(Fact, frozen=True, kw_only=True):
    """A daemon began. ``recovered`` says that the one before it did not stop in order."""

    version: str
    pid: int
    recovered: bool = False


class DaemonStopped(Fact, frozen=True, kw_only=True):
    """The daemon stops, as its last event; tmux keeps running unless that was asked for."""

    reason: str


class DaemonReloaded(Fact, frozen=True, kw_only=True):
    """The configuration was read anew."""

    changed: list[str]
