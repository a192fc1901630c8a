import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from store_child import NoteMade, Statement, insert, open_store

from orchestratord.clock import ManualClock
from orchestratord.store.db import Retention, Store
from orchestratord.store.fault import StoreBusy, StoreDamaged
from orchestratord.store.journal import EventsCompacted

Spoil = Callable[[Path], object]


async def made(directory: Path, count: int = 200) -> Store:
    store = await open_store(directory)
    for n in range(count):
        await store.commit([insert(f"{n} {'x' * 100}")], [NoteMade(text=str(n))])
    return store


async def texts(store: Store) -> int:
    ((count,),) = await store.query("SELECT count(*) FROM notes")
    return count


def garbage(database: Path) -> None:
    database.write_bytes(b"this is no database\n" * 400)


def flipped(database: Path) -> None:
    content = bytearray(database.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 12] = b"\xff" * 12
    database.write_bytes(content)


def halved(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 8192 * 4096])


def emptied(database: Path) -> None:
    database.write_bytes(b"")


def removed(database: Path) -> None:
    database.unlink()


def foreign(database: Path) -> None:
    database.unlink()
    other = sqlite3.connect(database)
    other.execute("CREATE TABLE cookies (id INTEGER)")
    other.execute("CREATE TABLE more_cookies (id INTEGER)")
    other.commit()
    other.close()


SPOILS: list[Spoil] = [garbage, flipped, halved, emptied, removed, foreign]


@pytest.mark.parametrize("spoil", SPOILS)
async def test_a_damaged_database_is_kept_and_a_fresh_one_says_so(
    tmp_path: Path, spoil: Spoil
) -> None:
    directory = tmp_path / "state"
    store = await made(directory)
    pane = store.next_id("pane")
    await store.commit()
    await store.close()
    spoil(directory / "store.db")
    spoiled = (directory / "store.db").read_bytes() if spoil is not removed else None

    store = await open_store(directory)
    (event,) = await store.journal.after(store.journal.oldest - 1)
    assert event.kind == "store.restored"
    assert event.seq > 200
    assert event.data["cause"] == ("missing" if spoil in (emptied, removed) else "damaged")
    assert event.data["last_seq"] == 0
    assert await texts(store) == 0
    assert store.next_id("pane") > pane
    if spoiled is not None:
        assert (directory / event.data["kept"]).read_bytes() == spoiled
    with pytest.raises(EventsCompacted):
        await store.journal.after(150)
    (after,) = await store.commit([insert("again")], [NoteMade()])
    assert after.seq == event.seq + 1
    await store.close()

    store = await open_store(directory)
    assert await texts(store) == 1
    assert store.journal.head == after.seq
    await store.close()


@pytest.mark.parametrize("spoil", SPOILS)
async def test_the_newest_good_copy_takes_the_place_of_a_damaged_database(
    tmp_path: Path, spoil: Spoil
) -> None:
    directory = tmp_path / "state"
    store = await made(directory)
    (directory / "backups").mkdir(mode=0o700)
    await store.backup(directory / "backups" / "store-20260101T000000Z.db")
    garbage(directory / "backups" / "store-20270101T000000Z.db")  # newer, but no good
    await store.commit([insert("lost")], [NoteMade(text="lost")])
    await store.close()
    spoil(directory / "store.db")

    store = await open_store(directory)
    (event,) = await store.journal.after(store.journal.oldest - 1)
    assert event.data["copy"] == "store-20260101T000000Z.db"
    assert event.data["last_seq"] == 200
    assert event.seq > 201
    assert await texts(store) == 200
    for cursor in (0, 150, 200, 201):
        with pytest.raises(EventsCompacted) as gone:
            await store.journal.after(cursor)
        assert gone.value.details["oldest"] == event.seq
    await store.compact()  # what nobody can resume from goes
    assert await store.query("SELECT seq FROM events") == [(event.seq,)]
    await store.close()


async def test_a_copy_put_in_place_by_hand_is_recognised(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    store = await made(directory)
    await store.backup(tmp_path / "copy.db")
    await store.close()
    shutil.copy(tmp_path / "copy.db", directory / "store.db")
    for _ in range(2):  # told once, not at every start
        store = await open_store(directory)
        (event,) = await store.journal.after(store.journal.oldest - 1)
        assert (event.kind, event.data["cause"]) == ("store.restored", "older")
        assert event.seq > 200
        assert await texts(store) == 200
        await store.close()


async def test_an_older_file_put_in_place_by_hand_is_recognised(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    await (await made(directory)).close()
    shutil.copy(directory / "store.db", tmp_path / "old.db")
    store = await open_store(directory)
    pane = store.next_id("pane")
    await store.commit([], [NoteMade()])
    await store.close()
    shutil.copy(tmp_path / "old.db", directory / "store.db")
    store = await open_store(directory)
    (event,) = await store.journal.after(store.journal.oldest - 1)
    assert (event.data["cause"], event.data["last_seq"]) == ("older", 200)
    assert event.seq > 201
    assert store.next_id("pane") > pane
    await store.close()


def snapshot(directory: Path, to: Path) -> Path:
    """Copy a state directory in use, as a kill would leave it."""
    return Path(shutil.copytree(directory, to))


async def test_a_kill_alone_restores_nothing(tmp_path: Path) -> None:
    store = await made(tmp_path / "state")
    left = snapshot(tmp_path / "state", tmp_path / "left")
    await store.close()
    store = await open_store(left)
    assert (store.journal.head, store.journal.oldest) == (200, 1)
    assert await texts(store) == 200
    (event,) = await store.commit([], [NoteMade()])
    assert event.seq == 201
    await store.close()


@pytest.mark.parametrize("cut", ["garbage", "half", "gone"])
async def test_a_damaged_log_is_kept_and_what_it_held_is_declared_lost(
    tmp_path: Path, cut: str
) -> None:
    store = await made(tmp_path / "state")
    left = snapshot(tmp_path / "state", tmp_path / "left")
    await store.close()
    wal = left / "store.db-wal"
    content = wal.read_bytes()
    if cut == "garbage":
        wal.write_bytes(b"\x5a" * len(content))
    elif cut == "half":
        wal.write_bytes(content[: len(content) // 2])
    else:
        wal.unlink()
    damaged = wal.read_bytes() if wal.exists() else None

    store = await open_store(left)
    (event,) = await store.journal.after(store.journal.oldest - 1)
    assert event.kind == "store.restored"
    assert event.seq > 200
    assert await texts(store) == event.data["last_seq"] < 200
    if damaged is not None:
        assert (left / f"{event.data['kept']}-wal").read_bytes() == damaged
    await store.close()


async def test_a_locked_database_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    await (await made(directory, 3)).close()
    other = sqlite3.connect(directory / "store.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreBusy):
        await open_store(directory, busy_timeout=0.1)
    other.execute("COMMIT")
    other.close()
    store = await open_store(directory)
    assert await texts(store) == 3
    await store.close()


async def test_damage_found_at_run_time_stops_writing_and_not_reading(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    await (await made(directory, 2000)).close()
    store = await open_store(directory)
    ((root,),) = await store.query("SELECT rootpage FROM sqlite_schema WHERE name = 'notes'")
    with (directory / "store.db").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 64)
    with pytest.raises(StoreDamaged):
        await store.query("SELECT * FROM notes")
    assert store.statistics().mode == "damaged"
    with pytest.raises(StoreDamaged):
        await store.commit([], [NoteMade()])
    with pytest.raises(StoreDamaged):
        await store.record([], [NoteMade()])
    assert [event.seq for event in await store.journal.after(1990)] == list(range(1991, 2001))
    await store.close()
    store = await open_store(directory)
    (event,) = await store.journal.after(store.journal.oldest - 1)
    assert event.data["cause"] == "damaged"
    await store.close()


async def test_copies_are_taken_by_the_clock_and_only_the_newest_are_kept(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    keep = Retention(every=60, backup_every=600, backups=2)
    store = await open_store(tmp_path / "state", clock=clock, retention=keep)
    backups = tmp_path / "state" / "backups"
    seen: set[str] = set()
    for n in range(4):
        await store.commit([insert(str(n))])
        async with asyncio.timeout(60):
            while not (fresh := {file.name for file in backups.glob("store-*.db")} - seen):
                clock.advance(60)
                await asyncio.sleep(0.001)
        seen |= fresh
    async with asyncio.timeout(60):
        while len(list(backups.iterdir())) != 2:
            await asyncio.sleep(0.001)
    newest = max(backups.iterdir())
    copy = sqlite3.connect(newest)
    assert copy.execute("SELECT count(*) FROM notes").fetchone() == (4,)
    copy.close()
    assert newest.stat().st_mode & 0o777 == 0o600
    await store.close()


async def test_a_copy_taken_under_load_is_one_moment(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state")
    stop = asyncio.Event()

    async def commit(worker: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            await store.commit(
                [insert(f"{worker}-{n}-a"), Statement(insert("").sql, (f"{worker}-{n}-b",))],
                [NoteMade()],
            )

    workers = [asyncio.create_task(commit(n)) for n in range(5)]
    await store.journal.wait_beyond(50)
    await store.backup(tmp_path / "copy.db")
    stop.set()
    await asyncio.gather(*workers)
    await store.close()
    copy = sqlite3.connect(tmp_path / "copy.db")
    ((notes, events),) = copy.execute(
        "SELECT (SELECT count(*) FROM notes), (SELECT count(*) FROM events)"
    ).fetchall()
    copy.close()
    assert notes == 2 * events > 100
    assert [file.name for file in tmp_path.glob(".*")] == []
