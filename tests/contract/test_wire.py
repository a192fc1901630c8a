"""The wire, to the letter: the examples of the JSON-RPC 2.0 specification, and our own promises."""

import re
from typing import Any

import msgspec
import pytest
from rpc_serving import Client, serving, table

from orchestratord import errors
from orchestratord.errors import Fault
from orchestratord.rpc.builtin import complete
from orchestratord.rpc.openrpc import FAMILIES, PROTOCOL

FAMILY_CODES = {
    "InvalidArgument": (400, 2, False),
    "PermissionDenied": (403, 77, False),
    "NotFound": (404, 3, False),
    "AlreadyExists": (409, 4, False),
    "FailedPrecondition": (412, 5, False),
    "ResourceExhausted": (429, 75, True),
    "Cancelled": (499, 130, False),
    "Internal": (-32603, 70, False),
    "TmuxRefused": (502, 76, False),
    "Unavailable": (503, 69, True),
    "DeadlineExceeded": (504, 124, True),
}


def shape(answer: Any) -> Any:
    """Return what the specification fixes: id and error code, or id and result."""
    if isinstance(answer, list):
        return [shape(entry) for entry in answer]
    assert answer["jsonrpc"] == "2.0"
    assert answer.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    if "result" in answer:
        return answer["id"], answer["result"]
    error = answer["error"]
    assert error.keys() == {"code", "message", "data"}
    assert isinstance(error["data"]["kind"], str)
    assert isinstance(error["data"]["retryable"], bool)
    assert error["message"]
    assert "\n" not in error["message"]
    return answer["id"], error["code"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"jsonrpc": "2.0", "method": "test.ping", "id": 1}', (1, {"number": 1})),
        ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', ("1", -32601)),
        ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', (None, -32700)),
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', (None, -32600)),
        (
            '[{"jsonrpc": "2.0", "method": "sum", "id": "1"}, {"jsonrpc": "2.0", "method"]',
            (None, -32700),
        ),
        ("[]", (None, -32600)),
        ("[1]", [(None, -32600)]),
        ("[1,2,3]", [(None, -32600)] * 3),
        (
            '[{"jsonrpc": "2.0", "method": "test.ping", "id": "1"},'
            ' {"jsonrpc": "2.0", "method": "test.ping"}, {"foo": "boo"},'
            ' {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"}]',
            [("1", {"number": 1}), (None, -32600), ("5", -32601)],
        ),
        ('{"jsonrpc": "2.0", "method": "test.ping", "params": [1], "id": 1}', (1, -32602)),
        (
            '{"jsonrpc": "2.0", "method": "test.fail", "params": {"how": "defect"}, "id": 1}',
            (1, -32603),
        ),
    ],
)
async def test_the_examples_of_the_specification(line: str, expected: Any) -> None:
    async with serving() as running:
        client = await running.client()
        client.write(line.encode() + b"\n")
        assert shape(await client.answer()) == expected


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc": "2.0", "method": "test.ping"}',
        '{"jsonrpc": "2.0", "method": "foobar"}',
        '{"jsonrpc": "2.0", "method": "test.ping", "params": [1]}',
        '[{"jsonrpc": "2.0", "method": "test.ping"}, {"jsonrpc": "2.0", "method": "foobar"}]',
        '{"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": 99}}',
        "",
    ],
)
async def test_a_notification_is_never_answered(line: str) -> None:
    async with serving() as running:
        client = await running.client()
        client.write(line.encode() + b"\n")
        assert shape(await client.call("test.ping", id="next")) == ("next", {"number": 1})


async def test_every_answer_is_one_line_of_utf_8() -> None:
    async with serving() as running:
        client: Client = await running.client()
        client.send({"id": "a\nb\u2028é", "method": "test.ping"})
        line = await client.reader.readline()
        assert line.count(b"\n") == 1
        assert msgspec.json.decode(line)["id"] == "a\nb\u2028é"


def test_the_families_have_the_codes_of_the_contract() -> None:
    found = {
        fault.__name__: (fault.code, fault.exit_status, fault.retryable)
        for fault in (*FAMILIES, errors.Internal)
    }
    assert found == FAMILY_CODES


def test_the_five_standard_errors_have_their_codes() -> None:
    assert [fault.code for fault in PROTOCOL] == [-32700, -32600, -32601, -32602, -32603]


def kinds(base: type[Fault]) -> set[type[Fault]]:
    return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))


def test_every_error_of_the_engine_belongs_to_a_family_and_says_when_it_is_raised() -> None:
    codes = {code for code, _, _ in FAMILY_CODES.values()} | {fault.code for fault in PROTOCOL}
    ours = [kind for kind in kinds(Fault) if kind.__module__.startswith("orchestratord.rpc")]
    assert len(ours) > 10
    for kind in ours:
        assert kind.code in codes, kind
        assert re.match(r"[A-Z].*\.", kind.__doc__ or ""), kind


def test_every_method_of_the_protocol_is_described() -> None:
    for entry in complete(table()).values():
        assert re.match(r"[A-Z].*\.\Z", entry.summary), entry.name
