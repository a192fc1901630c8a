"""``orchctl demo events``: stages that are triggered by what a pane prints.

An orchestrator pane prints ``TRIGGER: stage``; the daemon's watches open the panes of
that stage, hear them say that they are done, close them, and tell the orchestrator, which
goes on. The client only sets this up and looks on. Never more than six panes.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchctl import aio
from orchctl.demo_home import (
    PATIENCE,
    Acts,
    Report,
    Say,
    head,
    on_a_daemon,
    rows_about_daemon,
    table,
)

SESSION = "events"
MOST_PANES = 6

_ORCHESTRATOR = """
read -r go
for stage in analysis build test deploy; do
  echo "TRIGGER: $stage"
  case $stage in analysis|test) left=2 ;; *) left=1 ;; esac
  while [ "$left" -gt 0 ]; do read -r word && [ "$word" = done ] && left=$((left - 1)); done
done
echo "ALL STAGES DONE"; sleep 60"""
_EVENTS = 'touch events.log; echo "following events.log"; exec tail -F events.log'
_LOAD = 'while :; do read -r load rest </proc/loadavg; echo "load $load"; sleep 0.2; done'

_PROJECT = {
    "app.py": "def double(n: int) -> int:\n    return 2 * n\n",
    "test_app.py": (
        "import unittest\nfrom app import double\n\n\nclass Double(unittest.TestCase):\n"
        "    def test_it_doubles(self) -> None:\n        self.assertEqual(double(21), 42)\n"
    ),
}

_LINT = """
import pathlib
for file in sorted(pathlib.Path(".").glob("*.py")):
    compile(file.read_text(), file.name, "exec")
    assert all(len(line) < 100 for line in file.read_text().splitlines()), file
    print(file, "is clean")"""
_TYPES = """
import inspect, app
for name, function in inspect.getmembers(app, inspect.isfunction):
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty, name
    print(name, signature)"""
_BUILD = """
import pathlib, zipfile
with zipfile.ZipFile("app.zip", "w") as archive: archive.write("app.py")
assert zipfile.ZipFile("app.zip").testzip() is None
print("app.zip has", pathlib.Path("app.zip").stat().st_size, "bytes")"""
_TEST = """
import unittest
assert unittest.main("test_app", exit=False).result.wasSuccessful()"""
_SECURITY = """
import ast, pathlib
calls = [n for n in ast.walk(ast.parse(pathlib.Path("app.py").read_text()))
         if isinstance(n, ast.Call) and getattr(n.func, "id", "") in ("eval", "exec")]
assert not calls
print("no eval, no exec")"""
_DEPLOY = """
import pathlib, sys, zipfile
zipfile.ZipFile("app.zip").extractall("live"); sys.path.insert(0, "live")
from app import double
print("live:", double(21))
with open("events.log", "a") as log: log.write("deployed\\n")"""

STAGES: Mapping[str, Mapping[str, str]] = {
    "analysis": {"linter": _LINT, "types": _TYPES},
    "build": {"build": _BUILD},
    "test": {"test": _TEST, "security": _SECURITY},
    "deploy": {"deploy": _DEPLOY},
}
"""The panes of each stage."""


@dataclass
class EventsReport(Report):
    """What was seen of the stages."""

    stages: list[str] = field(default_factory=list)
    reactions: list[float] = field(default_factory=list)
    created: int = 0
    killed: int = 0
    peak: int = 0
    final: int = 0

    @property
    def passed(self) -> bool:
        """Whether every stage came, in its order, by what was printed."""
        wanted = sum(len(panes) for panes in STAGES.values())
        return (
            self.stages == list(STAGES)
            and self.created == self.killed == wanted
            and self.peak <= MOST_PANES
            and self.final == 3
            and not self.left_behind
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "passed": self.passed,
            "stages": self.stages,
            "panes_created_by_watches": self.created,
            "panes_killed_by_watches": self.killed,
            "peak_panes": self.peak,
            "final_panes": self.final,
            "slowest_reaction_seconds": round(max(self.reactions, default=0.0), 4),
            **self.about_daemon(),
        }

    def shown(self) -> str:
        """Return the report for people."""
        return table(
            "Report",
            [
                ("stages", " -> ".join(self.stages)),
                ("opened by watches", f"{self.created} panes"),
                ("closed by watches", f"{self.killed} panes"),
                ("peak, final", f"{self.peak}, {self.final}"),
                ("slowest reaction",
                 f"{max(self.reactions, default=0.0) * 1000:.0f} ms from a line to its panes"),
                *rows_about_daemon(self),
            ],
            self.passed,
        )  # fmt: skip


async def whole(say: Say) -> EventsReport:
    """Run it on a daemon of its own."""

    async def run(client: aio.Client, directory: Path) -> EventsReport:
        for name, text in _PROJECT.items():
            (directory / name).write_text(text)
        async with Acts(client) as acts:
            return await _stages(client, directory, say, acts)

    report: EventsReport = await on_a_daemon(SESSION, run)
    return report


async def _stages(client: aio.Client, directory: Path, say: Say, acts: Acts) -> EventsReport:
    cwd = str(directory)
    made = await client.call("session.create", name=SESSION, cwd=cwd, command=_sh(_ORCHESTRATOR))
    orchestrator = made["pane"]["id"]
    for name, script in (("log", _EVENTS), ("load", _LOAD)):
        await client.call("pane.create", session=SESSION, name=name, cwd=cwd, command=_sh(script))
    triggers = {name: await _trigger(client, orchestrator, name, cwd) for name in STAGES}
    await client.call(
        "watch.create", panes={"label": "stage"}, patterns=["^STAGE OK$"],
        actions=[
            {"do": "kill"}, {"do": "send", "pane": orchestrator, "text": "done", "submit": True},
        ],
    )  # fmt: skip
    begin = await head(client)
    await client.call("pane.send", pane=orchestrator, text="go", submit=True)
    report = EventsReport()
    for name, watch in triggers.items():
        act = await acts.act(watch, "create")
        report.stages.append(name)
        report.reactions.append(act.seconds)
        report.decisions.append(f"{act.text!r} opened {', '.join(STAGES[name])}")
        say(f"  {act.text!r} -> {', '.join(STAGES[name])}, after {act.seconds * 1000:.0f} ms")
    done = await client.call(
        "pane.wait", pane=orchestrator, patterns=["^ALL STAGES DONE$"], since="1.0",
        timeout=PATIENCE,
    )  # fmt: skip
    say(f"  {done['line']}")
    await _count(client, begin, report)
    return report


async def _trigger(client: aio.Client, orchestrator: str, stage: str, cwd: str) -> str:
    """Have the daemon open a stage's panes when the orchestrator asks for it."""
    made = await client.call(
        "watch.create", panes={"ids": [orchestrator]}, patterns=[f"^TRIGGER: {stage}$"],
        fire="once",
        actions=[
            {"do": "create", "name": name, "cwd": cwd, "labels": {"stage": stage},
             "command": [sys.executable, "-u", "-c", f"{script}\n{_DONE}"]}
            for name, script in STAGES[stage].items()
        ],
    )  # fmt: skip
    return str(made["id"])


_DONE = """
print("STAGE OK")
import time
time.sleep(60)"""


async def _count(client: aio.Client, since: int, report: EventsReport) -> None:
    """Count by the daemon's own events how many panes there were."""
    have = report.peak = 3
    told = await client.call(
        "event.list", since=since, kinds=["pane.created", "pane.killed", "pane.exited"]
    )
    for event in told["events"]:
        born = event["kind"] == "pane.created"
        have += 1 if born else -1
        report.created += born
        report.killed += event["kind"] == "pane.killed"
        report.peak = max(report.peak, have)
    report.final = (await client.call("pane.count", session=SESSION))["count"]


def _sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]
