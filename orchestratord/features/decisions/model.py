"""What decisions look like on the wire, and in the store.

Fields may be added with a default, never renamed: old records must still load.
"""

from __future__ import annotations

from typing import Literal

from orchestratord.model import Result

Ending = Literal["answered", "defaulted", "expired", "cancelled"]
State = Literal["open", "answered", "defaulted", "expired", "cancelled"]
Outcome = Literal["answered", "defaulted", "expired", "cancelled", "timed_out"]


class Listed(Result, frozen=True, kw_only=True):
    """A decision without its context. Times are RFC 3339.

    ``answered_by`` and ``answered_at`` are set if somebody answered, ``ended_at``
    however it ended.
    """

    id: str
    state: State
    question: str
    options: list[str]
    default: str | None
    choice: str | None
    reason: str | None
    answered_by: str | None
    answered_at: str | None
    expires_at: str
    ended_at: str | None
    pane: str | None
    session: str | None
    watch: str | None
    asked_by: str
    asked_at: str
    labels: dict[str, str]


class Decision(Listed, frozen=True, kw_only=True):
    """A decision. ``context`` is untrusted: programs in panes may have written it."""

    context: str


class Waited(Decision, frozen=True, kw_only=True):
    """A decision, and what came of waiting for its end."""

    outcome: Outcome
