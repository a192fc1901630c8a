"""The high-water marks: which numbers were ever given out, kept beside the database.

The database alone cannot say that it is older than it was. This small file can,
so that no event and no id is numbered twice, even after an older copy of the
database was put in its place. Only the writer's thread touches it.

A record is 64 bytes in place: noun, value, reserved. ``value`` is written after
each commit without a sync: it is exact after a kill, and can only be too low
after a power cut. ``reserved`` is synced before any number above it is used: no
number beyond it was ever given out, whatever happened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestratord.log import Log
from orchestratord.store.directory import open_private, sync_directory

EVENT = "event"
"""The noun of the journal's numbers."""

_RECORD = 64
_LINE = re.compile(rb"(?=.{63}\n)([a-z_]{1,21}) +([0-9]+) +([0-9]+)\n")
_BLOCK = {EVENT: 4096}
"""Numbers reserved by one sync. Only a restored database skips the rest of a block."""
_SMALL_BLOCK = 64
"""For ids, which people type and which should stay short."""

log = Log("store.mark")


class Mark:
    """The open file, and what it says of each noun."""

    def __init__(self, path: Path) -> None:
        self._file = open_private(path)
        self._values: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        self._offsets: dict[str, int] = {}
        if not self._load():
            log.warning("mark unreadable", file=path.name)
            os.ftruncate(self._file, len(self._offsets) * _RECORD)
        sync_directory(path.parent)

    def value(self, noun: str) -> int:
        """Return the last number known to be on disk in the database, 0 if none."""
        return self._values.get(noun, 0)

    def reserved(self, noun: str) -> int:
        """Return the number beyond which none was ever given out."""
        return max(self._reserved.get(noun, 0), self.value(noun))

    @property
    def nouns(self) -> tuple[str, ...]:
        return tuple(self._values)

    def reserve(self, wanted: Mapping[str, int]) -> None:
        """Return when these numbers may be used: a crash from now on cannot forget them."""
        extended = False
        for noun, number in wanted.items():
            if number > self._reserved.get(noun, 0):
                self._reserved[noun] = number + _BLOCK.get(noun, _SMALL_BLOCK)
                self._write(noun)
                extended = True
        if extended:
            os.fdatasync(self._file)

    def note(self, noun: str, number: int) -> None:
        """Remember that the number is given out; survives the death of the process."""
        if number > self.value(noun):
            self._values[noun] = number
            self._write(noun)

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def _write(self, noun: str) -> None:
        offset = self._offsets.setdefault(noun, len(self._offsets) * _RECORD)
        value, reserved = self._values.setdefault(noun, 0), self._reserved.setdefault(noun, 0)
        os.pwrite(self._file, f"{noun:<21} {value:>20} {reserved:>20}\n".encode(), offset)

    def _load(self) -> bool:
        content = os.pread(self._file, os.fstat(self._file).st_size, 0)
        for start in range(0, len(content), _RECORD):
            if (match := _LINE.fullmatch(content, start, start + _RECORD)) is None:
                return False
            noun = match[1].decode()
            self._values[noun], self._reserved[noun] = int(match[2]), int(match[3])
            self._offsets[noun] = start
        return True
