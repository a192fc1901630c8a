"""One inotify descriptor that says which files of a directory changed. Linux only.

The standard library has no binding; three calls of libc are all that is needed
(inotify(7)).
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

MODIFY, CLOSE_WRITE, MOVED_FROM, CREATE, DELETE = 0x2, 0x8, 0x40, 0x100, 0x200
OVERFLOW = 0x4000
READ = 32 << 10
"""Bytes of changes taken at once; for a larger buffer malloc asks the kernel each time."""
_HEADER = struct.Struct("iIII")
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2


class Inotify:
    """Watches one directory. ``fd`` becomes readable when something happened."""

    def __init__(self, directory: Path) -> None:
        self.fd: int = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        mask = MODIFY | CLOSE_WRITE | MOVED_FROM | CREATE | DELETE
        if _libc.inotify_add_watch(self.fd, os.fsencode(directory), mask) < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch: {directory}")

    def read(self) -> dict[str, int] | None:
        """Return the changes since the last call, by file name; None if some were lost."""
        changes: dict[str, int] = {}
        try:
            data = os.read(self.fd, READ)
        except BlockingIOError:
            return changes
        at = 0
        while at < len(data):
            _, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if mask & OVERFLOW:
                return None
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            changes[name] = changes.get(name, 0) | mask
        return changes

    def close(self) -> None:
        """Stop watching."""
        os.close(self.fd)


def punch(fd: int, start: int, length: int) -> bool:
    """Free a range of a file, which keeps its size; False if the file system cannot."""
    mode = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
    result: int = _libc.fallocate(fd, mode, ctypes.c_longlong(start), ctypes.c_longlong(length))
    return result == 0
