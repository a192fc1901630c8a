"""Names, sizes and places of what exists: rename, resize, move, swap, zoom, select, layout.

Each asks tmux first and then writes the record with its fact; the mirror sees
the same change soon after and finds nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from orchestratord.clock import Clock
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.events import Fact
from orchestratord.features.panes.fact import (
    PaneGiven,
    PaneLabeled,
    PaneMoved,
    PaneRenamed,
    PaneResized,
    SessionRenamed,
    WindowCreated,
    WindowRenamed,
)
from orchestratord.features.panes.fault import BadValue, NameTaken, NoRoom
from orchestratord.features.panes.record import PaneRecord, SessionRecord, WindowRecord
from orchestratord.features.panes.registry import Record, Registry, save
from orchestratord.features.panes.turn import Turns
from orchestratord.store.db import Store
from orchestratord.tmux.command import command, quote, quote_format, target
from orchestratord.tmux.link import Link
from orchestratord.tmux.mirror import Mirror, Snapshot

LAYOUTS = ("even-horizontal", "even-vertical", "main-horizontal", "main-vertical", "tiled")
"""The only layouts that are ever sent: any other text can crash a server (3.3a)."""

MOST_LABELS = 64
"""Of one pane."""

Layout = Literal["even-horizontal", "even-vertical", "main-horizontal", "main-vertical", "tiled"]


class Arrangement:
    """Changes to what exists.

    Its only state: which sessions are fitted to a terminal, and whether anybody
    was seen attached since. A crash forgets it; the sizes then stay.
    """

    def __init__(
        self, registry: Registry, link: Link, mirror: Mirror, store: Store, clock: Clock
    ) -> None:
        self._registry = registry
        self._link = link
        self._mirror = mirror
        self._store = store
        self._clock = clock
        self._turns = Turns()
        self._fitted: dict[str, bool] = {}

    async def rename_session(self, session: SessionRecord, name: str, by: str) -> None:
        """Give a session another name, in tmux too."""
        if name == session.name:
            return
        release = self._registry.reserve(name, None, session.id)
        try:
            where = target(session.tmux)
            await self._ask(session, "rename-session", "-t", where, "--", quote_format(name))
            session.name = name
            renamed = SessionRenamed(session=session.id, name=name, by=by)
            await self._write([session], [renamed])
        except TmuxRefused as refused:
            if "duplicate" in refused.details["reason"]:
                raise NameTaken(name=name, holder="someone outside") from None
            raise
        finally:
            release()

    async def rename_window(self, window: WindowRecord, name: str, by: str) -> None:
        """Give a window another name."""
        if name == window.name:
            return
        where = target(window.tmux)
        await self._ask(window, "rename-window", "-t", where, "--", quote_format(name))
        window.name = name
        renamed = WindowRenamed(session=window.session, window=window.id, name=name, by=by)
        await self._write([window], [renamed])

    async def rename_pane(self, pane: PaneRecord, name: str | None) -> None:
        """Give a pane another name, or none; tmux knows nothing of these."""
        async with self._turns.of(pane.id):
            before = pane.name
            if name == before:
                return
            if name is not None:
                self._registry.reserve(name, pane.session, pane.id)()
            pane.name = name
            renamed = PaneRenamed(session=pane.session, pane=pane.id, name=name)
            try:
                await self._store.commit([save(pane)], [renamed])
            except Fault:
                pane.name = before
                raise

    async def label(self, pane: PaneRecord, given: dict[str, str], without: Iterable[str]) -> None:
        """Set labels of a pane and remove others; nothing is written if nothing changes."""
        async with self._turns.of(pane.id):
            before = pane.labels
            labels = {k: v for k, v in (before | given).items() if k not in without}
            if len(labels) > MOST_LABELS:
                raise BadValue(field="labels", reason=f"a pane has at most {MOST_LABELS}")
            if labels == before:
                return
            pane.labels = labels
            labeled = PaneLabeled(session=pane.session, pane=pane.id, labels=labels)
            try:
                await self._store.commit([save(pane)], [labeled])
            except Fault:
                pane.labels = before
                raise

    async def give(
        self, panes: Iterable[PaneRecord], sessions: Iterable[SessionRecord], owner: str, by: str
    ) -> None:
        """Let panes and sessions belong to another owner; both are so when it is on disk."""
        records: list[PaneRecord | SessionRecord] = [*panes, *sessions]
        facts = [
            PaneGiven(session=p.session, pane=p.id, owner=owner, by=by)
            for p in records
            if isinstance(p, PaneRecord)
        ]
        before = {record.id: record.owner for record in records}
        for record in records:
            record.owner = owner
        try:
            await self._store.commit(list(map(save, records)), facts)
        except Fault:
            for record in records:
                record.owner = before[record.id]
            raise
        finally:
            self._registry.on_given()

    async def resize(self, pane: PaneRecord, width: int | None, height: int | None) -> None:
        """Resize a pane; the only pane of a window takes the window with it."""
        alone = len(self._registry.in_window(pane.window)) == 1
        size = [w for flag, n in (("-x", width), ("-y", height)) if n for w in (flag, str(n))]
        if not size:
            raise BadValue(field="width", reason="give a width, a height, or both")
        window = self._registry.windows[pane.window]
        if alone:
            change = command("resize-window", "-t", target(window.tmux), *size)
        else:
            change = command("resize-pane", "-t", target(pane.place.pane), *size)
        ask = command("display-message", "-p", "-t", target(pane.place.pane), "--", _SIZE)
        bodies = await self._link.request(  # one line, so that no listing comes between
            change, ask, what="resize", server=pane.place.server
        )
        shown_width, shown_height = map(int, bodies[1][0].split())
        pane.width, pane.height = shown_width, shown_height
        resized = PaneResized(
            session=pane.session, pane=pane.id, width=shown_width, height=shown_height
        )
        await self._write([pane], [resized])

    async def fit(self, session: SessionRecord, size: tuple[int, int] | None) -> None:
        """Give every window of a session the size of somebody's terminal, or its own again.

        It gets its own size back when nobody is attached any more; asked for
        that while somebody is, nothing happens.
        """
        if size is None:
            snapshot = await self._mirror.refresh()
            row = snapshot.sessions.get(session.tmux)
            if row is not None and row.attached:
                return
            self._fitted.pop(session.id, None)
        else:
            self._fitted.setdefault(session.id, False)
        width, height = size or (session.width, session.height)
        for window in [w for w in self._registry.windows.values() if w.session == session.id]:
            where = target(window.tmux)
            size_words = ("-x", str(width), "-y", str(height))
            await self._ask(window, "resize-window", "-t", where, *size_words)
        self._mirror.poke()

    def left_alone(self, snapshot: Snapshot) -> list[SessionRecord]:
        """Return the fitted sessions that everybody has left, for whatever reason."""
        out = []
        for session_id, was_attached in list(self._fitted.items()):
            session = self._registry.sessions.get(session_id)
            row = snapshot.sessions.get(session.tmux) if session else None
            if session is None or row is None:
                del self._fitted[session_id]
            elif row.attached:
                self._fitted[session_id] = True
            elif was_attached:
                out.append(session)
        return out

    async def move(
        self, pane: PaneRecord, session: SessionRecord, of: PaneRecord | None, by: str
    ) -> None:
        """Put a pane beside another, or into a window of its own in a session."""
        source = target(pane.place.pane)
        facts: list[Fact] = []
        records: list[Record] = [pane]
        if of is not None:
            try:
                beside = target(of.place.pane)
                await self._ask(pane, "join-pane", "-d", "-s", source, "-t", beside)
            except TmuxRefused as refused:
                if "space" in refused.details["reason"]:
                    raise NoRoom(pane=of.id, place="right or below") from None
                raise
            window = self._registry.windows[of.window]
        else:
            number = f"w{self._store.next_id('window')}"
            name = pane.name or self._registry.windows[pane.window].name
            window = WindowRecord(
                id=number, session=session.id, tmux="", server=session.server, name=name
            )
            bodies = await self._link.request(
                command("break-pane", "-d", "-s", source, "-t", quote(f"{session.tmux}:")),
                command("set-option", "-w", "-t", source, "--", "@orch_window", quote(number)),
                command("set-option", "-w", "-t", source, "--", "window-size", "manual"),
                command("rename-window", "-t", source, "--", quote_format(name)),
                command("display-message", "-p", "-t", source, "--", _WINDOW),
                what="break-pane", server=pane.place.server,
            )  # fmt: skip
            window.tmux = bodies[-1][0].decode("ascii")
            self._registry.windows[number] = window
            records.append(window)
            facts.append(WindowCreated(session=session.id, window=number, name=name))
        pane.window, pane.session = window.id, window.session
        facts.append(PaneMoved(session=pane.session, pane=pane.id, window=pane.window, by=by))
        await self._write(records, facts)
        self._mirror.poke()

    async def swap(self, one: PaneRecord, other: PaneRecord, by: str) -> None:
        """Exchange the places of two panes."""
        source, destination = target(one.place.pane), target(other.place.pane)
        await self._ask(one, "swap-pane", "-d", "-s", source, "-t", destination)
        one.window, other.window = other.window, one.window
        one.session, other.session = other.session, one.session
        facts = [
            PaneMoved(session=p.session, pane=p.id, window=p.window, by=by) for p in (one, other)
        ]
        await self._write([one, other], facts)
        self._mirror.poke()

    async def zoom(self, pane: PaneRecord, on: bool | None) -> bool:
        """Let a pane fill its window, or give the others their place back; return what is so."""
        ask = command("display-message", "-p", "-t", target(pane.place.pane), "--", _ZOOM)
        bodies = await self._link.request(ask, what="the zoom", server=pane.place.server)
        zoomed, active = (word == b"1" for word in bodies[0][0].split())
        shown = zoomed and active
        wanted = not shown if on is None else on
        if wanted != shown:
            toggle = command("resize-pane", "-Z", "-t", target(pane.place.pane))
            twice = [toggle] if zoomed and not active else []  # the first only ends another's zoom
            await self._link.request(*twice, toggle, what="resize-pane", server=pane.place.server)
            self._mirror.poke()
        return wanted

    async def select(self, pane: PaneRecord) -> None:
        """Make a pane the one that people who attach see and type into."""
        window = self._registry.windows[pane.window]
        await self._link.request(
            command("select-window", "-t", target(window.tmux)),
            command("select-pane", "-t", target(pane.place.pane)),
            what="select",
            server=pane.place.server,
        )

    async def layout(self, window: WindowRecord, layout: Layout) -> None:
        """Arrange the panes of a window."""
        if layout not in LAYOUTS:
            raise BadValue(field="layout", reason=f"{layout!r} is not one of {', '.join(LAYOUTS)}")
        await self._ask(window, "select-layout", "-t", target(window.tmux), layout)
        await self._mirror.refresh()

    async def _ask(self, record: Record, name: str, *words: str | bytes) -> None:
        """Run one command about a thing on the server where that is."""
        server = record.place.server if isinstance(record, PaneRecord) else record.server
        await self._link.request(command(name, *words), what=name, server=server)

    async def _write(self, records: Iterable[Record], facts: Iterable[Fact]) -> None:
        await self._store.record(list(map(save, records)), list(facts))


_WINDOW = quote("#{window_id}")
_SIZE = quote("#{pane_width} #{pane_height}")
_ZOOM = quote("#{window_zoomed_flag} #{pane_active}")
