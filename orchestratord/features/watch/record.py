"""What the service keeps of waits on disk.

Fields may be added with a default, never renamed: old rows must still load.
"""

from __future__ import annotations

import msgspec

from orchestratord.features.watch.model import WaitResult
from orchestratord.features.watch.needle import Expression


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a wait is for. ``all`` says that every pane must satisfy it."""

    patterns: tuple[Expression, ...] = ()
    stop: tuple[Expression, ...] = ()
    exit: bool = False
    prompt: bool = False
    idle: float | None = None
    all: bool = False

    @property
    def expressions(self) -> int:
        """How many patterns there are."""
        return len(self.patterns) + len(self.stop)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Where looking at a pane begins, and at which of its incarnations."""

    pane: str
    cursor: str
    incarnation: int


class WaitRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A detached wait. Times are Unix times. ``result`` is there once it has ended."""

    id: str
    owner: str
    conditions: Conditions
    starts: list[Start]
    created_at: float
    deadline: float
    ended_at: float | None = None
    result: WaitResult | None = None
