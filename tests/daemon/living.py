"""Real daemons on private directories: started, killed, and cleaned up after, by pid."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchctl.aio import Client, Lost

from orchestratord import app, config
from orchestratord.tmux.process import identify
from orchestratord.tmux.server import ServerRecord, listener

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds; nothing takes one of them, except on a machine that is busy with other things."""


class Place:
    """A directory with everything that one daemon uses. Its path is short: sockets need that."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="orch-"))
        self.socket = self.directory / "run" / "d.sock"
        self.state = self.directory / "state"
        self.tmux_socket = self.directory / "tmux" / "t.sock"
        self.file = self.directory / "config.toml"
        self.processes: list[asyncio.subprocess.Process] = []
        self.logs: dict[int, Path] = {}
        self.clients: list[Client] = []
        self._number = itertools.count()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.directory),
            "PATH": os.environ["PATH"],
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
        }

    @property
    def flags(self) -> dict[str, str]:
        return {
            "socket": str(self.socket),
            "state_dir": str(self.state),
            "tmux_socket": str(self.tmux_socket),
        }

    def configuration(self) -> config.Configuration:
        """Return what a daemon here runs by, with what the configuration file says."""
        flags = self.flags | ({"config": str(self.file)} if self.file.exists() else {})
        return config.load(flags, {"HOME": str(self.directory)})

    async def spawn(self, *words: str, **environment: str) -> asyncio.subprocess.Process:
        """Start the program with those flags beside the place's own."""
        named = [f"--{key.replace('_', '-')}={value}" for key, value in self.flags.items()]
        if self.file.exists():
            named.append(f"--config={self.file}")
        # a file, because uvloop's children inherit its copies of a pipe, and tmux outlives us
        log = self.directory / f"log.{next(self._number)}"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "orchestratord",
                *named,
                *words,
                env=self.environment | environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stderr=errors,
            )
        self.logs[process.pid] = log
        self.processes.append(process)
        return process

    async def last_words(self, process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
        """Return the log of a process, once it has ended."""
        await asyncio.wait_for(process.wait(), PATIENCE)
        return [json.loads(line) for line in self.logs[process.pid].read_text().splitlines()]

    async def start(self, *words: str, **environment: str) -> Daemon:
        """Start a daemon and return once it answers."""
        process = await self.spawn(*words, **environment)
        client = Client(str(self.socket))
        answer = asyncio.ensure_future(self.first_answer(client))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({answer, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            answer.cancel()
            raise AssertionError(self.logs[process.pid].read_text())
        ended.cancel()
        assert (await answer)["pid"] == process.pid
        return Daemon(self, process, client)

    async def first_answer(self, client: Client) -> Any:
        """Ask until somebody answers; a daemon that cannot start hangs up on whoever waits."""
        while True:
            with contextlib.suppress(Lost):
                await client.open(PATIENCE)
                return await client.call("daemon.ping")

    async def clean_up(self) -> None:
        """End what was started here, daemon and tmux server, by pid; remove every file."""
        for client in self.clients:
            await client.close()
        for process in self.processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        pid = listener(self.tmux_socket)
        known = [ServerRecord(self.tmux_socket).read(), identify(pid) if pid else None]
        servers = [server for server in known if server is not None]
        for server in servers:
            server.send(signal.SIGKILL)
        await until(lambda: not any(server.alive() for server in servers))
        await until(lambda: removed(self.directory))


class Daemon:
    """A running daemon and a client of it."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process, client: Client) -> None:
        self.place = place
        self.process = process
        self.client = client
        self.call = client.call

    async def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        await self.process.wait()
        await self.client.close()

    async def end(self, number: int = signal.SIGTERM) -> list[dict[str, Any]]:
        """Send a signal, wait for the end, return the log."""
        self.process.send_signal(number)
        return await self.log()

    async def log(self) -> list[dict[str, Any]]:
        """Return the log, once the process has ended."""
        said = await self.place.last_words(self.process)
        await self.client.close()
        return said

    async def connected(self) -> dict[str, Any]:
        """Return the status once tmux is there."""
        while True:
            status: dict[str, Any] = await self.call("daemon.status")
            if status["tmux"]["state"] == "connected":
                return status
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_here(place: Place, **options: Any) -> AsyncIterator[Client]:
    """Run a daemon in this process's loop; at the end it is told to stop, and has."""
    configuration = options.pop("configuration", None) or place.configuration()
    daemon = asyncio.create_task(app.run(configuration, **options))
    client = Client(str(place.socket))
    answer = asyncio.create_task(place.first_answer(client))
    await asyncio.wait({daemon, answer}, return_when=asyncio.FIRST_COMPLETED)
    if daemon.done():
        answer.cancel()
        await daemon
    try:
        yield client
        if not daemon.done():
            with contextlib.suppress(Exception):
                await client.call("daemon.stop")
        await asyncio.wait_for(daemon, PATIENCE)
    finally:
        await client.close()
        daemon.cancel()
        await asyncio.wait({daemon})


def removed(directory: Path) -> bool:
    """Remove a directory with all in it; say whether it is gone: who dies may still write to it."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return when the condition holds; fail when it does not in that time."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not condition():
        assert loop.time() < ends, "the condition did not come to hold"
        await asyncio.sleep(0.005)
