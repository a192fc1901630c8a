"""The runs that are known, and what is stored of them.

In memory: the unfinished runs and the last thousand that have ended; on disk the same, so
that a later daemon goes on. Written by shells as their runs move on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.events import Fact
from orchestratord.features.panes.access import unlimited
from orchestratord.features.panes.registry import Registry
from orchestratord.features.shell.fact import ExecFinished, ExecStarted, ExecTimedOut
from orchestratord.features.shell.fault import ExecNotFound
from orchestratord.features.shell.run import REMEMBERED, Live, Run, Wanted
from orchestratord.features.shell.shell import new_nonce
from orchestratord.rpc.principal import allow, visible
from orchestratord.store.db import Statement, Store

ANSWER_FIRST = 0.003
"""Seconds that the record of an end waits for its answer to leave."""


class Ledger:
    """Every run by its id."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._lives: dict[str, Live] = {}
        self._ended: deque[str] = deque()

    async def load(self) -> None:
        """Read what an earlier daemon has stored."""
        rows = await self._store.query("SELECT record FROM execs")
        runs = [msgspec.json.decode(text, type=Run) for (text,) in rows]
        for run in sorted(runs, key=lambda run: int(run.id[1:])):
            self._lives[run.id] = live = Live(run)
            if run.state == "finished":
                live.done.set()
                self._ended.append(run.id)

    def make(self, pane: str, incarnation: int, command: str, wanted: Wanted, owner: str) -> Live:
        """Return a new run, which is not known before it is added."""
        run = Run(
            id=f"e{self._store.next_id('exec')}", pane=pane, incarnation=incarnation,
            nonce=new_nonce(), created_at=rfc3339(self._clock.now()), wanted=wanted, owner=owner,
            command=command,
        )  # fmt: skip
        return Live(run)

    def add(self, live: Live) -> None:
        """Know a run."""
        self._lives[live.run.id] = live

    def unfinished(self, pane: str | None = None) -> list[Live]:
        """Return the runs, of one pane or of all, that have not ended, oldest first."""
        return [
            live for live in self._lives.values()
            if live.run.state != "finished" and pane in (None, live.run.pane)
        ]  # fmt: skip

    def end_without_shell(self, live: Live) -> Live:
        """End a run whose shell is gone; it has then to be told with ``finished``."""
        run = live.run
        pane = self._registry.panes.get(run.pane)
        run.state, run.ended_by, run.command = "finished", "pane_exit", None
        run.exit_code = pane.exit.status if pane and pane.exit else None
        run.ended_at = rfc3339(self._clock.now())
        live.done.set()
        live.answer("pane_exit")
        return live

    def live(self, exec_id: str) -> Live:
        """Return a run by its id.

        Raises:
            ExecNotFound: There is none.
            NotOwner, ScopeMissing: Whoever acts may not do so to its pane.
        """
        found = self._lives.get(exec_id)
        if found is None:
            raise ExecNotFound(exec=exec_id)
        allow(self._owner(found), exec_id)
        return found

    def lives(self) -> list[Live]:
        """Return every run that may be seen, oldest first."""
        if unlimited():
            return list(self._lives.values())
        return [live for live in self._lives.values() if visible(self._owner(live))]

    def _owner(self, live: Live) -> str:
        """Say whose a run is: its pane's owner's, whoever gave it."""
        pane = self._registry.panes.get(live.run.pane)
        return pane.owner if pane is not None else live.run.owner

    async def began(self, live: Live) -> None:
        """Store that a run is about to be typed."""
        await self._store.commit([live.run.statement()], sync=False)

    async def running(self, live: Live) -> None:
        """Store that the shell has begun a run, and tell it, unless it has ended already."""
        if live.untold:
            live.untold = False
            await self._store.record([live.run.statement()], [self._started(live)])

    async def timed_out(self, live: Live, then: str) -> None:
        """Tell that a run takes longer than was wanted."""
        fact = ExecTimedOut(**self._about(live), exec=live.run.id, then=then)
        await self._store.record([], [fact])

    async def finished(self, live: Live) -> None:
        """Store how a run ended, and tell it.

        Nobody waits for that with the answer: if we die before, the next daemon finds the
        same end in the pane's output. The answer goes first, because SQLite's thread takes
        the interpreter from the loop that sends it.
        """
        await asyncio.sleep(ANSWER_FIRST)
        run = live.run
        self._ended.append(run.id)
        facts: list[Fact] = []
        if live.untold and run.started_at is not None:
            live.untold = False
            facts.append(self._started(live))
        if run.ended_by is not None:
            facts.append(
                ExecFinished(
                    **self._about(live), exec=run.id, ended_by=run.ended_by,
                    exit_code=run.exit_code, duration=run.duration or 0.0,
                )
            )  # fmt: skip
        await self._store.record([run.statement(), *self._forget_oldest()], facts)

    def _started(self, live: Live) -> Fact:
        return ExecStarted(**self._about(live), exec=live.run.id, size=live.size)

    def _about(self, live: Live) -> dict[str, Any]:
        pane = self._registry.panes.get(live.run.pane)
        return {"session": pane.session if pane else None, "pane": live.run.pane}

    def _forget_oldest(self) -> list[Statement]:
        old = [self._ended.popleft() for _ in range(len(self._ended) - REMEMBERED)]
        return [self._lives.pop(exec_id).run.forgotten() for exec_id in old]
