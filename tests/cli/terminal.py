"""A terminal of our own around a command, to see what a person would."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from dataclasses import dataclass

from orchctl_run import SCRIPT


@dataclass
class Terminal:
    """A pseudo-terminal with a command on it; ``shown`` is every byte it wrote."""

    process: asyncio.subprocess.Process
    master: int
    shown: bytes = b""

    async def until(self, pattern: bytes) -> None:
        """Read until that has been shown; the test's own deadline ends it otherwise."""
        while not re.search(pattern, self.shown):
            chunk = await self._some()
            assert chunk, self.shown
            self.shown += chunk

    async def end(self) -> int:
        """Read all that is left and return the exit status."""
        while chunk := await self._some():
            self.shown += chunk
        os.close(self.master)
        return await self.process.wait()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    async def _some(self) -> bytes:
        ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.master, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self.master)
        try:
            return os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return b""


async def on_a_terminal(
    *words: str, env: dict[str, str], columns: int = 80, rows: int = 24
) -> Terminal:
    """Start orchctl with these words on a terminal of that size, its controlling one."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    take = (
        "import os, sys, fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", take, sys.executable, str(SCRIPT), *words,
        stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    return Terminal(process, master)
