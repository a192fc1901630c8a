"""Leases on a real store and a clock moved by hand; nothing is typed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestratord.clock import ManualClock
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event
from orchestratord.features.agents.fault import AgentEnded, LeaseNotFound
from orchestratord.features.agents.leases import Leases
from orchestratord.features.panes.fact import PaneExited as Exited
from orchestratord.features.panes.fault import LeaseHeld, PaneExited, StaleFence
from orchestratord.features.panes.record import PaneRecord, Place
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.typist import DAEMON, Typist
from orchestratord.rpc.principal import NotOwner, Principal
from orchestratord.store.db import Store
from orchestratord.store.migrate import collect
from orchestratord.tmux.link import Link
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.process import Process
from orchestratord.tmux.spool import Spool

STEPS = collect(["orchestratord.store", "orchestratord.features.agents"])


def who(name: str) -> Principal:
    return Principal(uid=0, pid=1, owner=f"agent:{name}", agent=name, scopes=frozenset())


ONE, TWO, THREE = who("one"), who("two"), who("three")
USER = Principal(uid=0, pid=1, owner="uid:0")


class Bed:
    """Leases, and what they stand on."""

    def __init__(self, leases: Leases, store: Store, bus: Bus, pane: PaneRecord) -> None:
        self.leases, self.store, self.bus, self.pane = leases, store, bus, pane

    async def take(self, principal: Principal, ttl: float = 30, wait: float = 0) -> int:
        """Return the fence of a new lease."""
        return (await self.leases.acquire(self.pane, principal, ttl, wait)).fence

    async def in_line(self, *principals: Principal) -> list[asyncio.Task[int]]:
        """Let principals wait for the lease, in that order."""
        tasks = []
        for principal in principals:
            tasks.append(asyncio.create_task(self.take(principal, wait=300)))
            await turn()
        return tasks

    async def types(self, owner: str, fence: int | None = None) -> str:
        """Return ``ok``, or the kind of the refusal."""
        try:
            await self.leases.check(self.pane, Typist(owner, fence))
        except Fault as fault:
            return fault.kind
        return "ok"

    async def history(self) -> list[str]:
        """Return what was told, as KIND HOLDER."""
        await self.store.commit()
        events = await self.store.journal.after(0, 1000)
        return [f"{e.kind.partition('.')[2]} {e.data['holder'].partition(':')[2]}" for e in events]


@asynccontextmanager
async def leasing(directory: Path, clock: ManualClock) -> AsyncIterator[Bed]:
    """Leases on the store of a directory, from their start to their stop."""
    bus = Bus(_fail)
    store = await Store.open(directory / "state", STEPS, clock=clock, bus=bus, busy_timeout=0)
    link = Link("tmux", directory / "none", {}, starts_server=False)
    panes = Panes(store, link, Mirror(link, clock), Spool(directory / "spool", clock), clock, {})
    pane = PaneRecord(
        id="p1", session="s1", window="w1", place=Place("s", "%1", "", Process(1, 1)),
        argv=["sh"], cwd="/", created_at="", owner="agent:boss",
    )  # fmt: skip
    panes.registry.panes["p1"] = pane
    leases = Leases(panes, store, bus, clock)
    await leases.start()
    try:
        yield Bed(leases, store, bus, pane)
    finally:
        await leases.stop()
        await store.close()


def _fail(error: Exception) -> None:
    raise error


async def turn() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def bed(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Bed]:
    async with leasing(tmp_path, clock) as made:
        yield made


async def test_one_has_it_and_others_are_told_who_and_for_how_long(bed: Bed) -> None:
    await bed.take(ONE, ttl=20)
    with pytest.raises(LeaseHeld) as caught:
        await bed.take(TWO)
    assert caught.value.details == {"pane": "p1", "holder": "agent:one", "seconds": 20.0}
    assert caught.value.data()["retryable"] is True


async def test_those_who_wait_get_it_in_their_order_with_rising_fences(bed: Bed) -> None:
    first = await bed.leases.acquire(bed.pane, ONE, 30, 0)
    two, three = await bed.in_line(TWO, THREE)
    await bed.leases.release(first.id, ONE)
    fence = await two
    assert (first.fence, fence, three.done()) == (1, 2, False)
    await bed.leases.release("l2", TWO)
    assert await three == 3
    assert await bed.history() == [
        "acquired one", "released one", "acquired two", "released two", "acquired three",
    ]  # fmt: skip


async def test_a_holder_that_dies_loses_it_at_its_ttl_and_the_next_gets_it(
    bed: Bed, clock: ManualClock
) -> None:
    await bed.take(ONE, ttl=10)
    (two,) = await bed.in_line(TWO)
    clock.advance(9.9)
    await turn()
    assert not two.done()
    clock.advance(0.2)
    assert await two == 2
    assert await bed.history() == ["acquired one", "expired one", "acquired two"]


async def test_a_renewed_lease_lasts_from_then_on(bed: Bed, clock: ManualClock) -> None:
    await bed.take(ONE, ttl=10)
    for _ in range(5):
        clock.advance(9)
        await bed.leases.renew("l1", ONE, None)
    assert bed.leases.holder_of("p1") == "agent:one"
    clock.advance(10)
    assert bed.leases.holder_of("p1") is None
    with pytest.raises(LeaseNotFound):
        await bed.leases.renew("l1", ONE, None)


async def test_who_stops_waiting_is_passed_over(bed: Bed, clock: ManualClock) -> None:
    first = await bed.leases.acquire(bed.pane, ONE, 60, 0)
    two, three = await bed.in_line(TWO, THREE)
    two.cancel()
    await turn()
    await bed.leases.release(first.id, ONE)
    assert await three == 2


async def test_who_goes_away_in_the_moment_of_getting_it_gives_it_back(bed: Bed) -> None:
    first = await bed.leases.acquire(bed.pane, ONE, 60, 0)
    two, three = await bed.in_line(TWO, THREE)
    releasing = asyncio.ensure_future(bed.leases.release(first.id, ONE))
    await asyncio.sleep(0)  # the lease is two's by now
    two.cancel()
    await releasing
    assert await three == 3
    assert bed.leases.holder_of("p1") == "agent:three"


async def test_waiting_ends_in_its_time(bed: Bed, clock: ManualClock) -> None:
    await bed.take(ONE, ttl=60)
    waiting = asyncio.create_task(bed.take(TWO, wait=5))
    await turn()
    clock.advance(5)
    with pytest.raises(LeaseHeld):
        await waiting
    assert bed.leases.show(bed.leases.listed()[0]).waiting == 0


async def test_an_agent_types_under_its_lease_and_nobody_else_does(bed: Bed) -> None:
    assert await bed.types("uid:0") == "ok"
    fence = await bed.take(ONE)
    assert await bed.types("agent:one") == "ok"
    assert await bed.types("agent:one", fence) == "ok"
    assert await bed.types("agent:two") == "LeaseHeld"
    assert await bed.types("agent:two", fence) == "LeaseHeld"
    assert await bed.types("uid:0") == "LeaseHeld"
    assert await bed.types(DAEMON) == "LeaseHeld"


async def test_programs_of_a_user_are_told_apart_by_the_fence(bed: Bed) -> None:
    fence = await bed.take(USER)
    assert await bed.types("uid:0") == "LeaseHeld"
    assert await bed.types("uid:0", fence) == "ok"
    assert await bed.types("uid:1", fence) == "LeaseHeld"


async def test_a_stale_fence_is_refused(bed: Bed, clock: ManualClock) -> None:
    fence = await bed.take(ONE, ttl=10)
    clock.advance(10)
    with pytest.raises(StaleFence) as caught:
        await bed.leases.check(bed.pane, Typist("agent:one", fence))
    assert str(caught.value) == "fence 1 is stale: input to pane p1 is not leased"
    await bed.take(ONE)
    assert await bed.types("agent:one", fence) == "StaleFence"


async def test_owners_holders_and_admins_break_a_lease_and_others_do_not(bed: Bed) -> None:
    for breaker in (who("boss"), ONE, USER):
        await bed.take(ONE)
        with pytest.raises(NotOwner):
            await bed.leases.break_(bed.pane, TWO)
        await bed.leases.break_(bed.pane, breaker)
        assert bed.leases.holder_of("p1") is None
    with pytest.raises(LeaseNotFound):
        await bed.leases.break_(bed.pane, USER)


async def test_only_the_holder_renews_and_releases(bed: Bed) -> None:
    await bed.take(ONE)
    with pytest.raises(NotOwner):
        await bed.leases.renew("l1", TWO, None)
    with pytest.raises(NotOwner):
        await bed.leases.release("l1", TWO)


async def test_a_dead_agent_s_leases_end_and_it_waits_for_none(bed: Bed) -> None:
    await bed.take(ONE)
    two, again, three = await bed.in_line(TWO, ONE, THREE)
    bed.leases.end_of("agent:one")
    assert await two == 2
    with pytest.raises(AgentEnded):
        await again
    await bed.leases.release("l2", TWO)
    assert await three == 3


async def test_a_lease_ends_with_its_pane_and_nobody_waits_on(bed: Bed) -> None:
    await bed.take(ONE)
    (two,) = await bed.in_line(TWO)
    event = Event(seq=9, at="", kind=Exited.kind, pane="p1")
    bed.bus.publish([event])
    with pytest.raises(PaneExited):
        await two
    assert bed.leases.listed() == []


async def test_a_lease_outlives_the_daemon_but_not_the_machine(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with leasing(tmp_path, clock) as bed:
        await bed.take(ONE, ttl=60)
    clock.advance(10)
    async with leasing(tmp_path, clock) as bed:
        assert await bed.types("agent:one", 1) == "ok"
        assert bed.leases.show(bed.leases.listed()[0]).seconds == 50
        await bed.leases.renew("l1", ONE, 60)
    async with leasing(tmp_path, ManualClock()) as bed:  # its clock has begun anew
        assert bed.leases.listed() == []
        assert await bed.take(TWO) == 2


async def test_a_lease_that_could_not_be_written_is_nobody_s(bed: Bed, tmp_path: Path) -> None:
    (file,) = (tmp_path / "state").glob("*.db")
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Fault):
        await bed.take(ONE)
    assert bed.leases.holder_of("p1") is None
    locker.execute("ROLLBACK")
    locker.close()
