"""One lease: the exclusive right to type into a pane, for a short time, fenced by a number.

Pure. Time is the monotonic clock's, which on Linux goes on over a restart of the
daemon and begins anew with the machine.
"""

from __future__ import annotations

import asyncio

import msgspec

from orchestratord.features.panes.typist import Typist
from orchestratord.store.db import Statement

_SAVE = "INSERT OR REPLACE INTO leases (pane, lease, record) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM leases WHERE lease = ?"


class LeaseRecord(msgspec.Struct, kw_only=True):
    """A lease. ``until`` is by the monotonic clock."""

    id: str
    pane: str
    holder: str
    fence: int
    ttl: float
    until: float

    def admits(self, typist: Typist) -> bool:
        """Whether somebody may type under it.

        An agent is known; a user's programs are many, and only the fence tells which of
        them has the lease.
        """
        if typist.owner != self.holder:
            return False
        if typist.fence is not None:
            return typist.fence == self.fence
        return self.holder.startswith("agent:")

    def sound(self, now: float) -> bool:
        """Whether a stored lease holds: after a restart of the machine its time means nothing."""
        return 0 < self.until - now <= self.ttl


class Waiter:
    """Somebody who waits for a pane's lease."""

    def __init__(self, holder: str, ttl: float) -> None:
        self.holder = holder
        self.ttl = ttl
        self.granted: asyncio.Future[LeaseRecord] = asyncio.get_running_loop().create_future()


def save(lease: LeaseRecord) -> Statement:
    """Return the statement that writes a lease as it is now."""
    return Statement(_SAVE, (lease.pane, lease.id, msgspec.json.encode(lease).decode()))


def forget(lease: LeaseRecord) -> Statement:
    """Return the statement that deletes a lease."""
    return Statement(_FORGET, (lease.id,))
