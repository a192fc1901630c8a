"""Whether whoever acts may touch a pane, a window or a session: the one place that asks.

The registry asks here whenever it resolves a reference, the view whenever it shows
a list. A window or a session is touched by what is in it: read if any of it may be
read, changed if it is one's own or all of it may be, ended if all of it may be.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestratord.features.panes.record import PaneRecord
from orchestratord.rpc.principal import acting, allow, visible


def touch(pane: PaneRecord) -> None:
    """Raise a ``PermissionDenied`` unless whoever acts may do so to a pane."""
    allow(pane.owner, pane.id)


def touch_all(thing: str, owner: str | None, inside: Callable[[], list[PaneRecord]]) -> None:
    """Raise a ``PermissionDenied`` unless whoever acts may do so to what holds those panes."""
    now = acting.get()
    if now is None:
        return
    now.touched = thing
    if now.principal.free or now.needs not in ("read", "input", "kill"):
        return
    panes = inside()
    whole = owner is not None and now.may(owner)
    if now.needs == "read" and any(now.may(pane.owner) for pane in panes):
        return
    if now.needs == "kill" or not whole:
        for pane in panes:
            now.allow(pane.owner, pane.id)
    if not whole and not panes:
        now.allow(owner or "nobody", thing)
    now.touched = thing


def made(pane: PaneRecord) -> None:
    """Note what whoever acts has made."""
    if (now := acting.get()) is not None:
        now.touched = pane.id


def maker() -> str | None:
    """Return the pane in which whoever acts runs, if it runs in one."""
    now = acting.get()
    return now.principal.pane if now is not None else None


def unlimited() -> bool:
    """Whether whoever acts may see everything."""
    now = acting.get()
    return now is None or now.principal.free


def seen(panes: list[PaneRecord]) -> list[PaneRecord]:
    """Return those of the panes that whoever acts may see."""
    if unlimited():
        return panes
    return [pane for pane in panes if visible(pane.owner)]


def sees(owner: str | None, inside: Callable[[], list[PaneRecord]]) -> bool:
    """Whether whoever acts may see what holds those panes."""
    now = acting.get()
    if now is None or now.principal.free or now.principal.has("read:all"):
        return True
    return (owner is not None and now.may(owner)) or any(now.may(p.owner) for p in inside())
