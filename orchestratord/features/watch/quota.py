"""How many patterns an owner has, in waits and watches together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from orchestratord.features.watch.fault import TooManyPatterns

PATTERNS = 256
"""Patterns of one owner."""


class Quota:
    """Counts the patterns in use by their owners."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def take(self, owner: str, count: int, *, forced: bool = False) -> Callable[[], None]:
        """Count patterns; the returned function gives them back, once.

        ``forced`` is for what was granted by an earlier daemon. Raises ``TooManyPatterns``.
        """
        if not forced and self._used[owner] + count > PATTERNS:
            raise TooManyPatterns(owner=owner, count=self._used[owner] + count, limit=PATTERNS)
        self._used[owner] += count
        taken = [count]

        def give_back() -> None:
            if taken:
                self._used[owner] -= taken.pop()
                if not self._used[owner]:
                    del self._used[owner]

        return give_back
