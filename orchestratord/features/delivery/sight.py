"""What stands around a pane's cursor, and whether a text stands there. Pure.

A line editor shows what it was given where the cursor is. Some hide tmux's cursor, draw one
of their own and leave the real one a few rows below, so rows around it count too. Blanks,
borders and where lines are wrapped differ from program to program: only the ink is compared.
"""

from __future__ import annotations

import unicodedata
from typing import Literal, NamedTuple

REACH = 8
"""Rows above the cursor in which a text counts as standing in the input line."""

BELOW = 2
"""Rows below it, for boxes whose cursor is inside."""

TAIL = 60
"""Characters of a text's last line that are looked for; a longer one is wrapped or shortened."""

SHORT = 4
"""Characters of a text that is recognised anywhere around the cursor; a shorter one only at it."""


class Sight(NamedTuple):
    """The rows of a screen, and the cursor in it, in columns and rows from 0."""

    rows: tuple[str, ...]
    x: int
    y: int

    @property
    def around(self) -> tuple[str, ...]:
        """What is near the cursor, and where that is: what changes when something is typed."""
        near = self.rows[max(0, self.y - BELOW) : self.y + BELOW + 1]
        return (f"{self.x},{self.y}", *near)


class Place(NamedTuple):
    """Where a text ends: so many rows above the cursor; ``at_cursor``: nothing is between.

    ``row`` is the ink of the row in which it ends.
    """

    above: int
    at_cursor: bool
    row: str


Fate = Literal["standing", "below", "left"]


def ink(text: str) -> str:
    """Return a text without blanks, borders and what cannot be seen."""
    return "".join(c for c in text if not _is_blank(c))


def tail_of(text: str) -> str:
    """Return the ink by which a text is known: the end of its last line that has any."""
    for line in reversed(text.splitlines()):
        found = ink(line)
        if found:
            return found[-TAIL:]
    return ""


def find(sight: Sight, tail: str) -> Place | None:
    """Return where a text ends; None if it is not to be seen around the cursor."""
    if not tail:
        return None
    first = max(0, sight.y - REACH)
    rows = [ink(row) for row in sight.rows[first : sight.y]]
    here = sight.rows[sight.y] if sight.y < len(sight.rows) else ""
    before = [*rows, ink(_cut(here, sight.x))]
    if "".join(before).endswith(tail):
        last = max(number for number, row in enumerate(before) if row)
        number = first + last
        return Place(sight.y - number, True, ink(sight.rows[number]))
    if len(tail) < SHORT:
        return None
    around = [*rows, *(ink(row) for row in sight.rows[sight.y : sight.y + BELOW + 1])]
    at = "".join(around).rfind(tail)
    if at < 0:
        return None
    end = at + len(tail)
    for number, row in enumerate(around):
        if end <= len(row):
            return Place(sight.y - first - number, False, row)
        end -= len(row)
    return None


def fate_of(was: Place, now: Sight, tail: str) -> Fate:
    """Say what became of a text that stood somewhere before Enter was pressed.

    ``below`` is a cursor that has gone to a new, blank row and nothing else: an editor that
    took the Enter for a part of the text looks like that, and so does a program that has
    taken the text and says nothing yet.
    """
    place = find(now, tail)
    if place is None:
        return "left"
    if place.above == was.above and place.row == was.row:
        return "standing"
    if place.at_cursor and place.above > was.above:
        return "below"
    if not was.at_cursor and not place.at_cursor and place.above == was.above + 1:
        return "below"
    return "left"


def _is_blank(character: str) -> bool:
    if character.isspace() or "\u2500" <= character <= "\u259f":  # lines, borders, blocks
        return True
    return unicodedata.category(character) in ("Cc", "Cf")


def _cut(row: str, columns: int) -> str:
    """Return what of a row stands in its first columns."""
    used = 0
    for number, character in enumerate(row):
        if used >= columns:
            return row[:number]
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return row
