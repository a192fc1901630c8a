"""What the services keep of waits and watches on disk.

Fields may be added with a default, never renamed: old rows must still load.
"""

from __future__ import annotations

import msgspec

from orchestratord.features.watch.action import Action
from orchestratord.features.watch.model import Fire, Firing, WaitResult, WatchState
from orchestratord.features.watch.needle import Expression
from orchestratord.features.watch.rights import Rights
from orchestratord.features.watch.selector import Chosen, Selector


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


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a watch is to do. Times are in seconds."""

    panes: Selector
    chosen: Chosen
    patterns: tuple[Expression, ...]
    actions: tuple[Action, ...] = ()
    screen: bool = False
    fire: Fire = "every"
    debounce: float | None = None
    after: float | None = None


class WatchRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A watch. Times are Unix times."""

    id: str
    owner: str
    rights: Rights
    terms: Terms
    created_at: float
    name: str | None = None
    state: WatchState = "active"
    reason: str | None = None
    expires_at: float | None = None
    matches: int = 0
    acted: int = 0
    missed: int = 0
    gaps: int = 0


class Spot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a watch has looked in a pane. ``standing`` was on the screen: pattern and text."""

    cursor: str
    incarnation: int
    standing: tuple[tuple[int, str], ...] = ()


class Fired(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A match and what is done about it; ``due`` is the Unix time to act, if that is later.

    One whose actions had ``begun`` when the daemon died is never acted on again.
    """

    id: int
    watch: str
    firing: Firing
    due: float | None = None
    begun: bool = True
    done: bool = False
