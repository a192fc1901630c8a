import asyncio

import pytest
from store_notes import NoteMade, insert

from orchestratord.clock import ManualClock
from orchestratord.events import Bus, Fact
from orchestratord.store import journal as journal_module
from orchestratord.store.db import Retention, Store
from orchestratord.store.journal import EventsCompacted, SeqUnknown


class PaneSeen(Fact, frozen=True, kw_only=True):
    sizes: tuple[int, ...] = ()


async def fill(store: Store, count: int) -> None:
    for start in range(0, count, 500):
        await store.commit(
            [], [NoteMade(text=str(n)) for n in range(start, min(start + 500, count))]
        )


async def test_events_from_memory_and_from_disk_are_equal(open_store) -> None:
    first = await open_store()
    await first.commit([], [PaneSeen(sizes=(1, 2), pane="p1", session="s"), NoteMade(text="é\n")])
    from_memory = await first.journal.after(0)
    await first.close()
    assert await (await open_store()).journal.after(0) == from_memory


@pytest.mark.parametrize("age", ["in memory", "on disk"])
async def test_a_reader_gets_what_it_asks_for(open_store, age: str) -> None:
    store = await open_store()
    for n in range(4):
        await store.commit([], [NoteMade(text=str(n), pane="p1"), PaneSeen(pane="p2", session="s")])
    if age == "on disk":
        await store.close()
        store = await open_store()
    after = store.journal.after

    async def numbers(*args, **options) -> list[int]:
        return [event.seq for event in await after(*args, **options)]

    assert await numbers(3) == [4, 5, 6, 7, 8]
    assert await numbers(0, 3) == [1, 2, 3]
    assert await numbers(0, kinds={"note.made"}) == [1, 3, 5, 7]
    assert await numbers(2, 2, pane="p2") == [4, 6]
    assert await numbers(0, session="s", until=5) == [2, 4]
    assert await numbers(0, kinds={"note.made", "pane.seen"}, until=99) == list(range(1, 9))
    assert await numbers(0, kinds=()) == []
    assert await numbers(8) == []


async def test_a_number_ahead_of_the_head_is_refused(store: Store) -> None:
    await store.commit([], [NoteMade()])
    with pytest.raises(SeqUnknown) as refusal:
        await store.journal.after(2)
    assert refusal.value.data()["head"] == 1


async def test_waiters_wake_when_something_newer_is_on_disk(store: Store) -> None:
    waiters = [asyncio.create_task(store.journal.wait_beyond(seq)) for seq in (0, 0, 1)]
    await store.commit([insert("no event")])
    assert not any(task.done() for task in waiters)
    await store.commit([], [NoteMade()])
    assert await asyncio.gather(*waiters[:2]) == [1, 1]
    assert not waiters[2].done()
    await store.commit([], [NoteMade()])
    assert await waiters[2] == 2


async def test_a_follower_gets_every_event_once_in_order_while_many_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "BATCH", 7)
    seen: list[int] = []

    async def follow() -> None:
        async for events in store.journal.follow(0, kinds={"note.made"}):
            seen.extend(event.seq for event in events)
            if len(seen) == 600:
                return

    async def commit(n: int) -> None:
        await store.commit([], [NoteMade(text=str(n)), PaneSeen(), NoteMade()])

    follower = asyncio.create_task(follow())
    for _ in range(6):
        await asyncio.gather(*(commit(n) for n in range(50)))
    await follower
    assert seen == [seq for seq in range(1, 901) if seq % 3 != 2]


async def test_retention_by_number_tells_readers_of_what_is_gone(open_store) -> None:
    store = await open_store(retention=Retention(events=100))
    await fill(store, 2500)
    assert await store.compact() == 2400
    assert store.journal.oldest == 2401
    with pytest.raises(EventsCompacted) as gone:
        await store.journal.after(2399)
    assert gone.value.data()["oldest"] == 2401
    assert [event.seq for event in await store.journal.after(2400)] == list(range(2401, 2501))
    assert await store.query("SELECT min(seq), count(*) FROM events") == [(2401, 100)]


async def test_retention_by_age_keeps_the_young_and_always_the_newest(
    open_store, clock: ManualClock
) -> None:
    store = await open_store(retention=Retention(days=1, every=1e9))
    await fill(store, 10)
    clock.advance(86400 / 2)
    await fill(store, 5)
    clock.advance(86400 / 2 + 1)
    await store.compact()
    assert store.journal.oldest == 11
    clock.advance(10 * 86400)
    await store.compact()
    assert (store.journal.oldest, store.journal.head) == (15, 15)
    await store.close()
    (event,) = await (await open_store()).commit([], [NoteMade()])
    assert event.seq == 16


async def test_retention_by_size_shrinks_the_journal_in_slices(open_store) -> None:
    store = await open_store(retention=Retention(bytes=600_000))
    for _ in range(10):
        await store.commit([], [NoteMade(text="x" * 200) for _ in range(500)])
    groups = store.statistics().groups
    gone = await store.compact()
    assert 1000 <= gone <= 4000
    assert store.statistics().groups - groups == gone // 1000
    ((used,),) = await store.query(
        "SELECT (page_count - freelist_count) * 4096 FROM pragma_page_count, pragma_freelist_count"
    )
    assert used <= 600_000


async def test_retention_runs_by_itself(open_store, clock: ManualClock) -> None:
    store = await open_store(retention=Retention(events=3, every=60))
    await fill(store, 10)
    await asyncio.sleep(0)  # the housekeeper sleeps on the clock
    clock.advance(61)
    async with asyncio.timeout(60):
        while await store.query("SELECT 1 FROM events WHERE seq < 8"):
            pass
    assert [event.seq for event in await store.journal.after(7)] == [8, 9, 10]


async def test_a_read_that_compaction_overtakes_is_told_so(bus: Bus) -> None:
    async def query(sql: str, args: object) -> list[tuple[object, ...]]:
        journal.forget(6)  # the rows up to 5 go while the read is under way
        return [(6, "", "note.made", None, None, None, "{}")]

    journal = journal_module.Journal(query, bus, head=6, oldest=1)
    with pytest.raises(EventsCompacted):
        await journal.after(2)


async def test_a_reader_across_compaction_gets_all_or_is_told(
    open_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL", 10)  # nearly every read goes to disk
    store = await open_store(retention=Retention(events=300))
    told = 0

    async def read() -> None:
        nonlocal told
        seq = 0
        while seq < 20_000:
            try:
                events = await store.journal.after(seq, 50)
            except EventsCompacted as gone:
                told += 1
                seq = gone.details["oldest"] - 1
                continue
            assert [event.seq for event in events] == list(range(seq + 1, seq + 1 + len(events)))
            seq += len(events)
            if not events:
                await store.journal.wait_beyond(seq)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for turn in range(20):
        await fill(store, 1000)
        await store.compact()
        if turn == 10:
            readers.append(asyncio.create_task(read()))  # far behind from the start
    await asyncio.gather(*readers)
    assert told > 0
