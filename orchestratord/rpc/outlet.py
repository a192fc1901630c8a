"""The way out of a connection: gathers frames, and knows whether the peer reads.

Frames written during a turn leave in one write. ``paused`` is so from the
moment that more than ``unsent_pause`` bytes wait for the peer until they have
drained; streams and reading wait for that. Never waits itself: what would
exceed ``unsent`` is the connection's end.
"""

from __future__ import annotations

import asyncio

from orchestratord.rpc.policy import Policy

FLUSH = 256 * 1024
"""Bytes gathered before a write: the peer's pausing must be noticed within a turn."""


class Outlet:
    """What one connection sends."""

    def __init__(self, transport: asyncio.Transport, policy: Policy) -> None:
        self._transport = transport
        self._policy = policy
        self._gathered: list[bytes] | None = None
        self._size = 0
        self._written = 0
        self._taken = 0
        self._taken_at = 0.0
        self._drained = asyncio.Event()
        self.paused = False
        transport.set_write_buffer_limits(high=policy.limits.unsent_pause)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read."""
        return self._transport.get_write_buffer_size()

    @property
    def overfull(self) -> bool:
        """Whether more waits than a connection may cost."""
        return self.paused and self.unsent > self._policy.limits.unsent

    def send(self, frame: bytes) -> None:
        """Send a frame, at the end of the turn if one is running."""
        if self._gathered is None:
            self._write(frame)
            return
        self._gathered.append(frame)
        self._size += len(frame)
        if self._size >= FLUSH:
            self._flush()

    def begin_turn(self) -> None:
        """Gather what is sent from now on."""
        self._gathered = []

    def end_turn(self) -> None:
        """Write what was gathered."""
        self._flush()
        self._gathered = None

    def pause(self) -> None:
        """The transport says that the peer does not keep up."""
        self.paused = True
        self._drained.clear()
        self._taken = self._written - self.unsent
        self._taken_at = self._policy.clock.monotonic()

    def resume(self) -> None:
        """The transport says that the peer has read, or has gone."""
        self.paused = False
        self._drained.set()

    async def writable(self) -> None:
        """Return when the peer keeps up."""
        while self.paused:
            await self._drained.wait()

    def stalled_for(self, now: float) -> float:
        """Return for how many seconds the peer has not read a byte that waits for it."""
        if not self.paused:
            return 0.0
        taken = self._written - self.unsent
        if taken > self._taken:
            self._taken = taken
            self._taken_at = now
        return now - self._taken_at

    def _flush(self) -> None:
        if self._gathered:
            frames, self._gathered, self._size = self._gathered, [], 0
            self._write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._written += len(data)
            self._policy.statistics.bytes_out += len(data)
            self._transport.write(data)
