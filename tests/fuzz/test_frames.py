"""Malformed frames: each is answered, nobody else notices, the daemon goes on.

``ORCHESTRATORD_FUZZ_SEED`` chooses other frames than those of every run, and
``ORCHESTRATORD_FUZZ_FRAMES`` how many there are (10,000).
"""

import asyncio
import json
import os
import random
import statistics
import time

import msgspec
import pytest
from rpc_serving import Client, serving

HEAD = b'{"jsonrpc":"2.0","id":7,"method":"test.ping"'
PARAMS = HEAD + b',"params":%b}'
WELL_FORMED = [
    HEAD + b"}",
    PARAMS % b"{}",
    b'{"jsonrpc":"2.0","id":"a","method":"test.wait","params":{"name":"b","timeout":1}}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"test.add","params":{"by":2,"idempotency_key":"k"}}',
    b'[{"jsonrpc":"2.0","id":1,"method":"test.ping"},{"jsonrpc":"2.0","method":"test.ping"}]',
]
CATALOGUE = [
    # Bytes and JSON.
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf" + HEAD + b"}", b"\x16\x03\x01\x02\x00\x01",
    (HEAD + b"}").decode().encode("utf-16"), b"\xc0\xaf", b"\xed\xa0\x80", b'"', b"{", b"[", b"nul",
    PARAMS % b'{"name":"\\ud800"}', PARAMS % b'{"name":"\\u0000"}', PARAMS % b'{"\\udfff":1}',
    PARAMS % (b"[" * 900 + b"]" * 900), PARAMS % (b"[" * 1025 + b"]" * 1025),
    PARAMS % (b"[" * 100_000 + b"]" * 100_000), PARAMS % (b'{"a":' * 5000 + b"1" + b"}" * 5000),
    b"[" * 100_000, b"[" * 500 + b"]" * 500, PARAMS % (b'{"timeout":' + b"9" * 4301 + b"}"),
    PARAMS % b'{"timeout":1e999}', PARAMS % b'{"timeout":NaN}', PARAMS % b'{"timeout":-Infinity}',
    PARAMS % b'{"a":-0}', PARAMS % b'{"a":1,"a":2}', HEAD + b',"id":8}', HEAD + b"} trailing",
    HEAD + b"}" + HEAD + b"}", PARAMS % b'{"a":"\x01"}', PARAMS % b'{"a":"\xff"}', b"1", b'"x"',
    b"null", b"true", b"-", b"1e400", PARAMS % (b'{"a":"' + b"x" * 1_000_000 + b'"}'),
    # JSON-RPC.
    b'{"id":7,"method":"test.ping"}', b'{"jsonrpc":"1.0","id":7,"method":"test.ping"}',
    b'{"jsonrpc":2.0,"id":7,"method":"test.ping"}', b'{"jsonrpc":null,"id":7,"method":"test.ping"}',
    b'{"jsonrpc":"2.0","id":true,"method":"test.ping"}', b'{"jsonrpc":"2.0","id":{},"method":"x"}',
    b'{"jsonrpc":"2.0","id":[],"method":"x"}', b'{"jsonrpc":"2.0","id":1e400,"method":"x"}',
    b'{"jsonrpc":"2.0","id":null,"method":"x"}', b'{"jsonrpc":"2.0","id":1.5,"method":"x"}',
    b'{"jsonrpc":"2.0","id":"%b","method":"x"}' % (b"i" * 1_000_000), b'{"jsonrpc":"2.0","id":7}',
    b'{"jsonrpc":"2.0","id":7,"method":1}', b'{"jsonrpc":"2.0","id":7,"method":"rpc.x"}',
    b'{"jsonrpc":"2.0","id":7,"method":"__class__"}', b'{"jsonrpc":"2.0","id":7,"method":""}',
    b'{"jsonrpc":"2.0","id":7,"method":"%b"}' % (b"m" * 100_000), PARAMS % b"[]", PARAMS % b"[1,2]",
    PARAMS % b"1", PARAMS % b'"x"', PARAMS % b"null", PARAMS % b'{"unknown":1}', b"[]", b"[1,2,3]",
    b"[[]]", b"[" + b",".join([HEAD + b"}"] * 10_000) + b"]", b"[%b,[%b]]" % ((HEAD + b"}",) * 2),
    b'{"jsonrpc":"2.0","id":7,"result":{}}', b'{"jsonrpc":"2.0","id":7,"error":{"code":1}}',
    b'{"jsonrpc":"2.0","id":7,"method":"test.fail","params":{"how":"defect"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"test.fail","params":{"how":"surrogate"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"$/cancel","params":[]}',
    b'{"jsonrpc":"2.0","id":7,"method":"subscription.cancel","params":{"subscription":"sub-9"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"test.add","params":{"idempotency_key":[]}}',
]  # fmt: skip
MARK = b'{"jsonrpc":"2.0","id":"mark-%d","method":"test.ping"}\n'


def mutated(choice: random.Random, line: bytes) -> bytes:
    """Return the line with a few of its bytes changed, cut out, doubled or swapped."""
    found = bytearray(line)
    for _ in range(choice.randint(1, 4)):
        at = choice.randrange(len(found) + 1)
        match choice.randrange(5):
            case 0:
                found[at : at + 1] = bytes([choice.randrange(256)])
            case 1:
                del found[at : at + choice.randint(1, 8)]
            case 2:
                found[at:at] = found[at : at + choice.randint(1, 20)]
            case 3:
                found[at:at] = choice.choice(
                    [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u", b"\xff"]
                )
            case 4:
                del found[at:]
    return bytes(found).replace(b"\n", b" ")


def no_json(constant: str) -> None:
    raise ValueError(constant)


def has_an_answer(line: bytes) -> bool:
    """Say whether the peer must hear of this line, judged without the daemon's decoder."""
    if not line.strip(b" \t\r"):
        return False
    try:
        value = json.loads(line.decode(), parse_int=float, parse_constant=no_json)
    except ValueError:
        return True
    except RecursionError:
        return False  # either is right, and a refusal comes before the mark
    entries = value if isinstance(value, list) and value else [value]
    return not all(is_notification(entry) for entry in entries)


def plain_id(line: bytes) -> int | str | float | None:
    """Return the id that the answer must carry, if the line is one object that has one."""
    try:
        value = msgspec.json.decode(line.strip(b" \t\r"))
        id = value.get("id") if isinstance(value, dict) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return id if isinstance(id, int | str | float) and not isinstance(id, bool) else None


def is_notification(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("jsonrpc") == "2.0"
        and isinstance(entry.get("method"), str)
        and "id" not in entry
    )


async def answers_until_mark(client: Client, number: int) -> list[object]:
    found: list[object] = []
    while True:
        answer = await client.answer()
        assert answer is not None, "the connection ended"
        if isinstance(answer, dict) and answer.get("id") == f"mark-{number}":
            return found
        found.append(answer)


async def ping_all_the_while(client: Client, stop: asyncio.Event) -> list[float]:
    took = []
    while not stop.is_set():
        began = time.perf_counter()
        assert (await client.call("test.ping"))["result"] == {"number": 1}
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.001)
    return took


@pytest.mark.timeout(300)
async def test_every_malformed_frame_is_answered_and_nobody_else_notices() -> None:
    seed = int(os.environ.get("ORCHESTRATORD_FUZZ_SEED", "20261120"))
    count = int(os.environ.get("ORCHESTRATORD_FUZZ_FRAMES", "10000"))
    print(f"seed {seed}, {count} frames")
    choice = random.Random(seed)
    async with serving() as running:
        running.bench.gate.set()
        client, other = await running.client(), await running.client()
        pinging = asyncio.create_task(ping_all_the_while(other, stop := asyncio.Event()))
        for number in range(count):
            line = (
                CATALOGUE[number]
                if number < len(CATALOGUE)
                else mutated(
                    choice, choice.choice(CATALOGUE if choice.random() < 0.01 else WELL_FORMED)
                )
            )
            client.write(line + b"\n" + MARK % number)
            answers = await answers_until_mark(client, number)
            # A call may be answered after the mark; whatever is malformed is answered before.
            if not answers and has_an_answer(line):
                answers = [await client.answer()]
                assert isinstance(answers[0], dict | list), line[:200]
            if (id := plain_id(line)) is not None:
                assert [answer["id"] for answer in answers] == [id], line[:200]
        stop.set()
        took = sorted(await pinging)
        print(
            f"another client's ping, {len(took)} times: p50 {statistics.median(took):.2f} ms, "
            f"p99 {took[len(took) * 99 // 100]:.2f} ms, most {took[-1]:.1f} ms"
        )
        assert running.server.statistics.connections == 2
        assert running.server.statistics.malformed > count // 10


async def test_a_frame_cut_at_any_byte_and_closed_there_harms_nobody() -> None:
    async with serving() as running:
        running.bench.gate.set()
        other = await running.client()
        for line in WELL_FORMED:
            for size in range(len(line)):
                client = await running.client()
                client.write(line[:size])
                client.close()
        assert (await other.call("test.ping"))["result"] == {"number": 1}


async def test_garbage_without_newlines_is_refused_once_and_costs_no_memory() -> None:
    async with serving() as running:
        client, other = await running.client(), await running.client()
        for _ in range(20):
            client.write(os.urandom(1 << 20).replace(b"\n", b""))
            await client.writer.drain()
        assert (await client.answer())["error"]["data"]["kind"] == "FrameTooLong"
        assert (await other.call("test.ping"))["result"] == {"number": 1}
        client.write(b"\n")
        assert (await client.call("test.ping"))["result"] == {"number": 1}
