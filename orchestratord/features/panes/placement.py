"""Where a new pane goes. Pure: sizes in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

LEAST_WIDTH, LEAST_HEIGHT = 80, 12
"""A pane is never split below this, in columns and rows."""


class Room(NamedTuple):
    """A pane that could be split; ``window`` is the number of its window."""

    pane: str
    window: int
    width: int
    height: int


class Split(NamedTuple):
    """Split that pane in that direction."""

    pane: str
    direction: Literal["right", "below"]


def fits(room: Room, direction: Literal["right", "below"]) -> bool:
    """Whether both halves keep the least size; the border takes one cell."""
    if direction == "right":
        return room.width >= 2 * LEAST_WIDTH + 1 and room.height >= LEAST_HEIGHT
    return room.height >= 2 * LEAST_HEIGHT + 1 and room.width >= LEAST_WIDTH


def choose(rooms: Iterable[Room]) -> Split | None:
    """Return where there is room, in the oldest window that has some; None for a new window.

    So a freed slot is used again before a newer window fills. Within a window
    the split leaves the largest halves.
    """
    options = [
        (-room.window, room.width * room.height, Split(room.pane, direction))
        for room in rooms
        for direction in ("right", "below")
        if fits(room, direction)
    ]
    return max(options, key=lambda o: o[:2])[2] if options else None


def halve(room: Room, direction: Literal["right", "below"]) -> Room:
    """Return what is left of a pane after its split, as tmux divides it."""
    if direction == "right":
        return room._replace(width=room.width - (room.width - 1) // 2 - 1)
    return room._replace(height=room.height - (room.height - 1) // 2 - 1)
