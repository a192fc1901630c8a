"""The service on a real store and a clock moved by hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestratord.clock import ManualClock
from orchestratord.events import Bus
from orchestratord.features.decisions import register
from orchestratord.features.decisions.fault import (
    DecisionEnded,
    DecisionNotFound,
    TooManyDecisions,
)
from orchestratord.features.decisions.model import Decision
from orchestratord.features.decisions.service import Decisions
from orchestratord.features.panes.registry import Registry
from orchestratord.store.db import Store
from orchestratord.store.fault import StoreBusy
from orchestratord.store.migrate import collect

STEPS = collect(["orchestratord.store", "orchestratord.features.decisions"])


def _fail(error: Exception) -> None:
    raise error


@asynccontextmanager
async def serving(directory: Path, clock: ManualClock) -> AsyncIterator[Decisions]:
    """The service on the store of a directory, from its start to its stop."""
    store = await Store.open(
        directory / "state", STEPS, clock=clock, bus=Bus(_fail), busy_timeout=0
    )
    decisions = Decisions(store, Registry(), clock)
    await decisions.start()
    try:
        yield decisions
    finally:
        await decisions.stop()
        await store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def decisions(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Decisions]:
    async with serving(tmp_path, clock) as service:
        yield service


def ask(
    decisions: Decisions, deadline: float = 60, default: str | None = None
) -> Awaitable[Decision]:
    return decisions.ask(
        question="?", options=["yes", "no"], deadline=deadline, default=default, by="uid:1"
    )


def end_of(decisions: Decisions, decision: str) -> asyncio.Future[Decision]:
    """Return the end of a decision as it will be told."""
    end: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
    decisions.on_end(decision, end.set_result)
    return end


async def passes(clock: ManualClock, condition: Callable[[], object]) -> None:
    """Let time go on, a second after the other, until a condition holds."""
    for _ in range(100_000):
        if condition():
            return
        clock.advance(1)
        await asyncio.sleep(0)
    raise AssertionError("the condition did not come to hold")


async def test_a_deadline_is_kept_to_the_second(decisions: Decisions, clock: ManualClock) -> None:
    asked = await ask(decisions, 60, "no")
    end = end_of(decisions, asked.id)
    clock.advance(59.9)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not end.done()
    await passes(clock, end.done)
    assert (end.result().state, end.result().choice) == ("defaulted", "no")


async def test_an_answer_at_the_deadline_is_too_late(
    decisions: Decisions, clock: ManualClock
) -> None:
    asked = await ask(decisions, 60, "no")
    clock.advance(60)
    with pytest.raises(DecisionEnded, match="q1 is defaulted"):
        await decisions.answer(asked.id, "yes", None, "uid:1")
    assert decisions.register.get(asked.id).choice == "no"


async def test_a_caller_that_goes_away_does_not_undo_its_answer(decisions: Decisions) -> None:
    asked = await ask(decisions)
    end = end_of(decisions, asked.id)
    caller = asyncio.create_task(decisions.answer(asked.id, "yes", None, "uid:1"))
    while not decisions._acts:
        await asyncio.sleep(0)
    caller.cancel()
    assert (await end).choice == "yes"


async def test_the_end_is_told_once_and_also_to_who_asks_later(decisions: Decisions) -> None:
    asked = await ask(decisions)
    told: list[Decision] = []
    decisions.on_end(asked.id, told.append)
    forget = decisions.on_end(asked.id, told.append)
    forget()
    forget()
    ended = await decisions.answer(asked.id, "yes", None, "uid:1")
    assert told == [ended]
    decisions.on_end(asked.id, told.append)
    assert told == [ended, ended]
    with pytest.raises(DecisionNotFound):
        decisions.on_end("q9", told.append)


async def test_what_the_store_refuses_has_not_happened(
    decisions: Decisions, clock: ManualClock, tmp_path: Path
) -> None:
    asked = await ask(decisions, 60, "no")
    end = end_of(decisions, asked.id)
    (database,) = (tmp_path / "state").glob("*.db")
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            await decisions.answer(asked.id, "yes", None, "uid:1")
        with pytest.raises(StoreBusy):
            await ask(decisions)
        assert decisions.register.get(asked.id) == asked
        clock.advance(61)
        with pytest.raises(StoreBusy):
            await decisions.answer(asked.id, "yes", None, "uid:1")
        assert not end.done()
        other.execute("ROLLBACK")
    other.close()
    await passes(clock, end.done)
    assert end.result().state == "defaulted"
    assert len(decisions.register.open) == 0


async def test_open_decisions_are_bounded_also_when_asked_at_once(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestratord.features.decisions.service.MOST_OPEN", 5)
    outcomes = await asyncio.gather(*(ask(decisions) for _ in range(9)), return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, TooManyDecisions)]
    assert (len(refused), len(decisions.register.open)) == (4, 5)
    await decisions.cancel("q1", "uid:1")
    await ask(decisions)


async def test_the_oldest_ended_decisions_are_forgotten_in_memory_and_on_disk(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "REMEMBERED", 3)
    async with serving(tmp_path, clock) as decisions:
        for _ in range(6):
            asked = await ask(decisions)
            clock.advance(1)
            await decisions.answer(asked.id, "yes", None, "uid:1")
        left = list(decisions.register.ended)
        with pytest.raises(DecisionNotFound):
            await decisions.answer("q1", "yes", None, "uid:1")
    async with serving(tmp_path, clock) as decisions:
        assert list(decisions.register.ended) == left == ["q4", "q5", "q6"]


async def test_many_that_came_due_while_nobody_ran_end_at_the_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with serving(tmp_path, clock) as decisions:
        await asyncio.gather(*(ask(decisions, 60, "no") for _ in range(500)))
        late = await ask(decisions, 86_400)
    clock.advance(3600)
    async with serving(tmp_path, clock) as decisions:
        await asyncio.gather(*(end_of(decisions, f"q{n}") for n in range(1, 501)))
        assert list(decisions.register.open) == [late.id]
        assert {d.state for d in decisions.register.ended.values()} == {"defaulted"}


async def test_what_a_watch_asked_is_found_again_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    def asked(decisions: Decisions, watch: str) -> Awaitable[Decision]:
        return decisions.ask(
            question="?", options=["yes", "no"], deadline=60, by="watch", watch=watch
        )

    async with serving(tmp_path, clock) as decisions:
        for watch in ("a", "b", "a", "a"):
            await asked(decisions, watch)
        await decisions.answer("q3", "yes", None, "uid:1")
    async with serving(tmp_path, clock) as decisions:
        assert [d.id for d in decisions.of_watch("a")] == ["q1", "q3", "q4"]
        end = end_of(decisions, "q4")
        assert end_of(decisions, "q3").result().choice == "yes"
        await decisions.answer("q4", "no", None, "uid:1")
        assert end.result().choice == "no"
        assert decisions.of_watch("c") == []
