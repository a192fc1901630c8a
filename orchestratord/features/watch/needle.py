"""A caller's pattern, compiled for the ways in which output is looked at.

A pattern matches within one line as ``Plain`` gives it, or, with ``lines``, within
up to that many consecutive lines. Pure. Above: ``sieve``, which says fast which
patterns can be in a text, and ``lookout``, which finds where.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, NamedTuple, Protocol, cast

import msgspec
import re2
from msgspec import Meta

from orchestratord.features.panes.fault import BadPattern
from orchestratord.features.panes.search import LONGEST_PATTERN, Match, Pattern, compile_pattern

OCCURRENCES = 20
"""Matches of a pattern that count in one line: ``.`` has one for each character."""

LONG = 16 << 10
"""Characters of a line in which groups are told no longer: RE2 finds them slowly."""

MOST_LINES = 20

BLOCK = 8 << 10
"""Bytes that are searched at once. RE2 is linear, but some patterns cost it 10 ns for each byte
and each of their states: with 256 states such a block takes 20 ms."""

STATES = 256
"""States of a pattern for which a block has its full size; with more it is smaller."""

PACE = 50e-9
"""Seconds of CPU for a byte that a pattern may take in the long run; most take 1 ns."""

DEBT = 0.015
"""Seconds of CPU beyond that pace after which a pattern is too slow. Finding its states, at
the begin, takes one that is large some milliseconds."""

MEMORY = 4 << 20
"""Bytes that RE2 may use for a pattern. There can be thousands in all."""

_WHOLE_TEXT = re.compile(r"\\[Az]|\(\?[a-zA-Z]*-")
"""What may speak of the begin or end of the text, so that many lines at once look different."""

Text = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_PATTERN, description="A regular expression (RE2).")
]


class Expression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern as a caller gives it."""

    pattern: Text
    name: Annotated[
        str,
        Meta(
            min_length=1, max_length=64,
            description="How answers and events call it; its text if absent.",
        ),
    ] | None = None  # fmt: skip
    ignore_case: bool = False
    lines: Annotated[
        int,
        Meta(ge=1, le=MOST_LINES, description="Consecutive complete lines that it may span."),
    ] = 1

    @classmethod
    def of(cls, given: str | Expression) -> Expression:
        """Return an expression for what may be a bare pattern."""
        return cls(pattern=given) if isinstance(given, str) else given


class Many(Protocol):
    """A pattern compiled for many lines, as bytes. Spans count bytes."""

    @property
    def programsize(self) -> int: ...
    def search(self, text: bytes, pos: int = 0) -> Match | None: ...


class TooSlow(Exception):
    """A pattern takes so long that it would hold up everybody. Never crosses the wire."""


class Effort:
    """The CPU time that something took, against what it may take for so many bytes."""

    def __init__(self) -> None:
        self._owed = 0.0
        self._began = 0.0

    def begin(self) -> None:
        """Begin to count."""
        self._began = time.thread_time()

    def spent(self, size: int) -> bool:
        """Count what was done for so many bytes; False if it is too much in all."""
        took = time.thread_time() - self._began
        self._owed = max(0.0, self._owed + took - size * PACE)
        return self._owed <= DEBT


class Found(NamedTuple):
    """A match in one line: its place there in characters, and what its groups took."""

    start: int
    end: int
    match: str
    groups: tuple[str | None, ...]


class Needle:
    """A compiled pattern. Raises ``BadPattern`` as ``compile_pattern`` does.

    An empty match counts only in a line that has no other, and once. A pattern that
    may span ``lines`` is compiled so that ``^`` and ``$`` match at each line.
    """

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self.name = expression.name or expression.pattern
        self.lines = expression.lines
        self.whole_text = bool(_WHOLE_TEXT.search(expression.pattern))
        flags = "(?mi)" if expression.ignore_case else "(?m)"
        self.source = flags + expression.pattern
        self._line = compile_pattern(expression.pattern, expression.ignore_case)
        self._many = compile_many(self.source, never_nl=self.lines == 1)
        self._window = cast(Pattern, self._many) if self.lines > 1 else self._line
        self._block = block_size(self._many)
        self._effort = Effort()

    def in_line(self, line: str) -> list[Found]:
        """Return the occurrences in one line, in order: of its first ``OCCURRENCES`` matches."""
        found = list(islice(_found(self._line, line), OCCURRENCES))
        return [f for f in found if f.start < f.end] or found[:1]

    def in_lines(
        self, text: bytes, places: Sequence[tuple[int, int]] | None = None
    ) -> Iterator[int]:
        """Yield the numbers, from 0, of the lines in which a match may begin; never misses one.

        ``text`` are complete lines without the newline of the last; ``places`` are where
        some of them begin and end, if no others need be looked at. Raises ``TooSlow``.
        """
        if self.whole_text:
            yield from range(text.count(b"\n") + 1)
            return
        number = counted = 0
        for begin, end in ((0, len(text)),) if places is None else places:
            number += text.count(b"\n", counted, begin)
            counted = begin
            for line in self._between(text, begin, end):
                yield number + line

    def _between(self, text: bytes, begin: int, last: int) -> Iterator[int]:
        number = 0
        while begin <= last:
            end = min(last, line_end(text, begin + self._block))
            reach = end
            for _ in range(self.lines - 1):
                reach = line_end(text, reach + 1)
            block, own = text[begin:reach], end - begin
            self._effort.begin()
            if len(block) > 2 * self._block:  # one long line: its begin shows what it costs
                self._many.search(block[: self._block])
                self._check(self._block)
            found = [number + line for line in self._in_block(block, own)]
            self._check(len(block))
            yield from found
            number += block.count(b"\n", 0, own) + 1
            begin = end + 1

    def on_screen(self, lines: list[str], text: bytes) -> Iterator[tuple[str, str]]:
        """Yield what is found on a screen, given both ways: the line, or lines, and the match.

        Raises ``TooSlow``.
        """
        for begin in self.in_lines(text):
            if self.lines == 1:
                for found in self.in_line(lines[begin]):
                    yield lines[begin], found.match
                continue
            for last in range(begin, min(begin + self.lines, len(lines))):
                window = lines[begin : last + 1]
                if (over := self.in_window(window)) is not None:
                    yield "\n".join(window), over.match
                    break

    def _in_block(self, block: bytes, own: int) -> Iterator[int]:
        number = counted = at = 0
        while at <= own and (match := self._many.search(block, at)) is not None:
            if (start := match.span()[0]) > own:
                return
            number += block.count(b"\n", counted, start)
            counted = start
            yield number
            at = line_end(block, start) + 1

    def _check(self, size: int) -> None:
        if not self._effort.spent(size):
            raise TooSlow
        self._effort.begin()

    def in_window(self, window: list[str], known: int = 0) -> Found | None:
        """Return the first match in lines that ends in the last, behind what is ``known`` there."""
        text = "\n".join(window)
        last = len(text) - len(window[-1]) + known
        return next((f for f in _found(self._window, text) if f.end >= last + bool(known)), None)


def line_end(text: bytes, at: int) -> int:
    """Return where the line that a place is in ends."""
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def block_size(pattern: Many) -> int:
    """Return how many bytes may be searched at once."""
    return max(256, BLOCK * STATES // max(STATES, pattern.programsize))


def _found(pattern: Pattern, text: str) -> Iterator[Found]:
    before = None
    told = len(text) <= LONG
    for match in pattern.finditer(text):
        if (span := match.span()) != before:  # re2 tells an empty match twice
            yield Found(*span, match.group() or "", match.groups() if told else ())
        before = span


def compile_many(source: str, *, never_nl: bool = True) -> Many:
    """Compile a pattern for many lines at once; raises ``BadPattern``."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    options.never_nl = never_nl
    try:
        compiled = re2.compile(source, options)
    except re2.error as refused:
        reason = refused.args[0] if refused.args else b"RE2 refuses it"
        raise BadPattern(reason=reason.decode(errors="replace")) from None
    re2.purge()
    return cast(Many, compiled)
