"""Bytes to frames, without a socket."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, json

from orchestratord.errors import InvalidArgument
from orchestratord.rpc.wire import (
    MAX_BATCH,
    Framer,
    Overlong,
    Refusal,
    Request,
    decode,
    encode_error,
    overlong,
    speaks_http,
)

HEAD = b'{"jsonrpc":"2.0","id":7,"method":"a.b"'


def refusal(line: bytes) -> tuple[int, Any]:
    found = decode(line)
    assert isinstance(found, Refusal), found
    return found.fault.code, found.id


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"x"))), st.randoms())
def test_lines_do_not_depend_on_how_the_bytes_were_cut(
    lines: list[bytes], choice: random.Random
) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    framer, found = Framer(1000), []
    while stream:
        size = choice.randint(1, len(stream))
        found += framer.feed(stream[:size])
        stream = stream[size:]
    blanks = b" \t\r"
    assert found == [line.strip(blanks) for line in lines if line.strip(blanks)]
    assert framer.held == 0


def test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_skipped() -> None:
    framer = Framer(10)
    assert framer.feed(b"x" * 10 + b"\n") == [b"x" * 10]
    assert framer.feed(b"y" * 11 + b"\nnext\n") == [Overlong(b"y" * 11), b"next"]


def test_a_line_without_end_is_reported_once_and_costs_no_memory() -> None:
    framer = Framer(10)
    found = [line for _ in range(100) for line in framer.feed(b"z" * 4)]
    assert found == [Overlong(b"z" * 12)]
    assert framer.held == 0
    assert framer.feed(b"z\nnext\n") == [b"next"]


def test_the_last_line_of_a_stream_needs_no_newline() -> None:
    framer = Framer(10)
    assert framer.feed(b"one\ntwo") == [b"one"]
    assert framer.finish() == [b"two"]


@pytest.mark.parametrize(
    ("head", "id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"a.b","params":{"t":"', 7),
        (b' { "method" : "a.b" , "id" : "seven" , "params"', "seven"),
        (b'{"params":{"id":7,', None),
        (b'{"id":7.5,', None),
        (b"AAAA", None),
    ],
)
def test_an_overlong_line_is_refused_by_its_id_when_that_comes_early(head: bytes, id: Any) -> None:
    found = overlong(Overlong(head), 10)
    assert (found.id, found.fault.code, found.fault.kind) == (id, -32600, "FrameTooLong")


@pytest.mark.parametrize(
    ("given", "id"),
    [(b'"a"', "a"), (b"1", 1), (b"-0", 0), (b"1.5", 1.5), (b"null", None), (b"1e3", 1000.0)],
)
def test_ids_are_strings_numbers_and_null(given: bytes, id: Any) -> None:
    found = decode(b'{"jsonrpc":"2.0","method":"a.b","id":%b}' % given)
    assert isinstance(found, Request)
    assert found.id == id


def test_a_call_without_an_id_is_a_notification() -> None:
    found = decode(b'{"jsonrpc":"2.0","method":"a.b"}')
    assert isinstance(found, Request)
    assert found.id is UNSET
    assert bytes(found.params) == b"{}"


@pytest.mark.parametrize("id", [b"true", b"{}", b"[]", b"1e400", b"9" * 4301])
def test_other_ids_are_refused(id: bytes) -> None:
    assert refusal(b'{"jsonrpc":"2.0","method":"a.b","id":%b}' % id) == (-32600, None)


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":7,"method":"a.b"}',
        b'{"jsonrpc":"1.0","id":7,"method":"a.b"}',
        b'{"jsonrpc":2.0,"id":7,"method":"a.b"}',
        b'{"jsonrpc":"2.0","id":7}',
        b'{"jsonrpc":"2.0","id":7,"method":1,"params":"bar"}',
        b'{"jsonrpc":"2.0","id":7,"result":{}}',
        HEAD + b',"params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        HEAD + b',"params":{"a":"\\ud800"}}',
    ],
)
def test_what_is_json_but_no_request_is_refused_by_its_id(line: bytes) -> None:
    assert refusal(line) == (-32600, 7)


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + HEAD + b"}",
        HEAD + b"}x",
        HEAD + b"} {}",
        HEAD + b',"params":{"a":NaN}}',
        HEAD + b',"params":{"a":1,}}',
        HEAD + b',"params":{"a":"\xff"}}',
        HEAD + b',"params":{"a":"\xed\xa0\x80"}}',
        (HEAD + b"}").decode().encode("utf-16"),
        b"\x00",
        b"\x16\x03\x01\x02\x00\x01",
        b"[1,",
        b"hello",
    ],
)
def test_what_is_not_json_is_a_parse_error_without_id(line: bytes) -> None:
    assert refusal(line) == (-32700, None)


def test_every_truncation_of_a_request_is_a_parse_error() -> None:
    line = HEAD + b',"params":{"a":[1,"\\u00e9"]}}'
    assert {refusal(line[:size]) for size in range(1, len(line))} == {(-32700, None)}


def test_batches_are_bounded_and_judged_entry_by_entry() -> None:
    assert refusal(b"[]") == (-32600, None)
    assert refusal(b"[" + b",".join([HEAD + b"}"] * (MAX_BATCH + 1)) + b"]") == (-32600, None)
    found = decode(b"[" + HEAD + b"},1,[" + HEAD + b"}]]")
    assert isinstance(found, list)
    assert [type(entry) for entry in found] == [Request, Refusal, Refusal]


def test_an_error_can_be_written_whatever_its_details_hold() -> None:
    fault = InvalidArgument(reason="no \ud800", value=object())
    answer = json.decode(encode_error(1, fault))
    assert answer["error"]["data"]["kind"] == "InvalidArgument"
    assert answer["error"]["message"] == "no \\ud800"


def test_only_http_looks_like_http() -> None:
    assert speaks_http(b"GET / HTTP/1.1")
    assert speaks_http(b"OPTIONS * HTTP/1.0")
    assert not speaks_http(b"GETTING on")
    assert not speaks_http(HEAD)


def test_a_huge_wrong_value_is_not_sent_back() -> None:
    found = decode(b'{"jsonrpc":"%b","id":7,"method":"a.b"}' % (b"x" * 100_000))
    assert isinstance(found, Refusal)
    assert len(encode_error(found.id, found.fault)) < 1000
