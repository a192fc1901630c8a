"""A private tmux server with the engine on it, and a human who uses it behind our back."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestratord.clock import SystemClock
from orchestratord.tmux import birth
from orchestratord.tmux.client import Client
from orchestratord.tmux.link import Link, Server
from orchestratord.tmux.mirror import Mirror, Snapshot
from orchestratord.tmux.process import Process
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.server import ServerRecord
from orchestratord.tmux.spool import Spool

PATIENCE = 60.0
SESSION = "dev"


class Bed:
    """The engine as the daemon puts it together, on a directory of its own.

    ``server`` is the one that was there at the start. ``canary`` is a file that
    exists only if something was executed that was data.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "t" / "t.sock"
        self.canary = directory / "canary"
        self.environment = {
            "HOME": str(directory), "PATH": os.environ["PATH"], "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
        }  # fmt: skip
        self.link = Link("tmux", self.socket, self.environment)
        self.mirror = Mirror(self.link, SystemClock())
        self.spool = Spool(directory / "spool", SystemClock())
        self.server: Server
        self.seen: set[Process] = set()
        self.panes = 0
        self.link.on_change = self.mirror.poke
        self.link.on_connect = self._connected

    def _connected(self, server: Server) -> None:
        self.seen.add(server.process)
        self.mirror.poke()

    async def start(self) -> None:
        self.spool.start()
        await self.link.start()
        await self.mirror.start()
        self.server = await asyncio.wait_for(self.link.connected(), PATIENCE)

    async def stop(self) -> None:
        await self.mirror.stop()
        await self.link.stop()
        self.spool.stop()

    async def human(self, *words: str, timeout: float = PATIENCE) -> str:
        """Run a tmux command as somebody at a terminal would; return what it printed."""
        process = await asyncio.create_subprocess_exec(
            "tmux", "-u", "-N", "-S", str(self.socket), *words,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, problem = await asyncio.wait_for(process.communicate(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, (words, problem)
        return out.decode("utf-8", "replace").rstrip("\n")

    async def pane(
        self,
        *argv: str,
        held: bool = False,
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        name: str = "w",
    ) -> PaneRow:
        """Make a pane of ours: the first in a session, each other in a window of its own."""
        self.panes += 1
        pane = f"p{self.panes}"
        self.spool.expect(pane, 1, fresh=True)
        words: Sequence[str] = argv or ("/bin/cat", "-")
        words = birth.held(words, self.spool.note(pane, 1)) if held else words
        made = birth.Birth(pane, words, cwd, env or {}, self.spool.pipe(pane, 1))
        lines = birth.new_session(
            made, session="s1", window="w1", name=SESSION, window_name=name, size=(200, 50)
        )
        if self.panes > 1:
            lines = birth.new_window(
                made, window=f"w{self.panes}", name=name, session=SESSION, size=(200, 50)
            )
        bodies = await self.link.request(*lines, what="a pane")
        (row,) = (body[0] for body in bodies if body)
        return PaneRow.parse(row)

    async def snapshot(self, condition: Callable[[Snapshot], object]) -> Snapshot:
        """Return the first snapshot for which the condition holds; none is asked for."""
        await until(lambda: condition(self.mirror.snapshot))
        return self.mirror.snapshot

    async def clean_up(self) -> None:
        await self.stop()
        last = ServerRecord(self.socket).read()
        for process in self.seen | ({last} if last else set()):
            process.send(signal.SIGCONT)
            process.send(signal.SIGKILL)
            await until(lambda process=process: not process.alive())
        await until(lambda: removed(self.directory))


@asynccontextmanager
async def empty_bed() -> AsyncIterator[Bed]:
    """A bed with nothing started; whatever is, is ended."""
    bed = Bed(Path(tempfile.mkdtemp(prefix="orch-")))
    try:
        yield bed
    finally:
        await bed.clean_up()


@asynccontextmanager
async def tmux_bed() -> AsyncIterator[Bed]:
    """A bed whose link is connected."""
    async with empty_bed() as bed:
        await bed.start()
        yield bed


def removed(directory: Path) -> bool:
    """Remove a directory with all in it; say whether it is gone: who dies may still write to it."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Return after how long the condition held; fail when it does not in that time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() < began + seconds, "the condition did not come to hold"
        await asyncio.sleep(0.003)
    return loop.time() - began


def pid_of(client: Client | None) -> int:
    """Return the pid of a control client's process."""
    assert client is not None and client._process is not None
    return client._process.pid


def limit_files(process: Process, most: int) -> tuple[int, int]:
    """Bound a process's descriptors; return what the bounds were."""
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, before[1]))
    return before


async def gather(*work: Any) -> list[Any]:
    """Run things at once; return what came of each, faults included."""
    return await asyncio.gather(*work, return_exceptions=True)
