"""aiosqlite's connection, with one way more: a function run whole on its thread.

A group of twenty statements is one hop to the thread and back instead of
twenty. aiosqlite has no public name for that; the one method used here is the
one that all of its own methods go through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiosqlite

from orchestratord.store.backup import address

T = TypeVar("T")


class Connection(aiosqlite.Connection):
    """A connection on a thread of its own, in autocommit mode.

    The thread does not keep the process alive: what is not committed when the
    process ends was not acknowledged either.
    """

    def __init__(self, path: Path, mode: Literal["ro", "rw"], *, timeout: float) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                address(path, mode), uri=True, isolation_level=None, timeout=timeout
            )

        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True

    @classmethod
    async def open(cls, path: Path, mode: Literal["ro", "rw"], *, timeout: float) -> Connection:
        """Open an existing database; `timeout` is what it waits for another process's lock."""
        connection = cls(path, mode, timeout=timeout)
        await connection
        return connection

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(connection, *args)`` on the thread and return what it returns."""
        result: T = await self._execute(function, self._conn, *args)  # type: ignore[no-untyped-call]
        return result
