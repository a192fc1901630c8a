"""People at attached clients: who has just been active on which pane.

tmux says when a client was last active, to the second, and counts keys, mouse, focus
and a terminal's replies alike (measured: our own send-keys do not move it). So this
is never proof that somebody typed. Asks tmux, 0.1 ms, only while anybody is attached.
"""

from __future__ import annotations

from orchestratord.clock import Clock
from orchestratord.errors import TmuxRefused
from orchestratord.features.panes.record import PaneRecord
from orchestratord.tmux.client import HUB
from orchestratord.tmux.command import command
from orchestratord.tmux.link import Link
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.reply import ClientRow

ACTIVE = 3.0
"""Seconds for which a person's last activity holds the pane."""


class People:
    """Looks for people; keeps nothing."""

    def __init__(self, link: Link, mirror: Mirror, clock: Clock) -> None:
        self._link = link
        self._mirror = mirror
        self._clock = clock

    async def active_on(self, pane: PaneRecord) -> float | None:
        """Return for how many seconds a person holds a pane; None if nobody does."""
        if not self._attached():
            return None
        ask = command("list-clients", "-F", ClientRow.FORMAT)
        try:
            (body,) = await self._link.request(ask, what="a look at clients")
        except TmuxRefused:
            return None
        here = [
            row.activity
            for row in map(ClientRow.parse, body)
            if row.pane == pane.place.pane and not row.control and not row.readonly
        ]
        if not here:
            return None
        left = max(here) + ACTIVE - self._clock.now().timestamp()
        return round(left, 1) if left > 0 else None

    def _attached(self) -> bool:
        """Whether anybody looks at any session but the hub, where we are ourselves."""
        rows = self._mirror.snapshot.sessions.values()
        return any(row.attached and row.name != HUB for row in rows)
