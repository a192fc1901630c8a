"""Copies of the database: taken while it is in use, checked, kept few, found again.

A copy says in its header that it is one, so that it is recognised when somebody
puts it in the database's place. Everything here blocks; call it off the loop.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from orchestratord.store.directory import open_private, sync_directory

COPY = 1
"""`PRAGMA user_version` of a copy; the database in use has 0."""

_PATTERN = "store-*.db"


@contextlib.contextmanager
def reading(path: Path, timeout: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Open a database that this connection cannot change."""
    connection = sqlite3.connect(
        address(path, "ro"), uri=True, isolation_level=None, timeout=timeout
    )
    with contextlib.closing(connection):
        yield connection


def address(path: Path, mode: Literal["ro", "rw"]) -> str:
    """Return the address that opens an existing file, to read only or to write too."""
    return f"file:{quote(str(path))}?mode={mode}"


def copy_database(source: Path, target: Path) -> None:
    """Copy a database in use to `target`, whole and checked, or not at all.

    The copy is one moment's state and does not hold up the writer. It replaces
    `target` only once it is on disk. Raises sqlite3.Error and OSError.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        os.close(open_private(part))
        with reading(source) as origin, contextlib.closing(sqlite3.connect(part)) as copy:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute(f"PRAGMA user_version = {COPY}")
            check(copy, thorough=False)
        _settle(part, target)
    finally:
        part.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that nobody has open to `target`, which appears whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    descriptor = open_private(part)
    try:
        os.ftruncate(descriptor, 0)
        with source.open("rb") as origin, os.fdopen(descriptor, "wb") as copy:
            while block := origin.read(1 << 20):
                copy.write(block)
        _settle(part, target)
    finally:
        part.unlink(missing_ok=True)


def check(connection: sqlite3.Connection, *, thorough: bool) -> None:
    """Raise sqlite3.DatabaseError unless SQLite finds the whole file in order."""
    pragma = "integrity_check(1)" if thorough else "quick_check(1)"
    (verdict,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error


def stamp(moment: datetime) -> str:
    """Return a time that sorts and fits a file name."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def make_backup(database: Path, directory: Path, now: datetime, keep: int) -> Path:
    """Put a dated copy into the directory and remove all but the newest `keep`."""
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / f"store-{stamp(now)}.db"
    copy_database(database, target)
    for old in newest_first(directory)[keep:]:
        old.unlink(missing_ok=True)
    return target


def newest_first(directory: Path) -> list[Path]:
    """Return the dated copies in the directory."""
    return sorted(directory.glob(_PATTERN), reverse=True)


def _settle(part: Path, target: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(target)
    sync_directory(target.parent)
