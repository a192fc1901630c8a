"""Schema steps: collected from ``NNNN_name.sql`` files, applied once, never changed.

Each step runs in a transaction of its own and is recorded with the hash of its
text. There is no way back: a database that a newer program has written is
refused, never guessed at.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import NamedTuple

from orchestratord.errors import FailedPrecondition
from orchestratord.store.fault import concerns_all

_FILE = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql\Z")

_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL
)
"""


class Migration(NamedTuple):
    """One step of the schema. Its text may not change once it was released."""

    number: int
    name: str
    sql: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class SchemaTooNew(FailedPrecondition):
    """The database was written by a newer program."""

    template = "the database has schema {found}, this program knows up to {known}"
    hint = "start the newer program again, or restore a copy from before the upgrade"


class SchemaChanged(FailedPrecondition):
    """A step that this database has applied has another text in this program."""

    template = "schema step {number:04} ({name}) is not the one that made this database"
    hint = "install the program that made it; a released step is never edited"


class SchemaStepFailed(FailedPrecondition):
    """A step does not fit the data; the database is as it was before the step."""

    template = "schema step {number:04} ({name}) failed: {reason}"


def collect(packages: Iterable[str]) -> tuple[Migration, ...]:
    """Read the steps of those packages, in the order of their numbers, which are unique."""
    found: dict[int, Migration] = {}
    for package in packages:
        for file in resources.files(package).iterdir():
            if (match := _FILE.match(file.name)) is None:
                continue
            step = Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
            if (other := found.setdefault(step.number, step)) is not step:
                raise ValueError(f"{step.name} and {other.name} are both number {step.number}")
    return tuple(found[number] for number in sorted(found))


def pending(connection: sqlite3.Connection, steps: Sequence[Migration]) -> list[Migration]:
    """Return the steps the database lacks.

    Raises `SchemaTooNew` or `SchemaChanged` if it was made by another program
    than this one or one before it.
    """
    connection.execute(_TABLE)
    rows: list[tuple[int, str, str]] = connection.execute(
        "SELECT number, name, hash FROM migrations ORDER BY number"
    ).fetchall()
    known = {step.number: step for step in steps}
    for number, name, digest in rows:
        if number not in known:
            raise SchemaTooNew(found=rows[-1][0], known=max(known, default=0))
        if known[number].hash != digest:
            raise SchemaChanged(number=number, name=name)
    applied = {number for number, _, _ in rows}
    return [step for step in steps if step.number not in applied]


def apply(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Apply those steps in order; a step that fails leaves nothing behind.

    The connection is in autocommit mode with foreign keys off, so that a step
    may rebuild a table; they are checked before each commit.
    """
    for step in steps:
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step.sql}")
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (*step[:2], step.hash))
            if orphan := connection.execute("PRAGMA foreign_key_check").fetchone():
                raise sqlite3.IntegrityError(f"a row of {orphan[0]} refers to nothing")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if concerns_all(error):
                raise
            raise SchemaStepFailed(number=step.number, name=step.name, reason=str(error)) from error
