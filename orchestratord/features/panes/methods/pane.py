"""pane.*: their life and their place."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.arrangement import Layout
from orchestratord.features.panes.fault import (
    AmbiguousName,
    BadDirectory,
    BadValue,
    NameTaken,
    NoRoom,
    NoSuchProgram,
    PaneExited,
    PaneNotFound,
    PaneUnknown,
    SessionNotFound,
    StaleIncarnation,
)
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.model import Exit, Pane, PaneState
from orchestratord.features.panes.program import Program, Wish
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.survivor import Survivor
from orchestratord.model import (
    NAME,
    Argv,
    Columns,
    Environment,
    Grace,
    Labels,
    Name,
    PaneRef,
    Params,
    Placement,
    Result,
    Rows,
    SessionRef,
    ShellName,
)
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.method import Again, Call, Cli, method
from orchestratord.rpc.receipts import Ids

COLUMNS = (
    "id", "name", "session_name", "state", "exit", "command", "cwd", "width", "height", "created_at"
)  # fmt: skip
ABOUT_ONE = (PaneNotFound, AmbiguousName, SessionNotFound)
ABOUT_LIVING = (*ABOUT_ONE, PaneExited, StaleIncarnation)
ONE_PANE = (("pane",), ("session", "pane"))

Incarnation = Annotated[
    int, Meta(ge=1, description="Refuse if the pane was respawned since this incarnation.")
]
Fence = Annotated[
    int, Meta(ge=1, description="The fence of the lease under which to type; not a stale one.")
]
Force = Annotated[
    bool, Meta(description="Also if the caller or its supervisor runs there; needs admin.")
]
Label = Annotated[str, Meta(description="A label to select by: KEY or KEY=VALUE.")]


class OnePane(Params, frozen=True, kw_only=True):
    """Names a pane."""

    pane: PaneRef
    session: SessionRef | None = None


class CreatePane(Params, frozen=True, kw_only=True):
    """Parameters of pane.create."""

    session: SessionRef
    name: Name | None = None
    command: Argv | None = None
    shell: ShellName | None = None
    cwd: Annotated[str, Meta(description="Working directory; absolute. Default: home.")] | None = (
        None
    )
    env: Environment = {}
    labels: Labels = {}
    place: Annotated[
        Placement,
        Meta(description="auto splits while each pane stays at least 80x12, else opens a window."),
    ] = "auto"
    of: (
        Annotated[
            str,
            Meta(description="The pane or window to place it by; by a pane, that one's owner's."),
        ]
        | None
    ) = None
    layout: Annotated[Layout, Meta(description="Arrange the window so afterwards.")] | None = None
    keep: Annotated[bool, Meta(description="Keep the screen in tmux after the end.")] = False
    create_session: Annotated[
        bool, Meta(description="Make the session if there is none, with this pane as its first.")
    ] = False
    ttl: Annotated[float, Meta(gt=0, description="Seconds after which the pane is killed.")] | (
        None
    ) = None
    width: Columns | None = None
    height: Rows | None = None


def made_again(panes: Panes, ids: Ids) -> Pane:
    """Show the pane that a call made."""
    return panes.view.pane(panes.registry.pane(ids["id"]))


@method(
    "pane.create",
    mutates=True,
    again=Again(resolved=Panes.resolved, answer=made_again),
    errors=(
        SessionNotFound, NameTaken, BadDirectory, NoSuchProgram, BadValue, NoRoom, QuotaExceeded,
    ),
    cli=Cli(
        forms=(("session",), ("session", "name"), ("session", "name", "command...")),
        columns=COLUMNS,
    ),
)  # fmt: skip
async def create(panes: Panes, params: CreatePane, call: Call) -> Pane:
    """Open a pane and run a shell or a program in it."""
    size = (params.width or 200, params.height or 50) if params.width or params.height else None
    wish = Wish(
        program=Program(
            command=tuple(params.command) if params.command else None,
            shell=params.shell, cwd=params.cwd, env=params.env,
        ),
        owner=_owner(panes, params, call), name=params.name, labels=params.labels,
        place=params.place, of=params.of, keep=params.keep, ttl=params.ttl, size=size,
        ticket=call.ticket,
    )  # fmt: skip
    pane = await panes.act(_make(panes, params, wish), call.ticket)
    return panes.view.pane(pane)


async def _make(panes: Panes, params: CreatePane, wish: Wish) -> PaneRecord:
    if params.create_session:
        await panes.creation.settled(params.session)
    try:
        session = panes.registry.session(params.session)
    except SessionNotFound:
        if not params.create_session:
            raise
        return (await panes.creation.session(_checked(params.session), wish))[1]
    pane = await panes.creation.pane(session, wish)
    window = panes.registry.windows.get(pane.window)
    if params.layout is not None and window is not None:  # else it has ended already
        await panes.arrangement.layout(window, params.layout)
    return pane


def _owner(panes: Panes, params: CreatePane, call: Call) -> str:
    """Say whose the pane will be: a split of a pane that was named is its owner's."""
    windows = panes.registry.windows.values()
    if params.of is None or any(params.of in (w.id, w.tmux) for w in windows):
        return owner_of(call)
    return panes.registry.living(params.of).owner


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise BadValue(field="session", reason=f"{name[:80]!r} is no name for a session")
    return name


class ListPanes(Params, frozen=True, kw_only=True):
    """Parameters of pane.list."""

    session: SessionRef | None = None
    state: Annotated[PaneState, Meta(description="Only panes in this state.")] | None = None
    owner: str | None = None
    label: Label | None = None
    name: str | None = None


def _selected(panes: Panes, params: ListPanes) -> list[PaneRecord]:
    registry = panes.registry
    within = registry.session(params.session).id if params.session else None
    ended = params.state in ("exited", "lost")
    known = list(registry.panes.values()) if ended else registry.live_panes()
    return [
        p
        for p in known
        if within in (None, p.session)
        and params.owner in (None, p.owner)
        and params.name in (None, p.name)
        and (params.label is None or panes.view.labeled(p.labels, params.label))
    ]


@method("pane.list", errors=(SessionNotFound,), cli=Cli(forms=((), ("session",)), columns=COLUMNS))
def list_(panes: Panes, params: ListPanes) -> list[Pane]:
    """List the panes that are in tmux; with state exited or lost, those that ended."""
    shown = panes.view.panes(_selected(panes, params))
    return [p for p in shown if params.state in (None, p.state)]


@method("pane.get", errors=ABOUT_ONE, cli=Cli(forms=ONE_PANE))
def get(panes: Panes, params: OnePane) -> Pane:
    """Show a pane, also one that has ended."""
    return panes.view.pane(panes.registry.pane(params.pane, params.session))


class FindPanes(Params, frozen=True, kw_only=True):
    """Parameters of pane.find."""

    session: SessionRef | None = None
    name: str | None = None
    label: Label | None = None


@method(
    "pane.find",
    errors=(SessionNotFound, BadValue),
    cli=Cli(forms=(("name",), ("session", "name")), columns=COLUMNS),
)
def find(panes: Panes, params: FindPanes) -> list[Pane]:
    """Find panes by their exact name or a label."""
    if params.name is None and params.label is None:
        raise BadValue(field="name", reason="give a name or a label")
    chosen = ListPanes(session=params.session, name=params.name, label=params.label)
    return panes.view.panes(_selected(panes, chosen))


class CountPanes(Params, frozen=True, kw_only=True):
    """Parameters of pane.count."""

    session: SessionRef | None = None
    state: PaneState | None = None


class PaneCount(Result, frozen=True, kw_only=True):
    """How many panes there are."""

    count: int


@method("pane.count", errors=(SessionNotFound,), cli=Cli(forms=((), ("session",))))
def count(panes: Panes, params: CountPanes) -> PaneCount:
    """Count the panes that are in tmux, or those in a state."""
    return PaneCount(count=len(list_(panes, ListPanes(session=params.session, state=params.state))))


class KillPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.kill."""

    grace: Grace = 2.0
    incarnation: Incarnation | None = None
    force: Force = False


class KilledPane(Result, frozen=True, kw_only=True):
    """How a pane ended. ``survivors`` left its process session, or have other rights."""

    pane: str
    exit: Exit | None
    already: bool
    survivors: list[Survivor]


@method(
    "pane.kill",
    mutates=True,
    errors=(*ABOUT_ONE, StaleIncarnation, PaneUnknown),
    cli=Cli(forms=ONE_PANE),
    deadline=90,
)
async def kill(panes: Panes, params: KillPane, call: Call) -> KilledPane:
    """End a pane and everything in its process session: hangup, TERM, then KILL."""
    pane = panes.registry.pane(params.pane, params.session)
    by = owner_of(call)
    if pane.exit is not None:
        await panes.act(panes.endings.close(pane, by))
        return KilledPane(pane=pane.id, exit=pane.exit, already=True, survivors=[])
    panes.registry.living(pane.id, incarnation=params.incarnation)
    survivors = await panes.act(panes.killing.kill(pane, params.grace, by))
    if pane.exit is None:
        raise PaneUnknown(pane=pane.id)
    return KilledPane(pane=pane.id, exit=pane.exit, already=False, survivors=survivors)


class RespawnPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.respawn."""

    command: Argv | None = None
    env: Environment = {}
    incarnation: Incarnation | None = None
    force: Force = False


class RespawnedPane(Result, frozen=True, kw_only=True):
    """A pane that runs again. ``missing_env`` had values before that were not given again."""

    pane: Pane
    missing_env: list[str]


@method(
    "pane.respawn",
    needs="kill",
    mutates=True,
    errors=(*ABOUT_ONE, PaneExited, StaleIncarnation, NoSuchProgram, BadValue),
    cli=Cli(forms=(("pane",), ("pane", "command..."))),
)
async def respawn(panes: Panes, params: RespawnPane) -> RespawnedPane:
    """Run a program in a pane again: one that lives, or whose screen was kept."""
    pane = panes.registry.pane(params.pane, params.session)
    if pane.gone:
        raise PaneExited(pane=pane.id)
    panes.registry.check_incarnation(pane, params.incarnation)
    missing = sorted(set(pane.environment_names) - set(params.env))
    await panes.act(panes.creation.respawn(pane, params.command, params.env))
    return RespawnedPane(pane=panes.view.pane(pane), missing_env=missing)


class Certificate(Result, frozen=True, kw_only=True):
    """How a pane lived and ended."""

    pane: str
    name: str | None
    argv: list[str]
    created_at: str
    incarnation: int
    exit: Exit | None


@method("pane.certificate", errors=ABOUT_ONE, cli=Cli(forms=ONE_PANE))
def certificate(panes: Panes, params: OnePane) -> Certificate:
    """Tell how a pane ended; its exit is null while it lives."""
    pane = panes.registry.pane(params.pane, params.session)
    return Certificate(
        pane=pane.id, name=pane.name, argv=pane.argv, created_at=pane.created_at,
        incarnation=pane.incarnation, exit=pane.exit,
    )  # fmt: skip
