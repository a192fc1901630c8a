"""Regular expressions of callers, and searching lines with them.

RE2 only: its time is linear in the text whatever the pattern, so a caller cannot
stop the daemon with one. Knows no pane; lines come from ``text``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Protocol, cast

import re2

from orchestratord.features.panes.fault import BadPattern
from orchestratord.model import Result

LONGEST_PATTERN = 1024
MEMORY = 8 << 20
"""Bytes that RE2 may use for one pattern: a program too large is refused, a cache is reset."""

SPANS = 20
"""Matches told of one line; a pattern like ``.`` has one for each character."""

_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")


class Match(Protocol):
    """One match, as ``re`` has it. Spans count characters."""

    def span(self, group: int = 0) -> tuple[int, int]: ...
    def group(self, group: int | str = 0) -> str | None: ...
    def groups(self) -> tuple[str | None, ...]: ...
    def groupdict(self) -> dict[str, str | None]: ...


class Pattern(Protocol):
    """A compiled pattern, as ``re`` has it."""

    @property
    def pattern(self) -> str: ...
    def search(self, text: str) -> Match | None: ...
    def finditer(self, text: str) -> Iterator[Match]: ...


class MatchedLine(Result, frozen=True, kw_only=True):
    """A line that matches, its number, and where: at most 20 spans of characters."""

    line: int
    text: str
    spans: list[tuple[int, int]]


def compile_pattern(pattern: str, ignore_case: bool = False) -> Pattern:
    """Return the compiled pattern.

    Raises:
        BadPattern: It is empty, longer than 1,024 characters, no RE2 syntax (which has no
            look-around, back-references or repeats over 1,000), or needs more than 8 MiB.
    """
    if not pattern:
        raise BadPattern(reason="it is empty")
    if len(pattern) > LONGEST_PATTERN:
        raise BadPattern(reason=f"it has {len(pattern)} characters, at most {LONGEST_PATTERN} do")
    if _ONE_BYTE.search(pattern):
        raise BadPattern(reason=r"\C would match a part of a character")
    options = re2.Options()
    options.log_errors = False  # else RE2 writes them, and the pattern, to standard error
    options.max_mem = MEMORY
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as refused:
        reason = refused.args[0] if refused.args else b"RE2 refuses it"
        raise BadPattern(reason=reason.decode(errors="replace")) from None
    except UnicodeEncodeError:
        raise BadPattern(reason="it holds half of a surrogate pair") from None
    re2.purge()  # its cache would keep the memory of 128 patterns that nobody uses any more
    return cast(Pattern, compiled)


def search(lines: Iterable[str], pattern: Pattern, limit: int, first: int = 1) -> list[MatchedLine]:
    """Return the first lines that match, at most ``limit``; ``first`` is the first one's number."""
    found = _matched(lines, pattern, first)
    return list(itertools.islice(found, limit))


def _matched(lines: Iterable[str], pattern: Pattern, first: int) -> Iterator[MatchedLine]:
    for number, line in enumerate(lines, first):
        matches = itertools.islice(pattern.finditer(line), SPANS)
        if spans := [match.span() for match in matches]:
            yield MatchedLine(line=number, text=line, spans=spans)
