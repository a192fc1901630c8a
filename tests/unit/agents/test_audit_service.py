"""The audit on a real store and a clock moved by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestratord.clock import ManualClock
from orchestratord.errors import NotFound
from orchestratord.events import Bus
from orchestratord.features.agents import audit as module
from orchestratord.features.agents.audit import LOST, Audit
from orchestratord.rpc.audit import Account
from orchestratord.rpc.principal import Acting, Principal
from orchestratord.store.db import Store
from orchestratord.store.migrate import collect

STEPS = collect(["orchestratord.store", "orchestratord.features.agents"])
WHO = Principal(uid=7, pid=8, owner="agent:one", agent="one", pane="p1", free=False)


def _fail(error: Exception) -> None:
    raise error


@asynccontextmanager
async def auditing(directory: Path, clock: ManualClock) -> AsyncIterator[Audit]:
    """The audit on the store of a directory, from its start to its stop."""
    store = await Store.open(directory / "state", STEPS, clock=clock, bus=Bus(_fail))
    audit = Audit(store, clock)
    await audit.start()
    try:
        yield audit
    finally:
        await audit.stop()
        await store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def note(audit: Audit, count: int, method: str = "pane.kill") -> None:
    for number in range(count):
        account = Account.of(method, True, Acting(WHO, "kill", touched="p2"), b"%d" % number)
        audit.note(account, NotFound(reason="none") if number % 2 else None)


async def seqs(audit: Audit) -> list[int]:
    return [e.seq for e in await audit.entries(since=0, agent=None, method=None, limit=5000)]


async def test_what_is_noted_can_be_read_and_verified(tmp_path: Path, clock: ManualClock) -> None:
    async with auditing(tmp_path, clock) as audit:
        note(audit, 3)
        first, second, _ = await audit.entries(since=None, agent="one", method=None, limit=9)
        assert (first.uid, first.pid, first.agent, first.pane) == (7, 8, "one", "p1")
        assert (first.method, first.thing, first.result) == ("pane.kill", "p2", "ok")
        assert (second.seq, second.result, second.size) == (2, "NotFound", 1)
        found = await audit.verify()
        assert (found.ok, found.checked, found.head, found.broken_at) == (True, 3, 3, None)


async def test_the_chain_goes_on_with_the_next_daemon(tmp_path: Path, clock: ManualClock) -> None:
    for _ in range(3):
        async with auditing(tmp_path, clock) as audit:
            note(audit, 5)
    async with auditing(tmp_path, clock) as audit:
        assert await seqs(audit) == list(range(1, 16))
        assert (await audit.verify()).ok


async def test_a_row_that_was_changed_by_hand_is_found(tmp_path: Path, clock: ManualClock) -> None:
    async with auditing(tmp_path, clock) as audit:
        note(audit, 5)
    (file,) = (tmp_path / "state").glob("*.db")
    with sqlite3.connect(file) as by_hand:
        by_hand.execute("UPDATE audit SET agent = 'two' WHERE seq = 3")
    by_hand.close()
    async with auditing(tmp_path, clock) as audit:
        found = await audit.verify()
        assert (found.ok, found.broken_at, found.head) == (False, 3, 2)


async def test_rows_removed_from_the_end_are_missed_while_the_daemon_lives(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with auditing(tmp_path, clock) as audit:
        note(audit, 5)
        await audit.flush()
        (file,) = (tmp_path / "state").glob("*.db")
        with sqlite3.connect(file) as by_hand:
            by_hand.execute("DELETE FROM audit WHERE seq > 3")
        by_hand.close()
        found = await audit.verify()
        assert (found.ok, found.broken_at) == (False, 4)


async def test_what_is_pruned_leaves_its_hash_to_which_the_rest_is_chained(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    monkeypatch.setattr(module, "SLICE", 4)
    async with auditing(tmp_path, clock) as audit:
        note(audit, 25)
        await audit.flush()
        await audit.prune()
        assert await seqs(audit) == list(range(16, 26))
        found = await audit.verify()
        assert (found.ok, found.checked, found.checkpoint) == (True, 10, 15)
        clock.advance(31 * 86400)
        note(audit, 1)
        await audit.flush()
        await audit.prune()
        assert await seqs(audit) == [26]
    async with auditing(tmp_path, clock) as audit:
        found = await audit.verify()
        assert (found.ok, found.checkpoint, found.head) == (True, 25, 26)


async def test_entries_wait_for_a_disk_that_is_locked_and_those_lost_are_counted(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 20)
    directory = tmp_path / "state"
    store = await Store.open(directory, STEPS, clock=clock, bus=Bus(_fail), busy_timeout=0)
    audit = Audit(store, clock)
    await audit.start()
    (file,) = directory.glob("*.db")
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    note(audit, 25)
    assert not await audit.flush()
    locker.execute("ROLLBACK")
    locker.close()
    assert await audit.flush()
    entries = await audit.entries(since=0, agent=None, method=None, limit=99)
    assert [e.seq for e in entries] == list(range(1, 22))
    assert (entries[-1].method, entries[-1].result, entries[-1].size) == (LOST, "lost", 5)
    assert (await audit.verify()).ok
    await audit.stop()
    await store.close()
