"""A pane's raw output as plain text: what reading, searching and matching work on.

Bytes in, text out. Knows no pane, cursor or pattern, does no I/O, and keeps a
bounded state whatever the bytes are. What it returns holds no control character
but newline and tab, so nothing in it can act on a terminal; ``visible`` also
shows what is made to be invisible. The row that is being written is in ``row``.
"""

from __future__ import annotations

import codecs
import re
from collections import deque

from orchestratord.features.panes.row import COLUMNS, LONGEST_LINE, Row

_PARAMETERS = 32
"""Characters of a sequence's parameters; a longer sequence moves nothing (tmux keeps 64)."""

_MOVE = rf"(?:\[[0-9;]{{0,{_PARAMETERS}}}[@-HJKPX`adf]|[DEM])"
_INERT = re.compile(
    r"\x1b(?:\[[0-9;]*m"
    rf"|(?!{_MOVE})(?:"
    r"\[[ -?]*[@-~]?"  # CSI
    r"|[]PX^_k][^\x07\x18\x1a\x1b]*[\x07\x18\x1a]?"  # OSC, DCS, SOS, PM, APC, tmux's title
    r"|[ -/]*[0-~]?))"
)
"""What moves no cursor: dropped. An ESC that begins none of these begins a move."""

_OPEN = re.compile(r"\x1b(?:\[[ -?]*|[]PX^_k][^\x07\x18\x1a\x1b]*|[ -/]*)")
_OPEN_BYTES = re.compile(
    rb"\x1b(?:\[[ -?]*|[]PX^_k](?:[^\x07\x18\x1a\xc2]++|\xc2(?![\x80-\x9f]))*+|[ -/]*)"
)
"""Possessive: else a string that has ended is tried in 2**length ways."""

_STRINGS = tuple("]PX^_k")
_LONGEST_OPEN = 64 << 10

_C1 = re.compile("[\x80-\x9f]")
_C0 = re.compile("[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]+")
_C0_BYTES = bytes({*range(32), 0x7F} - {*b"\b\t\n\r\x1b"})
_MOVES = re.compile("[\b\r\x1b]")

LAST_LINE = 400
"""Characters of a line in a death certificate."""


class Plain:
    """Turns a pane's output into lines, the same however it is cut into chunks.

    ``feed`` returns the lines that the bytes completed, each with its newline, and
    never takes back what it returned. The line that has no end yet is ``pending``;
    it is provisional, because a program may still draw over it.

    A line reads as it stood when it ended, on a terminal of ``columns`` columns (the
    pane's, if they are known) whose wrapped rows are joined. A carriage return goes
    to the begin of the row, a backspace one column back, and what is written there
    replaces what was: ``50%\\r100%\\n`` is ``100%``, ``abc\\b\\b\\bxyz`` is ``xyz``. Moves
    within the row (CSI G ` C D a) and its edits (CSI K J P @ X) do their work, too.
    Blanks at the end of a line that was drawn over are cut, as in tmux's captures.
    A move to another row (CSI A B E F H d f, ESC D E M) ends the line if it shows
    anything, so what was edited over several rows reads as several lines. A line feed
    starts at column 0. A line of more than 2**20 characters is split.

    Escape sequences, other controls, C1 in UTF-8 and DEL are dropped; bytes that are
    no UTF-8 become U+FFFD. BEL, ST, CAN, SUB and any other ESC end a string (OSC, DCS
    and the like), so until one of them comes it swallows the text, as in a terminal.
    """

    def __init__(self, columns: int = COLUMNS) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""
        self._row = Row(columns)

    @property
    def pending(self) -> str:
        """The line that has not ended, as it stands."""
        return self._row.text()

    @property
    def within(self) -> bool:
        """Whether an escape sequence has begun and not ended."""
        return bool(self._open)

    def feed(self, data: bytes) -> str:
        """Return the lines that ended in these bytes; empty if none did."""
        decoded = self._decoder.decode(data)
        if not decoded.isascii():
            decoded = _C1.sub(_seven_bit, decoded)
        text = self._open + decoded
        if "\x1b" in text:
            text = _INERT.sub("", self._keep_open(text))
        if len(data.translate(None, _C0_BYTES)) != len(data):
            text = _C0.sub("", text)
        return self._lines(text.replace("\r\n", "\n"))

    def finish(self) -> str:
        """Return what is pending, without a newline, as the output has ended."""
        self._open = ""
        lines = self._lines(self._decoder.decode(b"", True))
        rest = self._row.text()
        self._row.reset()
        return lines + rest

    def _keep_open(self, text: str) -> str:
        """Hold back a sequence that has no end yet, cut to what decides about it."""
        start = text.rfind("\x1b")
        self._open = ""
        if _OPEN.fullmatch(text, start):
            size = 2 if text.startswith(_STRINGS, start + 1) else _PARAMETERS + 3
            self._open = text[start : start + size]
            return text[:start]
        return text

    def _lines(self, text: str) -> str:
        """Return the complete lines; the text holds no control but newline, tab and moves."""
        row = self._row
        if row.begun:
            head, newline, text = text.partition("\n")
            row.draw(head)
            if not newline:
                return row.take()
            row.end()
        body, newline, tail = text.rpartition("\n")
        if newline and not _MOVES.search(body) and len(body) <= LONGEST_LINE:
            row.ended.append(body + newline)
        elif newline:
            for line in body.split("\n"):
                if len(line) > LONGEST_LINE or _MOVES.search(line):
                    row.draw(line)
                    row.end()
                else:
                    row.ended.append(line + "\n")
        if tail:
            row.draw(tail)
        return row.take()


def plain(data: bytes) -> str:
    """Return the text of a whole output, with the line that has no end."""
    lines = Plain()
    return lines.feed(data) + lines.finish()


def last_lines(data: bytes, count: int) -> list[str]:
    """Return the last lines that are not blank, oldest first, each cut and made visible."""
    cut = (line[:LAST_LINE].rstrip() for line in plain(data).split("\n"))
    lines = deque((line for line in cut if line), maxlen=count)
    return [visible(line)[:LAST_LINE] for line in lines]


def unfinished(data: bytes) -> int:
    """Return how many bytes at the end begin a sequence or character that is not complete.

    Who reads a stream in slices puts the next cursor before them; else the next
    slice begins with the rest, which looks like text. Sequences begin with ESC here;
    nobody writes C1 in UTF-8. One of more than 64 KiB does not count, so that a
    string without an end cannot stop a reader.
    """
    tail = data[-_LONGEST_OPEN:]
    start = tail.rfind(b"\x1b")
    if start >= 0 and _OPEN_BYTES.fullmatch(tail, start):
        return len(tail) - start
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(tail[-4:])
    return len(decoder.getstate()[0])


def _seven_bit(c1: re.Match[str]) -> str:
    """Return the escape sequence that a C1 control abbreviates (ECMA-48, 5.3)."""
    return "\x1b" + chr(ord(c1[0]) - 0x40)


_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Controls, formats, line separators, surrogates, fillers and other default-ignorables."""

_SHOWN = re.compile(f"[{_HIDDEN}]|(?<=[{_HIDDEN}\ufe0e\ufe0f])[\ufe0e\ufe0f]")


def visible(text: str) -> str:
    r"""Return the text with every character that hides or reorders shown as an escape.

    U+202E becomes ``\u202e``. Newline and tab stay, as do the two selectors that
    choose between text and emoji where each follows a visible character.
    """
    return _SHOWN.sub(_escaped, text)


def _escaped(hidden: re.Match[str]) -> str:
    code = ord(hidden[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
