"""The agents: registered, known by a token or by their pane, ended by themselves or by silence.

State: the roll, written here alone, each change on disk before it counts. An agent
with a ttl must send heartbeats; time that the daemon did not run is not held against
it. What becomes of its panes was said when it was registered. What else ends with an
agent (its leases) is told through ``on_end``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Fact
from orchestratord.features.agents.fact import AgentExpired, AgentRegistered, AgentRetired
from orchestratord.features.agents.fault import AgentEnded, AgentExists
from orchestratord.features.agents.identity import Identity
from orchestratord.features.agents.model import Agent, AgentState, OnDeath
from orchestratord.features.agents.record import (
    AgentRecord,
    agent_name,
    forget,
    hash_of,
    new_token,
    owner_name,
    save,
)
from orchestratord.features.agents.roll import Roll
from orchestratord.features.panes.model import Pane
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.turn import Turns
from orchestratord.log import Log
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.principal import EVERYTHING, NotOwner, Principal, Scope, ScopeMissing
from orchestratord.store.db import Store
from orchestratord.tmux.client import TmuxGone

log = Log("agents")

MOST = 1000
"""Agents that live at a time."""

GRACE = 2.0
"""Seconds that the programs of a dead agent's panes get to end."""

LOOK = 60.0
"""Seconds between two looks for agents that are silent, at the most."""


class Agents:
    """Everything about agents but their leases and messages."""

    def __init__(self, panes: Panes, store: Store, clock: Clock, tmux_socket: Path) -> None:
        self.roll = Roll()
        self.identity = Identity(self.roll, panes.registry, clock, tmux_socket)
        self.on_end: list[Callable[[str], None]] = []
        self._panes = panes
        self._store = store
        self._clock = clock
        self._turns = Turns()
        self._due: dict[str, float] = {}
        self._set = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is known and begin to look for agents that are silent."""
        self.roll.load(await self._store.query("SELECT record FROM agents"))
        for agent in self.roll.active():
            self._wind(agent)
        self._timer = asyncio.create_task(self._look_for_silence(), name="agents' expiry")

    async def stop(self) -> None:
        """Stop looking. Agents live on with the next daemon."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer

    # What methods ask

    async def register(
        self, principal: Principal, name: str, *, scopes: Iterable[Scope], ttl: float | None,
        on_death: OnDeath, pane: PaneRecord | None, deliver: bool, labels: dict[str, str],
    ) -> tuple[AgentRecord, str]:  # fmt: skip
        """Make an agent, with no more rights than whoever asks for it; return it and its token.

        An agent that had the name and has ended leaves it its panes and messages.

        Raises:
            AgentExists: one of that name lives.
            ScopeMissing: the caller lacks a scope that it would give.
            QuotaExceeded: there are too many.
        """
        given = frozenset(scopes)
        if lacking := sorted(given - principal.scopes):
            raise ScopeMissing(who=principal.owner, needs=lacking[0])
        async with self._turns.of(name):
            known = self.roll.find(name)
            if known is not None and known.state == "active":
                raise AgentExists(agent=name)
            if known is not None:
                self._check_rights(principal, known)
            if len(self.roll.active()) >= MOST:
                raise QuotaExceeded(owner="the daemon", what="agents", limit=MOST)
            token = new_token()
            agent = AgentRecord(
                name=name, uid=principal.uid, by=principal.owner,
                scopes=[scope for scope in sorted(EVERYTHING) if scope in given],
                token_hash=hash_of(token), created_at=rfc3339(self._clock.now()), labels=labels,
                pane=pane.id if pane is not None else None, on_death=on_death, ttl=ttl,
                deliver=deliver,
            )  # fmt: skip
            old = self.roll.forgettable()
            told = AgentRegistered(agent=name, by=agent.by, scopes=[*agent.scopes], pane=agent.pane)
            await self._store.commit([*map(forget, old), save(agent)], [told])
            for forgotten in old:
                self.roll.drop(forgotten)
            self.roll.put(agent)
            self._wind(agent)
            return agent, token

    def heartbeat(self, principal: Principal, name: str | None) -> AgentRecord:
        """Say that an agent lives; by default the one that calls.

        Raises:
            AgentNotFound, AgentEnded, NotOwner.
        """
        agent = self.roll.get(name if name is not None else principal.agent or "")
        self._check_rights(principal, agent)
        if agent.state != "active":
            raise AgentEnded(agent=agent.name, state=agent.state)
        self._wind(agent)
        return agent

    async def retire(
        self, principal: Principal, name: str, panes: OnDeath | None
    ) -> tuple[OnDeath, list[str]]:
        """End an agent; return what was done to which of its panes.

        Raises:
            AgentNotFound, AgentEnded, NotOwner.
        """
        agent = self.roll.get(name)
        self._check_rights(principal, agent)
        if agent.state != "active":
            raise AgentEnded(agent=agent.name, state=agent.state)
        told = AgentRetired(agent=name, by=principal.owner)
        doomed = await self._end(agent, "retired", told)
        return await self._settle_panes(agent, panes or agent.on_death, doomed)

    async def give(self, principal: Principal, pane: PaneRecord, to: str) -> None:
        """Let a pane belong to an agent or a user, from now on.

        Raises:
            AgentNotFound, AgentEnded: there is no such agent.
            NotOwner: it is somebody else's, and the caller no admin.
        """
        if pane.owner != principal.owner and not principal.has("admin"):
            raise NotOwner(thing=pane.id, owner=pane.owner, who=principal.owner, needs="admin")
        owner = to
        if not to.startswith("uid:"):
            agent = self.roll.get(agent_name(to) or to)
            if agent.state != "active":
                raise AgentEnded(agent=agent.name, state=agent.state)
            owner = agent.owner
        await self._panes.act(self._panes.arrangement.give([pane], [], owner, principal.owner))

    def pane(self, ref: str, session: str | None = None) -> PaneRecord:
        """Return the living pane that a reference names."""
        return self._panes.registry.living(ref, session)

    def shown(self, pane: PaneRecord) -> Pane:
        """Return a pane as the wire has it."""
        return self._panes.view.pane(pane)

    def show(self, agent: AgentRecord) -> Agent:
        """Return an agent as the wire has it."""
        due = self._due.get(agent.name)
        live = self._panes.registry.live_panes()
        return Agent(
            agent=agent.name, state=agent.state, by=agent.by, uid=agent.uid, scopes=agent.scopes,
            labels=agent.labels, pane=agent.pane, on_death=agent.on_death, ttl=agent.ttl,
            deliver=agent.deliver,
            panes=[p.id for p in live if p.owner == agent.owner],
            expires_in=round(due - self._clock.monotonic(), 3) if due is not None else None,
            created_at=agent.created_at, ended_at=agent.ended_at,
        )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"agents": len(self.roll.active())}

    # Inside

    def _check_rights(self, principal: Principal, agent: AgentRecord) -> None:
        """Only an agent itself, who registered it, and admins speak for it."""
        if principal.owner in (agent.owner, agent.by) or principal.has("admin"):
            return
        raise NotOwner(thing=agent.owner, owner=agent.by, who=principal.owner, needs="admin")

    def _wind(self, agent: AgentRecord) -> None:
        if agent.ttl is not None and agent.state == "active":
            self._due[agent.name] = self._clock.monotonic() + agent.ttl
            self._set.set()

    async def _end(self, agent: AgentRecord, state: AgentState, told: Fact) -> list[PaneRecord]:
        """Take an agent's rights; return the panes that it leaves."""
        async with self._turns.of(agent.name):
            if agent.state != "active":
                return []
            before = agent.ended_at
            agent.state, agent.ended_at = state, rfc3339(self._clock.now())
            self.roll.changed(agent)  # at once: what it asks while this is written is refused
            try:
                await self._store.commit([save(agent)], [told])
            except Fault:
                agent.state, agent.ended_at = "active", before
                self.roll.changed(agent)
                raise
            self._due.pop(agent.name, None)
            for tell in self.on_end:
                tell(agent.owner)
            return [p for p in self._panes.registry.live_panes() if p.owner == agent.owner]

    async def _settle_panes(
        self, agent: AgentRecord, do: OnDeath, left: list[PaneRecord]
    ) -> tuple[OnDeath, list[str]]:
        panes = self._panes
        if do == "kill":
            await panes.act(panes.kill_all(left, GRACE, agent.owner))
        elif do == "hand_over":
            sessions = [s for s in panes.registry.live_sessions() if s.owner == agent.owner]
            heir = self._heir(agent)
            await panes.act(panes.arrangement.give(left, sessions, heir, agent.owner))
        return do, [pane.id for pane in left]

    def _heir(self, agent: AgentRecord) -> str:
        """Return who gets what an agent leaves: the next living one above it, else its user."""
        seen: set[str] = set()
        owner = agent.by
        while (name := agent_name(owner)) is not None and owner not in seen:
            above = self.roll.find(name)
            if above is not None and above.state == "active":
                return owner_name(name)
            seen.add(owner)
            owner = above.by if above is not None else f"uid:{agent.uid}"
        return owner if agent_name(owner) is None else f"uid:{agent.uid}"

    async def _look_for_silence(self) -> None:
        while True:
            self._set.clear()
            now = self._clock.monotonic()
            for name in [name for name, due in self._due.items() if due <= now]:
                await self._expire(self.roll.get(name))
            left = min((due - now for due in self._due.values()), default=LOOK)
            await self._pause(min(LOOK, max(0.01, left)))

    async def _pause(self, seconds: float) -> None:
        """Wait for those seconds, or until an agent has another time."""
        tasks: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._set.wait()), asyncio.create_task(self._sleep(seconds))
        }  # fmt: skip
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def _expire(self, agent: AgentRecord) -> None:
        """End an agent that has been silent for too long; a full disk puts that off."""
        self._due.pop(agent.name, None)
        told = AgentExpired(agent=agent.name, ttl=agent.ttl or 0.0)
        try:
            left = await self._end(agent, "expired", told)
            await self._settle_panes(agent, agent.on_death, left)
        except (Fault, TmuxGone) as problem:
            log.warning("an agent's end is put off", agent=agent.name, reason=str(problem))
            self._due[agent.name] = self._clock.monotonic() + LOOK
