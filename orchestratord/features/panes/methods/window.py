"""window.*: what a person sees at once."""

from __future__ import annotations

from orchestratord.features.panes.arrangement import Layout
from orchestratord.features.panes.fault import BadDirectory, SessionNotFound, WindowNotFound
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.methods.pane import Force
from orchestratord.features.panes.model import Window
from orchestratord.features.panes.program import Program, Wish
from orchestratord.features.panes.service import Panes
from orchestratord.model import Grace, Name, Params, Result, SessionRef, WindowRef
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.method import Again, Call, Cli, method
from orchestratord.rpc.receipts import Ids

_COLUMNS = ("id", "name", "session", "index", "panes", "width", "height", "active")


class CreateWindow(Params, frozen=True, kw_only=True):
    """Parameters of window.create."""

    session: SessionRef
    name: Name | None = None
    cwd: str | None = None


def made_again(panes: Panes, ids: Ids) -> Window:
    """Show the window that a call made."""
    return panes.view.window(panes.registry.window(ids["id"]))


@method(
    "window.create",
    mutates=True,
    again=Again(resolved=Panes.resolved, answer=made_again),
    errors=(SessionNotFound, BadDirectory, QuotaExceeded),
    cli=Cli(forms=(("session",), ("session", "name"))),
)
async def create(panes: Panes, params: CreateWindow, call: Call) -> Window:
    """Open a window with a shell in it."""
    session = panes.registry.session(params.session)
    wish = Wish(
        program=Program(cwd=params.cwd), owner=owner_of(call), place="window",
        window_name=params.name, ticket=call.ticket,
    )  # fmt: skip
    pane = await panes.act(panes.creation.pane(session, wish), call.ticket)
    await panes.mirror.refresh()
    window = panes.registry.window(pane.window)
    return panes.view.window(window)


class ListWindows(Params, frozen=True, kw_only=True):
    """Parameters of window.list."""

    session: SessionRef | None = None


@method(
    "window.list", errors=(SessionNotFound,), cli=Cli(forms=((), ("session",)), columns=_COLUMNS)
)
def list_(panes: Panes, params: ListWindows) -> list[Window]:
    """List the windows."""
    within = panes.registry.session(params.session).id if params.session else None
    windows = panes.registry.windows.values()
    return panes.view.windows([w for w in windows if not w.ended and within in (None, w.session)])


class GetWindow(Params, frozen=True, kw_only=True):
    """Parameters of window.get."""

    window: WindowRef


@method("window.get", errors=(WindowNotFound,), cli=Cli(forms=(("window",),)))
def get(panes: Panes, params: GetWindow) -> Window:
    """Show a window."""
    return panes.view.window(panes.registry.window(params.window))


class RenameWindow(Params, frozen=True, kw_only=True):
    """Parameters of window.rename."""

    window: WindowRef
    name: Name


@method(
    "window.rename",
    mutates=True,
    errors=(WindowNotFound,),
    cli=Cli(forms=(("window", "name"),)),
)
async def rename(panes: Panes, params: RenameWindow, call: Call) -> Window:
    """Give a window another name."""
    window = panes.registry.window(params.window)
    await panes.act(panes.arrangement.rename_window(window, params.name, owner_of(call)))
    return panes.view.window(window)


class KillWindow(Params, frozen=True, kw_only=True):
    """Parameters of window.kill."""

    window: WindowRef
    grace: Grace = 2.0
    force: Force = False


class KilledWindow(Result, frozen=True, kw_only=True):
    """What window.kill ended."""

    window: str
    killed: list[str]


@method(
    "window.kill",
    mutates=True,
    errors=(WindowNotFound,),
    cli=Cli(forms=(("window",),)),
    deadline=90,
)
async def kill(panes: Panes, params: KillWindow, call: Call) -> KilledWindow:
    """End every pane of a window, and with the last one the window."""
    window = panes.registry.window(params.window)
    killed = await panes.act(panes.kill_window(window, params.grace, owner_of(call)))
    return KilledWindow(window=window.id, killed=killed)


class LayoutWindow(Params, frozen=True, kw_only=True):
    """Parameters of window.layout."""

    window: WindowRef
    layout: Layout


@method(
    "window.layout",
    mutates=True,
    errors=(WindowNotFound,),
    cli=Cli(forms=(("window", "layout"),)),
)
async def layout(panes: Panes, params: LayoutWindow) -> Window:
    """Arrange the panes of a window."""
    window = panes.registry.window(params.window)
    await panes.act(panes.arrangement.layout(window, params.layout))
    return panes.view.window(window)
