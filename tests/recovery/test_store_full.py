import asyncio
import contextlib
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_child import NoteMade, insert, open_store
from store_storm import CHILD, ENVIRONMENT

from orchestratord.clock import ManualClock
from orchestratord.store import writer as writer_module
from orchestratord.store.db import Retention, Store
from orchestratord.store.fault import StoreClosed, StoreFull

BIG = "x" * 3000
PATIENCE = 60.0


async def fill(store: Store) -> int:
    """Commit until the store is full; return how many changes it took."""
    for n in range(10_000):
        try:
            await store.commit([insert(f"{n} {BIG}")], [NoteMade(text=BIG)])
        except StoreFull:
            return n
    raise AssertionError("never full")


def free(store: Store) -> None:
    """Make room from outside, as an operator would."""
    other = sqlite3.connect(store.statistics().path, isolation_level=None)
    other.execute("DELETE FROM notes")
    other.close()


async def texts(store: Store) -> list[str]:
    return [text for (text,) in await store.query("SELECT text FROM notes ORDER BY id")]


async def test_a_full_store_refuses_changes_whole_and_serves_readers(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state", max_bytes=400_000)
    written = await fill(store)
    for _ in range(3):
        with pytest.raises(StoreFull):
            await store.commit([insert(f"canary {BIG}")], [NoteMade(text=f"canary {BIG}")])
    assert len(await texts(store)) == store.journal.head == written > 10
    assert [event.seq for event in await store.journal.after(0)] == list(range(1, written + 1))
    figures = store.statistics()
    assert (figures.mode, figures.refused) == ("full", 4)
    assert "full" in (figures.reason or "")
    free(store)
    (event, *_) = await store.commit([insert("room")], [NoteMade()])
    assert event.seq == written + 1
    assert await texts(store) == ["room"]
    assert store.statistics().mode == "ok"
    kinds = [event.kind for event in await store.journal.after(written)]
    assert kinds == ["note.made", "store.recovered"]
    await store.close()


async def test_what_has_happened_is_owed_and_written_first_when_there_is_room(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    store = await open_store(tmp_path / "state", max_bytes=400_000, clock=clock)
    written = await fill(store)
    owed = [
        asyncio.create_task(store.record([insert(f"owed {n} {BIG}")], [NoteMade(text=f"owed {n}")]))
        for n in range(5)
    ]
    await asyncio.sleep(0)
    with pytest.raises(StoreFull):
        await store.commit([insert(BIG)])
    owed[1].cancel()  # whoever stops waiting does not undo it
    assert store.statistics().owed == 5
    assert not any(task.done() for task in owed if task is not owed[1])
    free(store)
    async with asyncio.timeout(PATIENCE):
        while not all(task.done() for task in owed):
            clock.advance(writer_module.PROBE)  # nobody commits: the probe finds the room
            await asyncio.sleep(0)
    events = await store.journal.after(written)
    assert [event.data.get("text") for event in events[:5]] == [f"owed {n}" for n in range(5)]
    assert events[0].at < events[5].at  # the time it happened, not that of the writing
    assert (events[5].kind, events[5].data["mode"]) == ("store.recovered", "full")
    assert (await owed[0])[0].seq == written + 1
    assert store.statistics().owed == 0
    await store.close()


async def test_what_is_owed_is_bounded_and_the_loss_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "OWED", 3)
    store = await open_store(tmp_path / "state", max_bytes=400_000)
    written = await fill(store)
    owed = [
        asyncio.create_task(store.record([insert(f"owed {n} {BIG}")], [NoteMade(text=str(n))]))
        for n in range(5)
    ]
    done, _ = await asyncio.wait(owed, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 2 and done == set(owed[3:])
    assert all(isinstance(task.exception(), StoreFull) for task in done)
    free(store)
    await asyncio.gather(*owed[:3])
    *_, last = await store.journal.after(written)
    assert (last.kind, last.data["lost"]) == ("store.recovered", 2)
    await store.close()


async def test_a_number_is_not_reused_after_its_change_found_no_room_and_a_kill(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path / "state", max_bytes=400_000)
    await fill(store)
    number = store.next_id("pane")
    with pytest.raises(StoreFull):
        await store.commit([insert(f"intent {BIG}")])
    shutil.copytree(tmp_path / "state", tmp_path / "left")  # as a kill would leave it
    await store.close()
    again = await open_store(tmp_path / "left")
    assert again.next_id("pane") == number + 1
    await again.close()


async def test_compaction_makes_room_in_a_full_store(tmp_path: Path) -> None:
    keep = Retention(events=2)
    store = await open_store(tmp_path / "state", max_bytes=400_000, retention=keep)
    await fill(store)
    await store.compact()
    await store.commit([insert(BIG)], [NoteMade(text=BIG)])
    assert store.statistics().mode == "ok"
    await store.close()


async def test_a_full_store_closes_and_tells_whoever_it_owes(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state", max_bytes=400_000)
    await fill(store)
    owed = asyncio.create_task(store.record([insert(f"owed {BIG}")], [NoteMade(text=BIG)]))
    await asyncio.sleep(0)
    await asyncio.wait_for(store.close(), PATIENCE)
    with pytest.raises((StoreFull, StoreClosed)):
        await owed


class Child:
    """A serving process whose disk we take away."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._number = 0

    async def ask(self, verb: str, text: str = "x") -> str:
        """Send a command and return its answer; answers come in order here."""
        self._number += 1
        self.process.stdin.write(f"{self._number} {verb} {text}\n".encode())
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        number, answer = line.decode().strip().split(maxsplit=1)
        assert number == str(self._number)
        return answer

    def limit_files_to(self, size: int) -> None:
        """Let the process write no file beyond that size: EFBIG is an I/O error to SQLite."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextlib.asynccontextmanager
async def serving(directory: Path, **environment: str) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        "serve",
        str(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT | environment,
    )
    assert await process.stdout.readline() == b"0 ready\n"
    try:
        yield Child(process)
    finally:
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await process.wait()


async def test_a_disk_that_refuses_to_write_is_survived_without_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as child:
        assert await child.ask("commit", "a") == "ok 1"
        child.limit_files_to(4096)
        assert await child.ask("commit", "b") == "StoreFailing"
        assert await child.ask("query") == "ok 1"
        child.limit_files_to(resource.RLIM_INFINITY)
        assert await child.ask("commit", "c") == "ok 2"
        assert await child.ask("query") == "ok 2"
    assert await reopened(tmp_path / "state") == ["a", "c"]


SHIM = """
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int refuse(void) { return access(getenv("SYNC_FAILS"), F_OK) == 0; }
int fdatasync(int fd) { if (refuse()) { errno = EIO; return -1; } return fsync(fd); }
"""


def built(directory: Path) -> Path:
    source, shim = directory / "shim.c", directory / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    return shim


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
async def test_nothing_is_acknowledged_that_the_disk_did_not_sync(tmp_path: Path) -> None:
    shim, fails = built(tmp_path), tmp_path / "fails"
    async with serving(tmp_path / "state", LD_PRELOAD=str(shim), SYNC_FAILS=str(fails)) as child:
        assert await child.ask("commit", "a") == "ok 1"
        fails.touch()
        assert await child.ask("lax", "intent") == "ok 2"  # asked for no sync, needs none
        assert await child.ask("commit", "b") == "StoreFailing"
        assert await child.ask("commit", "c") == "StoreFailing"
        assert await child.ask("query") == "ok 2"
        fails.unlink()
        assert await child.ask("commit", "d") == "ok 3"
    assert await reopened(tmp_path / "state") == ["a", "intent", "d"]


async def reopened(directory: Path) -> list[str]:
    store = await open_store(directory)
    found = await texts(store)
    seqs = [event.seq for event in await store.journal.after(0)]
    assert seqs == list(range(1, len(seqs) + 1))
    await store.close()
    return found
