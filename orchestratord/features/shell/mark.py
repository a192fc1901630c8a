"""The marks that our shells print, found in a pane's raw output, however it is cut.

A mark is ``ESC ] 7717 ; KEY ; LETTER ; FIELDS... BEL`` (hooks/orch.bash). Terminals
drop it. What does not carry the pane's key is no mark; whether a mark is believed is
decided by ``prompt``. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BEGIN = b"\x1b]7717;"
_MARK = re.compile(rb"\x1b\]7717;([0-9a-f]{20});([A-Z])((?:;[0-9A-Za-z-]{0,40}){0,3})\x07")
_LONGEST = 200


class Mark(NamedTuple):
    """A mark: its letter, its fields, and the offsets of its first byte and behind its last."""

    letter: str
    fields: tuple[str, ...]
    begin: int
    end: int


class Text(NamedTuple):
    """What was written between two marks, or before one that is not complete."""

    data: bytes


class Marks:
    """Finds the marks of one pane. Its state is a mark that has begun and has no end yet."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._carry = b""

    def feed(self, at: int, data: bytes) -> Iterator[Mark | Text]:
        """Yield the marks in these bytes, and what stands between; ``at`` is their offset."""
        if self._carry:
            at, data = at - len(self._carry), self._carry + data
            self._carry = b""
        done = 0
        while (begin := data.find(_BEGIN, done)) >= 0:
            found = _MARK.match(data, begin)
            if found is None:
                if len(data) - begin < _LONGEST and b"\x07" not in data[begin:]:
                    break
                yield Text(data[done : begin + 1])
                done = begin + 1
                continue
            if begin > done:
                yield Text(data[done:begin])
            done = found.end()
            if found[1] == self._key:
                fields = tuple(found[3].decode("ascii").split(";")[1:])
                yield Mark(found[2].decode("ascii"), fields, at + begin, at + done)
        keep = len(data) if begin < 0 else begin
        if begin < 0:  # the last bytes may begin a mark
            for size in range(min(len(_BEGIN) - 1, len(data) - done), 0, -1):
                if data.endswith(_BEGIN[:size]):
                    keep = len(data) - size
                    break
        if keep > done:
            yield Text(data[done:keep])
        self._carry = data[keep:]

    def reset(self) -> None:
        """Forget what has begun: bytes are missing."""
        self._carry = b""
