"""A spool without tmux: processes that write files as copiers do, and ears for what is told."""

import asyncio
import subprocess
from pathlib import Path

from orchestratord.clock import SystemClock
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Slice


class Copier:
    """A process that writes a pane's file, as the one behind tmux's pipe does."""

    def __init__(self, spool: Spool, pane: str, epoch: int = 1) -> None:
        prefix = spool.directory / f"{pane}.{epoch}."
        script = f"exec cat >>'{prefix}'$$"
        self.process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)
        self.file = Path(f"{prefix}{self.process.pid}")
        self.pid = self.process.pid

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Place:
    """A spool that is followed, its copiers, and what it told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.copiers: list[Copier] = []
        self.grown: list[str] = []
        self.broken: list[str] = []
        self.noted: list[tuple[str, int, int]] = []
        self.begin()

    def begin(self) -> None:
        """Start a new spool, as a new daemon does."""
        self.spool = Spool(self.directory, SystemClock())
        self.spool.on_grown = self.grown.append
        self.spool.on_broken = self.broken.append
        self.spool.on_noted = lambda *words: self.noted.append(words)
        self.spool.start()

    def copier(self, pane: str, epoch: int = 1) -> Copier:
        made = Copier(self.spool, pane, epoch)
        self.copiers.append(made)
        return made


async def until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []

    def __call__(self, part: Slice) -> None:
        self.slices.append(part)

    @property
    def data(self) -> bytes:
        return b"".join(part.data for part in self.slices)

    @property
    def gaps(self) -> int:
        return sum(part.gap for part in self.slices)
