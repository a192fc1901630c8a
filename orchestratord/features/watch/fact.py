"""What can happen to waits and watches. The class name is the event's kind."""

from __future__ import annotations

from orchestratord.events import Fact


class WaitEnded(Fact, frozen=True, kw_only=True):
    """A detached wait has its result."""

    wait: str
    outcome: str


class WatchCreated(Fact, frozen=True, kw_only=True):
    """A watch looks from now on."""

    watch: str
    owner: str


class WatchMatched(Fact, frozen=True, kw_only=True):
    """A watch found one of its patterns; ``match`` is cut. ``suppressed`` came since the last."""

    watch: str
    pattern: str
    match: str
    cursor: str
    suppressed: int = 0


class WatchActed(Fact, frozen=True, kw_only=True):
    """A watch did something; ``result`` is done, spared, skipped, unknown, or a kind of error."""

    watch: str
    action: str
    result: str
    detail: str | None = None


class WatchLagged(Fact, frozen=True, kw_only=True):
    """A watch may have missed something: output was lost, or there were too many matches."""

    watch: str
    reason: str
    missed: int = 0


class WatchPaused(Fact, frozen=True, kw_only=True):
    """A watch looks no longer until it is resumed."""

    watch: str


class WatchResumed(Fact, frozen=True, kw_only=True):
    """A watch looks again, from now on."""

    watch: str


class WatchEnded(Fact, frozen=True, kw_only=True):
    """A watch looks no longer. ``reason``: fired, ttl, loop, slow, deleted, defect."""

    watch: str
    reason: str
