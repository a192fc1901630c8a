"""Recordings, read by an independent reading of the format."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestratord.features.panes.asciicast import asciicast

START = 1_767_225_600.25


def recording(lines: Iterable[str]) -> tuple[dict[str, Any], list[list[Any]]]:
    """Read a recording as a player would, and check what every player relies on."""
    header, *events = [json.loads(line) for line in "\n".join(lines).split("\n")]
    assert header["version"] == 2
    assert isinstance(header["width"], int) and isinstance(header["height"], int)
    for time, kind, data in events:
        assert isinstance(time, int | float) and time >= 0
        assert kind in ("o", "r")
        assert isinstance(data, str) and data
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(events))
    return header, events


def test_a_recording_has_a_header_and_its_events_at_relative_times() -> None:
    chunks = [(START + 0.5, b"$ ls\r\n"), (START + 1.25, "\x1b[1mé\x1b[m".encode())]
    resizes = [(START + 0.5, 120, 40), (START + 1, 80, 24)]
    header, events = recording(asciicast(200, 50, "build", START, chunks, resizes))
    assert header == {
        "version": 2, "width": 200, "height": 50, "timestamp": 1_767_225_600, "title": "build",
    }  # fmt: skip
    assert events == [
        [0.5, "r", "120x40"], [0.5, "o", "$ ls\r\n"], [1.0, "r", "80x24"],
        [1.25, "o", "\x1b[1mé\x1b[m"],
    ]  # fmt: skip


def test_a_title_is_left_out_when_empty_and_cannot_hide_anything() -> None:
    assert "title" not in recording(asciicast(80, 24, "", START, []))[0]
    assert recording(asciicast(80, 24, "a\u202eb\x1b", START, []))[0]["title"] == "a\\u202eb\\u001b"


def test_a_character_in_two_chunks_is_one_and_a_torn_end_is_replaced() -> None:
    chunks = [(START + 1, b"a\xe6\xbc"), (START + 2, b"\xa2\xff"), (START + 3, b"\xf0\x9f")]
    _, events = recording(asciicast(80, 24, "", START, chunks))
    assert events == [[1.0, "o", "a"], [2.0, "o", "漢\ufffd"], [3.0, "o", "\ufffd"]]


def test_time_stands_still_when_the_clock_was_set_back() -> None:
    chunks = [(START - 5, b"a"), (START + 2, b"b"), (START + 1, b"c"), (START + 3, b"d")]
    _, events = recording(asciicast(80, 24, "", START, chunks))
    assert events == [[0.0, "o", "a"], [2.0, "o", "b"], [2.0, "o", "c"], [3.0, "o", "d"]]


def test_a_recording_is_made_as_its_chunks_come() -> None:
    chunks = iter([(START, b"first"), (START + 1, b"second")])
    lines = asciicast(80, 24, "", START, chunks)
    assert [json.loads(next(lines)), json.loads(next(lines))][1] == [0.0, "o", "first"]


@given(st.lists(st.tuples(st.floats(0, 9), st.binary(max_size=9))), st.lists(st.floats(0, 9)))
def test_the_events_joined_are_the_stream(
    chunks: list[tuple[float, bytes]], resizes: list[float]
) -> None:
    timed = sorted(chunks, key=lambda chunk: chunk[0])
    sizes = [(at, 80, 24) for at in sorted(resizes)]
    _, events = recording(asciicast(80, 24, "", 0, timed, sizes))
    stream = b"".join(data for _, data in timed)
    assert "".join(e[2] for e in events if e[1] == "o") == stream.decode(errors="replace")
    assert sum(e[1] == "r" for e in events) == len(resizes)
