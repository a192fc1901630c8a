"""What patterns on live output cost: how late a match is told, and what a flood loses by them.

``python tests/bench/patterns.py [--json] [--quick]``. A flood is written by 20 panes at
once, in turns with no watch, with one pattern and with a hundred; every planted line
must be told once. Rows marked (abs) hold for this machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT / "tests" / "daemon"),
    str(ROOT),
    str(ROOT / "client"),
    str(ROOT / "tests/bench"),
]

import uvloop
from daemon import cpu, memory
from living import Daemon, Place
from orchctl.aio import Client

PANES = 20
PATTERNS = 100
PLANTED = 50
"""Planted lines of each pane."""

FLOOD = """
import os, sys, time
pane, lines, planted, gate, done = sys.argv[1:]
lines, planted = int(lines), int(planted)
step = max(1, lines // planted)
out = [
    f"\\x1b[1mneedle\\x1b[0m-{n // step % 100}-found in {pane} at {n // step}\\n"
    if n % step == 0 and n // step < planted
    else f"{n:07} compiling some/module/of/the/program.c with flags -O2\\n"
    for n in range(lines)
]
text = "".join(out).encode()
print("ready", flush=True)
while not os.path.exists(gate):
    time.sleep(0.005)
began = time.perf_counter()
view = memoryview(text)
for at in range(0, len(view), 65536):
    sys.stdout.buffer.write(view[at : at + 65536])
sys.stdout.buffer.flush()
with open(done + ".part", "w") as file:
    file.write(str(time.perf_counter() - began))
os.rename(done + ".part", done)
time.sleep(1000)
"""

TICKER = """
import sys, time
rate, every, until = int(sys.argv[1]), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
number, at = 0, time.monotonic()
while at < until:
    number += 1
    if number % every == 0:
        print(f"stamp {time.time():.6f} is here", flush=True)
    else:
        print(f"{number} nothing to see in this line", flush=True)
    at += 1 / rate
    time.sleep(max(0, at - time.monotonic()))
time.sleep(1000)
"""


async def flood(place: Place, patterns: int, lines: int) -> dict[str, float]:
    """Let all panes flood once; return seconds, CPU seconds of the daemon, MiB."""
    daemon = await place.start()
    gate = place.directory / f"gate.{time.monotonic_ns()}"
    await daemon.call("session.create", name="bench", command=["sleep", "10000"])
    panes = []
    for number in range(PANES):
        done = place.directory / f"done.{number}"
        done.unlink(missing_ok=True)
        words = [sys.executable, "-c", FLOOD, str(number), str(lines), str(PLANTED), str(gate),
                 str(done)]  # fmt: skip
        made = await daemon.call("pane.create", session="bench", place="window", command=words)
        panes.append((made["id"], done))
    for pane, _ in panes:
        await daemon.call("pane.wait", pane=pane, patterns=["ready"], since="1.0", timeout=60)
    if patterns:
        listed = [rf"needle-{n}-found in (\d+) at (\d+)$" for n in range(PATTERNS)]
        wanted = listed if patterns > 1 else [r"needle-\d+-found in (\d+) at (\d+)$"]
        await daemon.call("watch.create", panes={"session": "bench"}, patterns=wanted)
    events = Events(place)
    await events.begin()
    before, began = cpu(daemon.process.pid), time.perf_counter()
    gate.touch()
    while not all(done.exists() for _, done in panes):
        await asyncio.sleep(0.01)
    written = time.perf_counter() - began
    own = statistics.median(float(done.read_text()) for _, done in panes)
    peak = memory(daemon.process.pid)
    if patterns:
        found = await events.collect(PANES * PLANTED)
        told = Counter(event["data"]["match"] for event in found)
        wrong = [match for match, count in told.items() if count != 1]
        assert len(told) == PANES * PLANTED and not wrong, (len(told), wrong[:3])
        lagged = await daemon.call("event.list", kinds=["watch.lagged"], limit=10)
        assert not lagged["events"], lagged
    whole = time.perf_counter() - began
    used = cpu(daemon.process.pid) - before
    ends = [(await daemon.call("pane.get", pane=pane))["cursor"] for pane, _ in panes]
    size = sum(int(end.partition(".")[2]) for end in ends)
    await events.close()
    await leave(daemon)
    return {"own": own, "written": written, "whole": whole, "cpu": used, "mib": size / 2**20,
            "peak": peak}  # fmt: skip


async def leave(daemon: Daemon) -> None:
    """End what a run has made, for watches outlive their daemon."""
    for watch in await daemon.call("watch.list"):
        await daemon.call("watch.delete", watch=watch["id"])
    await daemon.call("session.kill", session="bench", grace=0)
    await daemon.end()


class Events:
    """A subscriber of matches, on a connection of its own."""

    def __init__(self, place: Place) -> None:
        self._client = Client(str(place.socket))
        self._found: list[tuple[float, Any]] = []
        self._task: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    async def begin(self) -> None:
        await self._client.open(10)
        stream = self._client.subscribe("event.subscribe", kinds=["watch.matched"])
        first = await self._client.call("daemon.ping")
        assert first
        self._task = asyncio.create_task(self._follow(stream))
        await asyncio.sleep(0.2)

    async def _follow(self, stream: Any) -> None:
        async for event in stream:
            self._found.append((time.time(), event))
            self._more.set()

    async def collect(self, count: int) -> list[Any]:
        while len(self._found) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 60)
        await asyncio.sleep(0.2)  # what is told twice comes now
        return [event for _, event in self._found]

    def delays(self) -> list[float]:
        """Return how late each stamp was told, in milliseconds."""
        return [(at - float(event["data"]["match"].split()[1])) * 1000 for at, event in self._found]

    async def close(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._client.close()


async def latency(place: Place, idle: int, busy: int, seconds: float) -> dict[str, float]:
    """Return p50 and p99 in milliseconds from the writing to the subscriber."""
    daemon = await place.start()
    await daemon.call("session.create", name="bench", command=["sleep", "10000"])
    gate = asyncio.Semaphore(8)

    async def pane(*words: str) -> None:
        async with gate:
            await daemon.call("pane.create", session="bench", place="window", command=list(words))

    await asyncio.gather(*(pane("sleep", "10000") for _ in range(idle)))
    wanted = [r"stamp \d+\.\d+", *(f"needle-{n}" for n in range(19))]
    await daemon.call("watch.create", panes={"all": True}, patterns=wanted)
    events = Events(place)
    await events.begin()
    await asyncio.gather(
        *(pane(sys.executable, "-c", TICKER, "200", "20", str(seconds)) for _ in range(busy))
    )
    await asyncio.sleep(seconds + 2)
    delays = sorted(events.delays())
    await events.close()
    await leave(daemon)
    return {
        "count": len(delays), "p50": statistics.median(delays),
        "p99": delays[int(len(delays) * 0.99)],
    }  # fmt: skip


async def measure(quick: bool) -> list[dict[str, Any]]:
    """Measure everything; return the rows."""
    lines, rounds = (10_000, 1) if quick else (50_000, 3)
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, reach: str) -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "reach": reach})

    place = Place()
    try:
        late = await latency(place, 20 if quick else 90, 4 if quick else 10, 2 if quick else 10)
        row(f"match told, p50 of {late['count']:.0f}", late["p50"], "ms (abs)", "<= 3")
        row("match told, p99", late["p99"], "ms (abs)", "<= 25")
        runs: dict[int, list[dict[str, float]]] = {0: [], 1: [], PATTERNS: []}
        for _ in range(rounds):
            for patterns, done in runs.items():
                done.append(await flood(place, patterns, lines))
        middle = {
            patterns: {key: statistics.median(run[key] for run in done) for key in done[0]}
            for patterns, done in runs.items()
        }
        none = middle[0]
        row(f"flood of {PANES * lines} lines, nobody looks", none["mib"] / none["written"],
            "MiB/s (abs)", "")  # fmt: skip
        for patterns in (1, PATTERNS):
            run = middle[patterns]
            name = f"{patterns} patterns" if patterns > 1 else "1 pattern"
            row(f"{name}: throughput", none["written"] / run["written"], "x nobody looks", ">= 0.9")
            row(f"{name}: until all was told", run["whole"] / none["written"], "x nobody looks", "")
            row(f"{name}: a pane's own writing", run["own"] / none["own"], "x nobody looks", "")
            row(f"{name}: daemon's CPU", (run["cpu"] - none["cpu"]) / run["mib"] * 1000,
                "ms/MiB (abs)", "<= 25")  # fmt: skip
            row(f"{name}: daemon", run["peak"], "MiB (abs)", "<= 150")
    finally:
        with contextlib.suppress(ProcessLookupError):
            await place.clean_up()
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = uvloop.run(measure(options.quick))
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['what']:<45}{row['value']:>10} {row['unit']:<20}{row['reach']}")


if __name__ == "__main__":
    main()
