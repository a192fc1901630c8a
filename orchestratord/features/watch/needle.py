"""A caller's pattern, compiled for the ways in which output is looked at.

A pattern matches within one line as ``Plain`` gives it, or, with ``lines``, within
up to that many consecutive lines. Pure. Above: ``sieve``, which says fast which
patterns can be in a text, and ``lookout``, which finds where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, NamedTuple, Protocol, cast

import msgspec
import re2
from msgspec import Meta

from orchestratord.features.panes.fault import BadPattern
from orchestratord.features.panes.search import LONGEST_PATTERN, Match, Pattern, compile_pattern

OCCURRENCES = 20
"""Occurrences of a pattern that are told of one line: ``.`` has one for each character."""

MOST_LINES = 20
MEMORY = 1 << 20
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
        str | None, Meta(description="How answers and events call it; its text if absent.")
    ] = None
    ignore_case: bool = False
    lines: Annotated[
        int,
        Meta(ge=1, le=MOST_LINES, description="Consecutive complete lines that it may span."),
    ] = 1

    @classmethod
    def of(cls, given: str | Expression) -> Expression:
        """Return an expression for what may be a bare pattern."""
        return cls(pattern=given) if isinstance(given, str) else given


class _Many(Protocol):
    """A pattern compiled for bytes. Spans count bytes."""

    def search(self, text: bytes, pos: int = 0) -> Match | None: ...


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
        compiled = _compile(self.source, never_nl=self.lines == 1)
        self._many = cast(_Many, compiled)
        self._window = cast(Pattern, compiled) if self.lines > 1 else self._line

    def in_line(self, line: str) -> list[Found]:
        """Return the occurrences in one line, in order, at most ``OCCURRENCES``."""
        found = list(islice(_found(self._line, line), OCCURRENCES + 1))
        filled = [f for f in found if f.start < f.end]
        return (filled or found[:1])[:OCCURRENCES]

    def in_lines(self, text: bytes) -> Iterator[int]:
        """Yield the numbers, from 0, of the lines in which a match may begin; never misses one.

        ``text`` are complete lines without the newline of the last.
        """
        if self.whole_text:
            yield from range(text.count(b"\n") + 1)
            return
        number = counted = at = 0
        while (match := self._many.search(text, at)) is not None:
            start = match.span()[0]
            number += text.count(b"\n", counted, start)
            counted = start
            yield number
            if not (at := text.find(b"\n", start) + 1):
                return

    def in_window(self, window: list[str], known: int = 0) -> Found | None:
        """Return the first match in lines that ends in the last, behind what is ``known`` there."""
        text = "\n".join(window)
        last = len(text) - len(window[-1]) + known
        return next((f for f in _found(self._window, text) if f.end >= last + bool(known)), None)


def _found(pattern: Pattern, text: str) -> Iterator[Found]:
    before = None
    for match in pattern.finditer(text):
        if (span := match.span()) != before:  # re2 tells an empty match twice
            yield Found(*span, match.group() or "", match.groups())
        before = span


def _compile(source: str, *, never_nl: bool) -> Any:
    """Compile a pattern that was checked, for many lines at once."""
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
    return compiled
