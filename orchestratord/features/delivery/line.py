"""The deliveries that wait for one pane, in their order. Its worker is the service's."""

from __future__ import annotations

import asyncio
from collections import deque

from orchestratord.features.delivery.fault import TooManyDeliveries
from orchestratord.features.delivery.record import Live

MOST = 100
MOST_BYTES = 16 << 20
"""Deliveries, and bytes of their texts, that wait for one pane."""


class Line:
    """Who waits. ``woken`` is set when it may be the first one's turn, or it has ended."""

    def __init__(self) -> None:
        self.lives: deque[Live] = deque()
        self.woken = asyncio.Event()
        self.worker: asyncio.Task[None] | None = None

    def join(self, live: Live) -> None:
        """Let a delivery wait.

        Raises:
            TooManyDeliveries: Too many do, or too much.
        """
        size = sum(waiting.record.size for waiting in self.lives)
        if len(self.lives) >= MOST or size + live.record.size > MOST_BYTES:
            raise TooManyDeliveries(count=len(self.lives), size=size)
        self.lives.append(live)

    def first(self) -> Live | None:
        """Return whose turn is next; those that have ended meanwhile leave."""
        while self.lives and self.lives[0].ended.is_set():
            self.lives.popleft()
        return self.lives[0] if self.lives else None
