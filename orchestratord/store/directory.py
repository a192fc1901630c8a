"""The state directory: who may own it, where its files are, whether it stopped cleanly.

One process owns a directory for as long as it lives, by a lock that the kernel
drops with the process. The lock file also says whether the last owner closed
the store, because what a power cut or a kill left behind is checked harder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from orchestratord.errors import FailedPrecondition, PermissionDenied

_RUNNING = "running"
_STOPPED = "stopped"
_RECORD = 32
"""Bytes of the lock file; it never changes its size, so that a full disk cannot refuse it."""


class StateDirLocked(FailedPrecondition):
    """Another daemon owns the state directory."""

    template = "{holder} owns the state directory {directory}"
    hint = "stop that daemon, or choose another --state-dir"


class StateDirUnsafe(PermissionDenied):
    """The state directory could be read or changed by somebody else, or is not a directory."""

    template = "the state directory {directory} {reason}"
    hint = "it must be a directory of yours with mode 0700, and no symbolic link"


class StateDirectory:
    """A state directory that this process owns until `release`.

    Owns the lock file; `unclean` says whether the owner before us was killed.
    """

    def __init__(self, path: Path, lock: int, unclean: bool) -> None:
        self.path = path
        self.unclean = unclean
        self._lock = lock

    @property
    def database(self) -> Path:
        return self.path / "store.db"

    @property
    def mark(self) -> Path:
        return self.path / "store.mark"

    @property
    def backups(self) -> Path:
        return self.path / "backups"

    @classmethod
    def claim(cls, path: Path) -> StateDirectory:
        """Create the directory if needed, check it and lock it.

        Raises `StateDirUnsafe` and `StateDirLocked`; then nothing is changed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _check(path)
        lock = open_private(path / "store.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, _RECORD, 0).decode("ascii", "replace").split()[1:2]
            os.close(lock)
            holder = f"process {pid[0]}" if pid else "another process"
            raise StateDirLocked(holder=holder, directory=str(path)) from None
        unclean = os.pread(lock, _RECORD, 0).startswith(_RUNNING.encode())
        directory = cls(path, lock, unclean)
        directory._write(_RUNNING)
        return directory

    def release(self, *, clean: bool) -> None:
        """Give the directory up; `clean` spares the next owner the thorough check."""
        if clean:
            self._write(_STOPPED)
        os.close(self._lock)

    def _write(self, state: str) -> None:
        os.pwrite(self._lock, f"{state} {os.getpid()}\n".ljust(_RECORD).encode(), 0)
        os.fsync(self._lock)


def open_private(path: Path) -> int:
    """Open or create a file that only its owner can read; never follows a symbolic link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def sync_directory(path: Path) -> None:
    """Return when created, renamed and removed names in the directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        reason = "is a symbolic link"
    elif not stat.S_ISDIR(status.st_mode):
        reason = "is not a directory"
    elif status.st_uid != os.geteuid():
        reason = f"belongs to uid {status.st_uid}"
    elif status.st_mode & 0o077:
        reason = f"has mode {stat.S_IMODE(status.st_mode):04o}"
    else:
        return
    raise StateDirUnsafe(directory=str(path), reason=reason)
