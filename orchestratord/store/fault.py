"""Why the store refuses, and which of SQLite's errors means what.

An error is either the change's own (a constraint, a wrong statement) and goes
to whoever asked for the change, or it concerns the whole store and becomes one
of the faults here. A fault is a promise that nothing of the change is written.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import ClassVar, Literal

from orchestratord.errors import Fault, ResourceExhausted, Unavailable

Mode = Literal["ok", "full", "failing", "busy", "damaged"]


class StoreFull(ResourceExhausted):
    """The disk, or the size set for the database, has no room for the change."""

    mode: ClassVar[Mode] = "full"
    template = "the store has no room: {reason}"
    hint = "free space on the disk of the state directory; no restart is needed"


class StoreFailing(Unavailable):
    """The disk refused to write, to sync or to read."""

    mode: ClassVar[Mode] = "failing"
    template = "the disk of the store fails: {reason}"
    hint = "check the disk of the state directory; no restart is needed"


class StoreBusy(Unavailable):
    """Another process kept the database locked for longer than a change may wait."""

    mode: ClassVar[Mode] = "busy"
    template = "another process keeps the store locked: {reason}"


class StoreDamaged(Unavailable):
    """The database was found damaged, replaced or removed while the daemon runs."""

    mode: ClassVar[Mode] = "damaged"
    retryable = False
    template = "the store is damaged: {reason}"
    hint = "restart the daemon: it keeps the damaged file and restores the newest good copy"


class StoreClosed(Unavailable):
    """The daemon is stopping and takes no more changes."""

    mode: ClassVar[Mode] = "ok"
    template = "the store is closed"


StoreFault = StoreFull | StoreFailing | StoreBusy | StoreDamaged | StoreClosed

OWN_ERRORS = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""What a change's statements and arguments can raise; its own unless it `concerns_all`."""

_BY_CODE: dict[int, type[StoreFault]] = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_IOERR: StoreFailing,
    sqlite3.SQLITE_CANTOPEN: StoreFailing,
    sqlite3.SQLITE_READONLY: StoreFailing,
    sqlite3.SQLITE_PERM: StoreFailing,
    sqlite3.SQLITE_NOMEM: StoreFailing,
    sqlite3.SQLITE_PROTOCOL: StoreBusy,
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_CORRUPT: StoreDamaged,
    sqlite3.SQLITE_NOTADB: StoreDamaged,
}


def concerns_all(error: BaseException) -> type[StoreFault] | None:
    """Return the fault that an error of SQLite or the system means, None for a change's own."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return StoreFull if full else StoreFailing
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _BY_CODE.get(code & 0xFF)


def fault_of(error: Exception) -> StoreFault:
    """Return the fault to refuse with; an error nobody expected counts as a failing disk."""
    if isinstance(error, StoreFault):
        return error
    kind = concerns_all(error) or StoreFailing
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return kind(reason=f"{error} ({name})")


def again(fault: Fault) -> Fault:
    """Return a fresh fault of the same kind, so that each caller raises an exception of its own."""
    return type(fault)(**fault.details)
