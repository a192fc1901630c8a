"""Messages on a real store and a clock moved by hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestratord.clock import ManualClock
from orchestratord.errors import Fault
from orchestratord.events import Bus
from orchestratord.features.agents import letter
from orchestratord.features.agents.fault import (
    AgentNotFound,
    MailboxFull,
    MessageNotFound,
    NobodyThere,
)
from orchestratord.features.agents.messages import Messages
from orchestratord.features.agents.record import AgentRecord
from orchestratord.features.agents.roll import Roll
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.principal import NotOwner, Principal
from orchestratord.store.db import Store
from orchestratord.store.migrate import collect

STEPS = collect(["orchestratord.store", "orchestratord.features.agents"])
NAMES = ("one", "two", "three")
ONE, TWO, THREE = (
    Principal(uid=0, pid=1, owner=f"agent:{n}", agent=n, scopes=frozenset()) for n in NAMES
)
USER = Principal(uid=0, pid=1, owner="uid:0")


@asynccontextmanager
async def mailing(directory: Path, clock: ManualClock) -> AsyncIterator[Messages]:
    """Messages on the store of a directory, from their start to their stop."""
    store = await Store.open(
        directory / "state", STEPS, clock=clock, bus=Bus(_fail), busy_timeout=0
    )
    roll = Roll()
    for name in NAMES:
        labels = {"team": "red" if name != "three" else "blue"}
        roll.put(
            AgentRecord(
                name=name, uid=0, by="uid:0", scopes=[], token_hash=name, created_at="",
                labels=labels,
            )
        )  # fmt: skip
    messages = Messages(roll, store, clock)
    await messages.start()
    try:
        yield messages
    finally:
        await messages.stop()
        await store.close()


def _fail(error: Exception) -> None:
    raise error


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def messages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Messages]:
    async with mailing(tmp_path, clock) as made:
        yield made


async def send(messages: Messages, to: str, text: str, by: Principal = ONE, **more: Any) -> str:
    """Send a message; return its id."""
    return (await messages.send(by, to, text, **more))[0].id


def texts(messages: Messages, owner: str) -> list[str]:
    return [m.text for m in messages.listed(owner, unread=True, since=0)]


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_message_stays_until_it_is_acknowledged_also_over_restarts(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with mailing(tmp_path, clock) as messages:
        await send(messages, "two", "hello")
    async with mailing(tmp_path, clock) as messages:
        (found,) = messages.listed("agent:two", unread=True, since=0)
        assert (found.message, found.sender, found.text) == ("m1", "agent:one", "hello")
        assert await messages.ack(TWO, ["m1"]) == ["m1"]
        assert await messages.ack(TWO, ["m1"]) == []
    async with mailing(tmp_path, clock) as messages:
        assert texts(messages, "agent:two") == []
        (kept,) = messages.listed("agent:two", unread=False, since=0)
        assert (kept.state, kept.text) == ("acked", "")


async def test_the_urgent_are_read_first_then_the_older(messages: Messages) -> None:
    for text, priority in (("a", "low"), ("b", "normal"), ("c", "high"), ("d", "high")):
        await send(messages, "two", text, priority=priority)
    assert texts(messages, "agent:two") == ["c", "d", "b", "a"]


async def test_what_comes_after_others_is_shown_when_those_are_settled(messages: Messages) -> None:
    first = await send(messages, "two", "first")
    second = await send(messages, "three", "second", after=[first])
    third = await send(messages, "two", "third", after=[first, second])
    assert (texts(messages, "agent:two"), texts(messages, "agent:three")) == (["first"], [])
    waiting = messages.listed("agent:three", unread=False, since=0)
    assert [(m.state, m.after) for m in waiting] == [("waiting", ["m1"])]
    await messages.ack(TWO, [first])
    assert texts(messages, "agent:three") == ["second"]
    await messages.ack(THREE, [second])
    assert [m.message for m in messages.listed("agent:two", unread=True, since=0)] == [third]


async def test_nothing_comes_after_what_does_not_exist_so_there_are_no_cycles(
    messages: Messages,
) -> None:
    await send(messages, "two", "first")
    for other in ("m2", "m3", "m0", "m01", "m-1", "x", "m٣"):
        with pytest.raises(MessageNotFound):
            await send(messages, "two", "never", after=["m1", other])
    assert texts(messages, "agent:two") == ["first"]


async def test_a_message_that_nobody_acknowledges_expires(
    messages: Messages, clock: ManualClock
) -> None:
    await send(messages, "two", "soon", ttl=10)
    await send(messages, "two", "later", ttl=100)
    await send(messages, "three", "behind", after=["m1"])
    await turn()
    clock.advance(10)
    while texts(messages, "agent:two") != ["later"]:
        await asyncio.sleep(0)
    assert texts(messages, "agent:three") == ["behind"]
    assert [m.state for m in messages.listed("agent:two", unread=False, since=0)] == [
        "expired", "unread",
    ]  # fmt: skip


async def test_a_label_reaches_every_agent_that_has_it_but_the_sender(messages: Messages) -> None:
    sent = await messages.send(ONE, "label:team=red", "to the team")
    assert [x.to for x in sent] == ["agent:two"]
    sent = await messages.send(USER, "label:team", "to all")
    assert [x.to for x in sent] == ["agent:one", "agent:two", "agent:three"]
    with pytest.raises(NobodyThere):
        await messages.send(ONE, "label:team=green", "to nobody")


async def test_people_have_a_mailbox_too(messages: Messages) -> None:
    await send(messages, "uid:0", "look at p7")
    assert texts(messages, "uid:0") == ["look at p7"]
    with pytest.raises(AgentNotFound):
        await send(messages, "nobody", "x")


async def test_a_reply_names_what_it_answers_and_only_a_party_replies(messages: Messages) -> None:
    asked = await send(messages, "two", "how far?")
    await send(messages, "one", "done", by=TWO, reply_to=asked)
    (answer,) = messages.listed("agent:one", unread=True, since=0)
    assert answer.reply_to == asked
    with pytest.raises(NotOwner):
        await send(messages, "one", "me too", by=THREE, reply_to=asked)


async def test_only_the_recipient_acknowledges_and_all_or_none(messages: Messages) -> None:
    await send(messages, "two", "x")
    await send(messages, "three", "y")
    with pytest.raises(NotOwner):
        await messages.ack(TWO, ["m1", "m2"])
    with pytest.raises(MessageNotFound):
        await messages.ack(TWO, ["m1", "m9"])
    assert texts(messages, "agent:two") == ["x"]


async def test_waiting_ends_with_the_first_message_or_in_its_time(messages: Messages) -> None:
    waiting = asyncio.create_task(messages.wait("agent:two", 60, 0))
    await turn()
    await send(messages, "two", "here")
    assert [m.text for m in (await waiting).messages] == ["here"]
    assert (await messages.wait("agent:one", 0.0, 0)).outcome == "timed_out"
    assert (await messages.wait("agent:two", 60, 0)).outcome == "received"
    assert (await messages.wait("agent:two", 0.01, 1)).outcome == "timed_out"


async def test_a_full_mailbox_takes_nothing_and_nobody_gets_half_of_a_broadcast(
    messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter, "MOST", 2)
    for text in "ab":
        await send(messages, "two", text)
    with pytest.raises(MailboxFull):
        await messages.send(USER, "label:team", "to all")
    assert texts(messages, "agent:one") == []
    await messages.ack(TWO, ["m1"])
    assert len(await messages.send(USER, "label:team", "to all")) == 3


async def test_an_agent_that_sends_too_fast_is_refused_and_a_user_is_not(
    messages: Messages, clock: ManualClock
) -> None:
    for _ in range(100):
        await send(messages, "two", "x")
    with pytest.raises(QuotaExceeded) as caught:
        await send(messages, "two", "x")
    clock.advance(caught.value.details["retry_after"])
    await send(messages, "two", "x")
    for _ in range(200):
        await send(messages, "two", "x", by=USER)


async def test_a_message_that_could_not_be_written_was_not_sent(
    messages: Messages, tmp_path: Path
) -> None:
    await send(messages, "two", "kept")
    (file,) = (tmp_path / "state").glob("*.db")
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Fault):
        await send(messages, "two", "refused")
    with pytest.raises(Fault):
        await messages.ack(TWO, ["m1"])
    locker.execute("ROLLBACK")
    locker.close()
    assert texts(messages, "agent:two") == ["kept"]
    assert await messages.ack(TWO, ["m1"]) == ["m1"]
