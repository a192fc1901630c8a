"""The waits: those whose callers hold the line, and those that the daemon owns.

A wait ends by its deadline whatever happens to tmux, its pane or the disk. A
detached one is on disk before its name is told, and where it has looked follows
every two seconds; a new daemon goes on from there, and ends it as ``lagged`` if
the output is no longer kept. Its result is remembered for an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event
from orchestratord.features.panes.fact import PaneRespawned
from orchestratord.features.panes.fault import BadCursor
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.watch.fact import WaitEnded
from orchestratord.features.watch.fault import NoPrompt, TooManyWaits, WaitNotFound
from orchestratord.features.watch.feed import Feeds
from orchestratord.features.watch.model import Outcome, PaneResult, WaitInfo, WaitResult
from orchestratord.features.watch.needle import Needle
from orchestratord.features.watch.quota import Quota
from orchestratord.features.watch.record import Conditions, Start, WaitRecord
from orchestratord.features.watch.typing import Typing
from orchestratord.features.watch.wait import PaneWait, Prompts
from orchestratord.log import Log
from orchestratord.rpc.principal import allow, visible
from orchestratord.store.db import Statement, Store
from orchestratord.tmux.stream import Cursor

log = Log("waits")

WAITS = 1000
"""Waits of one owner that go on at once."""

REMEMBERED = 3600.0
"""Seconds for which a detached wait's result is kept."""

MOST_REMEMBERED = 1000

SAVING = 2.0
"""Seconds between two looks at how far detached waits have come."""

_SAVE = "INSERT OR REPLACE INTO waits (id, record) VALUES (?, ?)"
_FORGET = "DELETE FROM waits WHERE id = ?"


class Wait:
    """A wait with its panes. ``ended`` is set with the result; ``record`` if it is detached."""

    def __init__(self, owner: str, conditions: Conditions) -> None:
        self.owner = owner
        self.conditions = conditions
        self.parts: list[PaneWait] = []
        self.result: WaitResult | None = None
        self.ended = asyncio.Event()
        self.record: WaitRecord | None = None
        self.give_back: Callable[[], None] = lambda: None

    def part_ended(self, part: PaneWait) -> None:
        """Decide what the end of one pane's part means for all."""
        result = part.result
        assert result is not None
        satisfied = result.outcome == "matched" or (
            result.outcome == "exited" and self.conditions.exit
        )
        if self.conditions.all:
            over = not satisfied or all(p.result is not None for p in self.parts)
        else:
            over = satisfied or result.outcome in ("stopped", "lagged")
            over = over or all(p.result is not None for p in self.parts)
        if over:
            self.end(result.outcome, result)

    def end(self, outcome: Outcome, decisive: PaneResult | None = None) -> None:
        """End with a result, unless it has ended."""
        if self.result is not None:
            return
        alone = self.parts[0] if len(self.parts) == 1 else None
        if decisive is None and alone is not None:
            decisive = alone.unfinished(outcome)
        told = {} if decisive is None else msgspec.structs.asdict(decisive)
        results = [p.unfinished("cancelled" if decisive else outcome) for p in self.parts]
        self.result = WaitResult(
            **told | {"outcome": outcome, "wait": self.record.id if self.record else None},
            results=results if self.conditions.all else None,
        )
        for part in self.parts:
            part.stop()
        self.give_back()
        self.ended.set()


class Waits:
    """Everything about waits. ``prompts`` is filled by who knows shells."""

    def __init__(
        self, panes: Panes, feeds: Feeds, quota: Quota, store: Store, bus: Bus, clock: Clock
    ) -> None:
        self.prompts: Prompts = _no_prompts
        self._quota = quota
        self._panes = panes
        self._feeds = feeds
        self._typing = Typing(panes.spool, clock)
        panes.keyboard.on_typed = self._typing.note
        self._store = store
        self._bus = bus
        self._clock = clock
        self._running: set[Wait] = set()
        self._detached: dict[str, Wait] = {}
        self._past: dict[str, WaitRecord] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaf: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Go on with the detached waits of the daemon before."""
        self._deaf = self._bus.listen(self._happened)
        for (text,) in await self._store.query("SELECT record FROM waits"):
            record = msgspec.json.decode(text, type=WaitRecord)
            if record.result is None:
                self._resume(record)
            else:
                self._past[record.id] = record
        self._spawn(self._keep_house())

    async def stop(self) -> None:
        """Stop looking. Detached waits go on with the next daemon."""
        self._deaf()
        for wait in [*self._running]:
            for part in wait.parts:
                part.stop()
        for task in [*self._tasks]:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.3)
        with contextlib.suppress(Fault):
            await self._store.commit(self._progress(), sync=False)

    # What methods ask

    def pane(self, ref: str) -> PaneRecord:
        """Return the pane that a reference names."""
        return self._panes.registry.pane(ref)

    def begin(
        self, owner: str, conditions: Conditions, panes: Sequence[PaneRecord], since: str | None
    ) -> Wait:
        """Begin a wait, from now on or from a cursor on.

        Raises:
            BadPattern: a pattern is none.
            TooManyPatterns, TooManyWaits: the owner has as many as one may have.
            BadCursor: the cursor is none of the pane.
            NoPrompt: a prompt was asked for, and cannot be known.
        """
        if sum(w.owner == owner and w.result is None for w in self._running) >= WAITS:
            raise TooManyWaits(owner=owner, limit=WAITS)
        places = [(pane, self._cursor(pane, since)) for pane in panes]
        wait = Wait(owner, conditions)
        wait.give_back = self._quota.take(owner, conditions.expressions)
        self._begin(wait, places)
        return wait

    async def hold(self, wait: Wait, seconds: float) -> WaitResult:
        """Return the result, after those seconds at the latest; the caller holds the line."""
        try:
            await self._expire(wait, seconds)
        finally:
            wait.end("cancelled")
        assert wait.result is not None
        return wait.result

    async def detach(self, wait: Wait, seconds: float) -> str:
        """Own a wait from now on; return its id once it is on disk."""
        now = self._clock.now().timestamp()
        record = wait.record = WaitRecord(
            id=f"wait{self._store.next_id('wait')}", owner=wait.owner, conditions=wait.conditions,
            starts=[_where(part) for part in wait.parts], created_at=now, deadline=now + seconds,
        )  # fmt: skip
        try:
            await self._store.commit([_save(record)])
        except BaseException:
            wait.end("cancelled")
            raise
        self._detached[record.id] = wait
        self._spawn(self._see_through(wait, seconds))
        return record.id

    async def get(self, name: str, block: float) -> WaitResult:
        """Return what a detached wait has come to, waiting for its end some seconds."""
        wait = self._detached.get(name)
        if wait is not None:
            allow(wait.owner, name)
        if wait is not None and block and not wait.ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(block):
                    await wait.ended.wait()
        if wait is not None:
            return wait.result or WaitResult(wait=name)
        return self._remembered(name)

    async def cancel(self, name: str) -> WaitResult:
        """End a detached wait; one that has ended keeps its result."""
        wait = self._detached.get(name)
        if wait is None:
            return self._remembered(name)
        allow(wait.owner, name)
        wait.end("cancelled")
        assert wait.result is not None
        return wait.result

    def listed(self) -> list[WaitInfo]:
        """Return the detached waits, the ended ones that are remembered among them."""
        records = [w.record for w in self._detached.values() if w.record is not None]
        known = {record.id: record for record in [*self._past.values(), *records]}
        seen = [record for record in known.values() if visible(record.owner)]
        return [_info(record) for record in sorted(seen, key=lambda r: int(r.id[4:]))]

    # Inside

    def _cursor(self, pane: PaneRecord, text: str | None) -> Cursor | None:
        if text is None:
            return None
        cursor = Cursor.parse(text)
        if cursor is None or cursor > self._feeds.stream(pane).cursor:
            raise BadCursor(cursor=text[:40])
        return cursor

    def _begin(self, wait: Wait, places: Sequence[tuple[PaneRecord, Cursor | None]]) -> None:
        conditions = wait.conditions
        try:
            needles = [Needle(e) for e in (*conditions.patterns, *conditions.stop)]
        except BaseException:
            wait.give_back()
            raise
        wait.parts = [
            PaneWait(
                conditions, needles, pane, self._clock, self._feeds, self._typing, wait.part_ended
            )
            for pane, _ in places
        ]
        self._running.add(wait)
        try:
            for part, (_, since) in zip(wait.parts, places, strict=True):
                part.start(since, self.prompts)
        except BaseException:
            wait.end("cancelled")
            self._running.discard(wait)
            raise

    async def _expire(self, wait: Wait, seconds: float) -> None:
        """Wait for the end, or bring it about when the time is over."""
        try:
            ended = asyncio.ensure_future(wait.ended.wait())
            over = asyncio.ensure_future(self._clock.sleep(seconds))
            try:
                await asyncio.wait({ended, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                over.cancel()
            wait.end("timed_out")
        finally:
            self._running.discard(wait)

    async def _see_through(self, wait: Wait, seconds: float) -> None:
        await self._expire(wait, max(0.0, seconds))
        record, result = wait.record, wait.result
        assert record is not None and result is not None and result.outcome is not None
        record.result, record.ended_at = result, self._clock.now().timestamp()
        self._past[record.id] = record
        fact = WaitEnded(pane=result.pane, wait=record.id, outcome=result.outcome)
        try:
            await self._store.record([_save(record)], [fact])
        except Fault as problem:
            log.warning("a result is not on disk", wait=record.id, reason=str(problem))
        del self._detached[record.id]

    def _resume(self, record: WaitRecord) -> None:
        """Go on where an earlier daemon has looked last."""
        wait = Wait(record.owner, record.conditions)
        wait.record = record
        expressions = record.conditions.expressions
        wait.give_back = self._quota.take(record.owner, expressions, forced=True)
        places: list[tuple[PaneRecord, Cursor | None]] = []
        for start in record.starts:
            pane = self._panes.registry.panes.get(start.pane)
            cursor = Cursor.parse(start.cursor)
            if pane is not None and cursor is not None:
                places.append((pane, cursor))
        self._detached[record.id] = wait
        try:
            self._begin(wait, places)
        except Fault as problem:
            log.warning("a wait cannot go on", wait=record.id, reason=str(problem))
            wait.result = None
            wait.end("lagged")
        if len(places) < len(record.starts):
            wait.end("gone")
        for part, start in zip(wait.parts, record.starts, strict=False):
            if part.incarnation != start.incarnation:
                part.incarnation = start.incarnation
                part.check_incarnation()
        self._spawn(self._see_through(wait, record.deadline - self._clock.now().timestamp()))

    def _happened(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == PaneRespawned.kind:
                for wait in [*self._running]:
                    for part in wait.parts:
                        if part.pane.id == event.pane:
                            part.check_incarnation()

    def _remembered(self, name: str) -> WaitResult:
        record = self._past.get(name)
        if record is None or record.result is None:
            raise WaitNotFound(wait=name[:40])
        allow(record.owner, name)
        return record.result

    async def _keep_house(self) -> None:
        """Save how far waits have come, and forget results that are old."""
        while True:
            await self._clock.sleep(SAVING)
            statements = self._progress()
            before = self._clock.now().timestamp() - REMEMBERED
            past = sorted(self._past.values(), key=lambda r: r.ended_at or 0.0)
            for number, record in enumerate(past):
                old = (record.ended_at or 0.0) < before
                if old or number < len(past) - MOST_REMEMBERED:
                    del self._past[record.id]
                    statements.append(Statement(_FORGET, (record.id,)))
            if statements:
                with contextlib.suppress(Fault):
                    await self._store.commit(statements, sync=False)

    def _progress(self) -> list[Statement]:
        """Return what saves where waits have got to since the last time."""
        statements: list[Statement] = []
        for wait in self._detached.values():
            record = wait.record
            starts = [_where(part) for part in wait.parts]
            if record is not None and wait.result is None and record.starts != starts:
                record.starts = starts
                statements.append(_save(record))
        return statements

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _where(part: PaneWait) -> Start:
    return Start(pane=part.pane.id, cursor=str(part.at), incarnation=part.incarnation)


def _save(record: WaitRecord) -> Statement:
    return Statement(_SAVE, (record.id, msgspec.json.encode(record).decode()))


def _info(record: WaitRecord) -> WaitInfo:
    conditions = record.conditions
    named = [f"pattern {e.name or e.pattern}" for e in conditions.patterns]
    named += [f"stop {e.name or e.pattern}" for e in conditions.stop]
    named += [word for word in ("exit", "prompt") if getattr(conditions, word)]
    named += [f"idle {conditions.idle:g} s"] if conditions.idle is not None else []
    return WaitInfo(
        wait=record.id, outcome=record.result.outcome if record.result else None,
        panes=[start.pane for start in record.starts], conditions=named, owner=record.owner,
        created_at=_time(record.created_at), deadline=_time(record.deadline),
        ended_at=_time(record.ended_at) if record.ended_at else None,
    )  # fmt: skip


def _time(moment: float) -> str:
    return rfc3339(datetime.fromtimestamp(moment, UTC))


def _no_prompts(pane: str, _: Callable[[], None]) -> Callable[[], None]:
    raise NoPrompt(pane=pane)
