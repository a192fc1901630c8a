"""Why a call about agents can be refused."""

from __future__ import annotations

from orchestratord.errors import AlreadyExists, NotFound, PermissionDenied


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
