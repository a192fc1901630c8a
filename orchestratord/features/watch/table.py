"""The statements that write watches: records in, SQL out. Pure."""

from __future__ import annotations

import msgspec

from orchestratord.features.watch.record import Fired, Spot, WatchRecord
from orchestratord.store.db import Statement

HISTORY = 200
"""Matches that are remembered of a watch."""

_SAVE = "INSERT OR REPLACE INTO watches (id, record) VALUES (?, ?)"
_PLACE = "INSERT OR REPLACE INTO watch_places (watch, pane, record) VALUES (?, ?, ?)"
_LEAVE = "DELETE FROM watch_places WHERE watch = ? AND pane = ?"
_FIRED = "INSERT OR REPLACE INTO watch_history (id, watch, done, record) VALUES (?, ?, ?, ?)"
_TRIM = """
DELETE FROM watch_history WHERE watch = ? AND done = 1 AND id <= (
    SELECT id FROM watch_history WHERE watch = ? ORDER BY id DESC LIMIT 1 OFFSET ?
)
"""
_KEEP = "INSERT OR REPLACE INTO watch_kept (pane, watch) VALUES (?, ?)"
_LET_GO = "DELETE FROM watch_kept WHERE pane = ?"

PLACES = "SELECT pane, record FROM watch_places WHERE watch = ?"
OPEN = "SELECT record FROM watch_history WHERE done = 0 ORDER BY id"
OF_WATCH = """
SELECT record FROM (
    SELECT id, record FROM watch_history WHERE watch = ? ORDER BY id DESC LIMIT ?
) ORDER BY id
"""


def save(record: WatchRecord) -> Statement:
    """Write a watch as it is now."""
    return Statement(_SAVE, (record.id, _json(record)))


def place(watch: str, pane: str, spot: Spot) -> Statement:
    """Write where a watch has looked in a pane."""
    return Statement(_PLACE, (watch, pane, _json(spot)))


def leave(watch: str, pane: str) -> Statement:
    """Forget where a watch has looked in a pane."""
    return Statement(_LEAVE, (watch, pane))


def fired(entry: Fired) -> Statement:
    """Write a match and what was done about it so far."""
    return Statement(_FIRED, (entry.id, entry.watch, int(entry.done), _json(entry)))


def trim(watch: str) -> Statement:
    """Forget the oldest matches of a watch."""
    return Statement(_TRIM, (watch, watch, HISTORY))


def keep(pane: str, watch: str) -> Statement:
    """Write which watch keeps a pane."""
    return Statement(_KEEP, (pane, watch))


def let_go(pane: str) -> Statement:
    """Write that nobody keeps a pane."""
    return Statement(_LET_GO, (pane,))


def forget(watch: str) -> list[Statement]:
    """Delete everything of a watch; what it keeps stays kept."""
    return [
        Statement("DELETE FROM watches WHERE id = ?", (watch,)),
        Statement("DELETE FROM watch_places WHERE watch = ?", (watch,)),
        Statement("DELETE FROM watch_history WHERE watch = ?", (watch,)),
    ]


def _json(record: object) -> str:
    return msgspec.json.encode(record).decode()
