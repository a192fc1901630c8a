"""The agents by name, by token and by the pane that they run in.

In memory only; loaded from the store at start and changed by the service alone,
which saves. ``on_change`` is told of each change that matters for who somebody is.
Does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from orchestratord.features.agents.fault import AgentEnded, AgentNotFound, BadToken
from orchestratord.features.agents.record import AgentRecord, hash_of

REMEMBERED = 1000
"""Ended agents whose record stays; the oldest go first."""


class Roll:
    """Every agent that is known."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._by_name: dict[str, AgentRecord] = {}
        self._by_hash: dict[str, AgentRecord] = {}
        self._at_home: dict[str, AgentRecord] = {}

    def load(self, rows: Iterable[tuple[str]]) -> None:
        """Take the records of the store."""
        for (text,) in rows:
            self.put(msgspec.json.decode(text, type=AgentRecord))

    def put(self, agent: AgentRecord) -> None:
        """Know an agent; one of its name that has ended is forgotten."""
        if (before := self._by_name.get(agent.name)) is not None:
            self.drop(before)
        self._by_name[agent.name] = agent
        self._by_hash[agent.token_hash] = agent
        self.changed(agent)

    def changed(self, agent: AgentRecord) -> None:
        """Take over that an agent is in another state, or runs elsewhere."""
        self._at_home = {pane: a for pane, a in self._at_home.items() if a is not agent}
        if agent.pane is not None and agent.state == "active":
            self._at_home[agent.pane] = agent
        self.on_change()

    def drop(self, agent: AgentRecord) -> None:
        """Forget an agent."""
        self._by_name.pop(agent.name, None)
        self._by_hash.pop(agent.token_hash, None)

    def find(self, name: str) -> AgentRecord | None:
        """Return the agent of that name, also one that has ended."""
        return self._by_name.get(name)

    def get(self, name: str) -> AgentRecord:
        """Return the agent of that name, also one that has ended.

        Raises:
            AgentNotFound: there is none.
        """
        found = self._by_name.get(name)
        if found is None:
            raise AgentNotFound(agent=name[:64])
        return found

    def by_token(self, token: str, uid: int) -> AgentRecord:
        """Return the agent whose token it is, for processes of its user.

        Raises:
            BadToken: it is nobody's, or another user's.
            AgentEnded: the agent has none any more.
        """
        found = self._by_hash.get(hash_of(token))
        if found is None or found.uid != uid:
            raise BadToken()
        if found.state != "active":
            raise AgentEnded(agent=found.name, state=found.state)
        return found

    def in_pane(self, pane: str) -> AgentRecord | None:
        """Return the living agent that runs in a pane."""
        return self._at_home.get(pane)

    def active(self) -> list[AgentRecord]:
        """Return the agents that live."""
        return [a for a in self._by_name.values() if a.state == "active"]

    def all(self) -> list[AgentRecord]:
        """Return every agent that is known, the oldest first."""
        return sorted(self._by_name.values(), key=lambda agent: agent.created_at)

    def forgettable(self) -> list[AgentRecord]:
        """Return the ended agents beyond those that are remembered."""
        ended = [a for a in self._by_name.values() if a.state != "active"]
        ended.sort(key=lambda agent: agent.ended_at or "")
        return ended[: max(0, len(ended) - REMEMBERED)]
