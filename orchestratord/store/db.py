"""The store: what features write their changes to and read their tables from.

Owns the state directory and the database in it: one connection that writes,
one that only reads. Knows no table but its own; each feature brings its tables
as numbered steps and its statements with each change.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event, Fact
from orchestratord.log import Log
from orchestratord.store import backup, recover
from orchestratord.store.connection import Connection
from orchestratord.store.directory import StateDirectory
from orchestratord.store.fault import Mode, StoreDamaged, concerns_all, fault_of
from orchestratord.store.group import Groups, Statement
from orchestratord.store.journal import Journal
from orchestratord.store.migrate import Migration
from orchestratord.store.recover import FLOOR, Prepared
from orchestratord.store.writer import Writer

__all__ = ["Retention", "Statement", "Store", "StoreStatistics"]

BUSY_SECONDS = 3.0
"""What a change waits for another process's lock: less than closing may take."""

CLOSE_SECONDS = 4.0
"""What closing waits for a hanging disk, of the five seconds that stopping has in all."""

SLICE = 1000
"""Events deleted in one transaction: some milliseconds that a change may wait."""

KEEP_EVENTS = 1000
"""Events that the size bound never deletes: it counts all tables, not only the journal."""

PAGE = 4096

_DELETE_SLICE = """
DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq < ? ORDER BY seq LIMIT ?)
"""

log = Log("store")


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long history is kept, and how often it is looked at and copied."""

    days: float = 30
    events: int = 1_000_000
    bytes: int = 512 * 1024 * 1024
    every: float = 60
    """Seconds between two looks."""
    backup_every: float = 3600
    """Seconds between two copies of a database that has changed; 0 for none."""
    backups: int = 2
    """Copies that are kept."""


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How the store is doing."""

    path: str
    bytes: int
    wal_bytes: int
    commits: int
    groups: int
    refused: int
    owed: int
    lost: int
    last_commit: float
    """Seconds that the last group took, with its sync."""
    mode: Mode
    reason: str | None
    head: int
    oldest: int
    schema: int


class Store:
    """The daemon's memory. Made by `open`; an answered change survives kill -9 and power loss."""

    def __init__(
        self,
        home: StateDirectory,
        prepared: Prepared,
        connections: tuple[Connection, Connection],
        clock: Clock,
        bus: Bus,
        retention: Retention,
    ) -> None:
        self.retention = retention
        self.journal = Journal(self.query, bus, head=prepared.head, oldest=prepared.oldest)
        self._home = home
        self._mark = prepared.mark
        self._schema = prepared.schema
        self._clock = clock
        self._write, self._read = connections
        groups = Groups(home.database, prepared.mark)
        self._writer = Writer(self._write, groups, self.journal, prepared.counters, clock)
        self._copied_at = clock.monotonic()
        self._copied_groups = 0
        self._closed = False
        self._housekeeper = asyncio.create_task(self._keep_house(), name="store housekeeper")

    @classmethod
    async def open(
        cls,
        directory: Path,
        migrations: Sequence[Migration],
        *,
        clock: Clock,
        bus: Bus,
        retention: Retention | None = None,
        max_bytes: int | None = None,
        busy_timeout: float = BUSY_SECONDS,
    ) -> Store:
        """Claim the directory, repair what can be repaired, and open the database.

        `max_bytes` bounds the database file (not its log); beyond it changes are
        refused as on a full disk. `busy_timeout` is how many seconds a change
        waits for another process's lock. If the database had to be replaced, the
        first event is `store.restored`. Raises `StateDirLocked`,
        `StateDirUnsafe`, `SchemaTooNew`, `SchemaChanged`, `SchemaStepFailed` or
        a store fault, and then holds nothing.
        """
        async with contextlib.AsyncExitStack() as undo:
            home = await asyncio.to_thread(StateDirectory.claim, directory)
            undo.callback(home.release, clean=False)
            prepared = await asyncio.to_thread(
                recover.prepare, home, migrations, clock.now(), busy_timeout
            )
            undo.callback(prepared.mark.close)
            try:
                write = await Connection.open(home.database, "rw", timeout=busy_timeout)
                undo.push_async_callback(write.close)
                await write.call(_set_up, max_bytes)
                read = await Connection.open(home.database, "ro", timeout=busy_timeout)
                undo.push_async_callback(read.close)
                await read.call(_fetch, "SELECT 1 FROM sqlite_schema LIMIT 1", ())
            except sqlite3.Error as error:
                raise fault_of(error) from error
            undo.pop_all()
        store = cls(home, prepared, (write, read), clock, bus, retention or Retention())
        if prepared.restored:
            await store._declare(prepared.restored, prepared.oldest)
        return store

    def next_id(self, noun: str) -> int:
        """Return the next number of a noun, never returned before and never again.

        It is remembered with the first change committed after this call,
        whether that succeeds or not; so commit the intent before the number
        leaves the daemon.
        """
        return self._writer.next_id(noun)

    async def commit(
        self,
        statements: Sequence[Statement] = (),
        facts: Sequence[Fact] = (),
        *,
        sync: bool = True,
    ) -> tuple[Event, ...]:
        """Write one change, whole or not at all; return its events once it is on disk.

        Without `sync` it returns when it survives the death of the process, but
        not yet a power loss. Raises a store fault, or sqlite3's own error for a
        wrong statement or a violated constraint, with nothing written. Cancelling
        the caller does not undo it.
        """
        return await self._writer.submit(statements, facts, sync=sync, owed=False).future

    async def record(
        self, statements: Sequence[Statement] = (), facts: Sequence[Fact] = ()
    ) -> tuple[Event, ...]:
        """Write what has already happened; return its events once it is on disk.

        Not refused for a full disk, a failing disk or a lock: it is kept in
        memory, in order, and written first when that is over, also if the
        caller stops waiting. Raises `StoreDamaged` or `StoreClosed` because then it can
        never be written, and `StoreFull` when `writer.OWED` changes wait already.
        """
        return await self._writer.submit(statements, facts, sync=True, owed=True).future

    async def record_or_owe(
        self, statements: Sequence[Statement] = (), facts: Sequence[Fact] = ()
    ) -> Fault | None:
        """Record, without waiting for a disk that refuses.

        Returns None once it is on disk, else why it is owed: it is then written
        as `record` says. Raises what `record` raises.
        """
        change = self._writer.submit(statements, facts, sync=True, owed=True)
        either: set[asyncio.Future[Any]] = {change.future, change.put_off}
        await asyncio.wait(either, return_when=FIRST_COMPLETED)
        if not change.future.done():
            return change.put_off.result()
        await change.future
        return None

    async def ready(self) -> None:
        """Return if changes can be written; after trouble, try. Raises the store's fault.

        For what acts before it records, so that a disk known to be full refuses
        it before anything has happened.
        """
        if self._writer.trouble is not None:
            await self.commit(sync=False)

    async def query(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of one statement that only reads, as of now.

        Never holds up the writer. Raises a store fault if the database cannot
        be read, sqlite3's own error if the statement is wrong.
        """
        try:
            return await self._read.call(_fetch, sql, args)
        except sqlite3.Error as error:
            if concerns_all(error) is None:
                raise
            fault = fault_of(error)
            if isinstance(fault, StoreDamaged):
                self._writer.damaged(fault)
            raise fault from error

    def statistics(self) -> StoreStatistics:
        """Return the figures of this moment."""
        writer, database = self._writer, self._home.database
        return StoreStatistics(
            path=str(database),
            bytes=_size(database),
            wal_bytes=_size(database.with_name(f"{database.name}-wal")),
            commits=writer.commits,
            groups=writer.groups,
            refused=writer.refused,
            owed=writer.owed,
            lost=writer.lost,
            last_commit=writer.last_seconds,
            mode=writer.mode,
            reason=writer.trouble.details["reason"] if writer.trouble else None,
            head=self.journal.head,
            oldest=self.journal.oldest,
            schema=self._schema,
        )

    @property
    def unclean(self) -> bool:
        """Whether the daemon before this one ended without closing the store."""
        return self._home.unclean

    async def backup(self, to: Path) -> None:
        """Copy the database, as of now, to a file; it appears whole and checked or not at all.

        Does not hold up the writer. Raises a store fault if it cannot be copied.
        """
        try:
            await asyncio.to_thread(backup.copy_database, self._home.database, to)
        except (sqlite3.Error, OSError) as error:
            raise fault_of(error) from error

    async def compact(self) -> int:
        """Delete the events that the retention does not keep; return how many.

        Deletes in slices, and changes go on between them. Readers of what goes
        are told `EventsCompacted` before it goes.
        """
        first = self.journal.oldest
        await self._sweep()  # what an older database or a full disk left behind
        while (until := await self._expendable()) > self.journal.oldest:
            self.journal.forget(until)
            await self._sweep()
        return self.journal.oldest - first

    async def close(self) -> None:
        """Write what is queued, fold the log into the database and give the directory up.

        Takes at most some seconds; what cannot be written by then is refused.
        Closing again does nothing.
        """
        if self._closed:
            return
        self._closed = True
        self._housekeeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._housekeeper
        if not await self._writer.close(CLOSE_SECONDS):
            log.error("store left open", reason="the disk hangs")
            return  # closing would hang too; the lock goes with the process
        await self._read.close()
        await self._write.close()
        self._mark.close()
        self._home.release(clean=self._writer.trouble is None)

    async def _declare(self, restored: recover.StoreRestored, oldest: int) -> None:
        """Write the event that tells of the restored database, or owe it to a full disk."""
        in_use = Statement("PRAGMA user_version = 0")
        floor = Statement("INSERT OR REPLACE INTO counters VALUES (?, ?)", (FLOOR, oldest))
        told = self._writer.submit([in_use, floor], [restored], sync=True, owed=True)
        await asyncio.wait({told.future}, timeout=BUSY_SECONDS)

    async def _sweep(self) -> None:
        oldest = self.journal.oldest
        while await self.query("SELECT 1 FROM events WHERE seq < ? LIMIT 1", (oldest,)):
            await self.commit([Statement(_DELETE_SLICE, (oldest, SLICE))], sync=False)

    async def _expendable(self) -> int:
        """Return the number up to which (exclusive) events may go. The newest always stays."""
        keep, journal = self.retention, self.journal
        before = rfc3339(self._clock.now() - timedelta(days=keep.days))
        young = await self.query(
            "SELECT seq FROM events WHERE at >= ? ORDER BY seq LIMIT 1", (before,)
        )
        by_age = young[0][0] if young else journal.head
        by_number = journal.head - keep.events + 1
        ((used,),) = await self.query(
            "SELECT (page_count - freelist_count) * page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        )
        too_big = used > keep.bytes
        by_size = min(journal.oldest + SLICE, journal.head - KEEP_EVENTS) if too_big else 0
        return min(max(by_age, by_number, by_size), journal.head)

    async def _keep_house(self) -> None:
        while True:
            await self._clock.sleep(self.retention.every)
            try:
                await self.compact()
                await self._back_up_if_due()
            except (sqlite3.Error, OSError, Fault) as error:
                log.warning("housekeeping put off", reason=str(error))

    async def _back_up_if_due(self) -> None:
        keep, now = self.retention, self._clock.monotonic()
        changed = self._writer.groups != self._copied_groups
        if not keep.backup_every or now - self._copied_at < keep.backup_every or not changed:
            return
        self._copied_at, self._copied_groups = now, self._writer.groups
        await asyncio.to_thread(
            backup.make_backup,
            self._home.database,
            self._home.backups,
            self._clock.now(),
            keep.backups,
        )


def _set_up(connection: sqlite3.Connection, max_bytes: int | None) -> None:
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "wal_autocheckpoint = 1000",
        f"journal_size_limit = {64 * 1024 * 1024}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if max_bytes is not None:
        connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // PAGE)}")


def _fetch(connection: sqlite3.Connection, sql: str, args: Sequence[Any]) -> list[Any]:
    return connection.execute(sql, args).fetchall()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
