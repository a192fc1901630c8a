"""Whether a text stands in an input line, and what became of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestratord.features.delivery.sight import Place, Sight, fate_of, find, ink, tail_of


def sight(*rows: str, x: int | None = None, y: int | None = None) -> Sight:
    """A screen whose cursor stands behind its last row, unless it is said where."""
    at = len(rows) - 1 if y is None else y
    return Sight(rows, len(rows[at]) if x is None else x, at)


def box(*lines: str) -> list[str]:
    return ["╭────────╮", *(f"│ > {line:<6} │" for line in lines), "╰────────╯", "  ? help"]


@given(some.text(), some.text(alphabet=" \t│╭─╯█"))
def test_blanks_and_borders_are_no_ink(text: str, blank: str) -> None:
    assert ink(blank) == ""
    assert ink(text + blank) == ink(text) == ink(ink(text))


@pytest.mark.parametrize(
    ("text", "tail"),
    [("", ""), (" \n\t\n", ""), ("one two\nthree four\n\n", "threefour"), ("x" * 99, "x" * 60)],
)
def test_a_text_is_known_by_the_end_of_its_last_line(text: str, tail: str) -> None:
    assert tail_of(text) == tail


def test_a_text_stands_where_it_ends_at_the_cursor() -> None:
    assert find(sight("$ ls", "file", "$ echo hi"), "echohi") == Place(0, True, "$echohi")
    assert find(sight("$ echo hi", "hi", "$ "), "echohi") == Place(2, False, "$echohi")
    assert find(sight("$ echo hi", ""), "echohi") == Place(1, True, "$echohi")
    assert find(sight("$ ls", "$ "), "echohi") is None


def test_what_stands_behind_the_cursor_is_not_before_it() -> None:
    suggested = sight("> gi", "> git commit", x=5)
    assert find(suggested, "git") == Place(0, True, ">gitcommit")
    assert find(sight("> 漢字", x=6), "漢字") == Place(0, True, ">漢字")
    assert find(sight("> 漢字", x=4), "漢字") is None


def test_a_wrapped_text_is_found_over_its_rows() -> None:
    rows = box("abcdef", "ghijkl", "mn")
    assert find(sight(*rows), "abcdefghijklmn") is None  # each row has its mark
    plain = sight("> abcdef", "  ghijkl", "  mn")
    assert find(plain, "abcdefghijklmn") == Place(0, True, "mn")


def test_a_text_in_a_box_above_the_cursor_is_found_if_it_is_long_enough() -> None:
    rows = box("hello")
    assert find(sight(*rows), "hello") == Place(2, False, ">hello")
    assert find(sight(*box("abc")), "abc") is None
    far = sight(*rows, *[f"row {n}" for n in range(20)])
    assert find(far, "hello") is None


def test_the_fate_of_a_text_after_enter() -> None:
    before = sight("old", "> hello")
    was = find(before, "hello")
    assert was is not None
    assert fate_of(was, before, "hello") == "standing"
    assert fate_of(was, sight("> hello", ""), "hello") == "below"
    assert fate_of(was, sight("> hello", ">>> "), "hello") == "left"
    assert fate_of(was, sight("you: hello", "", "> "), "hello") == "left"
    assert fate_of(was, sight("> you said hello"), "hello") == "left"
    assert fate_of(was, sight(""), "hello") == "left"


def test_the_fate_of_a_text_in_a_box() -> None:
    was = find(sight(*box("hello")), "hello")
    assert was is not None
    assert fate_of(was, sight("thinking", *box("hello")), "hello") == "standing"
    assert fate_of(was, sight(*box("hello", "")), "hello") == "below"
    assert fate_of(was, sight("> hello", "", "thinking", "", *box("")), "hello") == "left"
    assert fate_of(was, sight(*box("")), "hello") == "left"


@given(some.lists(some.text(max_size=20), min_size=1, max_size=12), some.data())
def test_any_screen_has_an_answer(rows: list[str], data: some.DataObject) -> None:
    x, y = data.draw(some.integers(0, 40)), data.draw(some.integers(0, len(rows) + 2))
    seen = Sight(tuple(rows), x, y)
    place = find(seen, tail_of(data.draw(some.sampled_from(rows))))
    if place is not None:
        assert fate_of(place, seen, "x") in ("standing", "below", "left")
