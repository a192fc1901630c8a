"""Keys over the lives of a daemon: what is on disk decides, and what nobody knows is said so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from orchestratord.clock import Clock, ManualClock, rfc3339
from orchestratord.errors import NotFound
from orchestratord.events import Bus
from orchestratord.features.system.receipts import (
    DurableReceipts,
    releasing,
    revoking,
    settling,
)
from orchestratord.rpc.receipts import LIFETIME, AnswerGone, Ids, KeyReused, OutcomeUnknown, Ticket
from orchestratord.store import migrate
from orchestratord.store.db import Store

TICKET = Ticket(uid=0, key="k", method="pane.create", params_hash="h")
AT = rfc3339(ManualClock().now())


class Gone(NotFound):
    """What a key made is there no longer."""

    template = "gone"


@asynccontextmanager
async def receipts(path: Path, clock: Clock | None = None) -> AsyncIterator[DurableReceipts]:
    """A life of the receipts in a directory; the open calls of earlier lives are resolved."""
    clock = clock or ManualClock()
    steps = migrate.collect(["orchestratord.store", "orchestratord.features.system"])
    store = await Store.open(path, steps, clock=clock, bus=Bus(lambda _: None))
    made = DurableReceipts(store, clock)

    async def resolved(_: Ticket) -> bool:
        return True

    async def answer_for(method: str, ids: Ids) -> bytes | None:
        if ids["id"] == "p9":
            raise Gone()
        return f"{method} {ids['id']}".encode()

    made.resolved, made.answer_for = resolved, answer_for
    try:
        yield made
    finally:
        await store.close()


async def test_an_open_key_of_a_method_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    async with receipts(tmp_path / "s") as first:
        assert await first.claim(TICKET) is None
    async with receipts(tmp_path / "s") as second:
        del second.resolved
        again = DurableReceipts(second._store, ManualClock())
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await again.claim(TICKET)


async def test_an_open_key_of_which_nothing_is_on_record_acts_now(tmp_path: Path) -> None:
    async with receipts(tmp_path / "s") as first:
        assert await first.claim(TICKET) is None
    async with receipts(tmp_path / "s") as second:
        assert await second.claim(TICKET) is None
        await second.settle(TICKET, b'{"id":"p1","text":"x"}')
        assert await second.claim(TICKET) == b'{"id":"p1","text":"x"}'
    async with receipts(tmp_path / "s") as third:
        assert await third.claim(TICKET) == b"pane.create p1"


@pytest.mark.parametrize("end", ["settled", "released", "neither"])
async def test_what_is_told_while_a_retry_waits_is_its_answer(tmp_path: Path, end: str) -> None:
    async with receipts(tmp_path / "s") as first:
        assert await first.claim(TICKET) is None
    async with receipts(tmp_path / "s") as second:

        async def resolved(ticket: Ticket) -> bool:
            told = {
                "settled": [settling(ticket, {"id": "p3"}, AT)],
                "released": [releasing(ticket)],
            }
            await second._store.commit(told.get(end, []))
            return True

        second.resolved = resolved
        answer = await second.claim(TICKET)
        assert answer == (b"pane.create p3" if end == "settled" else None)
        if end != "settled":
            await second.settle(TICKET, b'{"id":"p4"}')
            assert await second.claim(TICKET) == b'{"id":"p4"}'


async def test_what_was_settled_first_stays_and_is_not_released(tmp_path: Path) -> None:
    async with receipts(tmp_path / "s") as one:
        assert await one.claim(TICKET) is None
        await one._store.commit([settling(TICKET, {"id": "p1", "pane": "p1"}, AT)])
        await one._store.commit([settling(TICKET, {"id": "p2"}, AT)])
        await one.release(TICKET)
        assert await one.claim(TICKET) == b"pane.create p1"
        with pytest.raises(KeyReused):
            await one.claim(Ticket(uid=0, key="k", method="pane.create", params_hash="other"))
        await one._store.commit([revoking(TICKET)])
        assert await one.claim(TICKET) is None


async def test_a_key_whose_work_is_gone_says_so(tmp_path: Path) -> None:
    async with receipts(tmp_path / "s") as one:
        assert await one.claim(TICKET) is None
        await one._store.commit([settling(TICKET, {"id": "p9"}, AT)])
        with pytest.raises(AnswerGone) as caught:
            await one.claim(TICKET)
        assert caught.value.details == {"key": "k", "ids": {"id": "p9"}}


async def test_an_expired_key_is_free_whatever_it_did(tmp_path: Path) -> None:
    clock = ManualClock()
    async with receipts(tmp_path / "s", clock) as one:
        assert await one.claim(TICKET) is None
        await one.settle(TICKET, b'{"id":"p1"}')
        clock.advance(LIFETIME + 1)
        other = Ticket(uid=0, key="k", method="pane.kill", params_hash="other")
        assert await one.claim(other) is None
        with pytest.raises(KeyReused):
            await one.claim(TICKET)


async def test_a_key_that_found_no_room_is_on_disk_once_it_is_settled(tmp_path: Path) -> None:
    large = msgspec.structs.replace(TICKET, params_hash="h" * 20_000)
    async with receipts(tmp_path / "s") as one:
        await one._store._write.execute("PRAGMA max_page_count = 1")  # no more than there are
        assert await one.claim(large) is None
        assert one._store.statistics().mode == "full"
        await one._store._write.execute("PRAGMA max_page_count = 10000")
        await one.settle(large, b'{"id":"p1","text":"x"}')
    async with receipts(tmp_path / "s") as two:
        assert await two.claim(large) == b"pane.create p1"
