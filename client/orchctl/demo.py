"""``orchctl demo``: a daemon at work, from its start to its last file, measured as it goes.

Starts a daemon and a tmux server of its own in a temporary directory, runs the
scaled demo (13 lifecycle operations, 1 to 8 panes with real commands, which
watches keep or kill by what they print), ends everything and looks whether
anything is left. Every figure of the report was measured in that run.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchctl import aio, demo_events
from orchctl.demo_home import (
    PATIENCE,
    Acts,
    Report,
    Say,
    on_a_daemon,
    rows_about_daemon,
    table,
)

if TYPE_CHECKING:
    from orchctl.arguments import Entry
    from orchctl.cli import Invocation

SESSION = "demo"

_BUILD = """
set -e; mkdir -p out; i=0
while [ $i -lt 8 ]; do i=$((i+1)); echo "compiling part $i of 8"
  seq 1 20000 | sed "s/$/ part $i/" | gzip -c >out/part$i.gz; done
echo "waiting for the cache to link against"; until [ -e cache.warm ]; do sleep 0.01; done
cat out/part*.gz >out/app.gz; gzip -t out/app.gz; echo "BUILD SUCCESS: $(wc -c <out/app.gz) bytes"
sleep 60"""
_TEST = """
set -e; for n in 1 2 3 4 5 6; do
  got=$(seq 1 $((n*1000)) | awk '{s+=$1} END {print s}'); want=$((n*1000*(n*1000+1)/2))
  [ "$got" = "$want" ] && echo "test $n: ok ($got)"; done
echo "waiting for the cache to test with"; until [ -e cache.warm ]; do sleep 0.01; done
[ "$(cat cache.warm)" = 100000 ]; echo "6 tests and 1 with the cache PASSED"; sleep 60"""
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
import os, sys, time
print("cold; a line warms it", flush=True)
sys.stdin.readline()
cache = {n: n * n for n in range(100000)}
with open("cache.new", "w") as file: file.write(str(len(cache)))
os.rename("cache.new", "cache.warm")
print("warm with", len(cache), "entries", flush=True)
time.sleep(60)"""
_DEPLOY = """
set -e; mkdir -p live; cp out/app.gz live/app.gz
cmp out/app.gz live/app.gz; echo "DEPLOYED $(cksum <live/app.gz)" | tee -a app.log; sleep 60"""


def shell(script: str) -> list[str]:
    """Return the argv of a script for sh."""
    return ["/bin/sh", "-c", script]


def python(script: str) -> list[str]:
    """Return the argv of a script for Python."""
    return [sys.executable, "-c", script]


@dataclass
class ScaledReport(Report):
    """What was seen of the scaled demo. Times in seconds."""

    operations: list[tuple[str, float]] = field(default_factory=list)
    timeline: list[int] = field(default_factory=list)
    slot_reused: bool = False
    final: int = 0

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
            **self.about_daemon(),
        }

    def shown(self) -> str:
        """Return the report for people."""
        data = self.as_dict()
        return table(
            "Report",
            [
                ("lifecycle operations",
                 f"{data['lifecycle_operations']} (1 session, 8 panes, 4 kills)"),
                ("time in them", f"{data['lifecycle_seconds'] * 1000:.0f} ms"),
                ("slowest of them", f"{data['slowest_operation_seconds'] * 1000:.1f} ms"),
                ("panes", " -> ".join(map(str, self.timeline))),
                ("peak, final", f"{data['peak_panes']}, {data['final_panes']}"),
                ("freed slot reused", "yes" if self.slot_reused else "NO"),
                *rows_about_daemon(self),
            ],
            self.passed,
        )  # fmt: skip


class Demo:
    """One run against one daemon. ``say`` gets a line for each thing that happens."""

    def __init__(self, client: aio.Client, directory: Path, say: Say, acts: Acts) -> None:
        self.report = ScaledReport()
        self._client = client
        self._directory = str(directory)
        self._say = say
        self._acts = acts
        self._panes: dict[str, dict[str, Any]] = {}

    async def run(self) -> ScaledReport:
        """Go through the phases."""
        await self._measured("session-create", "session.create", name=SESSION)
        await self._count("begin")
        built = await self._watch("build", "SUCCESS", "kill")
        tested = await self._watch("test", "PASSED", "kill")
        healthy = await self._watch("db", "HEALTHY", "keep")
        await self._create("build", shell(_BUILD))
        await self._create("test", shell(_TEST))
        await self._create("logs", shell(_LOGS))
        await self._count("building and testing")
        await self._create("monitor", shell(_MONITOR))
        await self._create("metrics", shell(_METRICS))
        await self._create("db", python(_DATABASE))
        await self._count("watching")
        await self._create("cache", python(_CACHE))
        await self._count("peak")
        await self._client.call(
            "pane.send", pane=self._panes["cache"]["id"], text="warm", submit=True
        )
        await asyncio.gather(self._decided("build", built), self._decided("test", tested))
        await self._count("built and tested")
        deploy = await self._create("deploy", shell(_DEPLOY))
        freed = {self._panes[name]["window"] for name in ("build", "test")}
        self.report.slot_reused = deploy["window"] in freed
        await self._count("deploying into the freed slot")
        deployed = await self._client.call(
            "pane.wait", pane=deploy["id"], patterns=["DEPLOYED"], since=f"{1}.0", timeout=PATIENCE
        )
        self._say(f"  deploy: {deployed['line']}")
        await self._decided("db", healthy, "keep")
        await self._kill("monitor")
        await self._kill("metrics")
        await self._count("at rest")
        counted = await self._client.call("pane.count", session=SESSION)
        self.report.final = counted["count"]
        return self.report

    async def _watch(self, name: str, word: str, action: str) -> str:
        """Have the daemon act when a pane, which may be yet to come, prints a word."""
        made = await self._client.call(
            "watch.create", panes={"session": SESSION, "label": f"role={name}"}, fire="once",
            patterns=[rf"^.*\b{word}\b.*$"], actions=[{"do": action}],
        )  # fmt: skip
        return str(made["id"])

    async def _create(self, name: str, command: list[str]) -> dict[str, Any]:
        pane: dict[str, Any] = await self._measured(
            f"pane-create {name}", "pane.create", session=SESSION, name=name,
            command=command, cwd=self._directory, labels={"role": name},
        )  # fmt: skip
        self._panes[name] = pane
        return pane

    async def _kill(self, name: str) -> None:
        await self._measured(f"pane-kill {name}", "pane.kill", pane=self._panes[name]["id"])

    async def _measured(self, what: str, method: str, **params: Any) -> Any:
        began = time.perf_counter()
        answer = await self._client.call(method, **params)
        self._took(what, time.perf_counter() - began)
        return answer

    def _took(self, what: str, seconds: float) -> None:
        self.report.operations.append((what, seconds))
        self._say(f"  {what:<22}{seconds * 1000:7.1f} ms")

    async def _count(self, phase: str) -> None:
        count = (await self._client.call("pane.count", session=SESSION))["count"]
        self.report.timeline.append(count)
        self._say(f"{count} panes, {phase}")

    async def _decided(self, name: str, watch: str, action: str = "kill") -> None:
        """Wait until the daemon has decided about a pane by what that printed."""
        act = await self._acts.act(watch, action)
        decision = f"{name}: {action}, because it printed {act.text!r} ({act.result})"
        self.report.decisions.append(decision)
        self._say(f"  {decision}")
        if action == "kill":
            self._took(f"pane-kill {name}", act.seconds)


def main(invocation: "Invocation", params: dict[str, Any], entry: "Entry | None") -> int:
    """Run a demonstration; exit status 0 if everything was as it should be."""
    quiet = invocation.json or not sys.stdout.isatty()

    def say(line: str) -> None:
        print(line, file=sys.stderr if quiet else sys.stdout, flush=True)

    which = demo_events.whole if params.get("which") == "events" else whole
    report = asyncio.run(which(say))
    print(json.dumps(report.as_dict()) if invocation.json else report.shown())
    return 0 if report.passed else 1


async def whole(say: Say) -> ScaledReport:
    """Run the scaled demo on a daemon of its own."""

    async def run(client: aio.Client, directory: Path) -> ScaledReport:
        async with Acts(client) as acts:
            return await Demo(client, directory, say, acts).run()

    report: ScaledReport = await on_a_daemon(SESSION, run)
    return report
