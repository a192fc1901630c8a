"""The row that a program is writing: cells, a column, and what moves within a row.

Only ``text`` uses it. Text without moves comes out as it went in, to the
character; columns decide only what a move reaches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

COLUMNS = 1000
"""Columns of the widest pane."""

LONGEST_LINE = 1 << 20
"""Characters after which a line is split, at the next end of a row."""

_TAB = 8
_MARKS = 32
"""Characters of a cell; one mark more has a cell of its own, so that a storm stays linear."""

_MOVE = re.compile("(\x1b(?:\\[[0-9;]*[@-~]|[DEM])|\b+|\r)")
_NARROW = (
    " -~\xa0-\u02ff\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2100-\u2319\u2500-\u25fc\u2800-\u28ff"
)
"""Ranges of one column a character: Latin, punctuation, arrows, boxes, blocks, braille."""

_PIECE = re.compile(f"([{_NARROW}]+)|(\t)|([^\t{_NARROW}])")


class Row:
    """The row being written, and the lines that have ended since they were last taken.

    ``_cells`` has a string for each column: a character with its marks, or "" for a
    further column of a wide character or a tab. ``_above`` is the text of the rows of
    the same line that were wrapped; no move reaches them.
    """

    def __init__(self, columns: int) -> None:
        self.ended: list[str] = []
        self._columns = columns
        self._cells: list[str] = []
        self._above: list[str] = []
        self._length = 0
        self._column = 0
        self._drawn_over = False

    @property
    def begun(self) -> bool:
        """Whether anything of a line is there, be it only a column."""
        return bool(self._cells or self._column or self._above)

    def text(self) -> str:
        """Return the line as it stands."""
        return "".join(self._above) + "".join(self._cells)

    def take(self) -> str:
        """Return the lines that have ended, and forget them."""
        lines = "".join(self.ended)
        self.ended.clear()
        return lines

    def reset(self) -> None:
        """Forget the line."""
        self._cells.clear()
        self._above.clear()
        self._length = self._column = 0
        self._drawn_over = False

    def end(self) -> None:
        """End the line."""
        self._end(self.text())

    def draw(self, text: str) -> None:
        """Write text, which may hold tabs, carriage returns, backspaces and CSI moves."""
        parts = _MOVE.split(text)
        self._write(parts[0])
        for at in range(1, len(parts), 2):
            self._move(parts[at])
            if parts[at + 1]:
                self._write(parts[at + 1])

    def _write(self, text: str) -> None:
        if text.isascii() and "\t" not in text:
            self._write_narrow(text)
            return
        for narrow, tab, other in _PIECE.findall(text):
            if narrow:
                self._write_narrow(narrow)
            elif tab:
                self._tab()
            elif width := _width(other):
                self._make_room(width)
                self._put([other, *[""] * (width - 1)])
            else:
                self._mark(other)

    def _write_narrow(self, text: str) -> None:
        start = 0
        while start < len(text):
            self._make_room(1)
            part = text[start : start + self._columns - self._column]
            self._put(part)
            start += len(part)

    def _tab(self) -> None:
        """Move over what is there; at the end of the row a tab is text."""
        if self._column < len(self._cells):
            self._go(self._column + _TAB - self._column % _TAB)
        else:
            self._make_room(1)
            room = self._columns - self._column
            self._put(["\t", *[""] * (min(_TAB - self._column % _TAB, room) - 1)])

    def _mark(self, mark: str) -> None:
        """Add a character without width to the one before it."""
        cells, at = self._cells, self._column - 1
        while 0 < at < len(cells) and not cells[at]:
            at -= 1
        if 0 <= at < len(cells) and len(cells[at]) < _MARKS:
            cells[at] += mark
        else:
            self._write_narrow(mark)

    def _make_room(self, width: int) -> None:
        """Wrap if the next character does not fit into the row."""
        if self._column + width <= self._columns:
            return
        row = "".join(self._cells)
        self._above.append(row)
        self._length += len(row)
        self._cells.clear()
        self._column = 0
        if self._length >= LONGEST_LINE:
            self.end()

    def _put(self, new: Sequence[str]) -> None:
        cells, at = self._cells, self._column
        self._column = end = at + len(new)
        if at < len(cells):
            self._drawn_over = True
            self._part(at)
            self._part(end)
        elif at > len(cells):
            cells += [" "] * (at - len(cells))
        cells[at:end] = new

    def _part(self, at: int) -> None:
        """Make blanks of a wide character or tab that has cells on both sides of a column."""
        cells = self._cells
        if at >= len(cells) or cells[at]:
            return
        start = end = at
        while start > 0 and not cells[start]:
            start -= 1
        while end < len(cells) and not cells[end]:
            end += 1
        cells[start:end] = " " * (end - start)

    def _move(self, move: str) -> None:
        if move == "\r":
            self._column = 0
        elif move[0] == "\b":
            self._go(self._column - len(move))
        elif move[1] == "[":
            self._move_by(move[-1], *move[2:-1].split(";")[:2])
        else:  # ESC D, E, M
            self._leave()
            if move[1] == "E":
                self._column = 0

    def _move_by(self, kind: str, first: str, second: str = "") -> None:
        number = int(first or 0)
        count = number or 1
        match kind:
            case "K" | "J":
                self._erase(number)
            case "P" | "@" | "X":
                self._edit(kind, count)
            case "C" | "a":
                self._go(self._column + count)
            case "D":
                self._go(self._column - count)
            case "G" | "`":
                self._go(count - 1)
            case "H" | "f":
                self._leave()
                self._go(int(second or 1) - 1)
            case "E" | "F":
                self._leave()
                self._go(0)
            case _:  # A, B and d keep the column
                self._leave()

    def _go(self, column: int) -> None:
        self._column = max(0, min(column, self._columns - 1))

    def _leave(self) -> None:
        """Go to another row: a line that shows something has ended, a blank one never was."""
        column, text = self._column, self.text()
        if text and not text.isspace():
            self._end(text)
        else:
            self.reset()
        self._column = column

    def _end(self, text: str) -> None:
        self.ended.append((text.rstrip(" ") if self._drawn_over else text) + "\n")
        self.reset()

    def _erase(self, part: int) -> None:
        """Erase from the column (0), up to it (1), or the row (2)."""
        at = self._column
        if part == 0:
            self._part(at)
            del self._cells[at:]
        elif part == 1:
            self._column = 0
            self._edit("X", at + 1)
            self._column = at
        elif part == 2:
            self._cells.clear()

    def _edit(self, kind: str, count: int) -> None:
        """Blank (X), delete (P) or make room for (@) that many cells at the column."""
        cells, at = self._cells, self._column
        end = min(at + count, len(cells))
        if at >= end:
            return
        self._drawn_over = True
        self._part(at)
        if kind == "@":
            cells[at:at] = " " * min(count, self._columns - at)
            del cells[self._columns :]
            return
        self._part(end)
        cells[at:end] = " " * (end - at) if kind == "X" else ""


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    """Return the columns of a character, as wcwidth does, near enough."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
