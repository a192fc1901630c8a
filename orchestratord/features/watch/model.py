"""What waits and watches look like on the wire and on disk."""

from __future__ import annotations

from typing import Literal

from orchestratord.features.panes.model import Exit
from orchestratord.model import Result

Outcome = Literal["matched", "stopped", "exited", "timed_out", "lagged", "gone", "cancelled"]
Condition = Literal["pattern", "stop", "exit", "prompt", "idle"]


class PaneResult(Result, frozen=True, kw_only=True):
    """How waiting for one pane ended.

    ``condition`` is what was met; ``cursor`` goes on behind what was looked at;
    ``reason`` says why one lags.
    """

    outcome: Outcome
    pane: str
    condition: Condition | None = None
    pattern: str | None = None
    match: str | None = None
    groups: list[str | None] = []
    line: str | None = None
    cursor: str | None = None
    exit: Exit | None = None
    reason: str | None = None


class WaitResult(Result, frozen=True, kw_only=True):
    """How a wait ended; ``outcome`` is null while a detached one goes on.

    ``wait`` names a detached wait. ``results`` has every pane's own result if all
    had to be satisfied; those that were not have the outcome of the wait.
    """

    outcome: Outcome | None = None
    wait: str | None = None
    pane: str | None = None
    condition: Condition | None = None
    pattern: str | None = None
    match: str | None = None
    groups: list[str | None] = []
    line: str | None = None
    cursor: str | None = None
    exit: Exit | None = None
    reason: str | None = None
    results: list[PaneResult] | None = None


class WaitInfo(Result, frozen=True, kw_only=True):
    """A detached wait in a list."""

    wait: str
    outcome: Outcome | None
    panes: list[str]
    conditions: list[str]
    owner: str
    created_at: str
    deadline: str
    ended_at: str | None
