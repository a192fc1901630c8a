"""How results become text: sizes, times, cells, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from orchctl.render import age, block, cut, essence, render, safe, size, width


@pytest.mark.parametrize(
    ("passed", "text"),
    [(-0.5, "just now"), (0.1, "just now"), (3700, "1h1m ago"), (-3700, "in 1h1m")],
)
def test_a_time_is_said_from_now(passed: float, text: str) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - passed))
    assert render(json.dumps({"created_at": f"{at}.123456Z"}).encode()).startswith(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (2048, "2 KiB"), (40_529_920, "38.7 MiB"), (2**34, "16 GiB")],
)
def test_a_size_names_its_largest_unit(count: int, text: str) -> None:
    assert size(count) == text
    assert render(json.dumps({"a": 1, "wal_bytes": count}).encode()).endswith(f" {text}\n")


def test_a_cell_says_how_a_pane_ended_and_what_a_watch_looks_for() -> None:
    ends = [{"status": 2, "signal": None}, {"status": None, "signal": "SIGHUP"}, None]
    rows: list[Any] = [{"id": n, "exit": end} for n, end in enumerate(ends)]
    assert render(json.dumps(rows).encode(), ("id", "exit")).split() == [
        "ID", "EXIT", "0", "2", "1", "SIGHUP", "2", "-",
    ]  # fmt: skip
    rows = [{"patterns": [{"pattern": "a b", "name": None}, {"pattern": "c"}]}]
    assert render(json.dumps(rows).encode(), ("patterns",)).splitlines()[1] == "a b | c"


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("👍", 2), ("", 0)]
)
def test_the_width_of_text_is_what_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width(text) == columns


def test_nothing_that_a_terminal_would_obey_is_left_in_text() -> None:
    hostile = "".join(
        map(chr, [*range(32), 127, *range(0x80, 0xA0), 0x202E, 0x2066, 0xFEFF, 0xD800])
    )
    made = safe(hostile)
    assert made.isascii()
    assert made.isprintable()
    assert block("\x1b[31mred\x1b[2J\x9b31m\x1b[") == "red\\x1b[2J\\x9b31m\\x1b[\n"


def test_cut_text_never_exceeds_its_columns() -> None:
    assert [cut("日本語", n) for n in (6, 5, 4, 3)] == ["日本語", "日本~", "日~", "日~"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (5, "5s"), (185, "3m5s"), (3599, "59m"), (3725, "1h2m"), (90000, "1d1h")],
)
def test_an_age_names_its_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"count": 3}, "3\n"),
        (None, ""),
        (True, "yes\n"),
        ({"killed": []}, "-\n"),
        ({"events": [], "next": 1}, "no events\n"),
        ([1, "a\n"], "1\na\\n\n"),
    ],
)
def test_small_results_are_shown_plainly(result: Any, text: str) -> None:
    assert render(json.dumps(result).encode(), ("seq",) if "events" in str(result) else ()) == text


def test_essence_of_a_nested_list_is_its_ids() -> None:
    assert essence({"panes": [{"id": "p1"}, {"id": "p2"}]}) == ["p1", "p2"]
