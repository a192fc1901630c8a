"""What a whole daemon costs, as ratios against named things measured in the same run.

``python tests/bench/daemon.py [--json] [--quick]``. Rows marked (abs) hold for
this machine only. "raw" is a control client of the same tmux server that sends
a bare ``new-window``; "and commits" adds two SQLite commits, synced as ours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT / "tests" / "daemon"),
    str(ROOT),
    str(ROOT / "client"),
    str(ROOT / "tests/bench"),
]

import rpc as bare
from living import Daemon, Place

from orchestratord.tmux.wire import Reply, Wire


class Raw:
    """A control client that does nothing but what it is asked."""

    def __init__(self, tmux_socket: Path) -> None:
        self._wire = Wire()
        self._process = subprocess.Popen(
            ["tmux", "-S", str(tmux_socket), "-f", "/dev/null", "-u", "-C", "attach", "-t",
             "=bench", "-f", "no-output,ignore-size"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.ask(b"display-message -p hello")

    def ask(self, line: bytes) -> Reply:
        """Send one line and wait for its reply."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        nonce = secrets.token_hex(16).encode()
        last = self._wire.expect(nonce, opaque=False)
        stdin.write(line + b" ; display-message -p " + nonce + b"\n" + last)
        stdin.flush()
        while True:
            for item in self._wire.feed(os.read(stdout.fileno(), 65536)):
                if isinstance(item, Reply):
                    return item

    def close(self) -> None:
        """Detach."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Commits:
    """The same two commits as a creation makes: an intent, unsynced, and a result, synced."""

    def __init__(self, directory: Path) -> None:
        self._db = sqlite3.connect(directory / "bench.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")

    def make(self) -> None:
        """Commit twice."""
        for level in ("NORMAL", "FULL"):
            self._db.execute(f"PRAGMA synchronous={level}")
            self._db.execute("BEGIN")
            for _ in range(3):
                self._db.execute("INSERT INTO t (a) VALUES (?)", ("x" * 300,))
            self._db.execute("COMMIT")


def p50(values: list[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(values) * 1000


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long an action took, and its result."""
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


async def timed_call(daemon: Daemon, method: str, **params: Any) -> tuple[float, Any]:
    """Return how long a call took, and its answer."""
    began = time.perf_counter()
    answer = await daemon.call(method, **params)
    return time.perf_counter() - began, answer


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return a process's resident MiB."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


async def creation(daemon: Daemon, place: Place, rounds: int) -> dict[str, float]:
    """Create and end panes in turns: raw, ours with argv, ours with a shell, libtmux's."""
    import libtmux

    await daemon.call("session.create", name="bench")
    raw, commits = Raw(place.tmux_socket), Commits(place.directory)
    home = libtmux.Server(socket_path=str(place.tmux_socket)).sessions.get(session_name="bench")
    assert home is not None
    parent = home.active_pane
    assert parent is not None
    times: dict[str, list[float]] = {
        n: [] for n in ("raw", "commits", "argv", "shell", "kill", "lib")
    }
    for turn in range(rounds):
        seconds, reply = timed(lambda: raw.ask(b'new-window -d -P -F "#{pane_id}" cat -'))
        times["raw"].append(seconds)
        await asyncio.sleep(0.03)
        raw.ask(b"kill-pane -t " + reply.bodies[0][0])
        times["commits"].append(timed(commits.make)[0])
        await asyncio.sleep(0.02)
        for kind, words in (("argv", {"command": ["cat", "-"]}), ("shell", {})):
            seconds, pane = await timed_call(
                daemon, "pane.create", session="bench", place="window", **words
            )
            times[kind].append(seconds)
            await asyncio.sleep(0.05)
            times["kill"].append((await timed_call(daemon, "pane.kill", pane=pane["id"]))[0])
            await asyncio.sleep(0.05)
        if turn < 8:
            seconds, made = await asyncio.to_thread(
                timed, lambda: parent.split(attach=False, shell="cat")
            )
            times["lib"].append(seconds)
            made.kill()
            await asyncio.sleep(0.05)
    raw.close()
    return {name: p50(values) for name, values in times.items()}


async def populate(daemon: Daemon, count: int) -> None:
    """Open that many idle panes, one window each."""
    have = (await daemon.call("pane.count"))["count"]
    gate = asyncio.Semaphore(8)

    async def one() -> None:
        async with gate:
            await daemon.call(
                "pane.create", session="bench", place="window", command=["sleep", "100000"]
            )

    await asyncio.gather(*(one() for _ in range(count - have)))
    await daemon.call("daemon.reconcile")


async def operation_cost(daemon: Daemon, rounds: int) -> float:
    """Return the median milliseconds of label, get and list of one session's pane."""
    made = await daemon.call(
        "pane.create", session="bench", command=["sleep", "1000"], place="window"
    )
    await asyncio.sleep(0.5)
    times = []
    for turn in range(rounds):
        began = time.perf_counter()
        await daemon.call("pane.label_set", pane=made["id"], labels={"n": str(turn)})
        await daemon.call("pane.get", pane=made["id"])
        await daemon.call("pane.capture", pane=made["id"])
        times.append(time.perf_counter() - began)
    await daemon.call("pane.kill", pane=made["id"])
    return p50(times)


async def idle(pid: int, seconds: float) -> float:
    """Return the share of a core, in per cent, that the process uses while nobody calls."""
    await asyncio.sleep(2)
    before, began = cpu(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return (cpu(pid) - before) / (time.perf_counter() - began) * 100


async def ping(place: Place, calls: int) -> tuple[float, float]:
    """Return microseconds, each the best of ten medians: a bare echo, and daemon.ping."""
    request = bare.REQUEST.replace(b"bench.ping", b"daemon.ping")
    echo_path = place.directory / "echo.sock"
    server = bare.multiprocessing.get_context("spawn").Process(
        target=bare.run, args=(bare.serve_echo, echo_path)
    )
    server.start()
    try:
        while not echo_path.exists():
            await asyncio.sleep(0.01)
        with bare.connect(echo_path) as echo, bare.connect(place.socket) as ours:
            one, two = [], []
            for _ in range(10):  # in turns: where the scheduler puts a server decides much
                one.append(statistics.median(bare.round_trips(echo, request, calls // 10)))
                two.append(statistics.median(bare.round_trips(ours, request, calls // 10)))
    finally:
        server.terminate()
        server.join()
    return min(one), min(two)


async def restart(place: Place, daemon: Daemon) -> tuple[Daemon, float, float]:
    """Kill -9 and start again; return the daemon, seconds to the first answer and to the panes."""
    began = time.perf_counter()
    await daemon.kill()
    daemon = await place.start()
    first = time.perf_counter() - began
    await daemon.connected()
    return daemon, first, time.perf_counter() - began


async def measure(quick: bool) -> list[dict[str, Any]]:
    """Measure everything; return the rows."""
    rounds, many, most = (10, 60, 100) if quick else (60, 300, 500)
    place = Place()
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, reach: str) -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "reach": reach})

    try:
        daemon = await place.start()
        await daemon.connected()
        made = await creation(daemon, place, rounds)
        floor = made["raw"] + made["commits"]
        row("raw new-window over control mode", made["raw"], "ms (abs)", "")
        row("the same commits", made["commits"], "ms (abs)", "")
        row("pane.create, argv", made["argv"] / floor, "x raw and commits", "<= 1.7")
        row("pane.create, shell", made["shell"] / floor, "x raw and commits", "<= 1.3")
        row("libtmux split / pane.create", made["lib"] / made["argv"], "x", ">= 10")
        row("pane.kill", made["kill"], "ms (abs)", "")
        echo, ours = await ping(place, 2000 if quick else 20000)
        row("bare uvloop echo", echo, "us (abs)", "")
        row("daemon.ping", ours / echo, "x bare uvloop echo", "<= 2")
        await populate(daemon, 8)
        at_8 = await operation_cost(daemon, rounds)
        await populate(daemon, many)
        lists = [(await timed_call(daemon, "pane.list"))[0] for _ in range(rounds)]
        row(f"pane.list of {many} panes", p50(lists), "ms (abs)", "<= 2")
        row(
            f"idle, {many} panes, daemon",
            await idle(daemon.process.pid, 3 if quick else 20),
            "% of a core",
            "< 0.3",
        )
        row(f"idle, {many} panes, daemon", memory(daemon.process.pid), "MiB (abs)", "<= 60")
        daemon, first, whole = await restart(place, daemon)
        row(f"restart with {many} panes, first answer", first, "s (abs)", "<= 1")
        row(f"restart with {many} panes, tmux connected", whole, "s (abs)", "<= 2")
        await populate(daemon, most)
        at_most = await operation_cost(daemon, rounds)
        row(f"cost per operation, 8 -> {most} panes", at_most / at_8, "x", "<= 1.5")
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
    rows = asyncio.run(measure(options.quick))
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['what']:<45}{row['value']:>10} {row['unit']:<20}{row['reach']}")


if __name__ == "__main__":
    main()
