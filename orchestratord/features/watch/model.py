"""What waits and watches look like on the wire and on disk."""

from __future__ import annotations

from typing import Literal

from orchestratord.features.panes.model import Exit
from orchestratord.features.watch.action import Action
from orchestratord.features.watch.needle import Expression
from orchestratord.features.watch.selector import Selector
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


WatchState = Literal["active", "paused", "stopped"]
Fire = Literal["once", "every"]


class Watch(Result, frozen=True, kw_only=True):
    """A watch. ``watching`` are the panes that it looks at now.

    ``reason`` says why it is stopped: fired, ttl, loop, slow, agent. ``missed`` counts
    matches that were too many to be told, and ``gaps`` where output was lost.
    """

    id: str
    name: str | None
    state: WatchState
    reason: str | None
    panes: Selector
    watching: list[str]
    patterns: list[Expression]
    screen: bool
    fire: Fire
    debounce: float | None
    after: float | None
    actions: list[Action]
    owner: str
    created_at: str
    expires_at: str | None
    matches: int
    acted: int
    missed: int
    gaps: int


class Act(Result, frozen=True, kw_only=True):
    """What was done: done, spared, skipped, unknown (a crash came between), or a kind of error."""

    do: str
    result: str
    detail: str | None = None


class Firing(Result, frozen=True, kw_only=True):
    """A match, and what was done about it so far."""

    at: str
    pane: str
    pattern: str
    match: str
    line: str
    cursor: str
    acts: list[Act]
