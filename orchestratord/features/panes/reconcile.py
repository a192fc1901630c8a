"""Compares what is believed with what tmux shows. Pure: a snapshot in, differences out.

Nothing is concluded about a pane that was born after the listing was sent, nor
from a listing of another server than the one the pane lives in.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from orchestratord.features.panes.record import PaneRecord, SessionRecord, WindowRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.tmux.mirror import Snapshot
from orchestratord.tmux.reply import PaneRow, SessionRow, WindowRow


@dataclass(slots=True)
class Differences:
    """Everything in which tmux and the registry differ."""

    vanished: list[PaneRecord] = field(default_factory=list)
    died: list[PaneRecord] = field(default_factory=list)
    replaced: list[tuple[PaneRecord, PaneRow]] = field(default_factory=list)
    moved: list[tuple[PaneRecord, PaneRow]] = field(default_factory=list)
    resized: list[tuple[PaneRecord, PaneRow]] = field(default_factory=list)
    titled: list[tuple[PaneRecord, PaneRow]] = field(default_factory=list)
    synchronized: list[tuple[PaneRecord, PaneRow]] = field(default_factory=list)
    unclosed: list[PaneRecord] = field(default_factory=list)
    unpiped: list[PaneRecord] = field(default_factory=list)
    unknown: list[PaneRow] = field(default_factory=list)
    renamed_sessions: list[tuple[SessionRecord, SessionRow]] = field(default_factory=list)
    renamed_windows: list[tuple[WindowRecord, WindowRow]] = field(default_factory=list)
    moved_windows: list[tuple[WindowRecord, WindowRow]] = field(default_factory=list)
    foreign: int = 0


def compare(
    snapshot: Snapshot, registry: Registry, born: Mapping[str, int], splitting: Container[str] = ()
) -> Differences:
    """Return what differs.

    ``born`` says after which listing a pane was confirmed; the panes in
    ``splitting`` have the size in the registry that they are about to get.
    """
    out = Differences()
    seen: set[str] = set()
    for row in snapshot.panes.values():
        if not row.orch_id:
            out.foreign += 1
            continue
        pane = registry.panes.get(row.orch_id)
        if pane is None or pane.gone or pane.place.pane != row.pane:
            out.unknown.append(row)
            continue
        seen.add(pane.id)
        if born.get(pane.id, 0) < snapshot.ordinal:
            _compare_pane(pane, row, registry, out)
            if (row.width, row.height) != (pane.width, pane.height) and pane.id not in splitting:
                out.resized.append((pane, row))
    out.vanished = [
        pane
        for pane in registry.live_panes()
        if pane.id not in seen
        and pane.place.server == snapshot.server
        and born.get(pane.id, 0) < snapshot.ordinal
    ]
    _compare_rest(snapshot, registry, out)
    return out


def _compare_pane(pane: PaneRecord, row: PaneRow, registry: Registry, out: Differences) -> None:
    if row.pid != pane.place.process.pid:
        out.replaced.append((pane, row))
        return
    if row.dead and pane.exit is None:
        out.died.append(pane)
    if pane.exit is not None and not pane.keep:
        out.unclosed.append(pane)
    if not row.dead and not row.piped and pane.exit is None:
        out.unpiped.append(pane)
    window = registry.windows.get(pane.window)
    if window is None or window.tmux != row.window:
        out.moved.append((pane, row))
    if row.title != pane.title:
        out.titled.append((pane, row))
    if row.synchronized != pane.synchronized:
        out.synchronized.append((pane, row))


def _compare_rest(snapshot: Snapshot, registry: Registry, out: Differences) -> None:
    by_id = {s.tmux: s for s in registry.live_sessions() if s.server == snapshot.server}
    for session_row in snapshot.sessions.values():
        session = by_id.get(session_row.session)
        if session is not None and session.name != session_row.name:
            out.renamed_sessions.append((session, session_row))
    windows = {w.tmux: w for w in registry.windows.values() if w.server == snapshot.server}
    for window_row in snapshot.windows.values():
        window = windows.get(window_row.window)
        if window is None:
            continue
        if window.name != window_row.name:
            out.renamed_windows.append((window, window_row))
        home = registry.sessions.get(window.session)
        if home is not None and home.tmux not in snapshot.sessions_of(window_row):
            out.moved_windows.append((window, window_row))
