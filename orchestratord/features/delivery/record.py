"""One delivery: what was asked, how far it is, how it ended. No I/O.

Fields of the record may be added with a default, never renamed: old rows must still load.
"""

from __future__ import annotations

import asyncio

import msgspec

from orchestratord.features.delivery.model import (
    Arrival,
    Delivery,
    DeliveryState,
    Evidence,
    Reason,
)
from orchestratord.features.panes.typist import Typist
from orchestratord.rpc.receipts import Ticket
from orchestratord.store.db import Statement

REMEMBERED = 1000
"""Ended deliveries that can still be asked for; the oldest go first."""

_SAVE = "INSERT OR REPLACE INTO deliveries (id, record) VALUES (?, ?)"
_FORGET = "DELETE FROM deliveries WHERE id = ?"


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks for beside the text. ``paste`` None leaves it to us, times are seconds.

    ``secret`` says that the text may go where a secret is asked for.
    """

    submit: bool = False
    confirm: bool = False
    paste: bool | None = None
    queue: bool = False
    secret: bool = False
    fence: int | None = None
    timeout: float = 10.0

    @property
    def plain(self) -> bool:
        """Whether the bytes are to be typed and nothing else."""
        return not (self.submit or self.queue or self.paste)


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A delivery as it is stored.

    ``ticket`` names the call if that has an idempotency key. ``text`` is there only while it
    waits for its turn. ``begun`` is on disk before
    anything is typed: what has begun is never typed again. ``expires_at`` is the Unix time
    until which it waits.
    """

    id: str
    pane: str
    incarnation: int
    owner: str
    created_at: str
    size: int
    wanted: Wanted
    ticket: Ticket | None = None
    state: DeliveryState = "queued"
    text: str | None = None
    begun: bool = False
    expires_at: float | None = None
    arrival: Arrival | None = None
    evidence: Evidence | None = None
    reason: Reason | None = None
    enters: int = 0
    ended_at: str | None = None

    def statement(self) -> Statement:
        """Return the statement that writes it as it is now."""
        return Statement(_SAVE, (self.id, msgspec.json.encode(self).decode()))

    def forgotten(self) -> Statement:
        """Return the statement that deletes it."""
        return Statement(_FORGET, (self.id,))

    def shown(self) -> Delivery:
        """Return it as the wire has it."""
        return Delivery(
            delivery=self.id, pane=self.pane, state=self.state, size=self.size,
            arrival=self.arrival, evidence=self.evidence, reason=self.reason, enters=self.enters,
            created_at=self.created_at, ended_at=self.ended_at,
        )  # fmt: skip


class Live:
    """A delivery in this daemon: its record, its text until it is typed, and who waits for it.

    ``stored`` says that a waiting one is on disk; ``writing`` is its last change on the way
    there.
    """

    def __init__(self, record: Record, text: str = "") -> None:
        self.record = record
        self.text = text
        self.stored = False
        self.writing: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    @property
    def typist(self) -> Typist:
        """Who types it, also when its turn comes much later."""
        return Typist(self.record.owner, self.record.wanted.fence)
