"""What is kept of agents, in memory and on disk.

Fields may be added with a default, never renamed: old rows must still load. Never
holds a token, only its hash.
"""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from orchestratord.features.agents.model import AgentState, OnDeath
from orchestratord.rpc.principal import EVERYTHING, Scope
from orchestratord.store.db import Statement

TOKEN_BYTES = 32
"""256 bits: nobody guesses one, so that a plain hash of it may be kept."""

PREFIX = "orch_"
"""So that whoever finds one in a file knows what it is."""

_SAVE = "INSERT OR REPLACE INTO agents (name, record) VALUES (?, ?)"
_FORGET = "DELETE FROM agents WHERE name = ?"


class AgentRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the service knows of an agent. ``pane`` is where it runs, if it said so.

    ``deliver`` says that its messages are to be typed there.
    """

    name: str
    uid: int
    by: str
    scopes: list[Scope]
    token_hash: str
    created_at: str
    labels: dict[str, str] = {}
    pane: str | None = None
    on_death: OnDeath = "keep"
    deliver: bool = False
    ttl: float | None = None
    state: AgentState = "active"
    ended_at: str | None = None

    @property
    def owner(self) -> str:
        """How records name it."""
        return owner_name(self.name)

    @property
    def allowed(self) -> frozenset[Scope]:
        """What it may do."""
        if self.state != "active":
            return frozenset()
        found = frozenset(self.scopes)
        return EVERYTHING if found == EVERYTHING else found


def owner_name(agent: str) -> str:
    """Return how records name an agent."""
    return f"agent:{agent}"


def agent_name(owner: str) -> str | None:
    """Return the agent's name if an owner is one."""
    kind, _, name = owner.partition(":")
    return name if kind == "agent" else None


def new_token() -> str:
    """Return a token that nobody has."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def save(agent: AgentRecord) -> Statement:
    """Return the statement that writes a record as it is now."""
    return Statement(_SAVE, (agent.name, msgspec.json.encode(agent).decode()))


def forget(agent: AgentRecord) -> Statement:
    """Return the statement that deletes a record."""
    return Statement(_FORGET, (agent.name,))
