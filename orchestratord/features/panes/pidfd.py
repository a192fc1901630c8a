"""A callback for the end of a process, from the kernel (pidfd_open(2), Linux 5.3)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from orchestratord.tmux.process import Process, read_stat


class Watch:
    """Calls back once when a process is gone or has become a zombie (pidfd_open(2))."""

    def __init__(self, process: Process, gone: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone = gone
        self._fd = -1
        try:
            self._fd = os.pidfd_open(process.pid)
        except OSError:
            self._loop.call_soon(gone)
            return
        stat = read_stat(process.pid)
        if stat is not None and process.started not in (0, stat.started):
            self._loop.call_soon(gone)
            return
        self._loop.add_reader(self._fd, self._fire)

    def _fire(self) -> None:
        self.close()
        self._gone()

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
