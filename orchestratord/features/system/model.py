"""What the daemon's own methods take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from orchestratord.events import Event
from orchestratord.model import PaneRef, Params, Result, SessionRef
from orchestratord.rpc.policy import Statistics
from orchestratord.store.db import StoreStatistics

EventKind = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=64,
        description="A kind of event, as noun.past_verb.",
        examples=["pane.exited"],
    ),
]
Kinds = Annotated[
    Annotated[list[EventKind], Meta(max_length=100)] | None,
    Meta(description="Only these kinds; all if absent."),
]
Session = Annotated[SessionRef | None, Meta(description="Only events of this session.")]
Pane = Annotated[PaneRef | None, Meta(description="Only events of this pane.")]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class StopDaemon(Params, frozen=True):
    """How to stop."""

    tmux: Annotated[bool, Meta(description="End the tmux server and every pane too.")] = False
    force: Annotated[bool, Meta(description="Also if the caller runs in one of the panes.")] = False


class BackUp(Params, frozen=True):
    """Where a copy of the store goes."""

    path: Annotated[
        str,
        Meta(
            pattern=r"^/[^\x00]*$",
            max_length=4096,
            description="An absolute path that does not exist, in a directory that does.",
        ),
    ]


class ListEvents(Params, frozen=True):
    """Which events to list."""

    since: Annotated[
        Seq | None, Meta(description="Only events after this number; from the oldest if absent.")
    ] = None
    until: Annotated[Seq | None, Meta(description="Only events up to this number.")] = None
    kinds: Kinds = None
    session: Session = None
    pane: Pane = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Events in the answer at most.")] = 500


class SubscribeEvents(Params, frozen=True):
    """Which events to follow."""

    since: Annotated[
        Seq | None,
        Meta(description="First the events after this number; only new ones if absent."),
    ] = None
    kinds: Kinds = None
    session: Session = None
    pane: Pane = None


class Ping(Result, frozen=True):
    """The daemon is alive."""

    version: str
    pid: int
    uptime: float
    """Seconds."""


class TmuxStatus(Result, frozen=True):
    """The private tmux server, as far as it is known."""

    socket: str
    state: Literal["connecting", "connected", "stopped"]
    version: str | None = None
    pid: int | None = None
    server: str | None = None
    """Our stamp in it."""


class Memory(Result, frozen=True):
    """Resident bytes."""

    daemon: int
    tmux: int | None


class Status(Result, frozen=True):
    """How the daemon is."""

    health: Literal["ok", "degraded"]
    degraded: list[str]
    version: str
    pid: int
    uptime: float
    socket: str
    tmux: TmuxStatus
    counts: dict[str, int]
    memory: Memory
    link: dict[str, int | str | None]
    store: StoreStatistics
    rpc: Statistics


class Stopped(Result, frozen=True):
    """The daemon stops once this is sent."""

    stopping: bool
    tmux: bool


class Reloaded(Result, frozen=True):
    """What reading the configuration anew changed."""

    changed: list[str]
    restart: list[str]
    """Settings that differ but are taken at a start only."""


class SettingValue(Result, frozen=True):
    """A setting in effect."""

    key: str
    value: Any
    origin: Literal["default", "file", "environment", "flag"]
    default: Any
    reloads: bool
    description: str


class Effective(Result, frozen=True):
    """The configuration in effect."""

    settings: list[SettingValue]


class Reconciled(Result, frozen=True):
    """What differed from tmux; it has been taken over."""

    differences: list[dict[str, Any]]


class BackedUp(Result, frozen=True):
    """The copy that was made."""

    path: str
    bytes: int


class Check(Result, frozen=True):
    """One thing that was looked at."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


class Diagnosis(Result, frozen=True):
    """Everything that was looked at."""

    checks: list[Check]


class ListedEvents(Result, frozen=True):
    """Events in order. ``next`` is the ``since`` of the next call."""

    events: list[Event]
    next: int
    oldest: int
