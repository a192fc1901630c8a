"""What can happen to agents. The class name is the event's kind."""

from __future__ import annotations

from orchestratord.events import Fact


class AgentRegistered(Fact, frozen=True, kw_only=True):
    """An agent was registered, by ``by``."""

    by: str
    scopes: list[str]


class AgentRetired(Fact, frozen=True, kw_only=True):
    """An agent was retired, by ``by``; its token is worth nothing any more."""

    by: str


class AgentExpired(Fact, frozen=True, kw_only=True):
    """An agent has not sent a heartbeat in time."""

    ttl: float
