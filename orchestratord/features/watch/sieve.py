"""Says in one pass which of many patterns can be in a text, and never misses one.

Pure. A sieve is shared by everybody who looks for the same patterns, whatever the
pane, because building one costs a millisecond for a hundred patterns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from weakref import WeakValueDictionary

import re2

from orchestratord.features.watch.needle import Needle

MEMORY = 16 << 20
"""Bytes that RE2 may use for one set of patterns."""

_END = "\x01"
"""Stands behind every text and is a pattern of every set: ``Plain`` gives no control character.

RE2 does not say that it ran out of memory in a set; that this was not found says it.
"""

FEW = 3
"""Patterns for which one search each is faster than a set."""


class Sieve:
    """A set of patterns. Those that may look different in many lines always pass."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources = list(sources)
        self._set = _set(self._sources) if len(self._sources) > FEW else None

    @classmethod
    def of(cls, needles: Iterable[Needle]) -> Sieve:
        """Return the sieve for those patterns; the same one as long as anybody has it."""
        sources = frozenset(n.source for n in needles if n.lines == 1 and not n.whole_text)
        made = _SIEVES.get(sources)
        if made is None:
            made = _SIEVES[sources] = cls(sorted(sources))
        return made

    def sifted(self, text: bytes) -> Collection[str] | None:
        """Return the sources that can be in complete lines; None means any of them."""
        if self._set is None:
            return None
        hits: list[int] = self._set.Match(text + _END.encode()) or []
        if len(self._sources) not in hits:
            self._set = None
            return None
        return {self._sources[hit] for hit in hits if hit < len(self._sources)}


_SIEVES: WeakValueDictionary[frozenset[str], Sieve] = WeakValueDictionary()


def _set(sources: list[str]) -> re2.Set | None:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    options.never_nl = True
    made = re2.Set.SearchSet(options)
    try:
        for source in [*sources, _END]:
            made.Add(source)
        made.Compile()
    except re2.error:  # too much for one set
        return None
    return made
