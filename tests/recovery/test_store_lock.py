import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from store_child import NoteMade, insert, open_store

from orchestratord.store.db import Store
from orchestratord.store.directory import StateDirLocked
from orchestratord.store.fault import StoreBusy

HOLDER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
database.execute("COMMIT")
print("released", flush=True)
"""


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have another process hold the database's lock until it is sent a line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        store.statistics().path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert await process.stdout.readline() == b"held\n"
    yield process
    process.stdin.close()
    await process.wait()


async def test_a_lock_held_too_long_is_named_while_the_loop_stays_live(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state", busy_timeout=0.5)
    await store.commit([insert("a")], [NoteMade()])
    async with held(store) as holder:
        refused = asyncio.create_task(store.commit([insert("canary")], [NoteMade()]))
        owed = asyncio.create_task(store.record([insert("owed")], [NoteMade(text="owed")]))
        turns = 0
        while not refused.done():
            await asyncio.sleep(0)
            turns += 1
        assert isinstance(refused.exception(), StoreBusy)
        assert turns > 20  # of thousands; one or two if the loop had waited for the lock
        assert await store.query("SELECT text FROM notes") == [("a",)]
        assert not owed.done()
        holder.stdin.write(b"\n")
        assert await holder.stdout.readline() == b"released\n"
        (event,) = await owed
        assert event.seq == 2
    assert await store.query("SELECT text FROM notes ORDER BY id") == [("a",), ("owed",)]
    await store.close()


async def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state", busy_timeout=60)
    async with held(store) as holder:
        waiting = [asyncio.create_task(store.commit([insert(str(n))])) for n in range(10)]
        await asyncio.sleep(0)
        assert await store.query("SELECT text FROM notes") == []
        assert not any(task.done() for task in waiting)
        holder.stdin.write(b"\n")
        await asyncio.gather(*waiting)
    assert store.statistics().refused == 0
    await store.close()


async def test_a_second_store_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state")
    with pytest.raises(StateDirLocked):
        await open_store(tmp_path / "state")
    await store.commit([insert("still ours")])
    await store.close()
    await (await open_store(tmp_path / "state")).close()
