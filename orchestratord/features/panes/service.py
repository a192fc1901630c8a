"""The panes feature put together: what it owns, in which order it starts and stops.

State: the registry (records), written here and by the parts that this class
makes; ``creation`` makes panes, ``endings`` ends them, ``reconcile`` compares
with tmux. Methods call this class. What one call began is finished even if its
caller goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec

from orchestratord.clock import Clock
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.events import Fact
from orchestratord.features.panes.arrangement import Arrangement
from orchestratord.features.panes.creation import Creation, end_intent
from orchestratord.features.panes.ending import Endings
from orchestratord.features.panes.fact import (
    OutputGap,
    PaneAdopted,
    PaneMoved,
    PaneResized,
    PaneRespawned,
    ServerConnected,
    ServerLost,
    SessionRenamed,
)
from orchestratord.features.panes.keyboard import Keyboard
from orchestratord.features.panes.output import Output
from orchestratord.features.panes.reconcile import Differences, compare
from orchestratord.features.panes.record import (
    Intent,
    PaneRecord,
    Place,
    SessionRecord,
    WindowRecord,
)
from orchestratord.features.panes.registry import Record, Registry, save
from orchestratord.features.panes.view import View
from orchestratord.log import Log
from orchestratord.model import NAME
from orchestratord.store.db import Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import command, target
from orchestratord.tmux.link import Link, Server, State
from orchestratord.tmux.mirror import Mirror, Snapshot
from orchestratord.tmux.process import identify
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.spool import Spool

log = Log("panes")

T = TypeVar("T")

TTL_INTERVAL = 1.0
"""Seconds between looks for panes whose time is over."""


class Panes:
    """Everything about sessions, windows and panes."""

    def __init__(
        self, store: Store, link: Link, mirror: Mirror, spool: Spool, clock: Clock,
        environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.registry = Registry()
        self.store = store
        self.link = link
        self.mirror = mirror
        self.spool = spool
        self.clock = clock
        self.creation = Creation(self.registry, link, mirror, spool, store, clock, environment)
        self.endings = Endings(self.registry, link, spool, store, clock)
        self.view = View(self.registry, mirror, spool, clock)
        self.arrangement = Arrangement(self.registry, link, mirror, store, clock)
        self.keyboard = Keyboard(link)
        self.output = Output(link, spool, clock)
        self.foreign = 0
        self.creation.on_born = self.endings.watch
        self._intents: dict[str, Intent] = {}
        self._acts: set[asyncio.Task[Any]] = set()
        self._expiry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is known and begin to follow tmux; panes are compared as soon as it answers."""
        self.registry.load(await self.store.query("SELECT noun, record FROM terminals"))
        for _, text in await self.store.query("SELECT pane, record FROM intents"):
            intent = msgspec.json.decode(text, type=Intent)
            self._intents[intent.pane.id] = intent
        self.spool.on_broken = self._pipe_broken
        self.spool.start()
        self.spool.clear_strangers({*self.registry.panes, *self._intents})
        for pane in [*self.registry.panes.values(), *(i.pane for i in self._intents.values())]:
            self.spool.expect(pane.id, pane.epoch)
        self.link.on_change = self.mirror.poke
        self.link.on_connect = self._connected
        self.mirror.on_snapshot = self._compared
        for pane in self.registry.live_panes():
            if pane.exit is None:
                self.endings.watch(pane)
        await self.link.start()
        await self.mirror.start()
        self.mirror.poke()
        self._expiry = asyncio.create_task(self._expire(), name="pane expiry")

    async def stop(self) -> None:
        """Finish what is under way, then let go of tmux, which keeps every pane."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._acts:
            await asyncio.wait(self._acts, timeout=2)
        await self.mirror.stop()
        await self.endings.stop()
        await self.link.stop()
        self.spool.stop()

    async def act(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out a change to its end, also if the caller stops waiting."""
        task = asyncio.create_task(work)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        return await asyncio.shield(task)

    async def kill_all(self, doomed: list[PaneRecord], grace: float, by: str) -> list[str]:
        """Kill panes side by side; return the ids of those that were alive."""
        alive = [p for p in doomed if p.exit is None]
        await asyncio.gather(
            *(self.endings.kill(p, grace, by) for p in alive),
            *(self.endings.close(p, by) for p in doomed if p.exit is not None),
        )
        return [p.id for p in alive]

    async def kill_session(self, session: SessionRecord, grace: float, by: str) -> list[str]:
        """Kill every pane of a session, and what humans put into it with the session itself."""
        killed = await self.kill_all(self.registry.in_session(session.id), grace, by)
        snapshot = await self.mirror.refresh()
        if session.tmux in snapshot.sessions and session.server == snapshot.server:
            end = command("kill-session", "-t", target(session.tmux))
            await self.link.request(end, what="kill-session")
        return killed

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        live = self.registry.live_panes()
        return {
            "sessions": len(self.registry.live_sessions()),
            "windows": len(self.registry.windows),
            "panes": len(live),
            "panes_ended": len(self.registry.panes) - len(live),
            "panes_foreign": self.foreign,
        }

    def degraded(self) -> list[str]:
        """Return why not everything works, in sentences."""
        if self.link.state is not State.CONNECTED:
            return [f"no connection to tmux: {self.link.trouble or 'connecting'}"]
        return []

    async def reconcile(self) -> list[dict[str, Any]]:
        """Compare with tmux now; return what differed."""
        before = {p.id: (p.exit is None, p.session, p.window) for p in self.registry.live_panes()}
        await self.mirror.refresh()
        out: list[dict[str, Any]] = []
        for pane_id, (alive, session, window) in before.items():
            pane = self.registry.panes[pane_id]
            if pane.gone or (pane.exit is None) != alive:
                out.append({"pane": pane_id, "change": "ended"})
            elif (pane.session, pane.window) != (session, window):
                out.append({"pane": pane_id, "change": "moved"})
        known = set(before)
        new = [p.id for p in self.registry.live_panes() if p.id not in known]
        return out + [{"pane": pane_id, "change": "adopted"} for pane_id in new]

    # Following tmux

    def _connected(self, server: Server) -> None:
        """A new server means that everything in the old one is lost."""
        lost = [p for p in self.registry.live_panes() if p.place.server != server.uuid]
        known = any(s.server == server.uuid for s in self.registry.sessions.values())
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
            self._spawn(self.endings.write([], facts))
        for pane in lost:
            if pane.exit is None:
                self.endings.lose(pane, "the tmux server ended")
            else:
                self.endings.left(pane)
        self.mirror.poke()

    def _compared(self, snapshot: Snapshot) -> None:
        found = compare(snapshot, self.registry, self.creation.born)
        self.foreign = found.foreign
        self.registry.sizes_stale = False
        for session in self.arrangement.left_alone(snapshot):
            self._spawn(self.arrangement.fit(session, None))
        for pane in found.vanished:
            if pane.exit is not None:
                self.endings.left(pane)
            elif not pane.place.process.alive() or snapshot.ordinal > self.creation.born.get(
                pane.id, 0
            ):
                self.endings.lose(pane, "closed from outside")
        for pane in found.died:
            self.endings.begin(pane)
        for pane in found.unclosed:  # the daemon died between its end and its closing
            self._spawn(self.endings.close(pane, None))
        for pane, row in found.replaced:
            self._replaced(pane, row)
        for pane in found.unpiped:
            self._pipe_broken(pane.id)
        for row in found.unknown:
            self._stranger(row)
        self._changed(found, snapshot)
        for pane_id in list(self._intents):
            if pane_id not in {row.orch_id for row in snapshot.panes.values()}:
                del self._intents[pane_id]
                self.spool.forget(pane_id)
                self._spawn(self.store.commit([end_intent(pane_id)], sync=False))

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
        for window, window_row in found.moved_windows:
            home = self._session_of(window_row.session, snapshot, records)
            if home is not None:
                window.session = home.id
                records.append(window)
                for pane in self.registry.in_window(window.id):
                    pane.session = home.id
                    records.append(pane)
                    facts.append(self._moved(pane))
        for pane, row in found.moved:
            moved_to = self._window_of(row, snapshot, records)
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
        if records or facts:
            self._spawn(self.endings.write(list(map(save, records)), facts))

    def _moved(self, pane: PaneRecord) -> PaneMoved:
        return PaneMoved(session=pane.session, pane=pane.id, window=pane.window, by="outside")

    def _session_of(
        self, tmux: str, snapshot: Snapshot, records: list[Record]
    ) -> SessionRecord | None:
        """Return the record of a tmux session, made now if a human made the session."""
        for session in self.registry.live_sessions():
            if session.tmux == tmux and session.server == snapshot.server:
                return session
        row = snapshot.sessions.get(tmux)
        if row is None:
            return None
        number = f"s{self.store.next_id('session')}"
        made = SessionRecord(
            id=number, name=row.name if NAME.match(row.name) else f"outside-{number}", tmux=tmux,
            server=snapshot.server, created_at=self.view.now(), owner="outside",
        )  # fmt: skip
        self.registry.sessions[number] = made
        records.append(made)
        return made

    def _window_of(
        self, row: PaneRow, snapshot: Snapshot, records: list[Record]
    ) -> WindowRecord | None:
        """Return the record of a pane's window, made now if a human made the window."""
        for window in self.registry.windows.values():
            if window.tmux == row.window and window.server == snapshot.server:
                return window
        listed = snapshot.windows.get(row.window)
        session = self._session_of(listed.session, snapshot, records) if listed else None
        if listed is None or session is None:
            return None
        made = WindowRecord(
            id=f"w{self.store.next_id('window')}", session=session.id, tmux=row.window,
            server=snapshot.server, name=listed.name,
        )  # fmt: skip
        self.registry.windows[made.id] = made
        records.append(made)
        return made

    def _replaced(self, pane: PaneRecord, row: PaneRow) -> None:
        """Somebody respawned a pane of ours by hand: it is the same pane, newly incarnated."""
        process = identify(row.pid)
        if process is None:
            return
        pane.place = msgspec.structs.replace(pane.place, process=process, tty=row.tty)
        pane.incarnation += 1
        pane.exit, pane.lost, pane.program = None, False, None
        self.endings.watch(pane)
        fact = PaneRespawned(
            session=pane.session, pane=pane.id, incarnation=pane.incarnation, pid=row.pid
        )
        self._spawn(self.endings.write([save(pane)], [fact]))

    def _stranger(self, row: PaneRow) -> None:
        """A pane with our stamp that is not known: adopt it, or undo what was given up."""
        if row.orch_id in self.creation.under_way:
            return
        if row.orch_id in self.creation.abandoned:
            close = command("kill-pane", "-t", target(row.pane))
            self._spawn(self.link.request(close, what=f"undoing {row.orch_id}"))
            return
        intent = self._intents.pop(row.orch_id, None)
        if intent is None:
            return  # stamped by an older state directory: not ours to touch
        adopted = PaneAdopted(
            session=intent.pane.session, pane=row.orch_id, tmux_id=row.pane, pid=row.pid
        )
        self.creation.under_way.add(row.orch_id)
        self._spawn(self._adopt(intent, row, adopted))

    async def _adopt(self, intent: Intent, row: PaneRow, adopted: PaneAdopted) -> None:
        pane = intent.pane
        server = self.link.server.uuid if self.link.server else ""
        pane.place = Place(server, row.pane, row.tty, pane.place.process)
        log.info("adopted", pane=pane.id, tmux=row.pane)
        try:
            await self.creation.confirm(intent, row, [adopted])
        finally:
            self.creation.under_way.discard(pane.id)
        self.mirror.poke()

    def _pipe_broken(self, pane_id: str) -> None:
        """A copier ended while its pane lives: begin the next epoch and say that bytes are lost."""
        pane = self.registry.panes.get(pane_id)
        if pane is None or pane.exit is not None or pane.gone or not pane.place.process.alive():
            return
        stream = self.spool.get(pane_id)
        if (
            stream is not None
            and stream.epoch == pane.epoch
            and not stream.closed
            and stream.copier
        ):
            return
        pane.epoch += 1
        note = self.spool.note(pane_id, pane.epoch - 1)
        if note.exists():
            note.rename(self.spool.note(pane_id, pane.epoch))
        fresh = self.spool.expect(pane_id, pane.epoch, fresh=True)
        where = target(pane.place.pane)
        pipe = command("pipe-pane", "-O", "-t", where, self.spool.pipe(pane_id, pane.epoch))
        gap = OutputGap(
            session=pane.session, pane=pane_id, reason="the pipe ended", cursor=str(fresh.cursor)
        )
        self._spawn(self.link.request(pipe, what=f"a pipe for {pane_id}"))
        self._spawn(self.endings.write([save(pane)], [gap]))

    def _spawn(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        """Do something that nobody waits for; a fault is logged, it is seen again later."""

        async def guarded() -> None:
            try:
                await work
            except (Fault, TmuxGone, TmuxRefused) as problem:
                log.warning("deferred", reason=str(problem))

        task = asyncio.create_task(guarded())
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)

    async def _expire(self) -> None:
        while True:
            await self.clock.sleep(TTL_INTERVAL)
            now = self.clock.now().timestamp()
            for pane in self.registry.live_panes():
                if pane.expires_at is not None and pane.expires_at <= now and pane.exit is None:
                    pane.expires_at = None
                    self._spawn(self.endings.kill(pane, 2.0, "ttl"))
