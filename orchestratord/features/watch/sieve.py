"""Says in one pass which of many patterns can be in a text, and never misses one.

Pure. A sieve is shared by everybody who looks for the same patterns, whatever the
pane, because building one costs some milliseconds for a hundred patterns. A
pattern that makes it slow is taken out, and found by whoever looks for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from weakref import WeakValueDictionary

import re2

from orchestratord.features.watch.needle import (
    BLOCK,
    STATES,
    Effort,
    Needle,
    block_size,
    compile_many,
    line_end,
)

_BLOCK = BLOCK // 2
"""Bytes looked at in one go: a set in which a pattern is too slow is twice as slow as that."""

MEMORY = 16 << 20
"""Bytes that RE2 may use for one set of patterns."""

_END = "\x01"
"""The line behind every text, and a pattern of every set: ``Plain`` gives no control character.

RE2 does not say that it ran out of memory in a set; that this was not found says it.
"""

_LAST = f"\n{_END}".encode()

FEW = 3
"""Patterns for which one search each is faster than a set."""

_SHARE = 0.001
"""Seconds of CPU for a block, by one pattern of a set that is too slow, that make it the cause."""


Sifted = dict[str, list[tuple[int, int]]]


class Sieve:
    """A set of patterns. Those that may look different in many lines always pass."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources = list(sources)
        self._passing: set[str] = set()
        self._effort = Effort()
        self._set: re2.Set | None = None
        self._build()

    @classmethod
    def of(cls, needles: Iterable[Needle]) -> Sieve:
        """Return the sieve for those patterns; the same one as long as anybody has it."""
        sources = frozenset(n.source for n in needles if n.lines == 1 and not n.whole_text)
        made = _SIEVES.get(sources)
        if made is None:
            made = _SIEVES[sources] = cls(sorted(sources))
        return made

    def sifted(self, text: bytes) -> Sifted | None:
        """Return the sources that can be in complete lines, and where; None means all of them.

        A place is where some lines of the text begin and end.
        """
        if self._set is None:
            return None
        found: Sifted = {source: [(0, len(text))] for source in self._passing}
        begin = 0
        while begin <= len(text):
            end = line_end(text, begin + _BLOCK)
            hits = self._hits(text[begin:end])
            if hits is None:
                return None
            for source in hits:
                found.setdefault(source, []).append((begin, end))
            begin = end + 1
        return found

    def _hits(self, block: bytes) -> list[str] | None:
        if self._set is None:
            return None
        if len(block) > 2 * _BLOCK and self._hits(block[:_BLOCK]) is None:
            return None
        self._effort.begin()
        hits: list[int] = self._set.Match(block + _LAST) or []
        if not self._effort.spent(len(block)):
            self._exclude_slow(block[:_BLOCK])
            return None
        if len(self._sources) not in hits:
            self._set = None
            return None
        return [self._sources[hit] for hit in hits if hit < len(self._sources)]

    def _exclude_slow(self, block: bytes) -> None:
        """Take out what takes its time; if it is no single pattern, do without a set."""
        slow = set()
        for source in self._sources:
            pattern = compile_many(source)
            began = time.thread_time()
            pattern.search(block[: block_size(pattern)])
            if time.thread_time() - began > _SHARE:
                slow.add(source)
        self._passing |= slow
        self._sources = [source for source in self._sources if source not in slow] if slow else []
        self._build()

    def _build(self) -> None:
        self._effort = Effort()
        large = {s for s in self._sources if compile_many(s).programsize > STATES}
        self._passing |= large
        self._sources = [source for source in self._sources if source not in large]
        self._set = _set(self._sources) if len(self._sources) > FEW else None


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
