"""What can happen to decisions. A fact never holds the context of one, which may be pane output."""

from __future__ import annotations

from orchestratord.events import Fact


class DecisionOpened(Fact, frozen=True, kw_only=True):
    """A decision waits for an answer; at ``expires_at`` the default applies, if there is one."""

    decision: str
    question: str
    options: list[str]
    default: str | None
    expires_at: str


class DecisionAnswered(Fact, frozen=True, kw_only=True):
    """Somebody chose."""

    decision: str
    choice: str
    reason: str | None
    by: str


class DecisionDefaulted(Fact, frozen=True, kw_only=True):
    """Nobody answered in time, and the default is the choice."""

    decision: str
    choice: str


class DecisionExpired(Fact, frozen=True, kw_only=True):
    """Nobody answered in time, and there is no choice."""

    decision: str


class DecisionCancelled(Fact, frozen=True, kw_only=True):
    """A decision is not needed any more."""

    decision: str
    by: str
