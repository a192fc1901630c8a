"""The life of the server: who may connect, file descriptors, draining."""

import asyncio
import os
import resource
from collections.abc import Iterator

import pytest
from rpc_serving import serving, until

from orchestratord.rpc.policy import Limits


async def test_another_user_is_told_and_closed() -> None:
    async with serving(limits=Limits(uids=frozenset({os.geteuid() + 1}))) as running:
        client = await running.client()
        error = (await client.receive())["error"]
        assert (error["code"], error["data"]["kind"]) == (403, "PermissionDenied")
        assert await client.receive() is None
        assert running.server.statistics.denied == 1


async def test_a_call_knows_its_peer_as_the_kernel_does() -> None:
    async with serving() as running:
        client = await running.client()
        running.bench.gate.set()
        await client.result("test.wait")
        call = running.bench.calls[0]
        assert (call.peer.uid, call.peer.pid) == (os.geteuid(), os.getpid())
        assert call.request == "1.1"


async def test_at_the_limit_of_connections_the_next_waits_for_its_turn() -> None:
    async with serving(limits=Limits(connections=2)) as running:
        first, second, third = [await running.client() for _ in range(3)]
        third.send({"id": 3, "method": "test.ping"})
        assert (await first.call("test.ping"))["result"] == {"number": 1}
        assert (await second.call("test.ping"))["result"] == {"number": 1}
        await until(lambda: running.server.statistics.accept_pauses == 1)
        assert running.server.statistics.connections == 2
        first.close()
        assert (await third.answer())["id"] == 3


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_out_of_descriptors_it_serves_who_is_there_and_recovers(
    few_descriptors: None,
) -> None:
    async with serving() as running:
        client, waiting = await running.client(), await running.client()
        assert (await client.call("test.ping"))["result"] == {"number": 1}
        assert (await waiting.call("test.ping"))["result"] == {"number": 1}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        late = await running.client_without_accept(
            lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        )
        late.send({"id": 9, "method": "test.ping"})
        await until(lambda: running.server.statistics.accept_pauses > 0)
        assert (await client.call("test.ping"))["result"] == {"number": 1}
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        assert (await late.answer())["id"] == 9


async def test_drain_lets_calls_end_tells_subscribers_and_refuses_new_calls() -> None:
    async with serving() as running:
        client = await running.client()
        await client.result("test.checked", upto=1)
        assert (await client.notification())["params"]["item"]["seq"] == 0
        client.send({"id": 2, "method": "test.wait"})
        await running.bench.started.acquire()
        draining = asyncio.create_task(running.server.drain(timeout=10))
        end = (await client.notification())["params"]
        assert (end["reason"], end["seq"]) == ("shutdown", 0)
        fault = await client.fault("test.ping")
        assert (fault["code"], fault["data"]["kind"], fault["data"]["retryable"]) == (
            503,
            "Stopping",
            True,
        )
        running.bench.gate.set()
        assert (await client.answer())["result"] == {"number": 2}
        assert await client.receive() is None
        await draining


async def test_drain_answers_what_does_not_end_in_time() -> None:
    async with serving() as running:
        client = await running.client()
        client.send({"id": 2, "method": "test.wait"}, {"id": 3, "method": "test.add"})
        await running.bench.started.acquire()
        await running.bench.started.acquire()
        await running.server.drain(timeout=0.2)
        kinds = {(await client.answer())["error"]["data"]["kind"] for _ in range(2)}
        assert kinds == {"Stopping"}
        assert await client.receive() is None


async def test_discover_describes_every_method() -> None:
    async with serving() as running:
        client = await running.client()
        document = await client.result("rpc.discover")
        names = [entry["name"] for entry in document["methods"]]
        assert names == sorted(names)
        assert {"rpc.discover", "subscription.cancel", "test.ping", "test.count"} <= set(names)
        assert document["info"]["version"] == "9"
