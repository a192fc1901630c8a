"""The watches: which there are, which panes each looks at, and how they outlive the daemon.

State: the watches, written by ``Watching`` between two awaits. On disk: each
watch, where it has looked, what it found. A new daemon goes on from there; output
that is no longer kept is told as ``watch.lagged``. Panes that are made later, or
get a label or a place that fits, are looked at from their first byte, or from then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event, Fact
from orchestratord.features.panes.fact import (
    PaneAdopted,
    PaneCreated,
    PaneLabeled,
    PaneMoved,
    SessionRenamed,
)
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.watch import table
from orchestratord.features.watch.actor import Actor
from orchestratord.features.watch.echo import Typed
from orchestratord.features.watch.fact import WatchActed, WatchCreated, WatchPaused, WatchResumed
from orchestratord.features.watch.fault import TooManyWatches, WatchNotFound, WatchStopped
from orchestratord.features.watch.feed import Feeds
from orchestratord.features.watch.model import Firing, Watch
from orchestratord.features.watch.needle import Needle
from orchestratord.features.watch.quota import Quota
from orchestratord.features.watch.record import Fired, Spot, Terms, WatchRecord
from orchestratord.features.watch.rights import Rights
from orchestratord.features.watch.screens import Screens
from orchestratord.features.watch.selector import Chosen, Selector
from orchestratord.features.watch.sight import ScreenSight, StreamSight
from orchestratord.features.watch.watching import Watching, cut_off
from orchestratord.log import Log
from orchestratord.rpc.principal import allow, visible
from orchestratord.store.db import Statement, Store
from orchestratord.tmux.stream import Cursor

WATCHES, WATCHES_OF_AGENT = 256, 64
"""Watches of one owner, the stopped ones not counted."""

STOPPED = 200
"""Stopped watches that are remembered."""

TICK = 1.0
"""Seconds between two looks at times that are over, and at how far watches have come."""

log = Log("watches")


class Watches:
    """Everything about watches. ``actor`` has the hooks that ``app`` fills."""

    def __init__(
        self, panes: Panes, feeds: Feeds, quota: Quota, store: Store, bus: Bus, clock: Clock
    ) -> None:
        self.actor = Actor(panes, clock)
        self.actor.on_typing = self._typing
        self.actor.on_kept = lambda pane, watch: self._write_soon([table.keep(pane, watch)])
        self._panes = panes
        self._feeds = feeds
        self._quota = quota
        self._screens = Screens(panes.spool, panes.output, clock)
        self._store = store
        self._bus = bus
        self._clock = clock
        self._watches: dict[str, Watching] = {}
        self._give_back: dict[str, Callable[[], None]] = {}
        self._saved: dict[tuple[str, str], Spot] = {}
        self._making: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self._deaf: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Go on with the watches of the daemon before."""
        self._deaf = self._bus.listen(self._happened)
        self.actor.kept.update(await self._store.query("SELECT pane, watch FROM watch_kept"))
        for (text,) in await self._store.query("SELECT record FROM watches"):
            record = msgspec.json.decode(text, type=WatchRecord)
            watch = self._know(record)
            places = await self._store.query(table.PLACES, (record.id,))
            spots = {pane: msgspec.json.decode(spot, type=Spot) for pane, spot in places}
            if record.terms.fire == "every" or not record.matches:
                self._look_again(watch, spots)
        for (text,) in await self._store.query(table.OPEN):
            self._go_on(msgspec.json.decode(text, type=Fired))
        for watch in self._watches.values():
            record = watch.record
            if record.state == "active" and record.terms.fire == "once" and record.matches:
                watch.fired = True
                if not watch.acting:
                    watch.stop("fired")
        self._housekeeper = asyncio.create_task(self._keep_house(), name="watches")

    async def stop(self) -> None:
        """Stop looking. Watches go on with the next daemon."""
        self._deaf()
        self._write_soon(self._progress())
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        if self._watches:
            await asyncio.gather(*(watch.close() for watch in self._watches.values()))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.2)

    # What methods ask

    def chosen(self, selector: Selector) -> Chosen:
        """Resolve what a caller selects; raises what ``Chosen.of`` does."""
        return Chosen.of(selector, self._panes.registry)

    async def create(
        self, rights: Rights, terms: Terms, ttl: float | None, name: str | None
    ) -> Watching:
        """Begin a watch; it looks at everything from this call on, once it is on disk.

        Raises:
            BadPattern, TooManyPatterns, TooManyWatches, ActionUnavailable, BadKey, ScopeMissing.
        """
        owner = rights.owner
        self.actor.check(terms.actions, rights)
        needles = [Needle(expression) for expression in terms.patterns]
        mine = [w for w in self._watches.values() if w.record.owner == owner]
        limit = WATCHES_OF_AGENT if owner.startswith("agent:") else WATCHES
        count = sum(w.record.state != "stopped" for w in mine) + self._making[owner]
        if count >= limit:
            raise TooManyWatches(owner=owner, limit=limit)
        give_back = self._quota.take(owner, len(needles))
        now = self._clock.now().timestamp()
        record = WatchRecord(
            id=f"watch{self._store.next_id('watch')}", name=name, owner=owner,
            rights=rights, terms=terms, created_at=now,
            expires_at=now + ttl if ttl is not None else None,
        )  # fmt: skip
        fitting = [p for p in self._panes.registry.live_panes() if self._fits(record, p)]
        cursors = {pane.id: self._feeds.stream(pane).cursor for pane in fitting}
        places = [
            table.place(record.id, p.id, Spot(cursor=str(cursors[p.id]), incarnation=p.incarnation))
            for p in fitting
        ]
        self._making[owner] += 1
        try:
            made = WatchCreated(watch=record.id, owner=owner)
            await self._store.commit([table.save(record), *places], [made])
        except BaseException:
            give_back()
            raise
        finally:
            self._making[owner] -= 1
        watch = self._know(record, needles, give_back)
        for pane in fitting:
            self._join(watch, pane, cursors[pane.id])
        return watch

    def get(self, watch_id: str) -> Watching:
        """Return a watch.

        Raises:
            WatchNotFound: none has that id.
            NotOwner, ScopeMissing: whoever acts may not do so to it.
        """
        found = self._watches.get(watch_id)
        if found is None:
            raise WatchNotFound(watch=watch_id[:40])
        allow(found.record.owner, watch_id)
        return found

    def listed(self) -> list[Watching]:
        """Return the watches that whoever acts may see, oldest first."""
        known = sorted(self._watches.values(), key=lambda w: int(w.record.id[5:]))
        return [watch for watch in known if visible(watch.record.owner)]

    async def pause(self, watch: Watching) -> None:
        """Look no longer until it is resumed. What it found is still acted on."""
        record = _going_on(watch)
        if record.state == "active":
            record.state = "paused"
            watch.leave_all()
            await self._store.commit([table.save(record)], [WatchPaused(watch=record.id)])

    async def resume(self, watch: Watching) -> None:
        """Look again, from now on."""
        record = _going_on(watch)
        if record.state == "paused":
            record.state = "active"
            for pane in self._panes.registry.live_panes():
                self._consider(watch, pane)
            await self._store.commit([table.save(record)], [WatchResumed(watch=record.id)])

    async def delete(self, watch: Watching) -> None:
        """End a watch and forget it, with its history. What it keeps stays kept."""
        watch.stop("deleted")
        await watch.settled()
        await self._store.commit(table.forget(watch.record.id))
        await self._drop(watch)

    async def history(self, watch: Watching, limit: int) -> list[Firing]:
        """Return the last matches of a watch and what it did, oldest first."""
        rows = await self._store.query(table.OF_WATCH, (watch.record.id, limit))
        return [msgspec.json.decode(text, type=Fired).firing for (text,) in rows]

    def end_of(self, owner: str) -> None:
        """An agent is dead: its watches stop, because nobody has their rights any more."""
        for watch in self._watches.values():
            if watch.record.owner == owner:
                watch.stop("agent")

    def show(self, watch: Watching) -> Watch:
        """Return a watch as the wire has it."""
        record, terms = watch.record, watch.record.terms
        return Watch(
            id=record.id, name=record.name, state=record.state, reason=record.reason,
            panes=terms.panes, watching=sorted(watch.sights, key=lambda pane: int(pane[1:])),
            patterns=list(terms.patterns), screen=terms.screen, fire=terms.fire,
            debounce=terms.debounce, after=terms.after, actions=list(terms.actions),
            owner=record.owner, created_at=_time(record.created_at),
            expires_at=_time(record.expires_at) if record.expires_at is not None else None,
            matches=record.matches, acted=record.acted, missed=record.missed, gaps=record.gaps,
        )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"watches": sum(w.record.state == "active" for w in self._watches.values())}

    # Looking

    def _know(
        self, record: WatchRecord, needles: Sequence[Needle] | None = None,
        give_back: Callable[[], None] | None = None,
    ) -> Watching:  # fmt: skip
        if needles is None:
            needles = [Needle(expression) for expression in record.terms.patterns]
        if give_back is None and record.state != "stopped":
            give_back = self._quota.take(record.owner, len(needles), forced=True)
        watch = Watching(
            record, needles, self.actor, self._clock, self._panes.endings.write,
            lambda: self._store.next_id("firing"),
        )  # fmt: skip
        self._watches[record.id] = watch
        self._give_back[record.id] = give_back or (lambda: None)
        return watch

    def _fits(self, record: WatchRecord, pane: PaneRecord) -> bool:
        chosen = record.terms.chosen
        return chosen.fits(pane, self._panes.registry) and record.rights.sees(pane)

    def _consider(self, watch: Watching, pane: PaneRecord, since: Cursor | None = None) -> None:
        """Look at a pane if it fits, no longer if it does not."""
        fits = watch.active and not pane.gone and self._fits(watch.record, pane)
        if fits and pane.id not in watch.sights:
            self._join(watch, pane, since)
            spot = watch.sights[pane.id].spot()
            self._write_soon([table.place(watch.record.id, pane.id, spot)], sync=False)
        elif not fits:
            watch.leave(pane.id)

    def _join(
        self, watch: Watching, pane: PaneRecord, since: Cursor | None, spot: Spot | None = None
    ) -> None:
        if watch.record.terms.screen:
            screen = ScreenSight(watch, watch.needles, pane, spot)
            watch.sights[pane.id] = screen
            screen.leave = self._screens.join(pane, screen)
            return
        stream = StreamSight(watch, watch.needles, pane)
        watch.sights[pane.id] = stream
        stream.leave = self._feeds.join(pane, stream, since)

    def _look_again(self, watch: Watching, spots: dict[str, Spot]) -> None:
        """Go on in every pane where an earlier daemon has looked last."""
        record = watch.record
        if record.state != "active":
            return
        for pane in self._panes.registry.panes.values():
            spot = spots.get(pane.id)
            if (pane.gone and spot is None) or not self._fits(record, pane):
                continue
            since = Cursor.parse(spot.cursor) if spot is not None and spot.cursor else None
            later = pane.created_at >= _time(record.created_at)
            if since is None and later:
                since = Cursor(pane.epoch, 0)
            self._join(watch, pane, since, spot)

    def _go_on(self, entry: Fired) -> None:
        """Act on what was not begun; of the rest say that what came of it is not known."""
        watch = self._watches.get(entry.watch)
        if watch is None:
            return
        pane = self._panes.registry.panes.get(entry.firing.pane)
        if not entry.begun and pane is not None:
            watch.act_on(entry, pane)
            return
        facts: list[Fact] = []
        for act in cut_off(entry, watch.record.terms.actions):
            entry.firing.acts.append(act)
            facts.append(
                WatchActed(
                    pane=entry.firing.pane, watch=entry.watch, action=act.do, result=act.result
                )
            )
        entry.done = True
        self._write_soon([table.fired(entry)], facts)

    def _happened(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in (PaneCreated.kind, PaneAdopted.kind, PaneLabeled.kind, PaneMoved.kind):
                pane = self._panes.registry.panes.get(event.pane or "")
                if pane is not None:
                    new = event.kind in (PaneCreated.kind, PaneAdopted.kind)
                    for watch in [*self._watches.values()]:
                        self._consider(watch, pane, Cursor(pane.epoch, 0) if new else None)
            elif event.kind == SessionRenamed.kind:
                for pane in self._panes.registry.in_session(event.session or ""):
                    for watch in [*self._watches.values()]:
                        self._consider(watch, pane)

    def _typing(self, watch_id: str, pane: PaneRecord, text: str) -> None:
        """Keep a watch from matching what it types itself."""
        sight = self._watches[watch_id].sights.get(pane.id) if watch_id in self._watches else None
        if sight is not None:
            at = self._feeds.stream(pane).cursor
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            sight.expect_echo(Typed(line, at) for line in lines)

    # Keeping house

    async def _keep_house(self) -> None:
        while True:
            await self._clock.sleep(TICK)
            now = self._clock.now().timestamp()
            for watch in [*self._watches.values()]:
                record = watch.record
                if record.expires_at is not None and record.expires_at <= now:
                    watch.stop("ttl")
                if record.state == "stopped":
                    self._give_back[record.id]()
            statements = [*self._progress(), *self._left_panes()]
            if statements:
                self._write_soon(statements, sync=False)
            stopped = [w for w in [*self._watches.values()] if w.record.state == "stopped"]
            for watch in stopped[: max(0, len(stopped) - STOPPED)]:
                await self.delete(watch)

    def _progress(self) -> list[Statement]:
        """Return what saves where watches have got to since the last time."""
        statements: list[Statement] = []
        for watch in self._watches.values():
            for pane_id, sight in watch.sights.items():
                key, spot = (watch.record.id, pane_id), sight.spot()
                if self._saved.get(key) != spot and not watch.waits_for(pane_id):
                    self._saved[key] = spot
                    statements.append(table.place(watch.record.id, pane_id, spot))
        return statements

    def _left_panes(self) -> list[Statement]:
        """Forget panes that are in tmux no longer; return what to write."""
        statements: list[Statement] = []
        registry = self._panes.registry
        for watch in self._watches.values():
            for pane_id in [p for p, s in watch.sights.items() if s.pane.gone]:
                if not watch.waits_for(pane_id):
                    watch.leave(pane_id)
                    self._saved.pop((watch.record.id, pane_id), None)
                    statements.append(table.leave(watch.record.id, pane_id))
        for pane_id in list(self.actor.kept):
            pane = registry.panes.get(pane_id)
            if pane is None or pane.exit is not None:
                del self.actor.kept[pane_id]
                statements.append(table.let_go(pane_id))
        return statements

    async def _drop(self, watch: Watching) -> None:
        del self._watches[watch.record.id]
        self._give_back.pop(watch.record.id)()
        for key in [key for key in self._saved if key[0] == watch.record.id]:
            del self._saved[key]
        await watch.close()

    def _write_soon(
        self, statements: list[Statement], facts: Sequence[Fact] = (), *, sync: bool = True
    ) -> None:
        if statements or facts:
            write = self._panes.endings.write if sync else self._put_down
            self._spawn(write(statements, list(facts)))

    async def _put_down(self, statements: list[Statement], _: list[Fact]) -> None:
        try:
            await self._store.commit(statements, sync=False)
        except Fault as problem:
            log.debug("progress is not on disk", reason=str(problem))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _going_on(watch: Watching) -> WatchRecord:
    if watch.record.state == "stopped":
        raise WatchStopped(watch=watch.record.id, reason=watch.record.reason)
    return watch.record


def _time(moment: float) -> str:
    return rfc3339(datetime.fromtimestamp(moment, UTC))
