"""What the demonstrations share: a daemon of their own, its events, and a look at what is left.

Everything lives in a temporary directory and is ended and removed, whatever happens.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orchctl import aio, autostart

PATIENCE = 30.0
"""Seconds that anything is given to happen."""

Say = Callable[[str], None]


@dataclass
class Report(ABC):
    """What was seen of the daemon. Times in seconds."""

    left_behind: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    started_in: float = 0.0
    lasted: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def passed(self) -> bool:
        """Whether everything was as it should be."""
        ...

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        ...

    @abstractmethod
    def shown(self) -> str:
        """Return the report for people."""
        ...

    def about_daemon(self) -> dict[str, Any]:
        """Return that part for programs."""
        return {
            "decisions": self.decisions,
            "left_behind": self.left_behind,
            "daemon_start_seconds": round(self.started_in, 3),
            "total_seconds": round(self.lasted, 3),
            **self.versions,
        }


class Acts:
    """What watches found and did, as the daemon tells it."""

    def __init__(self, client: aio.Client) -> None:
        self._client = client
        self._seen: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Acts":
        self._task = asyncio.create_task(self._follow(await head(self._client)))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def act(self, watch: str, action: str) -> "Act":
        """Wait until a watch has done something, and return what."""
        async with asyncio.timeout(PATIENCE), self._news:
            while True:
                acted = self._find("watch.acted", watch, action)
                matched = self._find("watch.matched", watch)
                if acted and matched:
                    return Act(matched, acted)
                await self._news.wait()

    async def _follow(self, since: int) -> None:
        kinds = ["watch.matched", "watch.acted"]
        async for event in self._client.subscribe("event.subscribe", since=since, kinds=kinds):
            async with self._news:
                self._seen.append(event)
                self._news.notify_all()

    def _find(self, kind: str, watch: str, action: str | None = None) -> dict[str, Any] | None:
        for event in self._seen:
            data = event["data"]
            fits = event["kind"] == kind and data["watch"] == watch
            if fits and action in (None, data.get("action")):
                return event
        return None


@dataclass
class Act:
    """A match and what was done about it: two events."""

    matched: dict[str, Any]
    acted: dict[str, Any]

    @property
    def text(self) -> str:
        """What was found."""
        return str(self.matched["data"]["match"])

    @property
    def result(self) -> str:
        """What came of it."""
        return str(self.acted["data"]["result"])

    @property
    def seconds(self) -> float:
        """How long it took from the one to the other."""
        begin, end = (datetime.fromisoformat(e["at"]) for e in (self.matched, self.acted))
        return (end - begin).total_seconds()


Run = Callable[[aio.Client, Path], Awaitable[Any]]


async def head(client: aio.Client) -> int:
    """Return the number of the daemon's last event."""
    status = await client.call("daemon.status")
    return int(status["store"]["head"])


async def on_a_daemon(session: str, run: Run) -> Any:
    """Start a daemon, let ``run`` make its report there, end everything, complete the report."""
    began = time.perf_counter()
    home = Path(tempfile.mkdtemp(prefix="orchctl-demo-"))
    (home / "work").mkdir()
    daemon, log = _start(home)
    tmux = 0
    pids: set[int] = set()
    try:
        client = await aio.connect(str(home / "run/orchestratord.sock"), 20)
        while (await client.call("daemon.status"))["tmux"]["state"] != "connected":  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # nothing pushes this: it is the first second of its life
        started_in = time.perf_counter() - began
        report = await run(client, home / "work")
        status = await client.call("daemon.status")
        tmux = status["tmux"]["pid"]
        pids = {pane["pid"] for pane in await client.call("pane.list")}
        report.versions = {"daemon": status["version"], "tmux": status["tmux"]["version"]}
        report.started_in = started_in
        await client.call("session.kill", session=session, grace=1)
        await client.call("daemon.stop", tmux=True)
        await client.close()
        await asyncio.to_thread(daemon.wait, 10)
    except BaseException:
        print(log.read_text(errors="replace")[-2000:])
        raise
    finally:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(10)
    report.left_behind = _left(home, {tmux, daemon.pid, *pids})
    shutil.rmtree(home)
    report.lasted = time.perf_counter() - began
    return report


def table(title: str, rows: list[tuple[str, str]], passed: bool) -> str:
    """Return a report for people."""
    lines = ["", title, *(f"  {name:<22}{value}" for name, value in rows)]
    lines.append("  everything as it should be" if passed else "  NOT as it should be")
    return "\n".join(lines)


def rows_about_daemon(report: Report) -> list[tuple[str, str]]:
    """Return what every report ends with."""
    data = report.about_daemon()
    return [
        ("left behind", ", ".join(report.left_behind) or "no process, no socket, no file"),
        ("daemon's start", f"{report.started_in * 1000:.0f} ms"),
        ("whole run", f"{report.lasted:.2f} s"),
        ("versions", f"orchestratord {data.get('daemon')}, tmux {data.get('tmux')}"),
    ]


def _start(home: Path) -> "tuple[subprocess.Popen[bytes], Path]":
    log = home / "daemon.log"
    words = [
        *autostart.program(), "--socket", str(home / "run/orchestratord.sock"),
        "--state-dir", str(home / "state"), "--tmux-socket", str(home / "tmux/tmux.sock"),
        "--config", str(home / "config.toml"),
    ]  # fmt: skip
    (home / "config.toml").touch()
    with log.open("wb") as errors:
        daemon = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            env=autostart.environment(), start_new_session=True,
        )  # fmt: skip
    return daemon, log


def _left(home: Path, pids: set[int]) -> list[str]:
    """Name the processes and sockets of the run that are still there."""
    deadline = time.monotonic() + 3
    while True:
        alive = [f"process {pid}" for pid in sorted(pids) if _runs(pid)]
        heard = [str(path) for path in home.rglob("*.sock") if _listens(path)]
        if not (alive or heard) or time.monotonic() > deadline:
            return [*alive, *heard]
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return stat[0] not in "ZX"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.is_socket() and probe.connect_ex(str(path)) == 0
