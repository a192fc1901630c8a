"""The echo of what was typed, told from output."""

from __future__ import annotations

import pytest

from orchestratord.features.watch.echo import Echoes, Place, Typed
from orchestratord.features.watch.lines import Lines, Reader
from orchestratord.tmux.stream import Cursor, Slice


def written(text: str, at: int = 0) -> Lines:
    """Return the lines of an output that begins at an offset."""
    data = text.encode()
    reader = Reader(200, Cursor(1, at))
    return reader.feed(Slice(data, Cursor(1, at + len(data)), False))


def typed(text: str, at: int = 0, **more: bool) -> Typed:
    return Typed(text, Cursor(1, at), **more)


def test_the_first_place_of_a_text_is_its_echo_and_the_second_is_output() -> None:
    echoes = Echoes([typed("DONE")])
    assert echoes.lines(written("x\n$ DONE\nDONE\n")) == {1: [Place(2, 6)]}
    assert not echoes
    assert echoes.lines(written("DONE\n")) == {}


def test_the_same_text_typed_twice_has_two_echoes() -> None:
    echoes = Echoes([typed("DONE"), typed("DONE")])
    assert echoes.lines(written("DONE DONE\n")) == {0: [Place(0, 4), Place(5, 9)]}


def test_output_from_before_the_typing_is_no_echo() -> None:
    echoes = Echoes([typed("DONE", 5)])
    assert echoes.lines(written("DONE\nDONE\n")) == {1: [Place(0, 4)]}


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("$ ", []),
        ("$ e", [Place(2, 3)]),
        ("$ echo DO", [Place(2, 9)]),
        ("$ echo DONE", [Place(2, 11)]),
        ("$ echo DONE && x", [Place(2, 11)]),
        ("$ echo DO it", []),
    ],
)
def test_the_begin_of_an_echo_at_the_end_of_the_unfinished_line_is_one(
    line: str, places: list[Place]
) -> None:
    assert Echoes([typed("echo DONE")]).pending(line) == places


def test_a_letter_is_an_echo_only_at_the_end_of_a_line() -> None:
    echoes = Echoes([typed("y")])
    assert echoes.lines(written("apply everything? y \nyes\n")) == {0: [Place(18, 19)]}


def test_a_line_editor_shows_a_text_that_was_typed_too_early_behind_its_prompt() -> None:
    echoes = Echoes([typed("DONE"), typed("DONE", at_prompt=True)])
    told = echoes.lines(written("DONE\ngot DONE\n~/src$ DONE\n$ DONE\n"))
    assert told == {0: [Place(0, 4)], 2: [Place(7, 11)]}
