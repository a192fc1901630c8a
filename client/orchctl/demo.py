"""``orchctl demo``: a daemon at work, from its start to its last file, measured as it goes.

Starts a daemon and a tmux server of its own in a temporary directory, runs the
scaled demo (13 lifecycle operations, 1 to 8 panes with real commands, kept or
killed by what they print), ends everything and looks whether anything is left.
Every figure of the report was measured in that run.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchctl import aio, autostart

if TYPE_CHECKING:
    from orchctl.arguments import Entry
    from orchctl.cli import Invocation

SESSION = "demo"
PATIENCE = 30.0
"""Seconds that a pane is given to print what is waited for."""

_BUILD = """
set -e; mkdir -p out; i=0
while [ $i -lt 8 ]; do i=$((i+1)); echo "compiling part $i of 8"
  seq 1 20000 | sed "s/$/ part $i/" | gzip -c >out/part$i.gz; done
cat out/part*.gz >out/app.gz; gzip -t out/app.gz; echo "BUILD SUCCESS: $(wc -c <out/app.gz) bytes"
sleep 60"""
_TEST = """
set -e; for n in 1 2 3 4 5 6; do
  got=$(seq 1 $((n*1000)) | awk '{s+=$1} END {print s}'); want=$((n*1000*(n*1000+1)/2))
  [ "$got" = "$want" ] && echo "test $n: ok ($got)"; done; echo "6 tests PASSED"; sleep 60"""
_LOGS = 'touch app.log; echo "following app.log"; exec tail -F app.log'
_MONITOR = 'while :; do read -r load rest </proc/loadavg; echo "load $load"; sleep 0.1; done'
_METRICS = "while :; do grep -m 1 MemAvailable /proc/meminfo; sleep 0.1; done"
_DATABASE = """
import sqlite3, time
base = sqlite3.connect("demo.db")
base.execute("CREATE TABLE t (n INTEGER)")
base.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(10000)]); base.commit()
print("database", base.execute("PRAGMA integrity_check").fetchone()[0], flush=True)
print("HEALTHY:", base.execute("SELECT count(*) FROM t").fetchone()[0], "rows", flush=True)
time.sleep(60)"""
_CACHE = """
import time
cache = {n: n * n for n in range(100000)}
print("cache warm with", len(cache), "entries", flush=True)
time.sleep(60)"""
_DEPLOY = """
set -e; mkdir -p live; cp out/app.gz live/app.gz
cmp out/app.gz live/app.gz; echo "DEPLOYED $(cksum <live/app.gz)" | tee -a app.log; sleep 60"""


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def _python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


@dataclass
class Report:
    """What was seen. Times in seconds."""

    operations: list[tuple[str, float]] = field(default_factory=list)
    timeline: list[int] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    slot_reused: bool = False
    final: int = 0
    started_in: float = 0.0
    lasted: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the demo did what it is there to show."""
        return (
            self.timeline == [1, 4, 7, 8, 6, 7, 5]
            and len(self.operations) == 13
            and self.final == 5
            and self.slot_reused
            and not self.left_behind
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        spent = sum(seconds for _, seconds in self.operations)
        return {
            "passed": self.passed,
            "lifecycle_operations": len(self.operations),
            "lifecycle_seconds": round(spent, 4),
            "slowest_operation_seconds": round(max(s for _, s in self.operations), 4),
            "peak_panes": max(self.timeline),
            "final_panes": self.final,
            "timeline": self.timeline,
            "slot_reused": self.slot_reused,
            "decisions": self.decisions,
            "left_behind": self.left_behind,
            "daemon_start_seconds": round(self.started_in, 3),
            "total_seconds": round(self.lasted, 3),
            **self.versions,
        }


class Demo:
    """One run against one daemon. ``say`` gets a line for each thing that happens."""

    def __init__(self, client: aio.Client, directory: Path, say: Any) -> None:
        self.report = Report()
        self._client = client
        self._directory = str(directory)
        self._say = say
        self._panes: dict[str, dict[str, Any]] = {}

    async def run(self) -> Report:
        """Go through the phases."""
        await self._session()
        await self._create("build", _shell(_BUILD))
        await self._create("test", _shell(_TEST))
        await self._create("logs", _shell(_LOGS))
        await self._count("building and testing")
        await self._create("monitor", _shell(_MONITOR))
        await self._create("metrics", _shell(_METRICS))
        await self._create("db", _python(_DATABASE))
        await self._count("watching")
        await self._create("cache", _python(_CACHE))
        await self._count("peak")
        await asyncio.gather(
            self._decide("build", "SUCCESS", "kill"), self._decide("test", "PASSED", "kill")
        )
        await self._count("built and tested")
        deploy = await self._create("deploy", _shell(_DEPLOY))
        freed = {self._panes[name]["window"] for name in ("build", "test")}
        self.report.slot_reused = deploy["window"] in freed
        await self._count("deploying into the freed slot")
        await self._wait_for("deploy", "DEPLOYED")
        await self._decide("db", "HEALTHY", "keep")
        await self._kill("monitor")
        await self._kill("metrics")
        await self._count("at rest")
        counted = await self._client.call("pane.count", session=SESSION)
        self.report.final = counted["count"]
        return self.report

    async def _session(self) -> None:
        await self._measured("session-create", "session.create", name=SESSION)
        await self._count("begin")

    async def _create(self, name: str, command: list[str]) -> dict[str, Any]:
        pane: dict[str, Any] = await self._measured(
            f"pane-create {name}", "pane.create", session=SESSION, name=name,
            command=command, cwd=self._directory,
        )  # fmt: skip
        self._panes[name] = pane
        return pane

    async def _kill(self, name: str) -> None:
        await self._measured(f"pane-kill {name}", "pane.kill", pane=self._panes[name]["id"])

    async def _measured(self, what: str, method: str, **params: Any) -> Any:
        began = time.perf_counter()
        answer = await self._client.call(method, **params)
        seconds = time.perf_counter() - began
        self.report.operations.append((what, seconds))
        self._say(f"  {what:<22}{seconds * 1000:7.1f} ms")
        return answer

    async def _count(self, phase: str) -> None:
        count = (await self._client.call("pane.count", session=SESSION))["count"]
        self.report.timeline.append(count)
        self._say(f"{count} panes, {phase}")

    async def _decide(self, name: str, word: str, action: str) -> None:
        line = await self._wait_for(name, word)
        decision = f"{name}: {action}, because it printed {line!r}"
        self.report.decisions.append(decision)
        self._say(f"  {decision}")
        if action == "kill":
            await self._kill(name)

    async def _wait_for(self, name: str, word: str) -> str:
        """Read a pane's output as it comes until a line has the word."""
        pane = self._panes[name]["id"]
        text = ""
        async with asyncio.timeout(PATIENCE):
            stream = self._client.subscribe("pane.tail", pane=pane, since="1.0")
            try:
                async for item in stream:
                    text += item["text"]
                    if found := re.search(rf"^.*\b{word}\b.*$", text, re.MULTILINE):
                        return found.group().strip()
            finally:
                await stream.aclose()
        raise RuntimeError(f"pane {name} ended without {word}")


def main(invocation: "Invocation", params: dict[str, Any], entry: "Entry | None") -> int:
    """Run the demo; exit status 0 if everything was as it should be."""
    quiet = invocation.json or not sys.stdout.isatty()

    def say(line: str) -> None:
        print(line, file=sys.stderr if quiet else sys.stdout, flush=True)

    report = asyncio.run(_whole(say))
    if invocation.json:
        print(json.dumps(report.as_dict()))
    else:
        print(_shown(report))
    return 0 if report.passed else 1


async def _whole(say: Any) -> Report:
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
        demo = Demo(client, home / "work", say)
        report = await demo.run()
        status = await client.call("daemon.status")
        tmux = status["tmux"]["pid"]
        pids = {pane["pid"] for pane in await client.call("pane.list")}
        report.versions = {"daemon": status["version"], "tmux": status["tmux"]["version"]}
        report.started_in = started_in
        await client.call("session.kill", session=SESSION, grace=1)
        await client.call("daemon.stop", tmux=True)
        await client.close()
        await asyncio.to_thread(daemon.wait, 10)
    except BaseException:
        print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(10)
    report.left_behind = _left(home, {tmux, daemon.pid, *pids})
    shutil.rmtree(home)
    report.lasted = time.perf_counter() - began
    return report


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
        sockets = [str(path) for path in home.rglob("*.sock") if path.is_socket()]
        if not (alive or sockets) or time.monotonic() > deadline:
            return [*alive, *(path for path in sockets if _listens(path))]
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return stat[0] not in "ZX"


def _listens(path: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _shown(report: Report) -> str:
    data = report.as_dict()
    arrow = " -> ".join(map(str, report.timeline))
    rows = [
        ("lifecycle operations", f"{data['lifecycle_operations']} (1 session, 8 panes, 4 kills)"),
        ("time in them", f"{data['lifecycle_seconds'] * 1000:.0f} ms"),
        ("slowest of them", f"{data['slowest_operation_seconds'] * 1000:.1f} ms"),
        ("panes", arrow),
        ("peak, final", f"{data['peak_panes']}, {data['final_panes']}"),
        ("freed slot reused", "yes" if report.slot_reused else "NO"),
        ("left behind", ", ".join(report.left_behind) or "no process, no socket, no file"),
        ("daemon's start", f"{data['daemon_start_seconds'] * 1000:.0f} ms"),
        ("whole run", f"{data['total_seconds']:.2f} s"),
        ("versions", f"orchestratord {data.get('daemon')}, tmux {data.get('tmux')}"),
    ]
    lines = ["", "Report", *(f"  {name:<22}{value}" for name, value in rows)]
    lines.append("  everything as it should be" if report.passed else "  NOT as it should be")
    return "\n".join(lines)
