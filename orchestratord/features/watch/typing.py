"""What was typed into panes through us in the last minute, so that its echo can be told.

In memory only, and no longer than needed; nothing of it is ever written or told.
"""

from __future__ import annotations

import re
from collections import deque

from orchestratord.clock import Clock
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch.echo import Typed
from orchestratord.tmux.spool import Spool

ECHOED_WITHIN = 60.0
"""Seconds after which no echo is expected any more."""

TEXTS = 64
LONGEST = 64 << 10
"""Characters of a line that are remembered; of a longer one the begin is."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f]+")


class Typing:
    """The last texts of each pane: when, where the output was, and what."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._typed: dict[str, deque[tuple[float, Typed]]] = {}

    def note(self, pane: PaneRecord, text: str) -> None:
        """Remember that a text is about to be typed, or shown as if it had been."""
        stream = self._spool.get(pane.id)
        parts = [part.strip()[:LONGEST] for part in _BREAKS.split(text) if part.strip()]
        if stream is None or not parts:
            return
        stream.look()
        now, at = self._clock.monotonic(), stream.cursor
        for old in [p for p, t in self._typed.items() if t[-1][0] < now - ECHOED_WITHIN]:
            del self._typed[old]
        known = self._typed.setdefault(pane.id, deque(maxlen=TEXTS))
        for part in parts:
            known.append((now, Typed(part, at)))
            if pane.is_shell:  # whether its line editor has the terminal can change any moment
                known.append((now, Typed(part, at, at_prompt=True)))

    def recent(self, pane: PaneRecord) -> list[Typed]:
        """Return what was typed lately, the oldest first."""
        after = self._clock.monotonic() - ECHOED_WITHIN
        known = self._typed.get(pane.id, deque())
        while known and known[0][0] < after:
            known.popleft()
        if not known:
            self._typed.pop(pane.id, None)
        return [typed for _, typed in known if typed.cursor.epoch == pane.epoch]
