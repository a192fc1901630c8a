"""One group of changes, written in one transaction on the writer's thread.

A change that fails by its own fault is undone alone; whatever concerns the
database as a whole undoes the group and is raised. A number is given to an
event only as it is written, so a refused change uses none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestratord.errors import Fault
from orchestratord.events import Event, Fact
from orchestratord.store.fault import OWN_ERRORS, StoreDamaged, StoreFailing, concerns_all
from orchestratord.store.mark import EVENT, Mark

Outcome = tuple[Event, ...] | Exception

_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
_SET_COUNTER = """
INSERT INTO counters VALUES (?, ?)
ON CONFLICT (noun) DO UPDATE SET value = excluded.value WHERE excluded.value > value
"""


class Statement(NamedTuple):
    """One SQL statement of a change, with its arguments."""

    sql: str
    args: tuple[Any, ...] = ()


class Row(NamedTuple):
    """A fact, ready to be written."""

    fact: Fact
    data: dict[str, Any]
    text: str

    @classmethod
    def of(cls, fact: Fact) -> Row:
        encoded = msgspec.json.encode(fact.data())
        # decoded again, so that an event from memory equals the one from disk
        return cls(fact, msgspec.json.decode(encoded), encoded.decode())


class Change:
    """Statements and facts that are written together or not at all.

    `future` answers with the events. Whoever waits for it may stop waiting;
    that does not undo the change. `owed` says that it has already happened in
    the world, so that it waits for the disk where another would be refused;
    `put_off` then says why it waits.
    """

    __slots__ = ("at", "future", "owed", "put_off", "rows", "statements", "sync")

    def __init__(
        self,
        statements: Sequence[Statement],
        facts: Sequence[Fact],
        at: str,
        *,
        sync: bool,
        owed: bool,
    ) -> None:
        self.statements = statements
        self.rows = [Row.of(fact) for fact in facts]
        self.at = at
        self.sync = sync
        self.owed = owed
        loop = asyncio.get_running_loop()
        self.future: asyncio.Future[tuple[Event, ...]] = loop.create_future()
        self.put_off: asyncio.Future[Fault] = loop.create_future()

    def defer(self, fault: Fault) -> None:
        """Tell whoever waits that it will take long, and why."""
        if not self.put_off.done():
            self.put_off.set_result(fault)

    def resolve(self, outcome: Outcome) -> None:
        """Answer whoever still waits."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
            self.future.exception()  # the caller may be gone; that is no defect
        else:
            self.future.set_result(outcome)


class Groups:
    """Writes groups. Used on the writer connection's thread only.

    Owns the connection's level of syncing, and the marks.
    """

    def __init__(self, database: Path, mark: Mark) -> None:
        self._database = database
        self._identity = _identity(database)
        self._mark = mark
        self._synced = True
        self._doubtful = False

    def write(
        self,
        connection: sqlite3.Connection,
        changes: Sequence[Change],
        counters: Mapping[str, int],
        head: int,
    ) -> list[Outcome]:
        """Write the changes and return what became of each, in their order.

        Returns once the group is on disk; if no change asked for that, once the
        system has it. Raises, with nothing written, sqlite3.Error, OSError or
        `StoreDamaged` if the database as a whole cannot be written.
        """
        if _identity(self._database) != self._identity:
            raise StoreDamaged(reason="the database file was removed or replaced")
        self._mark.reserve({EVENT: head + sum(len(one.rows) for one in changes), **counters})
        for noun, number in counters.items():
            self._mark.note(noun, number)
        self._sync(connection, any(change.sync for change in changes))
        if self._doubtful:
            # what a failed sync left in the log may never be synced again: move it out first
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._doubtful = False
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes: list[Outcome] = []
            for change in changes:
                outcome = _write_one(connection, change, head, alone=len(changes) == 1)
                outcomes.append(outcome)
                if not isinstance(outcome, Exception):
                    head += len(outcome)
            if counters:
                connection.executemany(_SET_COUNTER, counters.items())
            connection.execute("COMMIT")
        except BaseException as error:
            self._doubtful = concerns_all(error) is StoreFailing
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                connection.execute("ROLLBACK")
            raise
        if self._synced:
            self._mark.note(EVENT, head)
        return outcomes

    def _sync(self, connection: sqlite3.Connection, wanted: bool) -> None:
        if wanted != self._synced:
            connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._synced = wanted


def _write_one(
    connection: sqlite3.Connection, change: Change, head: int, *, alone: bool
) -> Outcome:
    # each statement hands the interpreter's lock back and forth, so a lone change spares two
    if not alone:
        connection.execute("SAVEPOINT change")
    try:
        for sql, args in change.statements:
            connection.execute(sql, args)
        events = tuple(
            Event(
                seq=seq,
                at=change.at,
                kind=row.fact.kind,
                session=row.fact.session,
                pane=row.fact.pane,
                agent=row.fact.agent,
                data=row.data,
            )
            for seq, row in enumerate(change.rows, head + 1)
        )
        for event, row in zip(events, change.rows, strict=True):
            fields = (event.seq, event.at, event.kind, event.session, event.pane, event.agent)
            connection.execute(_INSERT_EVENT, (*fields, row.text))
    except OWN_ERRORS as error:
        if concerns_all(error):
            raise
        undo = (
            ("ROLLBACK", "BEGIN IMMEDIATE") if alone else ("ROLLBACK TO change", "RELEASE change")
        )
        for sql in undo:
            connection.execute(sql)
        return error
    if not alone:
        connection.execute("RELEASE change")
    return events


def _identity(database: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(database)  # noqa: PTH116 (on every commit: half the time of Path.stat)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
