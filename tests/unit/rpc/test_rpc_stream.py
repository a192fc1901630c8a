"""Streams: items in order, one end with its reason, nobody waits for a slow reader."""

import asyncio
import socket
from typing import Any

import msgspec
from rpc_serving import PATIENCE, Client, serving, until

from orchestratord.clock import ManualClock
from orchestratord.rpc.policy import Limits


async def subscribe(client: Client, method: str = "test.count", **params: Any) -> str:
    return str((await client.result(method, **params))["subscription"])


async def test_a_stream_gives_its_items_in_order_and_then_its_end() -> None:
    async with serving() as running:
        client = await running.client()
        name = await subscribe(client, upto=100)
        items = [await client.notification() for _ in range(100)]
        assert [item["params"]["item"]["seq"] for item in items] == list(range(1, 101))
        assert {item["params"]["subscription"] for item in items} == {name}
        assert await client.notification() == {
            "jsonrpc": "2.0",
            "method": "subscription.end",
            "params": {"subscription": name, "reason": "finished", "seq": 100},
        }
        await running.bench.closed.acquire()


async def test_a_cancelled_stream_ends_and_lets_go_of_its_source() -> None:
    async with serving() as running:
        client = await running.client()
        name = await subscribe(client, "test.checked", upto=1)
        assert (await client.notification())["params"]["item"]["seq"] == 0
        assert await client.result("subscription.cancel", subscription=name) == {
            "subscription": name
        }
        end = (await client.notification())["params"]
        assert end == {"subscription": name, "reason": "cancelled", "seq": 0}
        await running.bench.closed.acquire()
        again = await client.fault("subscription.cancel", subscription=name)
        assert again["data"]["kind"] == "SubscriptionNotFound"


async def test_a_stream_that_is_refused_answers_with_the_fault() -> None:
    async with serving() as running:
        client = await running.client()
        assert (await client.fault("test.checked", upto=0))["data"]["kind"] == "Nope"
        assert running.server.statistics.subscriptions == 0


async def test_a_defect_in_a_stream_is_its_end() -> None:
    async with serving() as running:
        client = await running.client()
        await subscribe(client, "test.checked", upto=1)
        running.bench.gate.set()
        await client.notification()
        end = (await client.notification())["params"]
        assert (end["reason"], end["error"]["data"]["kind"]) == ("failed", "Internal")


async def test_another_connection_cannot_cancel_a_stream() -> None:
    async with serving() as running:
        client, other = await running.client(), await running.client()
        name = await subscribe(client, "test.checked", upto=1)
        fault = await other.fault("subscription.cancel", subscription=name)
        assert fault["data"]["kind"] == "SubscriptionNotFound"
        assert running.server.statistics.subscriptions == 1


async def test_subscriptions_of_a_connection_are_limited() -> None:
    async with serving(limits=Limits(subscriptions=2)) as running:
        client = await running.client()
        for _ in range(2):
            await subscribe(client, "test.checked", upto=1)
        fault = await client.fault("test.checked", upto=1)
        assert (fault["code"], fault["data"]["kind"]) == (429, "TooManySubscriptions")


async def test_a_stream_in_a_batch_begins_after_the_batch_is_answered() -> None:
    async with serving() as running:
        client = await running.client()
        calls = [
            {"jsonrpc": "2.0", "id": 1, "method": "test.count", "params": {"upto": 1}},
            {"jsonrpc": "2.0", "id": 2, "method": "test.wait"},
        ]
        client.write(msgspec.json.encode(calls) + b"\n")
        await running.bench.started.acquire()
        other = await running.client()
        await other.call("test.ping")
        assert running.bench.produced == 0
        running.bench.gate.set()
        assert len(await client.receive()) == 2
        assert (await client.notification())["params"]["item"]["seq"] == 1


async def test_disconnecting_closes_the_sources() -> None:
    async with serving() as running:
        client = await running.client()
        await subscribe(client, "test.checked", upto=1)
        client.close()
        await asyncio.wait_for(running.bench.closed.acquire(), PATIENCE)
        await until(lambda: running.server.statistics.subscriptions == 0)


async def test_a_subscriber_that_does_not_read_stops_its_source_and_is_told_when_it_reads() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        call = (
            b'{"jsonrpc":"2.0","id":1,"method":"test.count","params":{"upto":9999,"size":50000}}\n'
        )
        stalled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stalled.connect(str(running.path))
        stalled.send(call)
        await until(lambda: running.server.statistics.bytes_out > 1_000_000)
        produced = running.bench.produced
        other = await running.client()
        await subscribe(other, upto=1)
        assert (await other.notification())["params"]["item"]["seq"] == 1
        assert running.server.statistics.bytes_out < 4_000_000
        clock.advance(10.0)
        await until(lambda: running.server.statistics.cut_off == 1)
        for _ in range(2):
            await asyncio.wait_for(running.bench.closed.acquire(), PATIENCE)
        stalled.setblocking(False)
        client = await running.client(stalled)
        await client.receive()
        seen = 0
        while (note := await client.receive())["method"] == "subscription.item":
            seen = note["params"]["item"]["seq"]
        assert note["params"] == {"subscription": "sub-1", "reason": "slow", "seq": seen}
        assert 1 <= seen <= produced
        assert (await client.call("test.ping"))["result"] == {"number": 1}


async def test_a_slow_reader_that_goes_on_reading_gets_everything() -> None:
    clock = ManualClock()
    async with serving(clock=clock, limits=Limits(unsent_pause=20_000)) as running:
        client = await running.client()
        await subscribe(client, upto=200, size=20_000)
        for number in range(1, 201):
            assert (await client.notification())["params"]["item"]["seq"] == number
            clock.advance(1.0)
        assert (await client.notification())["params"]["reason"] == "finished"
