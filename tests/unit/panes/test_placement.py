"""Where a new pane goes: sizes in, a decision out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from orchestratord.features.panes.placement import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    Room,
    Split,
    choose,
    fits,
    halve,
)

SIZES = some.integers(2, 1000)
ROOMS = some.lists(
    some.builds(Room, some.uuids().map(str), some.integers(1, 5), SIZES, SIZES), max_size=12
)


def test_without_room_a_window_is_opened() -> None:
    assert choose([]) is None
    assert choose([Room("p1", 1, 160, 24)]) is None


def test_a_split_leaves_the_largest_halves() -> None:
    assert choose([Room("p1", 1, 161, 12)]) == Split("p1", "right")
    assert choose([Room("p1", 1, 80, 25)]) == Split("p1", "below")
    assert choose([Room("p1", 1, 200, 25), Room("p2", 1, 200, 24)]) == Split("p1", "right")


def test_an_older_window_is_filled_before_a_newer() -> None:
    rooms = [Room("p9", 3, 400, 100), Room("p2", 2, 200, 50)]
    assert choose(rooms) == Split("p2", "right")


@given(ROOMS)
def test_nobody_gets_less_than_the_least_size(rooms: list[Room]) -> None:
    split = choose(rooms)
    if split is None:
        assert not [r for r in rooms if fits(r, "right") or fits(r, "below")]
        return
    room = next(r for r in rooms if r.pane == split.pane)
    left = halve(room, split.direction)
    if split.direction == "right":
        sizes = {(left.width, left.height), (room.width - left.width - 1, room.height)}
    else:
        sizes = {(left.width, left.height), (room.width, room.height - left.height - 1)}
    assert all(width >= LEAST_WIDTH and height >= LEAST_HEIGHT for width, height in sizes)
    assert room.window == min(r.window for r in rooms if fits(r, "right") or fits(r, "below"))
