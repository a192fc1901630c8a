"""The panes feature put together: what it owns, in which order it starts and stops.

State: the registry (records), written here and by the parts that this class
makes; ``creation`` makes panes, ``endings`` ends them, ``reconcile`` compares
with tmux. Methods call this class. What one call began is finished even if its
caller goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, TypeVar

from orchestratord.clock import Clock
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.features.panes.arrangement import Arrangement
from orchestratord.features.panes.creation import Creation
from orchestratord.features.panes.ending import Endings
from orchestratord.features.panes.following import Following
from orchestratord.features.panes.intent import Intents
from orchestratord.features.panes.keyboard import Keyboard
from orchestratord.features.panes.killing import Killing
from orchestratord.features.panes.output import Output
from orchestratord.features.panes.record import (
    Intent,
    PaneRecord,
    SessionRecord,
    WindowRecord,
)
from orchestratord.features.panes.registry import Registry
from orchestratord.features.panes.view import View
from orchestratord.log import Log
from orchestratord.rpc.receipts import Ticket
from orchestratord.store.db import Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import command, target
from orchestratord.tmux.link import Link, State
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.spool import Spool

log = Log("panes")

T = TypeVar("T")

UNDO_GRACE = 0.5
"""Seconds for a program to end that nobody was told of."""

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
        self.intents = Intents(store, clock)
        self.creation = Creation(
            self.registry, link, mirror, spool, store, clock, environment, self.intents
        )
        self.endings = Endings(self.registry, link, spool, store, clock)
        self.killing = Killing(self.endings, clock)
        self.view = View(self.registry, mirror, spool, clock)
        self.arrangement = Arrangement(self.registry, link, mirror, store, clock)
        self.keyboard = Keyboard(link)
        self.output = Output(link, spool, clock)
        self.view.connected = lambda: link.state is State.CONNECTED
        self.creation.on_born = self.endings.watch
        self.creation.undo = self._undo
        self.following = Following(
            self.registry, link, mirror, spool, store, clock, self.creation, self.intents,
            self.endings, self.arrangement, self._spawn,
        )  # fmt: skip
        self._acts: set[asyncio.Task[Any]] = set()
        self._keyed: dict[Ticket, asyncio.Task[Any]] = {}
        self._expiry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is known and begin to follow tmux; panes are compared as soon as it answers."""
        self.registry.load(await self.store.query("SELECT noun, record FROM terminals"))
        await self.intents.load()
        intents = self.intents.earlier
        self.spool.on_broken = self.following.pipe_broken
        self.spool.start()
        self.spool.clear_strangers({*self.registry.panes, *intents})
        known = sorted(self.registry.panes.values(), key=lambda p: p.exit.at if p.exit else "")
        for pane in [*known, *(i.pane for i in intents.values())]:
            stream = self.spool.expect(pane.id, pane.epoch)
            if pane.exit is not None:
                self.spool.finish(pane.id)
            elif not stream.copier:
                self.following.unread.add(pane.id)
        self.link.on_change = self.mirror.poke
        self.link.on_connect = self.following.connected
        self.mirror.on_snapshot = self.following.compared
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

    async def act(self, work: Coroutine[Any, Any, T], ticket: Ticket | None = None) -> T:
        """Carry out a change to its end, also if the caller stops waiting.

        With a ticket, ``resolved`` waits for it.
        """
        task = asyncio.create_task(work)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        if ticket is not None:
            self._keyed[ticket] = task
            task.add_done_callback(lambda _: self._keyed.pop(ticket, None))
        return await asyncio.shield(task)

    async def resolved(self, ticket: Ticket) -> None:
        """Wait until it is on record what the call with a ticket made, now or in an earlier life.

        On a disk that takes nothing, or while tmux does not answer, that can take
        for ever: nothing is concluded, and the caller's deadline ends the waiting.
        """
        if (running := self._keyed.get(ticket)) is not None:
            await asyncio.wait([running])
        await self.intents.resolved(ticket)

    async def kill_all(self, doomed: list[PaneRecord], grace: float, by: str) -> list[str]:
        """Kill panes side by side; return the ids of those that were alive."""
        alive = [p for p in doomed if p.exit is None]
        await asyncio.gather(
            *(self.killing.kill(p, grace, by) for p in alive),
            *(self.endings.close(p, by) for p in doomed if p.exit is not None),
        )
        return [p.id for p in alive]

    async def kill_session(self, session: SessionRecord, grace: float, by: str) -> list[str]:
        """Kill every pane of a session, and what humans put into it with the session itself."""
        killed = await self.kill_all(self.registry.in_session(session.id), grace, by)
        snapshot = await self.mirror.refresh()
        if session.tmux in snapshot.sessions and session.server == snapshot.server:
            end = command("kill-session", "-t", target(session.tmux))
            with contextlib.suppress(TmuxRefused):  # it went with its last pane
                await self.link.request(end, what="kill-session", server=session.server)
        return killed

    async def kill_window(self, window: WindowRecord, grace: float, by: str) -> list[str]:
        """Kill every pane of a window, and what humans put into it with the window itself."""
        killed = await self.kill_all(self.registry.in_window(window.id), grace, by)
        snapshot = await self.mirror.refresh()
        if window.tmux in snapshot.windows and window.server == snapshot.server:
            end = command("kill-window", "-t", target(window.tmux))
            with contextlib.suppress(TmuxRefused):  # it went with its last pane
                await self.link.request(end, what="kill-window", server=window.server)
        return killed

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        live = self.registry.live_panes()
        return {
            "sessions": len(self.registry.live_sessions()),
            "windows": len(self.registry.windows),
            "panes": len(live),
            "panes_ended": len(self.registry.panes) - len(live),
            "panes_foreign": self.following.foreign,
        }

    def degraded(self) -> list[str]:
        """Return why not everything works, in sentences."""
        if self.link.state is not State.CONNECTED:
            return [f"no connection to tmux: {self.link.trouble or 'connecting'}"]
        return []

    async def _undo(self, intent: Intent) -> None:
        """End a pane whose making could not be written down; both are told once that can be."""
        pane = intent.pane
        if pane.exit is None:
            await self.killing.kill(pane, UNDO_GRACE, "store")
        await self.endings.close(pane, "store")  # a kept screen too
        if pane.gone:
            await self.endings.write(self.intents.undone(intent), [])

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
                    self._spawn(self.killing.kill(pane, 2.0, "ttl"))
