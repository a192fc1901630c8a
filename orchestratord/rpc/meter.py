"""How much one agent may ask: calls in a second, and bytes of requests in flight.

A bucket that fills at ``RATE`` calls a second and holds ``BURST``. Only agents have
one; shared by all connections of an agent. Touched between two awaits only.
"""

from __future__ import annotations

from math import ceil

from orchestratord.clock import Clock
from orchestratord.errors import ResourceExhausted

RATE = 200.0
"""Calls a second, for ever."""
BURST = 400.0
"""Calls at once, after a pause."""
IN_FLIGHT = 8 << 20
"""Bytes of requests that have not been answered."""


class QuotaExceeded(ResourceExhausted):
    """An agent has as much of something as one may have; nothing was done."""

    template = "{owner} has reached its quota of {limit} {what}"


class Meter:
    """What is left of one agent's calls and bytes."""

    def __init__(
        self, owner: str, clock: Clock, *, rate: float = RATE, burst: float = BURST,
        what: str = "calls a second",
    ) -> None:  # fmt: skip
        self._owner = owner
        self._clock = clock
        self._rate, self._burst, self._what = rate, burst, what
        self._calls = burst
        self._at = clock.monotonic()
        self._bytes = 0

    def take(self, size: int, calls: int = 1) -> None:
        """Count calls of that many bytes, or raise ``QuotaExceeded`` and count nothing."""
        now = self._clock.monotonic()
        left = min(self._burst, self._calls + (now - self._at) * self._rate)
        self._calls, self._at = left, now
        if left < calls - 1e-6:  # what a sum of fractions may lack
            raise QuotaExceeded(
                owner=self._owner, what=self._what, limit=int(self._rate),
                retry_after=ceil((calls - left) / self._rate * 1000) / 1000,
            )  # fmt: skip
        if self._bytes and self._bytes + size > IN_FLIGHT:
            raise QuotaExceeded(owner=self._owner, what="bytes in flight", limit=IN_FLIGHT)
        self._calls = left - calls
        self._bytes += size

    def give_back(self, size: int) -> None:
        """A call has ended."""
        self._bytes -= size
