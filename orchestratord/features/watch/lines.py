"""A pane's output as lines, and where in the stream each of them ended. Pure."""

from __future__ import annotations

import copy
import re

from orchestratord.features.panes.text import Plain
from orchestratord.tmux.stream import Cursor, Slice

CONTEXT = 4 << 10
"""Bytes before a cursor that are looked at for the begin of the line that it stands in."""

_PIECE = re.compile(rb"\x1b\[[ -?]*[@-~]|\x1b[^[]?|\n|[^\x1b\n]+", re.DOTALL)
"""What can end a line ends a piece."""


class Lines:
    """What a piece of output completed, and the line that it left unfinished.

    ``text`` are the complete lines, as UTF-8, without the newline of the last;
    there are ``count``. ``gap`` says that output between the piece before and this
    one is gone, and with it the begin of the first line.
    """

    def __init__(
        self, text: str, pending: str, part: Slice, before: Plain | None, *, final: bool = False
    ) -> None:
        self.count = text.count("\n")
        self.text = text[:-1].encode() if text else b""
        self.pending = pending
        self.gap = part.gap
        self.final = final
        self._part = part
        self._before = before
        self._split: list[str] | None = None
        self._ends: list[int] | None = None

    def line(self, number: int) -> str:
        """Return a complete line."""
        if self._split is None:
            self._split = self.text.decode().split("\n")
        return self._split[number]

    @property
    def end(self) -> Cursor:
        """Behind the piece."""
        return self._part.next

    def cursor(self, number: int) -> Cursor:
        """Return the place behind a complete line."""
        data = self._part.data
        if self._ends is None and self._before is not None and data.count(b"\n") != self.count:
            self._ends = self._find_ends(self._before)
        if self._ends is None:  # each newline has ended a line
            behind = data.split(b"\n", number + 1)
            at = len(data) - len(behind[-1]) if len(behind) > number + 1 else len(data)
        else:
            at = self._ends[number] if number < len(self._ends) else len(data)
        return Cursor(self._part.next.epoch, self._part.next.offset - len(data) + at)

    def _find_ends(self, again: Plain) -> list[int]:
        ends: list[int] = []
        self._before = None
        data, at = self._part.data, 0
        for piece in _PIECE.findall(data):
            at += len(piece)
            ends += [at] * again.feed(piece).count("\n")
        return ends


class Reader:
    """Turns a stream of pieces into lines. ``at`` is where it stands."""

    def __init__(self, columns: int, at: Cursor) -> None:
        self.at = at
        self._columns = columns
        self._plain = Plain(columns)

    @property
    def pending(self) -> str:
        """The line that has not ended, as it stands."""
        return self._plain.pending

    def same_as(self, other: Reader) -> bool:
        """Whether both would give the same lines from here on."""
        return (
            self.at == other.at
            and self.pending == other.pending
            and not (self._plain.within or other._plain.within)
        )

    def prime(self, before: bytes) -> None:
        """Take what stands before the cursor, so that its line is there from the begin."""
        self._plain.feed(before[before.rfind(b"\n") + 1 :])

    def feed(self, part: Slice) -> Lines:
        """Return what the next piece completes."""
        if part.gap:
            self._plain = Plain(self._columns)
        # only an escape sequence can end a line, so that its ends must be found by another look
        escapes = b"\x1b" in part.data or self._plain.within
        before = copy.deepcopy(self._plain) if escapes else None
        self.at = part.next
        text = self._plain.feed(part.data)
        return Lines(text, self._plain.pending, part, before)

    def finish(self) -> Lines:
        """Return the unfinished line as a complete one: the output has ended."""
        rest = self._plain.finish()
        self._plain = Plain(self._columns)
        return Lines(f"{rest}\n" if rest else "", "", Slice(b"", self.at, False), None, final=True)
