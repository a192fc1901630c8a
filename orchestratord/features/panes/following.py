"""Following tmux: what a listing shows is taken over, and told.

Called by the mirror with each snapshot and by the link with each connection.
Changes records between two awaits, so that nobody sees half of a change, and
leaves the writing to tasks of its own: a listing never waits for the disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import TmuxRefused
from orchestratord.events import Fact
from orchestratord.features.panes.arrangement import Arrangement
from orchestratord.features.panes.creation import Creation
from orchestratord.features.panes.ending import Endings
from orchestratord.features.panes.fact import (
    OutputGap,
    PaneAdopted,
    PaneMoved,
    PaneResized,
    PaneRespawned,
    PaneSynchronized,
    ServerConnected,
    ServerLost,
    SessionCreated,
    SessionRenamed,
    WindowCreated,
    WindowRenamed,
)
from orchestratord.features.panes.intent import Intents
from orchestratord.features.panes.reconcile import Differences, compare
from orchestratord.features.panes.record import (
    Intent,
    PaneRecord,
    Place,
    SessionRecord,
    WindowRecord,
)
from orchestratord.features.panes.registry import Record, Registry, save
from orchestratord.log import Log
from orchestratord.model import NAME
from orchestratord.store.db import Store
from orchestratord.tmux.command import command, target
from orchestratord.tmux.link import Link, Server
from orchestratord.tmux.mirror import Mirror, Snapshot
from orchestratord.tmux.process import identify
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.spool import Spool

log = Log("panes.following")

PIPE_INTERVAL = 1.0
"""Seconds between two pipes for one pane: on a full disk each ends at once."""


class Following:
    """Takes over what tmux shows.

    In memory: panes whose output nobody copies (``unread``), and how many panes
    are not ours (``foreign``).
    """

    def __init__(
        self, registry: Registry, link: Link, mirror: Mirror, spool: Spool, store: Store,
        clock: Clock, creation: Creation, intents: Intents, endings: Endings,
        arrangement: Arrangement, spawn: Callable[[Awaitable[Any]], None],
    ) -> None:  # fmt: skip
        self.foreign = 0
        self.unread: set[str] = set()
        self._registry = registry
        self._link = link
        self._mirror = mirror
        self._spool = spool
        self._store = store
        self._clock = clock
        self._creation = creation
        self._intents = intents
        self._endings = endings
        self._arrangement = arrangement
        self._spawn = spawn
        self._piping: set[str] = set()
        self._piped: dict[str, float] = {}

    def connected(self, server: Server) -> None:
        """A new server means that everything in the old one is lost."""
        lost = [p for p in self._registry.live_panes() if p.place.server != server.uuid]
        known = any(s.server == server.uuid for s in self._registry.sessions.values())
        facts: list[Fact] = []
        old = {p.place.server for p in lost}
        for uuid in old:
            count = sum(p.place.server == uuid and p.exit is None for p in lost)
            facts.append(ServerLost(server=uuid, panes=count))
        if old or not known:
            facts.append(
                ServerConnected(server=server.uuid, pid=server.process.pid, version=server.version)
            )
        if facts:
            self._spawn(self._endings.write([], facts))
        for pane in lost:
            if pane.exit is None:
                self._endings.lose(pane, "the tmux server ended")
            else:
                self._endings.left(pane)
        self._mirror.poke()

    def compared(self, snapshot: Snapshot) -> None:
        creation = self._creation
        found = compare(snapshot, self._registry, creation.born, creation.splitting)
        self.foreign = found.foreign
        self._registry.sizes_stale = False
        for session in self._arrangement.left_alone(snapshot):
            self._spawn(self._arrangement.fit(session, None))
        # What later listings show anyway need not be kept.
        creation.born = {k: v for k, v in creation.born.items() if v >= snapshot.ordinal}
        for pane in found.vanished:
            if pane.exit is not None:
                self._endings.left(pane)
            else:
                self._endings.lose(pane, "closed from outside")
        for pane in found.died:
            self._endings.begin(pane)
        for pane in found.unclosed:  # the daemon died between its end and its closing
            self._spawn(self._endings.close(pane, None))
        for pane, row in found.replaced:
            self._replaced(pane, row)
        for pane in found.unpiped:
            self.pipe_broken(pane.id)
        for pane_id in self.unread:
            self.pipe_broken(pane_id)
        self.unread.clear()
        for row in found.unknown:
            self._stranger(row)
        self._changed(found, snapshot)
        self._resolve(snapshot)

    def _resolve(self, snapshot: Snapshot) -> None:
        """End the intents of which a listing shows that nothing came."""
        stamped = {row.orch_id for row in snapshot.panes.values()}
        for pane_id, intent in list(self._intents.earlier.items()):
            if pane_id not in stamped:
                del self._intents.earlier[pane_id]
                self._spool.forget(pane_id)
                self._spawn(self._intents.nothing_came(intent))
        for pane_id in self._intents.hopeless(stamped, snapshot.ordinal):
            self._spool.forget(pane_id)
            self._spawn(self._intents.end(pane_id))

    def _changed(self, found: Differences, snapshot: Snapshot) -> None:
        """Take over where panes are, how large and how they are called."""
        records: list[Record] = []
        facts: list[Fact] = []
        for session, session_row in found.renamed_sessions:
            if NAME.match(session_row.name):
                session.name = session_row.name
                records.append(session)
                facts.append(SessionRenamed(session=session.id, name=session.name, by="outside"))
        for window, window_row in found.renamed_windows:
            window.name = window_row.name
            records.append(window)
            facts.append(
                WindowRenamed(
                    session=window.session, window=window.id, name=window.name, by="outside"
                )
            )
        for window, window_row in found.moved_windows:
            home = self._session_of(window_row.session, snapshot, records, facts)
            if home is not None:
                window.session = home.id
                records.append(window)
                for pane in self._registry.in_window(window.id):
                    pane.session = home.id
                    records.append(pane)
                    facts.append(self._moved(pane))
        for pane, row in found.moved:
            moved_to = self._window_of(row, snapshot, records, facts)
            if moved_to is not None:
                pane.window, pane.session = moved_to.id, moved_to.session
                records.append(pane)
                facts.append(self._moved(pane))
        for pane, row in found.resized:
            pane.width, pane.height = row.width, row.height
            facts.append(
                PaneResized(session=pane.session, pane=pane.id, width=row.width, height=row.height)
            )
            records.append(pane)
        for pane, row in found.titled:
            pane.title = row.title
        for pane, row in found.synchronized:
            pane.synchronized = row.synchronized
            records.append(pane)
            facts.append(PaneSynchronized(session=pane.session, pane=pane.id, on=row.synchronized))
        statements, ended = self._endings.emptied()
        if records or facts or ended:
            self._spawn(self._endings.write([*map(save, records), *statements], [*facts, *ended]))

    def _moved(self, pane: PaneRecord) -> PaneMoved:
        return PaneMoved(session=pane.session, pane=pane.id, window=pane.window, by="outside")

    def _session_of(
        self, tmux: str, snapshot: Snapshot, records: list[Record], facts: list[Fact]
    ) -> SessionRecord | None:
        """Return the record of a tmux session, made now if a human made the session."""
        for session in self._registry.live_sessions():
            if session.tmux == tmux and session.server == snapshot.server:
                return session
        row = snapshot.sessions.get(tmux)
        if row is None:
            return None
        number = f"s{self._store.next_id('session')}"
        made = SessionRecord(
            id=number, name=row.name if NAME.match(row.name) else f"outside-{number}", tmux=tmux,
            server=snapshot.server, created_at=rfc3339(self._clock.now()), owner="outside",
        )  # fmt: skip
        self._registry.sessions[number] = made
        records.append(made)
        facts.append(SessionCreated(session=made.id, name=made.name))
        return made

    def _window_of(
        self, row: PaneRow, snapshot: Snapshot, records: list[Record], facts: list[Fact]
    ) -> WindowRecord | None:
        """Return the record of a pane's window, made now if a human made the window."""
        for window in self._registry.windows.values():
            if window.tmux == row.window and window.server == snapshot.server:
                return window
        listed = snapshot.windows.get(row.window)
        session = self._session_of(listed.session, snapshot, records, facts) if listed else None
        if listed is None or session is None:
            return None
        made = WindowRecord(
            id=f"w{self._store.next_id('window')}", session=session.id, tmux=row.window,
            server=snapshot.server, name=listed.name,
        )  # fmt: skip
        self._registry.windows[made.id] = made
        records.append(made)
        facts.append(WindowCreated(session=made.session, window=made.id, name=made.name))
        return made

    def _replaced(self, pane: PaneRecord, row: PaneRow) -> None:
        """Somebody respawned a pane of ours by hand: it is the same pane, newly incarnated.

        So did we, if a note of the next epoch is there: its record was cut short.
        """
        process = identify(row.pid)
        if process is None:
            return
        if self._spool.noted(pane.id, pane.epoch + 1) is not None:
            pane.epoch += 1
            self._spool.expect(pane.id, pane.epoch)
        else:
            self._spool.note(pane.id, pane.epoch).unlink(missing_ok=True)
            pane.held = False
        pane.place = msgspec.structs.replace(pane.place, process=process, tty=row.tty)
        pane.incarnation += 1
        pane.exit, pane.lost, pane.program = None, False, None
        self._endings.watch(pane)
        fact = PaneRespawned(
            session=pane.session, pane=pane.id, incarnation=pane.incarnation, pid=row.pid
        )
        self._spawn(self._endings.write([save(pane)], [fact]))

    def _stranger(self, row: PaneRow) -> None:
        """A pane with our stamp that is not known: adopt it, or undo what was given up."""
        if row.orch_id in self._intents.under_way:
            return
        if row.orch_id in self._intents.given_up:
            close = command("kill-pane", "-t", target(row.pane))
            server = self._mirror.snapshot.server
            undoing = self._link.request(close, what=f"undoing {row.orch_id}", server=server)
            self._spawn(undoing)
            return
        intent = self._intents.earlier.pop(row.orch_id, None)
        if intent is None:
            return  # stamped by an older state directory: not ours to touch
        adopted = PaneAdopted(
            session=intent.pane.session, pane=row.orch_id, tmux_id=row.pane, pid=row.pid
        )
        self._spawn(self._adopt(intent, row, adopted))

    async def _adopt(self, intent: Intent, row: PaneRow, adopted: PaneAdopted) -> None:
        pane = intent.pane
        server = self._link.server.uuid if self._link.server else ""
        pane.place = Place(server, row.pane, row.tty, pane.place.process)
        log.info("adopted", pane=pane.id, tmux=row.pane)
        outcome = self._creation.confirm(intent, row, [adopted])
        self._mirror.poke()
        await self._store.record(*outcome)
        self._intents.over(pane.id)

    def pipe_broken(self, pane_id: str) -> None:
        """A copier ended, or never was, while its pane lives: start the next."""
        pane = self._registry.panes.get(pane_id)
        if pane is None or pane.exit is not None or pane.gone or not pane.place.process.alive():
            return
        stream = self._spool.get(pane_id)
        works = stream is not None and not stream.closed and stream.copier
        if works or pane_id in self._piping:
            return
        self._piping.add(pane_id)
        self._spawn(self._pipe_again(pane))

    async def _pipe_again(self, pane: PaneRecord) -> None:
        """Begin the next epoch of a pane's output, and say that bytes are lost."""
        epoch = pane.epoch + 1
        pipe = self._spool.pipe(pane.id, epoch)
        try:
            last = self._piped.get(pane.id, -PIPE_INTERVAL)
            await self._clock.sleep(max(0.0, last + PIPE_INTERVAL - self._clock.monotonic()))
            await self._link.request(
                command("pipe-pane", "-O", "-t", target(pane.place.pane), pipe),
                what=f"a pipe for {pane.id}", server=pane.place.server,
            )  # fmt: skip
        except TmuxRefused:
            return  # the pane was closed, and its copier with it
        finally:
            self._piping.discard(pane.id)
        if pane.exit is not None or pane.epoch + 1 != epoch:
            return
        self._piped[pane.id] = self._clock.monotonic()
        self._creation.born[pane.id] = self._mirror.sent
        note = self._spool.note(pane.id, pane.epoch)
        if note.exists():
            note.rename(self._spool.note(pane.id, epoch))
        pane.epoch = epoch
        cursor = str(self._spool.expect(pane.id, epoch).cursor)
        gap = OutputGap(session=pane.session, pane=pane.id, reason="the pipe ended", cursor=cursor)
        await self._endings.write([save(pane)], [gap])
