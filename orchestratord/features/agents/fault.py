"""Why a call about agents, leases and messages can be refused."""

from __future__ import annotations

from orchestratord.errors import (
    AlreadyExists,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)


class BadToken(PermissionDenied):
    """The token is no agent's, or not one of this user's."""

    template = "the token is no agent's"


class AgentEnded(PermissionDenied):
    """The agent was retired, or has not sent a heartbeat in time; it has no rights any more."""

    template = "agent {agent} is {state}"
    hint = "register it again"


class AgentNotFound(NotFound):
    """No agent has that name."""

    template = "no agent {agent!r}"
    hint = "orchctl agent-list shows what there is"


class AgentExists(AlreadyExists):
    """An agent of that name lives."""

    template = "agent {agent} is registered"
    hint = "retire it first, or take another name"


class LeaseNotFound(NotFound):
    """No lease of that id holds; perhaps it has ended."""

    template = "no lease {lease!r} holds"


class MessageNotFound(NotFound):
    """No message has that id, or it was settled so long ago that it is forgotten."""

    template = "no message {message!r}"


class NobodyThere(NotFound):
    """No living agent has that label."""

    template = "no agent has the label {label!r}"


class MailboxFull(ResourceExhausted):
    """The recipient has as many messages as a mailbox holds; nothing was sent."""

    template = "the mailbox of {to} is full: {limit} {what}"
    hint = "message-ack makes room"
