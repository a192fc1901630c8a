"""pane.rename, resize, move, swap, zoom, select: what a pane is called, and where it is."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.errors import TmuxRefused
from orchestratord.features.panes.fault import BadValue, NameTaken, NoRoom
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.methods.pane import ABOUT_LIVING, ONE_PANE, OnePane
from orchestratord.features.panes.model import Pane
from orchestratord.features.panes.service import Panes
from orchestratord.model import Columns, Name, PaneRef, Result, Rows, SessionRef
from orchestratord.rpc.method import Call, Cli, method


class RenamePane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.rename."""

    name: Name | None = None


@method(
    "pane.rename",
    mutates=True,
    errors=(*ABOUT_LIVING, NameTaken),
    cli=Cli(forms=(("pane", "name"), ("session", "pane", "name"))),
)
async def rename(panes: Panes, params: RenamePane) -> Pane:
    """Give a pane another name; without one, take its name away."""
    pane = panes.registry.living(params.pane, params.session)
    await panes.act(panes.arrangement.rename_pane(pane, params.name))
    return panes.view.pane(pane)


class ResizePane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.resize."""

    width: Columns | None = None
    height: Rows | None = None


@method(
    "pane.resize",
    mutates=True,
    errors=(*ABOUT_LIVING, BadValue, TmuxRefused),
    cli=Cli(forms=(("pane", "width", "height"),)),
)
async def resize(panes: Panes, params: ResizePane) -> Pane:
    """Resize a pane, within what its window has."""
    pane = panes.registry.living(params.pane, params.session)
    await panes.act(panes.arrangement.resize(pane, params.width, params.height))
    return panes.view.pane(pane)


class MovePane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.move."""

    to_session: SessionRef | None = None
    beside: PaneRef | None = None


@method(
    "pane.move",
    mutates=True,
    errors=(*ABOUT_LIVING, BadValue, NoRoom),
    cli=Cli(forms=(("pane", "to_session"),)),
)
async def move(panes: Panes, params: MovePane, call: Call) -> Pane:
    """Move a pane beside another one, or into a window of its own in a session."""
    pane = panes.registry.living(params.pane, params.session)
    of = panes.registry.living(params.beside) if params.beside else None
    if of is None and params.to_session is None:
        raise BadValue(field="to_session", reason="give to_session or beside")
    if of is pane:
        raise BadValue(field="beside", reason="a pane cannot move beside itself")
    home = of.session if of else panes.registry.session(params.to_session or "").id
    session = panes.registry.sessions[home]
    await panes.act(panes.arrangement.move(pane, session, of, owner_of(call)))
    return panes.view.pane(pane)


class SwapPanes(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.swap."""

    other: PaneRef


@method("pane.swap", mutates=True, errors=ABOUT_LIVING, cli=Cli(forms=(("pane", "other"),)))
async def swap(panes: Panes, params: SwapPanes, call: Call) -> list[Pane]:
    """Exchange the places of two panes."""
    one = panes.registry.living(params.pane, params.session)
    other = panes.registry.living(params.other)
    await panes.act(panes.arrangement.swap(one, other, owner_of(call)))
    return panes.view.panes([one, other])


class ZoomPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.zoom."""

    on: Annotated[bool, Meta(description="Default: the other way round than now.")] | None = None


class Zoomed(Result, frozen=True, kw_only=True):
    """Whether a pane fills its window."""

    pane: str
    zoomed: bool


@method("pane.zoom", mutates=True, errors=ABOUT_LIVING, cli=Cli(forms=ONE_PANE))
async def zoom(panes: Panes, params: ZoomPane) -> Zoomed:
    """Let a pane fill its window, or give the others their place back."""
    pane = panes.registry.living(params.pane, params.session)
    zoomed = await panes.act(panes.arrangement.zoom(pane, params.on))
    return Zoomed(pane=pane.id, zoomed=zoomed)


@method("pane.select", mutates=True, errors=ABOUT_LIVING, cli=Cli(forms=ONE_PANE))
async def select(panes: Panes, params: OnePane) -> Pane:
    """Make a pane the one that people who attach see and type into."""
    pane = panes.registry.living(params.pane, params.session)
    await panes.act(panes.arrangement.select(pane))
    return panes.view.pane(pane)
