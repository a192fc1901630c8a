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


class LeaseAcquired(Fact, frozen=True, kw_only=True):
    """Input to a pane is ``holder``'s alone for ``ttl`` seconds, or as long as that renews it."""

    lease: str
    holder: str
    fence: int
    ttl: float


class LeaseReleased(Fact, frozen=True, kw_only=True):
    """A holder gave its lease back, or it ended with its pane or its agent (``reason``)."""

    lease: str
    holder: str
    reason: str


class LeaseExpired(Fact, frozen=True, kw_only=True):
    """A lease was not renewed in time."""

    lease: str
    holder: str


class LeaseBroken(Fact, frozen=True, kw_only=True):
    """A lease was taken from its holder, by ``by``."""

    lease: str
    holder: str
    by: str


class MessageSent(Fact, frozen=True, kw_only=True):
    """A message is in a mailbox; ``agent`` is whom it is for, if that is one."""

    message: str
    sender: str
    to: str


class MessageDelivered(Fact, frozen=True, kw_only=True):
    """A message was typed into its recipient's pane; it stays in the mailbox until it is acked."""

    message: str
    to: str


class MessageAcked(Fact, frozen=True, kw_only=True):
    """A recipient has acknowledged a message."""

    message: str
    to: str


class MessageExpired(Fact, frozen=True, kw_only=True):
    """Nobody has acknowledged a message in its time."""

    message: str
    to: str
