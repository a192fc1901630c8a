"""Whether a pane has written something, to wait for it. Not what: that is in its stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Slice

PAUSE = 0.005
"""Seconds that a wait takes at least while a pane writes on and on."""


class Growth:
    """Counts what a pane writes from the moment it is entered until it is left."""

    def __init__(self, spool: Spool, pane: str) -> None:
        self.count = 0
        self.last = 0.0
        self._spool = spool
        self._pane = pane
        self._grown = asyncio.Event()
        self._waited = 0.0
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        stream = self._spool.get(self._pane)
        if stream is not None:
            stream.look()
            self._stop = self._spool.listen(self._pane, self._heard, stream.cursor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop()

    async def wait(self, seconds: float) -> None:
        """Return when something has been written since the last wait, or after that time."""
        loop = asyncio.get_running_loop()
        if self._grown.is_set() and loop.time() - self._waited < PAUSE:
            await asyncio.sleep(PAUSE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.001, seconds)):
                await self._grown.wait()
        self._grown.clear()
        self._waited = loop.time()

    def _heard(self, _: Slice) -> None:
        self.count += 1
        self.last = asyncio.get_running_loop().time()
        self._grown.set()
