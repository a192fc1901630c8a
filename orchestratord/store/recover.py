"""Brings the database to a state that can be served from, before anything is served.

A file that is damaged, foreign or gone is never written to: it is kept under a
dated name, and the newest good copy, or an empty database, takes its place. A
database that is older than it was is recognised by the marks. Each of these is
told in one event. What cannot be read for another reason (a locked file, a
failing disk) is left as it is. Everything here blocks; call it off the loop.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from orchestratord.events import Fact
from orchestratord.log import Log
from orchestratord.store import backup
from orchestratord.store.directory import StateDirectory, open_private, sync_directory
from orchestratord.store.fault import StoreDamaged, concerns_all, fault_of
from orchestratord.store.mark import EVENT, Mark
from orchestratord.store.migrate import Migration, apply, pending

APPLICATION_ID = 1869767528
FLOOR = "floor"
"""The counter that holds the oldest event that can be resumed at."""

log = Log("store.recover")


class StoreRestored(Fact, frozen=True, kw_only=True):
    """The database in use is not the one that was last written to.

    Events after ``last_seq`` are lost with their changes; numbers go on at this
    event's own, which is above every number ever given out.
    """

    cause: Literal["damaged", "missing", "older"]
    reason: str
    last_seq: int
    copy: str | None = None
    """The copy that was taken, by name; none if an empty database was begun."""
    kept: str | None = None
    """The name under which the replaced file is kept."""


class Prepared(NamedTuple):
    """What the store starts from."""

    head: int
    oldest: int
    counters: dict[str, int]
    schema: int
    mark: Mark
    restored: StoreRestored | None


class _Condition(NamedTuple):
    state: Literal["good", "empty", "damaged"]
    reason: str = ""
    head: int = 0
    is_copy: bool = False


def prepare(
    home: StateDirectory, steps: Sequence[Migration], now: datetime, timeout: float
) -> Prepared:
    """Check, restore if need be, and bring the schema up to date.

    Raises a store fault if the file cannot be read or written for a reason that
    is not its own, `SchemaTooNew` or `SchemaChanged` if another program made it.
    """
    mark = Mark(home.mark)
    try:
        restored = _mend(home, mark, now, timeout)
        schema, counters, oldest, head = _settle(home, steps, now, timeout)
    except BaseException as error:
        mark.close()
        if isinstance(error, sqlite3.Error | OSError) and concerns_all(error):
            raise fault_of(error) from error
        raise
    if restored:
        head = max(head, mark.reserved(EVENT))
        oldest = head + 1
    for noun in {*counters, *mark.nouns} - {EVENT, FLOOR}:
        given = mark.reserved(noun) if restored else mark.value(noun)
        counters[noun] = max(counters.get(noun, 0), given)
    oldest = max(oldest, counters.pop(FLOOR, 1))
    return Prepared(head, oldest, counters, schema, mark, restored)


def _mend(home: StateDirectory, mark: Mark, now: datetime, timeout: float) -> StoreRestored | None:
    database = home.database
    found = _examine(database, timeout, thorough=home.unclean)
    if found.state == "good":
        if not found.is_copy and found.head >= mark.value(EVENT):
            return None
        if found.is_copy:
            return _told("older", "it is a copy", found.head, kept=None)
        kept = _keep(database, now, move=False)
        return _told("older", "its last events are missing", found.head, kept=kept)
    if found.state == "empty" and not mark.nouns:
        os.close(open_private(database))
        sync_directory(home.path)
        return None
    kept = _keep(database, now, move=True)
    cause: Literal["missing", "damaged"] = "missing" if found.state == "empty" else "damaged"
    for copy in backup.newest_first(home.backups):
        held = _examine(copy, timeout, thorough=True)
        if held.state == "good":
            backup.copy_file(copy, database)
            return _told(cause, found.reason, held.head, copy=copy.name, kept=kept)
    os.close(open_private(database))
    sync_directory(home.path)
    return _told(cause, found.reason, 0, kept=kept)


def _told(
    cause: Literal["damaged", "missing", "older"],
    reason: str,
    last_seq: int,
    *,
    kept: str | None,
    copy: str | None = None,
) -> StoreRestored:
    log.error("store restored", cause=cause, reason=reason, copy=copy, kept=kept)
    return StoreRestored(cause=cause, reason=reason, last_seq=last_seq, copy=copy, kept=kept)


def _examine(database: Path, timeout: float, *, thorough: bool) -> _Condition:
    """Look at a database without changing it. What is not about its content is raised."""
    if not database.exists():
        return _Condition("empty", "there is no database")
    if database.stat().st_size == 0:
        return _Condition("empty", "the database is empty")
    try:
        with backup.reading(database, timeout) as connection:
            return _look(connection, thorough)
    except sqlite3.Error as error:
        if concerns_all(error) is StoreDamaged:
            return _Condition("damaged", str(error))
        raise


def _look(connection: sqlite3.Connection, thorough: bool) -> _Condition:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    backup.check(connection, thorough=thorough)
    if owner != APPLICATION_ID:
        # the table of schema steps is made just before the first step
        return _Condition("damaged", "it is not ours") if tables > 1 else _Condition("empty")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    return _Condition("good", head=head, is_copy=version == backup.COPY)


def _keep(database: Path, now: datetime, *, move: bool) -> str | None:
    """Keep what was found under a dated name, with its write-ahead log."""
    wal = database.with_name(f"{database.name}-wal")
    shm = database.with_name(f"{database.name}-shm")
    if not database.exists() and not wal.exists():
        return None
    name = f"{database.name}.{'damaged' if move else 'older'}-{backup.stamp(now)}"
    for file in (database, wal):
        target = database.with_name(name + file.name.removeprefix(database.name))
        if file.exists():
            file.replace(target) if move else backup.copy_file(file, target)
    if move:
        shm.unlink(missing_ok=True)
    sync_directory(database.parent)
    return name


def _settle(
    home: StateDirectory, steps: Sequence[Migration], now: datetime, timeout: float
) -> tuple[int, dict[str, int], int, int]:
    """Migrate, keeping a copy from before, and read where the numbers stand."""
    database = home.database
    database.chmod(0o600)
    connection = sqlite3.connect(database, isolation_level=None, timeout=timeout)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        todo = pending(connection, steps)
        if todo and len(todo) < len(steps):
            backup.make_backup(database, home.backups, now, keep=len(steps))
        apply(connection, todo)
        counters = dict(connection.execute("SELECT noun, value FROM counters").fetchall())
        oldest, head = connection.execute("SELECT min(seq), max(seq) FROM events").fetchone()
        return max(step.number for step in steps), counters, oldest or 1, head or 0
