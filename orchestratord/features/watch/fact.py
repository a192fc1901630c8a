"""What can happen to waits and watches. The class name is the event's kind."""

from __future__ import annotations

from orchestratord.events import Fact


class WaitEnded(Fact, frozen=True, kw_only=True):
    """A detached wait has its result."""

    wait: str
    outcome: str
