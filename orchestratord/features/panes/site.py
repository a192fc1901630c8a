"""Where in a session a new pane goes: what may be split, by the registry. Changes nothing."""

from __future__ import annotations

from orchestratord.features.panes import placement
from orchestratord.features.panes.fault import BadValue, NoRoom
from orchestratord.features.panes.program import Wish
from orchestratord.features.panes.record import PaneRecord, SessionRecord
from orchestratord.features.panes.registry import Registry


def choose(registry: Registry, session: SessionRecord, wish: Wish) -> placement.Split | None:
    """Say which pane to split; None if a new window is due.

    Raises:
        BadValue, PaneNotFound, PaneExited: the pane to place it by is none of the session's.
        NoRoom: nothing is there to be split.
    """
    candidates = [p for p in registry.in_session(session.id) if p.exit is None]
    if wish.of is not None:
        candidates = _among(registry, wish.of, session)
    rooms = [room(p) for p in candidates]
    if wish.place == "auto":
        return placement.choose(rooms)
    if not rooms:
        raise NoRoom(pane=session.name, place=wish.place)
    largest = max(rooms, key=lambda r: r.width * r.height)
    return placement.Split(largest.pane, "right" if wish.place == "right" else "below")


def room(pane: PaneRecord) -> placement.Room:
    """Return the room that a pane has."""
    return placement.Room(pane.id, int(pane.window[1:]), pane.width, pane.height)


def _among(registry: Registry, of: str, session: SessionRecord) -> list[PaneRecord]:
    windows = {w.id for w in registry.windows.values() if of in (w.id, w.tmux)}
    if windows:
        return [p for p in registry.in_session(session.id) if p.window in windows]
    pane = registry.living(of)
    if pane.session != session.id:
        raise BadValue(field="of", reason=f"pane {pane.id} is not in session {session.name}")
    return [pane]
