"""The chain of audit entries: each is hashed together with the hash of the one before.

Whoever changes, inserts or removes a row breaks the chain from there on, unless he
writes every later row anew; the head that ``audit.verify`` answers with, kept
elsewhere, shows that too. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

GENESIS = "0" * 64
"""What the first entry of all is chained to."""


class Entry(NamedTuple):
    """A noted call, in the order of the table's columns before ``hash``.

    ``agent`` and ``pane`` are who called and where that runs, ``thing`` is what it
    touched, ``result`` is ``ok`` or the kind of the error, ``digest`` the beginning of
    the parameters' SHA-256.
    """

    seq: int
    at: str
    uid: int
    pid: int
    agent: str | None
    pane: str | None
    method: str
    thing: str | None
    result: str
    size: int
    digest: str


class Link(NamedTuple):
    """A place in the chain."""

    seq: int
    hash: str


def chained(before: str, entry: Entry) -> str:
    """Return the hash of an entry that follows the one with that hash."""
    text = msgspec.json.encode([before, *entry])
    return hashlib.sha256(text).hexdigest()


def follow(start: Link, rows: Iterable[tuple[Any, ...]]) -> tuple[Link, int | None]:
    """Follow rows (an entry's fields and its hash) from a place in the chain on.

    Returns the last place that holds, and the number at which it breaks, if it does.
    """
    at = start
    for row in rows:
        entry = Entry(*row[:-1])
        if entry.seq != at.seq + 1 or chained(at.hash, entry) != row[-1]:
            return at, at.seq + 1
        at = Link(entry.seq, row[-1])
    return at, None
