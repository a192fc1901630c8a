"""One looker's place in a pane's lines: what it looks for, and what it was told already.

Pure. Every occurrence is told once, in order of lines, then of places in the
line, then of patterns. The unfinished line is looked at when output pauses; what
was told of it is not told again when it is completed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from orchestratord.features.watch.lines import Lines
from orchestratord.features.watch.needle import Found, Needle
from orchestratord.features.watch.sieve import Sifted


class Occurrence(NamedTuple):
    """A pattern found. ``number`` is the line's in its piece, None of the unfinished line.

    ``line`` has several lines if the pattern spans them.
    """

    number: int | None
    start: int
    end: int
    order: int
    needle: Needle
    line: str
    match: str
    groups: tuple[str | None, ...]


class Hidden(Protocol):
    """A part of a line in which nothing is found."""

    def overlaps(self, start: int, end: int) -> bool: ...


NOTHING: Mapping[int, Sequence[Hidden]] = {}


class Lookout:
    """Finds a looker's patterns. ``before`` is what the current line showed when it began.

    A match must end in what is new, so nothing that was there before is found,
    but a line that was begun before is matched whole.
    """

    def __init__(self, needles: Sequence[Needle], before: str = "") -> None:
        self.needles = needles
        self._before = before
        self._told: dict[int, int] = {}
        self._windows = {
            order: _Window(needle, order)
            for order, needle in enumerate(needles)
            if needle.lines > 1
        }

    def reset(self) -> None:
        """Forget the current line: output before the next piece is gone."""
        self._before = ""
        self._told.clear()
        for window in self._windows.values():
            window.clear()

    def lines(
        self,
        lines: Lines,
        sources: Sifted | None,
        hidden: Mapping[int, Sequence[Hidden]] = NOTHING,
    ) -> Iterator[Occurrence]:
        """Return an iterator over what is in the next complete lines.

        ``sources`` are what the sieve let pass, and where; ``hidden`` is by the lines' numbers.
        The iterator need not be used up. Raises ``TooSlow``.
        """
        if not lines.count:
            return iter(())
        told, before = self._told, self._before
        self._told, self._before = {}, ""
        found: list[Iterator[Occurrence]] = []
        for order, needle in enumerate(self.needles):
            if order in self._windows:
                found.append(iter(self._windows[order].lines(lines, before, hidden)))
            elif sources is None or needle.whole_text or needle.source in sources:
                places = None if sources is None else sources.get(needle.source)
                already = told.get(order, 0)
                found.append(self._single(lines, order, places, already, before, hidden))
        return heapq.merge(*found, key=_place) if len(found) > 1 else (found or [iter(())])[0]

    def pending(
        self, line: str, sources: Sifted | None = None, hidden: Sequence[Hidden] = ()
    ) -> list[Occurrence]:
        """Return what is new in the unfinished line as it stands."""
        out: list[Occurrence] = []
        for order, needle in enumerate(self.needles):
            if needle.lines > 1 or not line:
                continue
            if sources is not None and not needle.whole_text and needle.source not in sources:
                continue
            found = _shown(self._fresh(needle, line, self._before), hidden)
            told = self._told.get(order, 0)
            if len(found) > told:
                self._told[order] = len(found)
                out += [_occurrence(None, f, order, needle, line) for f in found[told:]]
        return sorted(out, key=_place)

    def _single(
        self, lines: Lines, order: int, places: Sequence[tuple[int, int]] | None, told: int,
        before: str, hidden: Mapping[int, Sequence[Hidden]],
    ) -> Iterator[Occurrence]:  # fmt: skip
        needle = self.needles[order]
        for number in needle.in_lines(lines.text, places):
            line = lines.line(number)
            found = needle.in_line(line) if number else self._fresh(needle, line, before)
            found = _shown(found, hidden.get(number, ()))
            for one in found if number else found[told:]:
                yield _occurrence(number, one, order, needle, line)

    @staticmethod
    def _fresh(needle: Needle, line: str, before: str) -> list[Found]:
        found = needle.in_line(line)
        if before and line.startswith(before):
            return [f for f in found if f.end > len(before)]
        return found


class _Window:
    """The last lines for a pattern that spans some. What was told is not looked at again."""

    def __init__(self, needle: Needle, order: int) -> None:
        self._needle = needle
        self._order = order
        self._carried: list[str] = []

    def clear(self) -> None:
        self._carried.clear()

    def lines(
        self, lines: Lines, before: str, hidden: Mapping[int, Sequence[Hidden]]
    ) -> list[Occurrence]:
        """Return what ends in the next complete lines: at most one for each."""
        needle, span = self._needle, self._needle.lines
        carried = self._carried
        text = "".join(f"{line}\n" for line in carried).encode() + lines.text
        have = [*carried, *(lines.line(number) for number in range(lines.count))]
        first, done = len(carried), 0
        out: list[Occurrence] = []
        looked = first
        for start in needle.in_lines(text):
            for last in range(max(start, looked), min(start + span, len(have))):
                looked = last + 1
                window = have[max(done, last - span + 1) : last + 1]
                known = len(before) if last == first and window[-1].startswith(before) else 0
                found = needle.in_window(window, known)
                number = last - first
                if found is not None and _shown([found], hidden.get(number, ()), window):
                    done = last + 1
                    joined = "\n".join(window)
                    out.append(_occurrence(number, found, self._order, needle, joined))
        self._carried = have[max(done, len(have) - span + 1) :]
        return out


def _shown(
    found: list[Found], hidden: Sequence[Hidden], window: Sequence[str] = ("",)
) -> list[Found]:
    """Return what is not hidden in the last of the lines."""
    if not hidden:
        return found
    begin = sum(len(line) + 1 for line in window[:-1])
    return [f for f in found if not any(h.overlaps(f.start - begin, f.end - begin) for h in hidden)]


def _occurrence(
    number: int | None, found: Found, order: int, needle: Needle, line: str
) -> Occurrence:
    return Occurrence(
        number, found.start, found.end, order, needle, line, found.match, found.groups
    )


def _place(occurrence: Occurrence) -> tuple[int, int, int]:
    return occurrence.number or 0, occurrence.start, occurrence.order
