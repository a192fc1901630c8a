"""Who calls: by token, by the pane that it runs in, or by its user alone.

Asked by the rpc engine when somebody connects, and again when agents or panes have
changed; where a process runs is looked for once. Who runs in a pane is the agent that
said it runs there, else the pane's owner, with that one's rights and no others.
"""

from __future__ import annotations

from pathlib import Path

from orchestratord.clock import Clock
from orchestratord.features.agents.evidence import Finder
from orchestratord.features.agents.record import AgentRecord, agent_name
from orchestratord.features.agents.roll import Roll
from orchestratord.features.panes.registry import Registry
from orchestratord.rpc.meter import Meter
from orchestratord.rpc.principal import Evidence, Peer, Principal, by_uid

FARTHEST = 32
"""Supervisors of supervisors that are looked at."""


class Identity:
    """Says who calls. Its state is what each agent has used of its calls; not on disk."""

    def __init__(self, roll: Roll, registry: Registry, clock: Clock, tmux_socket: Path) -> None:
        self.version = 0
        self._roll = roll
        self._registry = registry
        self._clock = clock
        self._finder = Finder(registry.in_process_session, registry.panes.get, tmux_socket)
        self._meters: dict[str, Meter] = {}
        roll.on_change = registry.on_given = self._renew

    def _renew(self) -> None:
        """What was said of a connection may be wrong by now."""
        self.version += 1

    def identify(self, peer: Peer, token: str | None, before: Principal | None) -> Principal:
        """Return the principal of a connection, or of a call with a token.

        Raises:
            BadToken, AgentEnded: the token gives no rights.
        """
        pane, how = self._place(peer, before)
        if token is not None:
            return self._agent(peer, self._roll.by_token(token, peer.uid), pane, "token")
        if pane is None:
            return by_uid(peer)
        agent = self._roll.in_pane(pane) or self._owning(pane)
        if agent is not None:
            return self._agent(peer, agent, pane, how)
        owner = self._registry.panes[pane].owner if pane in self._registry.panes else ""
        if agent_name(owner) is not None:  # forgotten by now
            return Principal(
                uid=peer.uid, pid=peer.pid, owner=owner, agent=agent_name(owner), pane=pane,
                how=how, scopes=frozenset(), free=False,
            )  # fmt: skip
        owner = owner if owner.startswith("uid:") else f"uid:{peer.uid}"
        return Principal(
            uid=peer.uid, pid=peer.pid, owner=owner, pane=pane, above=self._above(pane, None),
            how=how, free=False,
        )  # fmt: skip

    def _place(self, peer: Peer, before: Principal | None) -> tuple[str | None, Evidence]:
        if before is not None:
            return before.pane, before.how
        found = self._finder.find(peer.pid) if self._registry.panes else None
        return (found.pane.id, found.how) if found is not None else (None, "uid")

    def _agent(self, peer: Peer, agent: AgentRecord, pane: str | None, how: Evidence) -> Principal:
        pane = pane or agent.pane
        return Principal(
            uid=peer.uid, pid=peer.pid, owner=agent.owner, agent=agent.name, pane=pane,
            above=self._above(pane, agent), how=how, scopes=agent.allowed,
            meter=self._meter(agent), free=False,
        )  # fmt: skip

    def _owning(self, pane: str) -> AgentRecord | None:
        record = self._registry.panes.get(pane)
        name = agent_name(record.owner) if record is not None else None
        return self._roll.find(name) if name is not None else None

    def _meter(self, agent: AgentRecord) -> Meter:
        """Return an agent's meter, which outlives its connections and ends with the agent."""
        meter = self._meters.get(agent.token_hash)
        if meter is None:
            active = {a.token_hash for a in self._roll.active()}
            self._meters = {k: m for k, m in self._meters.items() if k in active}
            meter = self._meters[agent.token_hash] = Meter(agent.owner, self._clock)
        return meter

    def _above(self, pane: str | None, agent: AgentRecord | None) -> frozenset[str]:
        """Return the panes of whoever made a pane and registered an agent, and so on upwards."""
        found: set[str] = set()
        at = self._registry.panes.get(pane or "")
        while at is not None and at.made_in is not None and at.made_in not in found:
            found.add(at.made_in)
            at = self._registry.panes.get(at.made_in)
        for _ in range(FARTHEST):
            agent = self._roll.find(agent_name(agent.by) or "") if agent is not None else None
            if agent is None:
                break
            if agent.pane is not None:
                found.add(agent.pane)
        return frozenset(found - {pane})
