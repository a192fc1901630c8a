"""The asyncio client: many calls at once, typed errors, streams that resume."""

from __future__ import annotations

import asyncio

import pytest
from fake_daemon import Cut, Failure, FakeDaemon, Hang, Script, Stream
from orchctl.aio import Lost, RpcError, connect


async def test_calls_run_at_the_same_time_on_one_connection(daemon: FakeDaemon) -> None:
    daemon.answers |= {"a.b": Hang(), "c.d": lambda params: params}
    async with await connect(daemon.path) as client:
        stuck = asyncio.create_task(client.call("a.b"))
        results = await asyncio.gather(*(client.call("c.d", n=n) for n in range(20)))
        assert results == [{"n": n} for n in range(20)]
        assert not stuck.done()
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        await client.call("c.d")
    assert ("$/cancel", {"id": 1}) in daemon.requests
    assert daemon.connections == 1


async def test_an_error_has_kind_code_and_details(daemon: FakeDaemon) -> None:
    daemon.answers["pane.get"] = Failure("PaneNotFound", 404, "no pane x", {"pane": "x"})
    async with await connect(daemon.path) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("pane.get", pane="x")
    assert (caught.value.kind, caught.value.code) == ("PaneNotFound", 404)
    assert (caught.value.data["pane"], str(caught.value)) == ("x", "no pane x")


async def test_a_lost_connection_fails_its_calls_and_the_next_call_connects_again(
    daemon: FakeDaemon,
) -> None:
    daemon.answers["pane.kill"] = Cut()
    async with await connect(daemon.path) as client:
        with pytest.raises(Lost):
            await client.call("pane.kill", pane="p1")
        assert (await client.call("daemon.ping"))["pid"] == 12
    assert daemon.connections == 2


async def test_a_subscription_resumes_after_a_loss_where_it_was(daemon: FakeDaemon) -> None:
    daemon.answers["event.subscribe"] = Script(
        [
            Stream([{"seq": 1}, {"seq": 2}], "lost"),
            Stream([{"seq": 3}], "shutdown"),
            Stream([{"seq": 4}]),
        ]
    )
    async with await connect(daemon.path) as client:
        seen = [event["seq"] async for event in client.subscribe("event.subscribe", kinds=["x"])]
    assert seen == [1, 2, 3, 4]
    asked = [params for method, params in daemon.requests if method == "event.subscribe"]
    assert asked == [{"kinds": ["x"]}, {"kinds": ["x"], "since": 2}, {"kinds": ["x"], "since": 3}]


async def test_closing_a_subscription_cancels_it_in_the_daemon(daemon: FakeDaemon) -> None:
    daemon.answers["event.subscribe"] = Stream([{"seq": 1}], "open")
    async with await connect(daemon.path) as client:
        events = client.subscribe("event.subscribe")
        assert await anext(events) == {"seq": 1}
        await events.aclose()
        await client.call("daemon.ping")
    assert "subscription.cancel" in [method for method, _ in daemon.requests]


async def test_without_a_daemon_connecting_ends_with_a_named_error(tmp_path: object) -> None:
    with pytest.raises(RpcError, match="no daemon answers at"):
        await connect(f"{tmp_path}/none.sock", patience=0.02)


async def test_a_client_that_is_closed_before_it_did_anything_is_closed(
    daemon: FakeDaemon,
) -> None:
    client = await connect(daemon.path)
    writer = client._writer
    assert writer is not None
    await client.close()
    assert writer.is_closing()
