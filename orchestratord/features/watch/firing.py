"""When a watch may act on a match: debouncing, and the end of loops. Pure.

A watch whose actions bring about its own matches, or those of another that brings
about its own, would never end. Of the actions that follow a match in a pane into
which a watch has just acted, so many within so many seconds are taken for a loop.
"""

from __future__ import annotations

from collections import deque

LOOP_ACTS = 30
LOOP_SECONDS = 10.0
"""That many such actions of a watch into a pane within so many seconds are a loop."""


class Debounce:
    """Lets the first match of a burst pass. A burst ends with so many seconds of silence."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._last: dict[tuple[str, int], float] = {}
        self._suppressed: dict[tuple[str, int], int] = {}

    def passes(self, pane: str, pattern: int, now: float) -> int | None:
        """Return how many matches were held back since the last that passed; None holds back."""
        if not self._seconds:
            return 0
        key = (pane, pattern)
        last = self._last.get(key)
        self._last[key] = now
        if last is not None and now - last < self._seconds:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        return self._suppressed.pop(key, 0)

    def forget(self, pane: str) -> None:
        """Forget a pane that is gone."""
        for key in [key for key in self._last if key[0] == pane]:
            del self._last[key]
            self._suppressed.pop(key, None)


class LoopGuard:
    """Counts a watch's actions into panes."""

    def __init__(self) -> None:
        self._acts: dict[str, deque[float]] = {}

    def loops(self, pane: str, now: float) -> bool:
        """Count an action; True if there are too many."""
        acts = self._acts.setdefault(pane, deque(maxlen=LOOP_ACTS))
        full = len(acts) == LOOP_ACTS and now - acts[0] < LOOP_SECONDS
        acts.append(now)
        return full

    def forget(self, pane: str) -> None:
        """Forget a pane that is gone."""
        self._acts.pop(pane, None)
