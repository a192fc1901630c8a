"""session.*: named groups of windows, as tmux has them."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

from msgspec import Meta, structs

from orchestratord.features.panes.fault import (
    BadDirectory,
    BadValue,
    NameTaken,
    NoSuchProgram,
    SessionNotFound,
)
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.methods.pane import Force
from orchestratord.features.panes.model import NewSession, Session
from orchestratord.features.panes.program import Program, Wish
from orchestratord.features.panes.record import PaneRecord, SessionRecord
from orchestratord.features.panes.service import Panes
from orchestratord.model import (
    Argv,
    Columns,
    Environment,
    Grace,
    Labels,
    Name,
    Params,
    Result,
    Rows,
    SessionRef,
    ShellName,
)
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.method import Again, Call, Cli, method
from orchestratord.rpc.receipts import Ids

_COLUMNS = ("id", "name", "windows", "panes", "attached", "created_at")


class CreateSession(Params, frozen=True, kw_only=True):
    """Parameters of session.create."""

    name: Name
    cwd: Annotated[str, Meta(description="Working directory; absolute. Default: home.")] | None = (
        None
    )
    env: Environment = {}
    width: Columns = 200
    height: Rows = 50
    labels: Labels = {}
    command: Argv | None = None
    shell: ShellName | None = None
    if_exists: Annotated[
        Literal["error", "return"],
        Meta(description="What to do if the name is taken: refuse, or return that session."),
    ] = "error"


def made_again(panes: Panes, ids: Ids) -> NewSession:
    """Show the session that a call made or found, with its first pane."""
    session = panes.registry.sessions.get(ids["id"])
    if session is None:
        raise SessionNotFound(session=ids["id"])
    if "pane" in ids:
        return _shown(panes, session, panes.registry.pane(ids["pane"]))
    return _shown(panes, session, _first_pane(panes, session))


@method(
    "session.create",
    mutates=True,
    again=Again(resolved=Panes.resolved, answer=made_again),
    errors=(NameTaken, BadDirectory, NoSuchProgram, BadValue, QuotaExceeded),
    cli=Cli(forms=(("name",),), columns=_COLUMNS),
)
async def create(panes: Panes, params: CreateSession, call: Call) -> NewSession:
    """Create a session with its first pane."""
    program = Program(
        command=tuple(params.command) if params.command else None,
        shell=params.shell, cwd=params.cwd, env=params.env,
    )  # fmt: skip
    wish = Wish(
        program=program, owner=owner_of(call), labels=params.labels,
        size=(params.width, params.height), ticket=call.ticket,
    )  # fmt: skip
    session, pane = await panes.act(_make(panes, params, wish), call.ticket)
    return _shown(panes, session, pane)


def _shown(panes: Panes, session: SessionRecord, pane: PaneRecord) -> NewSession:
    shown = structs.asdict(panes.view.session(session))
    return NewSession(**shown, pane=panes.view.pane(pane))


async def _make(
    panes: Panes, params: CreateSession, wish: Wish
) -> tuple[SessionRecord, PaneRecord]:
    if params.if_exists == "return":
        await panes.creation.settled(params.name)
        with contextlib.suppress(SessionNotFound):
            found = panes.registry.session(params.name)
            return found, _first_pane(panes, found)
    return await panes.creation.session(params.name, wish)


def _first_pane(panes: Panes, session: SessionRecord) -> PaneRecord:
    """Return the oldest pane of a session; one that has just lost its last is no session."""
    for pane in panes.registry.in_session(session.id):
        return pane
    raise SessionNotFound(session=session.name)


class ListSessions(Params, frozen=True, kw_only=True):
    """Parameters of session.list."""

    label: Annotated[str, Meta(description="Only sessions with this label: KEY or KEY=VALUE.")] | (
        None
    ) = None


@method("session.list", cli=Cli(columns=_COLUMNS))
def list_(panes: Panes, params: ListSessions) -> list[Session]:
    """List the sessions."""
    labeled = panes.view.labeled
    return panes.view.sessions(
        [
            s
            for s in panes.registry.live_sessions()
            if params.label is None or labeled(s.labels, params.label)
        ]
    )


class GetSession(Params, frozen=True, kw_only=True):
    """Parameters of session.get."""

    session: SessionRef


@method("session.get", errors=(SessionNotFound,), cli=Cli(forms=(("session",),)))
def get(panes: Panes, params: GetSession) -> Session:
    """Show a session."""
    return panes.view.session(panes.registry.session(params.session))


class RenameSession(Params, frozen=True, kw_only=True):
    """Parameters of session.rename."""

    session: SessionRef
    name: Name


@method(
    "session.rename",
    mutates=True,
    errors=(SessionNotFound, NameTaken),
    cli=Cli(forms=(("session", "name"),)),
)
async def rename(panes: Panes, params: RenameSession, call: Call) -> Session:
    """Give a session another name."""
    session = panes.registry.session(params.session)
    by = owner_of(call)
    await panes.act(panes.arrangement.rename_session(session, params.name, by))
    return panes.view.session(session)


class KillSession(Params, frozen=True, kw_only=True):
    """Parameters of session.kill."""

    session: SessionRef
    grace: Grace = 2.0
    force: Force = False


class KilledSession(Result, frozen=True, kw_only=True):
    """What session.kill ended."""

    session: str
    killed: list[str]


@method(
    "session.kill",
    mutates=True,
    errors=(SessionNotFound,),
    cli=Cli(forms=(("session",),)),
    deadline=90,
)
async def kill(panes: Panes, params: KillSession, call: Call) -> KilledSession:
    """End every pane of a session, and with the last one the session."""
    session = panes.registry.session(params.session)
    killed = await panes.act(panes.kill_session(session, params.grace, owner_of(call)))
    return KilledSession(session=session.id, killed=killed)


class FitSession(Params, frozen=True, kw_only=True):
    """Parameters of session.fit."""

    session: SessionRef
    width: Columns | None = None
    height: Rows | None = None


@method("session.fit", needs="input", errors=(SessionNotFound,), cli=Cli(forms=(("session",),)))
async def fit(panes: Panes, params: FitSession) -> Session:
    """Fit a session's windows to a terminal; without a size, give them their own again."""
    session = panes.registry.session(params.session)
    size = (params.width, params.height) if params.width and params.height else None
    await panes.arrangement.fit(session, size)
    return panes.view.session(session)
