"""The same key acts once and gives the first answer."""

import asyncio

from rpc_serving import PATIENCE, Serving, serving, until

from orchestratord.clock import ManualClock
from orchestratord.rpc.receipts import GRACE, LIFETIME


async def begin(running: Serving, id: int = 1, **params: object):  # type: ignore[no-untyped-def]
    client = await running.client()
    client.send({"id": id, "method": "test.add", "params": {"idempotency_key": "k"} | params})
    return client


async def test_calls_with_one_key_at_the_same_time_act_once_and_get_one_answer() -> None:
    async with serving() as running:
        clients = [await begin(running) for _ in range(50)]
        await running.bench.started.acquire()
        await until(lambda: running.server.statistics.in_flight == 50)
        running.bench.gate.set()
        answers = [(await client.answer())["result"] for client in clients]
        assert answers == [{"number": 1}] * 50
        assert (running.bench.runs, running.bench.total) == (1, 1)
        assert running.bench.calls[0].ticket.key == "k"


async def test_a_key_gives_its_first_answer_for_24_hours() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        running.bench.gate.set()
        client = await running.client()
        assert await client.result("test.add", idempotency_key="k") == {"number": 1}
        clock.advance(LIFETIME - 1)
        assert await client.result("test.add", idempotency_key="k") == {"number": 1}
        clock.advance(1)
        assert await client.result("test.add", idempotency_key="k") == {"number": 2}
        assert await client.result("test.add", idempotency_key="other") == {"number": 3}


async def test_a_key_with_other_parameters_is_refused_while_it_runs_and_after() -> None:
    async with serving() as running:
        client = await begin(running)
        await running.bench.started.acquire()
        other = await running.client()
        while_running = await other.fault("test.add", by=2, idempotency_key="k")
        running.bench.gate.set()
        await client.answer()
        after = await other.fault("test.add", by=2, idempotency_key="k")
        for fault in (while_running, after):
            assert (fault["code"], fault["data"]["kind"]) == (400, "InvalidArgument")
        assert running.bench.total == 1


async def test_a_fault_frees_the_key() -> None:
    async with serving() as running:
        running.bench.gate.set()
        client = await running.client()
        fault = await client.fault("test.add", fail=True, idempotency_key="k")
        assert fault["data"]["kind"] == "Nope"
        assert await client.result("test.add", by=5, idempotency_key="k") == {"number": 5}


async def test_a_caller_that_was_cut_off_gets_its_answer_with_the_same_key() -> None:
    async with serving() as running:
        client = await begin(running)
        await running.bench.started.acquire()
        client.close()
        await until(lambda: running.server.statistics.connections == 0)
        running.bench.gate.set()
        again = await begin(running)
        assert (await again.answer())["result"] == {"number": 1}
        assert running.bench.runs == 1


async def test_a_retry_after_the_deadline_joins_the_first_run() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        client = await begin(running)
        await running.bench.started.acquire()
        clock.advance(5.0)
        assert (await client.answer())["error"]["data"]["kind"] == "DeadlineExceeded"
        again = await begin(running)
        await until(lambda: running.server.statistics.in_flight == 1)
        running.bench.gate.set()
        assert (await again.answer())["result"] == {"number": 1}
        assert running.bench.runs == 1


async def test_a_run_far_beyond_its_deadline_is_cancelled_and_its_outcome_unknown() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        client = await begin(running)
        await running.bench.started.acquire()
        clock.advance(5.0)
        await client.answer()
        clock.advance(GRACE)
        await asyncio.wait_for(running.bench.cancelled.acquire(), PATIENCE)
        fault = await client.fault("test.add", idempotency_key="k")
        assert (fault["code"], fault["data"]["kind"]) == (412, "OutcomeUnknown")


async def test_cancelling_the_only_caller_cancels_the_run_and_not_that_of_two() -> None:
    async with serving() as running:
        first = await begin(running)
        await running.bench.started.acquire()
        second = await begin(running)
        await until(lambda: running.server.statistics.in_flight == 2)
        first.send({"method": "$/cancel", "params": {"id": 1}})
        assert (await first.answer())["error"]["data"]["kind"] == "Cancelled"
        await until(lambda: running.server.statistics.in_flight == 1)
        assert running.bench.cancelled.locked()
        second.send({"method": "$/cancel", "params": {"id": 1}})
        assert (await second.answer())["error"]["data"]["kind"] == "Cancelled"
        await asyncio.wait_for(running.bench.cancelled.acquire(), PATIENCE)
        assert running.bench.total == 0


async def test_without_a_key_every_call_acts() -> None:
    async with serving() as running:
        running.bench.gate.set()
        client = await running.client()
        assert [(await client.result("test.add"))["number"] for _ in range(3)] == [1, 2, 3]
