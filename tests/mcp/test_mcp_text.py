"""What tools say and take, without the protocol."""

from __future__ import annotations

import pytest
from orchctl.mcp.offer import TOOLS
from orchctl.mcp.tool import check_value, compact, last_bytes, visible
from orchctl.wire import RpcError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"), ("é漢👍 ⚠\ufe0f", "é漢👍 ⚠\ufe0f"),
        ("a\u202eb", "a\\u{202e}b"), ("a\u200bb", "a\\u{200b}b"), ("\x1b[m", "\\u{1b}[m"),
        ("\U000e0041", "\\u{e0041}"),
        ("x\ufe0f\ufe0f", "x\ufe0f\\u{fe0f}"), ("\ufe0e", "\\u{fe0e}"),
        ("\u2028", "\\u{2028}"), ("\ud800", "\\u{d800}"), ("", ""),
    ],
)  # fmt: skip
def test_what_hides_or_reorders_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("one\ntwo\n", 8, ("one\ntwo\n", False)), ("one\ntwo\n", 7, ("two\n", True)),
        ("onetwo", 3, ("two", True)), ("aé", 1, ("", True)), ("é\n", 1, ("\n", True)),
        ("one\n", 0, ("", True)), ("", 0, ("", False)),
    ],
)  # fmt: skip
def test_the_end_of_a_text_is_kept_in_whole_lines(
    text: str, limit: int, kept: tuple[str, bool]
) -> None:
    assert last_bytes(text, limit) == kept


def test_what_says_nothing_is_left_out() -> None:
    assert compact(a=None, b=[], c={}, d=0, e=False, f="") == {"d": 0, "e": False, "f": ""}


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        (True, {"type": "integer"}, "x must be an integer"),
        (1, {"type": "boolean"}, "x must be a boolean"),
        ([1], {"type": "array", "items": {"type": "string"}}, "each of x must be a string"),
        (0, {"type": "number", "minimum": 1}, "x must be at least 1"),
        (float("nan"), {"type": "number", "minimum": 1}, "x must be at least 1"),
        (9, {"type": "number", "maximum": 1}, "x must be at most 1"),
        ("c", {"type": "string", "enum": ["a", "b"]}, "x must be one of a, b"),
        ({}, {"type": "array"}, "x must be an array"),
    ],
)
def test_a_value_that_the_schema_does_not_allow_is_refused(
    value: object, schema: dict[str, object], problem: str
) -> None:
    with pytest.raises(RpcError, match=problem):
        check_value("x", value, schema)


def test_every_tool_requires_what_it_has() -> None:
    for tool in TOOLS.values():
        assert set(tool.required) <= set(tool.fields)
        assert set(tool.answered) <= set(tool.answer)
