"""What the output of ended panes takes on disk, and which of it goes first. Pure."""

from __future__ import annotations

ENDED_BYTES = 256 << 20
"""Bytes on disk that the output of all ended panes may take."""


class Shelf:
    """Ended panes by the order of their ends, with the bytes of each."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._sizes: dict[str, int] = {}
        self._total = 0

    def put(self, pane: str, size: int) -> list[str]:
        """Note an ended pane's output; return the panes whose output has to go, oldest first.

        The pane that has just ended keeps its own, however large it is.
        """
        self.take(pane)
        self._sizes[pane] = size
        self._total += size
        gone: list[str] = []
        for oldest in list(self._sizes):
            if self._total <= self.most or oldest == pane:
                break
            self.take(oldest)
            gone.append(oldest)
        return gone

    def take(self, pane: str) -> None:
        """Count a pane's output no longer."""
        self._total -= self._sizes.pop(pane, 0)
