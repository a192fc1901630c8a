"""One connection over a real socket: framing, order, limits, half-closed peers."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from rpc_serving import PATIENCE, Client, serving, until

from orchestratord.clock import ManualClock
from orchestratord.rpc.policy import Limits

PING = b'{"jsonrpc":"2.0","id":1,"method":"test.ping"}\n'
PONG = {"jsonrpc": "2.0", "id": 1, "result": {"number": 1}}


async def test_calls_of_a_connection_run_beside_each_other() -> None:
    async with serving() as running:
        client = await running.client()
        client.send({"id": "slow", "method": "test.wait"})
        await running.bench.started.acquire()
        assert (await client.call("test.ping"))["id"] == 1
        running.bench.gate.set()
        assert await client.answer() == {"jsonrpc": "2.0", "id": "slow", "result": {"number": 2}}


@pytest.mark.parametrize("id", ["", "é", 0, -1, 1.5, 2**53, None, "x" * 1_000_000])
async def test_an_answer_carries_the_id_of_its_call(id: Any) -> None:
    async with serving() as running:
        client = await running.client()
        assert (await client.call("test.ping", id=id))["id"] == id


async def test_a_line_that_is_not_json_is_answered_and_the_next_is_served() -> None:
    async with serving() as running:
        client = await running.client()
        client.write(b"\r\n  \n{not json}\r\n" + PING)
        assert (await client.answer())["error"]["code"] == -32700
        assert await client.answer() == PONG


async def test_a_torn_frame_is_served_byte_by_byte() -> None:
    async with serving() as running:
        client = await running.client()
        for byte in PING:
            client.write(bytes([byte]))
            await client.writer.drain()
        assert await client.answer() == PONG


async def test_an_overlong_line_is_skipped_and_the_connection_goes_on() -> None:
    async with serving(limits=Limits(frame=1000)) as running:
        client = await running.client()
        client.write(b'{"jsonrpc":"2.0","id":5,"method":"test.ping","params":{"x":"' + b"y" * 9999)
        answer = await client.answer()
        assert (answer["id"], answer["error"]["data"]["kind"]) == (5, "FrameTooLong")
        client.write(b'"}}\n' + PING)
        assert await client.answer() == PONG


async def test_an_http_client_gets_one_error_and_is_closed() -> None:
    async with serving() as running:
        client = await running.client()
        client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + PING)
        assert (await client.answer())["error"]["data"]["kind"] == "HttpSpoken"
        assert await client.receive() is None


async def test_params_must_be_an_object() -> None:
    async with serving() as running:
        client = await running.client()
        for params in ([], [1], "x", 1, None):
            client.send({"id": 1, "method": "test.ping", "params": params})
            error = (await client.answer())["error"]
            assert (error["code"], error["data"]["kind"]) == (-32602, "InvalidArgument")


@pytest.mark.parametrize("name", ["rpc.x", "__class__", "test", "", "test.ping ", "$/x", "é" * 999])
async def test_an_unknown_method_is_named(name: str) -> None:
    async with serving() as running:
        client = await running.client()
        error = await client.fault(name)
        assert (error["code"], error["data"]["kind"]) == (-32601, "MethodNotFound")
        assert error["data"]["method"] == name[:100]


async def test_an_id_that_is_in_use_is_refused_and_free_again_after_its_answer() -> None:
    async with serving() as running:
        client = await running.client()
        client.send({"id": 1, "method": "test.wait"}, {"id": 1, "method": "test.wait"})
        refused = await client.answer()
        assert (refused["id"], refused["error"]["data"]["kind"]) == (1, "DuplicateId")
        running.bench.gate.set()
        assert (await client.answer())["result"] == {"number": 2}
        assert await client.result("test.wait") == {"number": 2}


async def test_a_fault_carries_its_kind_and_a_defect_only_the_request() -> None:
    async with serving() as running:
        client = await running.client()
        fault = await client.fault("test.fail", how="fault")
        assert fault == {
            "code": 412,
            "message": "no, because of the test",
            "data": {"kind": "Nope", "retryable": False, "why": "the test"},
        }
        for how in ("defect", "surrogate"):
            defect = await client.fault("test.fail", how=how)
            assert (defect["code"], defect["data"]["kind"]) == (-32603, "Internal")
            assert "SECRET" not in msgspec.json.encode(defect).decode()


async def test_notifications_are_done_and_never_answered() -> None:
    async with serving() as running:
        client = await running.client()
        running.bench.gate.set()
        client.send({"method": "test.add"}, {"method": "test.nope"}, {"method": "test.fail"})
        await running.bench.started.acquire()
        assert await client.call("test.ping") == PONG
        assert running.bench.total == 1


async def test_a_batch_is_answered_in_one_line() -> None:
    async with serving() as running:
        client = await running.client()
        running.bench.gate.set()
        calls = [
            {"jsonrpc": "2.0", "id": "w", "method": "test.wait"},
            {"jsonrpc": "2.0", "method": "test.ping"},
            {"jsonrpc": "2.0", "id": "p", "method": "test.ping"},
            [],
        ]
        client.write(msgspec.json.encode(calls) + b"\n")
        answers = await client.answer()
        assert {str(a["id"]): a.get("result", a.get("error", {}).get("code")) for a in answers} == {
            "w": {"number": 2},
            "p": {"number": 1},
            "None": -32600,
        }


async def test_a_batch_of_notifications_gets_no_answer_and_an_empty_one_an_error() -> None:
    async with serving() as running:
        client = await running.client()
        client.write(b'[{"jsonrpc":"2.0","method":"test.ping"}]\n[]\n' + PING)
        assert (await client.answer())["error"]["code"] == -32600
        assert await client.answer() == PONG


async def test_a_batch_too_large_to_answer_in_a_line_says_so_call_by_call() -> None:
    async with serving(limits=Limits(frame=20_000)) as running:
        client = await running.client()
        call = {"jsonrpc": "2.0", "method": "test.echo", "params": {"upto": 1, "size": 6000}}
        client.write(msgspec.json.encode([call | {"id": id} for id in range(4)]) + b"\n")
        line = await client.reader.readline()
        kinds = [a.get("error", {}).get("data", {}).get("kind") for a in msgspec.json.decode(line)]
        assert len(line) <= 20_000
        assert sorted(map(str, kinds)) == ["AnswerTooLong"] + ["None"] * 3


async def test_a_result_that_fits_no_line_is_an_error() -> None:
    async with serving(limits=Limits(frame=1000)) as running:
        client = await running.client()
        error = await client.fault("test.echo", upto=1, size=2000)
        assert (error["data"]["kind"], error["data"]["limit"]) == ("AnswerTooLong", 1000)


async def test_cancel_answers_the_call_and_ends_its_handler() -> None:
    async with serving() as running:
        client = await running.client()
        client.send({"id": "w", "method": "test.wait"})
        await running.bench.started.acquire()
        client.send({"method": "$/cancel", "params": {"id": "w"}})
        answer = await client.answer()
        assert (answer["id"], answer["error"]["data"]["kind"]) == ("w", "Cancelled")
        await running.bench.cancelled.acquire()
        client.send({"id": 2, "method": "$/cancel", "params": {"id": "w"}})
        assert (await client.answer())["result"] == {"cancelled": False}
        client.send({"id": 3, "method": "$/cancel", "params": {}})
        assert (await client.answer())["error"]["code"] == -32602


async def test_a_call_cancelled_in_the_line_after_it_is_answered() -> None:
    async with serving() as running:
        client = await running.client()
        client.send({"id": 1, "method": "test.wait"}, {"method": "$/cancel", "params": {"id": 1}})
        assert (await client.answer())["error"]["data"]["kind"] == "Cancelled"
        await until(lambda: running.server.statistics.in_flight == 0)


async def test_a_call_ends_by_its_deadline_though_its_handler_does_not() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        client = await running.client()
        client.send({"id": 1, "method": "test.wait", "params": {"mode": "stubborn"}})
        await running.bench.started.acquire()
        clock.advance(5.0)
        error = (await client.answer())["error"]
        assert (error["data"]["kind"], error["data"]["seconds"]) == ("DeadlineExceeded", 5.0)
        await running.bench.cancelled.acquire()
        assert running.server.statistics.in_flight == 1
        running.bench.gate.set()
        await until(lambda: running.server.statistics.in_flight == 0)
        assert await client.call("test.ping") == PONG


async def test_a_timeout_of_the_call_moves_its_deadline_to_a_second_later() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        client = await running.client()
        client.send({"id": 1, "method": "test.wait", "params": {"timeout": 60}})
        await running.bench.started.acquire()
        clock.advance(60.5)
        assert await client.call("test.ping", id=2) == PONG | {"id": 2}
        clock.advance(0.5)
        assert (await client.answer())["error"]["data"]["seconds"] == 61.0


async def test_disconnecting_cancels_the_calls_at_once() -> None:
    async with serving(clock=ManualClock()) as running:  # no sweep helps
        client = await running.client()
        client.send({"id": 1, "method": "test.wait"}, {"id": 2, "method": "test.wait"})
        await running.bench.started.acquire()
        await running.bench.started.acquire()
        client.close()
        await asyncio.wait_for(running.bench.cancelled.acquire(), PATIENCE)
        await asyncio.wait_for(running.bench.cancelled.acquire(), PATIENCE)
        await until(lambda: running.server.statistics.connections == 0)
        await until(lambda: running.server.statistics.in_flight == 0)


async def test_a_peer_that_shut_its_side_gets_all_its_answers() -> None:
    async with serving() as running:
        client = await running.client()
        client.write(b'{"jsonrpc":"2.0","id":2,"method":"test.wait"}\n' + PING.rstrip())
        client.writer.write_eof()
        assert await client.answer() == PONG
        running.bench.gate.set()
        assert (await client.answer())["id"] == 2
        assert await client.receive() is None


async def test_a_half_closed_peer_that_then_dies_is_noticed() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        client = await running.client()
        client.send({"id": 2, "method": "test.wait"})
        client.writer.write_eof()
        await running.bench.started.acquire()
        client.close()
        await client.writer.wait_closed()
        clock.advance(0.25)
        await asyncio.wait_for(running.bench.cancelled.acquire(), PATIENCE)


async def test_reading_pauses_while_too_many_calls_are_in_flight() -> None:
    async with serving(limits=Limits(calls=3)) as running:
        client = await running.client()
        client.send(*({"id": id, "method": "test.wait"} for id in range(10)))
        for _ in range(3):
            await running.bench.started.acquire()
        other = await running.client()
        assert await other.call("test.ping") == PONG
        assert running.server.statistics.in_flight == 3
        assert running.bench.started.locked()
        running.bench.gate.set()
        assert sorted([(await client.answer())["id"] for _ in range(10)]) == list(range(10))


async def test_half_a_line_is_cut_off_after_its_time_and_an_idle_peer_is_not() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        idle, slow = await running.client(), await running.client()
        assert await idle.call("test.ping") == PONG
        slow.write(PING + PING[:10])
        assert await slow.answer() == PONG
        clock.advance(29.0)
        before = running.server.statistics.bytes_in
        slow.write(PING[10:20])
        await until(lambda: running.server.statistics.bytes_in == before + 10)
        clock.advance(1.0)
        assert (await slow.answer())["error"]["data"]["kind"] == "FrameTooSlow"
        assert await slow.receive() is None
        assert await idle.call("test.ping") == PONG


async def test_all_unfinished_lines_together_are_bounded() -> None:
    async with serving(limits=Limits(partial=100_000)) as running:
        clients = [await running.client() for _ in range(5)]
        for client in clients:
            client.write(b'{"id":1,"x":"' + b"x" * 30_000)
        await until(lambda: running.server.statistics.malformed >= 1)
        for client in clients:
            client.write(b'"}\n')
        codes = {(await client.answer())["error"]["code"] for client in clients}
        assert codes == {429, -32600}


def stalled_socket(path: Any) -> socket.socket:
    stalled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(str(path))
    stalled.setblocking(False)
    return stalled


async def test_a_peer_that_never_reads_is_cut_off_and_others_are_served() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as running:
        line = b'{"jsonrpc":"2.0","id":%d,"method":"test.echo","params":{"upto":1,"size":99999}}\n'
        with stalled_socket(running.path) as stalled:
            stalled.send(b"".join(line % id for id in range(500)))
            other = await running.client()
            await until(lambda: running.server.statistics.bytes_out > 1_000_000)
            assert await other.call("test.ping") == PONG
            clock.advance(30.0)
            await until(lambda: running.server.statistics.connections == 1)
            assert running.server.statistics.cut_off == 1
            assert await other.call("test.ping") == PONG
            await until(lambda: running.server.statistics.in_flight == 0)


async def test_unread_answers_beyond_the_limit_end_the_connection() -> None:
    async with serving(limits=Limits(unsent=500_000, unsent_pause=100_000)) as running:
        with stalled_socket(running.path) as stalled:
            call = (
                b'{"jsonrpc":"2.0","id":%d,"method":"test.echo","params":{"upto":1,"size":99999}}\n'
            )
            stalled.send(b"".join(call % id for id in range(50)))
            await until(lambda: running.server.statistics.cut_off == 1)
            await until(lambda: running.server.statistics.connections == 0)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for both ends of a thousand connections; many a machine allows 1,024 by default."""
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 4096:
        most = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_thousand_clients_at_once_are_all_served(many_descriptors: None) -> None:
    async with serving() as running:
        clients: list[Client] = await asyncio.gather(*(running.client() for _ in range(1000)))
        answers = await asyncio.gather(*(client.call("test.ping") for client in clients))
        assert answers == [PONG] * 1000
        assert running.server.statistics.connections == 1000
        for client in clients:
            client.close()
        await until(lambda: running.server.statistics.connections == 0)
