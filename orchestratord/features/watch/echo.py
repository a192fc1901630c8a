"""The echo of what was typed, which is no output: a wait never matches it.

Pure. An echo is the first place in the output behind the typing where the text
stands. A text that is typed while a command runs in a shell is echoed twice: by
the terminal, and by the line editor once the prompt is back, then behind
something that looks like a prompt, at the end of the line. What a program prints
of a text that it was given, and nobody echoed, cannot be told from an echo.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestratord.features.watch.lines import Lines
from orchestratord.tmux.stream import Cursor

_PROMPTS = "$#%>"
"""What prompts end in, beside symbols that are not ASCII."""

MOST = 64
"""Texts whose echo is expected at once."""

_SHORT = 3
"""Characters of a text that is an echo only at the end of a line: one letter is everywhere."""


class Typed(NamedTuple):
    """A text without a newline, and where the output was when it was typed."""

    text: str
    cursor: Cursor
    at_prompt: bool = False


class Place(NamedTuple):
    """Where an echo stands in a line."""

    start: int
    end: int

    def overlaps(self, start: int, end: int) -> bool:
        """Whether a match has a part of the echo in it."""
        return start < self.end and end > self.start


class Echoes:
    """The echoes that a wait must still expect."""

    def __init__(self, expected: Iterable[Typed] = ()) -> None:
        self._expected = list(expected)

    def __bool__(self) -> bool:
        return bool(self._expected)

    def expect(self, typed: Iterable[Typed]) -> None:
        """Expect more, as it is typed; what was not echoed for long is given up."""
        self._expected = [*self._expected, *typed][-MOST:]

    def lines(self, lines: Lines) -> dict[int, list[Place]]:
        """Return where echoes stand in the next complete lines; they are expected no longer."""
        out: dict[int, list[Place]] = {}
        left = []
        for typed in self._expected if lines.count else ():
            found = _find(lines, typed, out)
            if found is None:
                left.append(typed)
            else:
                out.setdefault(found[0], []).append(found[1])
        if lines.count:
            self._expected = left
        return out

    def pending(self, line: str) -> list[Place]:
        """Return where echoes stand in the unfinished line, the begin of one among them."""
        out: list[Place] = []
        partly = 0
        for typed in self._expected:
            place = _place(line, typed, out)
            if place is not None:
                out.append(place)
            else:
                partly = max(partly, _overlap(line, typed.text))
        return [*out, Place(len(line) - partly, len(line))] if partly else out


def _find(lines: Lines, typed: Typed, taken: dict[int, list[Place]]) -> tuple[int, Place] | None:
    """Return the first free place of a text behind where it was typed, and its line."""
    if typed.text.encode() not in lines.text:
        return None
    for number in range(lines.count):
        line = lines.line(number)
        if typed.text in line and lines.cursor(number) > typed.cursor:
            place = _place(line, typed, taken.get(number, ()))
            if place is not None:
                return number, place
    return None


def _place(line: str, typed: Typed, taken: Iterable[Place]) -> Place | None:
    text, at = typed.text, 0
    while (start := line.find(text, at)) >= 0:
        place = Place(start, start + len(text))
        at = start + 1
        last = not line[place.end :].strip()
        if len(text) < _SHORT and not last:
            continue
        if typed.at_prompt and not (last and _prompts(line[:start].rstrip()[-1:])):
            continue
        if not any(other.overlaps(*place) for other in taken):
            return place
    return None


def _prompts(character: str) -> bool:
    return character in tuple(_PROMPTS) or (character > "\x7f" and not character.isalnum())


def _overlap(line: str, text: str) -> int:
    """Return how much of the text's begin, but not all of it, the line ends with."""
    most = min(len(line), len(text) - 1)
    return next((size for size in range(most, 0, -1) if line.endswith(text[:size])), 0)
