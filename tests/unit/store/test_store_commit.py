import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from store_notes import NoteMade, insert

from orchestratord.events import Bus, Event
from orchestratord.store.db import Statement, Store
from orchestratord.store.fault import StoreClosed, StoreDamaged


async def notes(store: Store) -> list[str]:
    return [text for (text,) in await store.query("SELECT text FROM notes ORDER BY id")]


async def test_a_change_is_written_with_its_events_and_their_numbers(store: Store) -> None:
    events = await store.commit([insert("a")], [NoteMade(text="a", pane="p1"), NoteMade(text="b")])
    assert [(e.seq, e.kind, e.pane, e.data) for e in events] == [
        (1, "note.made", "p1", {"text": "a"}),
        (2, "note.made", None, {"text": "b"}),
    ]
    assert events[0].at == "2026-01-01T00:00:00.000000Z"
    assert await notes(store) == ["a"]
    assert await store.journal.after(0) == list(events)


async def test_a_refused_change_leaves_nothing_and_uses_no_number(store: Store) -> None:
    await store.commit([insert("taken")], [NoteMade()])
    with pytest.raises(sqlite3.IntegrityError):
        await store.commit([insert("canary"), insert("taken")], [NoteMade(text="canary")])
    (event,) = await store.commit([], [NoteMade(text="next")])
    assert event.seq == 2
    assert await notes(store) == ["taken"]
    assert [e.seq for e in await store.journal.after(0)] == [1, 2]
    assert await store.query("SELECT 1 FROM events WHERE data LIKE '%canary%'") == []


@pytest.mark.parametrize(
    "statement",
    [
        Statement("INSERT INTO nowhere VALUES (1)"),
        Statement("INSERT INTO notes (text) VALUES (?)", ("\ud800",)),
        Statement("INSERT INTO notes (id) VALUES (?)", (2**70,)),
        Statement("INSERT INTO notes (text) VALUES (?)", (object(),)),
        Statement("INSERT INTO notes (text) VALUES (?)", ()),
        Statement("not sql"),
    ],
)
async def test_a_wrong_change_fails_alone_among_its_group(
    store: Store, statement: Statement
) -> None:
    outcomes = await asyncio.gather(
        store.commit([insert("before")], [NoteMade()]),
        store.commit([insert("canary"), statement], [NoteMade()]),
        store.commit([insert("after")], [NoteMade()]),
        return_exceptions=True,
    )
    assert [isinstance(one, Exception) for one in outcomes] == [False, True, False]
    assert await notes(store) == ["before", "after"]
    assert store.journal.head == 2
    assert store.statistics().mode == "ok"


async def test_changes_that_gather_are_one_group(store: Store) -> None:
    before = store.statistics()
    await asyncio.gather(*(store.commit([insert(str(n))], [NoteMade()]) for n in range(100)))
    after = store.statistics()
    assert after.commits - before.commits == 100
    assert after.groups - before.groups == 1
    assert await notes(store) == [str(n) for n in range(100)]


async def test_listeners_hear_of_events_in_order_before_the_committer_does(
    store: Store, bus: Bus
) -> None:
    heard: list[Event] = []
    bus.listen(heard.extend)

    async def commit(n: int) -> None:
        (event,) = await store.commit([], [NoteMade(text=str(n))])
        assert event in heard

    await asyncio.gather(*(commit(n) for n in range(300)))
    assert [event.seq for event in heard] == list(range(1, 301))
    assert [event.data["text"] for event in heard] == [str(n) for n in range(300)]


async def test_cancelling_a_committer_does_not_undo_its_change(store: Store) -> None:
    tasks = [
        asyncio.create_task(store.commit([insert(str(n))], [NoteMade(text=str(n))]))
        for n in range(50)
    ]
    await asyncio.sleep(0)  # each has handed its change over
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in results) == 25
    assert await notes(store) == [str(n) for n in range(50)]
    texts = [event.data["text"] for event in await store.journal.after(0)]
    assert texts == [str(n) for n in range(50)]


async def test_a_change_without_sync_is_seen_by_the_next_query(store: Store) -> None:
    await store.commit([insert("intent")], sync=False)
    assert await notes(store) == ["intent"]


async def test_a_query_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match="readonly"):
        await store.query("INSERT INTO notes (text) VALUES ('x')")
    assert await notes(store) == []


async def test_a_long_query_does_not_hold_up_the_writer(store: Store) -> None:
    begun, gate = threading.Event(), threading.Event()

    def stays_until_the_gate_opens() -> int:
        begun.set()
        return int(gate.wait(60))

    await store._read.call(lambda sql: sql.create_function("gate", 0, stays_until_the_gate_opens))
    slow = asyncio.create_task(store.query("SELECT gate()"))
    await asyncio.to_thread(begun.wait)
    await store.commit([insert("meanwhile")], [NoteMade()])
    assert not slow.done()
    gate.set()
    assert await slow == [(1,)]


async def test_numbers_of_a_noun_are_never_given_twice(open_store) -> None:
    first = await open_store()
    assert [first.next_id("pane"), first.next_id("pane"), first.next_id("window")] == [1, 2, 1]
    await first.commit([], [NoteMade()])
    await first.close()
    second = await open_store()
    assert [second.next_id("pane"), second.next_id("window")] == [3, 2]


async def test_a_number_is_not_reused_after_its_change_failed(open_store) -> None:
    first = await open_store()
    await first.commit([insert("taken")])
    number = first.next_id("pane")
    with pytest.raises(sqlite3.IntegrityError):
        await first.commit([insert("taken")])
    await first.close()
    assert (await open_store()).next_id("pane") == number + 1


async def test_closing_writes_what_is_queued_and_refuses_what_comes_after(open_store) -> None:
    store = await open_store()
    queued = [asyncio.create_task(store.commit([insert(str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*queued)
    with pytest.raises(StoreClosed):
        await store.commit([insert("late")])
    again = await open_store()
    assert await notes(again) == [str(n) for n in range(20)]


async def test_a_removed_database_is_noticed_and_never_acknowledged_into(store: Store) -> None:
    await store.commit([insert("a")])
    database(store).unlink()
    with pytest.raises(StoreDamaged, match="removed or replaced"):
        await store.commit([insert("lost")])
    with pytest.raises(StoreDamaged):
        await store.record([insert("lost")])
    assert store.statistics().mode == "damaged"
    assert await notes(store) == ["a"]


async def test_the_files_are_readable_by_their_owner_only(store: Store) -> None:
    await store.commit([insert("a")])
    files = [file for file in database(store).parent.iterdir() if file.is_file()]
    assert {file.name for file in files} >= {"store.db", "store.db-wal", "store.lock", "store.mark"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert database(store).parent.stat().st_mode & 0o777 == 0o700


async def test_a_store_that_works_waits_without_a_timer(store: Store) -> None:
    await store.commit([insert("a")])
    assert "store probe" not in {task.get_name() for task in asyncio.all_tasks()}


def database(store: Store) -> Path:
    return Path(store.statistics().path)
