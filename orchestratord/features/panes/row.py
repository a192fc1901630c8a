"""The row that a program is writing: cells, a column, and what moves within a row.

Only ``text`` uses it. Text without moves comes out as it went in, to the
character; columns decide only what a move reaches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

COLUMNS = 1000
"""Columns of the widest pane."""

LONGEST_LINE = 1 << 20
"""Characters after which a line is split, at the next end of a row."""

_TAB = 8
_MARKS = 32
"""Characters of a cell; one mark more has a cell of its own, so that a storm stays linear."""

_MOVE = re.compile("(\x1b\\[[0-9;]*[@-~]|\b+|\r)")
_NARROW = (
    " -~\xa0-\u02ff\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2100-\u2319\u2500-\u25fc\u2800-\u28ff"
)
"""Ranges of one column a character: Latin, punctuation, arrows, boxes, blocks, braille."""

_PIECE = re.compile(f"[{_NARROW}]+|[^{_NARROW}]")


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
        text = self.text()
        self.ended.append((text.rstrip(" ") if self._drawn_over else text) + "\n")
        self.reset()

    def draw(self, text: str) -> None:
        """Write text, which may hold tabs, carriage returns, backspaces and CSI moves."""
        parts = _MOVE.split(text)
        self._write(parts[0])
        for at in range(1, len(parts), 2):
            self._move(parts[at])
            if parts[at + 1]:
                self._write(parts[at + 1])

    def _write(self, text: str) -> None:
        for piece in (text,) if text.isascii() and "\t" not in text else _PIECE.findall(text):
            if piece == "\t":
                self._tab()
            elif len(piece) > 1 or not (width := _width(piece)):
                ...
