#!/usr/bin/env python3
"""Compare the ways in which pane output can reach the daemon, on a real tmux.

Owns a private tmux server for each measurement (own socket, `-f /dev/null -u`) and ends it by
process id. Knows nothing of `orchestratord`: it needs only the standard library, so that a path
is judged apart from the code that would use it. Run by people, not by the suite:

    python3 tests/bench/output_path.py [--quick] [--json FILE] [--only none,control,spool]

Paths: `none` (no reader: the base of the slow-down), `control` (hub session, `%extended-output`),
`handover` (`pipe-pane` whose helper gives its standard input to us by SCM_RIGHTS and exits),
`spool` (`pipe-pane` to one `cat` a pane that appends to a file; inotify, pread, hole punching).
A `-discard` variant reads and throws away: the ceiling for any reader on that path.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from output_bed import (
    MIB,
    PYTHON,
    SLEEP,
    Figures,
    Loop,
    Reader,
    Server,
    cpu,
    percentile,
    proc_kib,
    reaped_cpu,
)
from output_routes import ROUTES, Control, bed


def creation(name: str, count: int) -> Figures:
    """Time the creating line of the path against a bare new-window, in turns of ten.

    Turns of one would charge the bare line for the helper that still starts in the background.
    """
    bare: list[float] = []
    full: list[float] = []
    helpers = 0.0
    with bed(name) as (server, route, _):
        for turn in range(count // 5):
            extra, taken = (route.extra(), full) if turn % 2 else ("", bare)
            before = reaped_cpu(server.pid) + sum(map(cpu, route.copiers()))
            for _ in range(10):
                began = time.monotonic()
                server.create(extra, *SLEEP)
                taken.append((time.monotonic() - began) * 1e3)
            server.loop.pump(0.2)  # helpers and copiers finish their start
            after = reaped_cpu(server.pid) + sum(map(cpu, route.copiers()))
            helpers += (after - before) * (1 if extra else -1)
    return {
        "create bare p50 ms": percentile(bare, 0.5),
        "create bare p90 ms": percentile(bare, 0.9),
        "create p50 ms": percentile(full, 0.5),
        "create p90 ms": percentile(full, 0.9),
        "create p50 / bare": percentile(full, 0.5) / percentile(bare, 0.5),
        "create helper CPU ms": helpers / count * 1e3,
    }


def flood(name: str, panes: int, lines: int) -> Figures:
    """Let all panes print a coloured file at once; the panes time themselves."""
    with bed(name) as (server, route, reader):
        work, text, gate = server.work, server.work / "flood", server.work / "gate"
        text.write_text("".join(f"\x1b[3{i % 8}m{i:06d}\x1b[0m ok\n" for i in range(lines)))
        os.mkfifo(gate)
        opened = os.open(gate, os.O_RDWR)
        for i in range(panes):
            # Closing the gate gives all panes end of file in the same moment.
            script = (
                f"exec 9<{gate}; >{work}/ready.{i}; read x <&9; b=$(date +%s%N); cat {text};"
                f"e=$(date +%s%N); printf 'DONE-{i}\\nDONE-{i}\\n'; echo $((e-b)) >{work}/t.{i};"
                f"mv {work}/t.{i} {work}/took.{i}; exec sleep 900"
            )
            server.create(route.extra(), "sh", "-c", script)

        def came(what: str) -> bool:
            return len(list(work.glob(f"{what}.*"))) == panes

        server.loop.pump(20, lambda: came("ready"))
        server.loop.pump(0.3)
        pids = route.copiers()
        pss = [proc_kib(pid, "smaps_rollup", "Pss") for pid in pids] or [0]
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # resets VmHWM, the peak
        copied, served, read = sum(map(cpu, pids)), cpu(server.pid), time.process_time()
        began = time.monotonic()
        os.close(opened)
        if name == "none":
            server.loop.pump(60, lambda: came("took"))
            reader.last_byte = time.monotonic()
        else:
            reader.last_byte = began
            server.loop.pump(60, lambda: len(reader.hits) == panes or reader.quiet())
        wall, read = reader.last_byte - began, time.process_time() - read
        served, copied = cpu(server.pid) - served, sum(map(cpu, pids)) - copied
        server.loop.pump(5, lambda: came("took"))
        took = [int(path.read_text()) / 1e9 for path in work.glob("took.*")]
        size = panes * (text.stat().st_size + lines) / MIB  # the tty adds a CR to each line
        return {
            # For control-discard these are the escaped bytes with their heads.
            "flood bytes read %": 100 * reader.bytes / MIB / size,
            "flood ends seen": len(reader.hits),
            "flood wall s": wall,
            "flood MiB/s": size / wall,
            "flood pane mean s": statistics.fmean(took),
            "flood tmux CPU s": served,
            "flood tmux peak MiB": proc_kib(server.pid, "status", "VmHWM") / 1024,
            "flood reader CPU s": read,
            "flood reader ms/MiB": read * 1e3 / size,
            "flood copier CPU s": copied,
            "flood pauses": route.pauses,
            "flood spool left MiB": sum(p.stat().st_blocks for p in work.glob("spool/*")) / 2048,
            "copier PSS KiB a pane": statistics.fmean(pss),
        }


def latency(name: str, samples: int) -> Figures:
    """Write a line on a quiet pane's terminal ourselves, so that no program's start counts."""
    figures: Figures = {}
    with bed(name) as (server, route, reader):
        tty = os.open(server.create(route.extra(), *SLEEP)[1], os.O_WRONLY | os.O_NOCTTY)
        for busy in (0, 3):
            for _ in range(busy):
                server.create(route.extra(), *printing(12000, 200))
            server.loop.pump(0.5)
            taken: list[float] = []
            for i in range(samples):
                mark = b"MARK-%d" % (busy * 10000 + i)
                began = time.monotonic()
                os.write(tty, mark + b"\n")
                server.loop.pump(2, functools.partial(reader.hits.__contains__, mark))
                taken.append((reader.hits.get(mark, began + 2) - began) * 1e3)
                server.loop.pump(0.003)
            figures[f"latency {busy} busy p50 ms"] = percentile(taken, 0.5)
            figures[f"latency {busy} busy p99 ms"] = percentile(taken, 0.99)
        os.close(tty)
    return figures


def printing(lines: int, rate: int) -> tuple[str, ...]:
    """Return the argv of a program that prints numbered lines at a rate, then END."""
    code = (
        f"import time;[(print(f'N-{{i}}', flush=True), time.sleep({1 / rate}))"
        f" for i in range({lines})];print('END-1', flush=True);time.sleep(900)"
    )
    return (*PYTHON.split(), code)


def final(name: str, panes: int, together: int) -> Figures:
    """Count the short panes whose last line came through.

    `together` is how many are being created at a time. One at a time leaves the machine idle
    between them: then tmux reaps a pane before the kernel has shown it the pane's last bytes.
    """
    with bed(name) as (server, route, reader):
        for i in range(panes):
            script = f"seq 1 500; echo LAST-{i}; exit 3"
            server.submit(server.creating(route.extra(), "sh", "-c", script))
            server.loop.pump(5, lambda: server.sent - server.replied < together)
            if together == 1:
                server.loop.pump(0.02)
        server.loop.pump(20, lambda: len(reader.hits) == panes or reader.quiet())
        return {f"last line % {together} at once": 100 * len(reader.hits) / panes}


@contextlib.contextmanager
def reading(name: str, server: Server, resume: dict[str, int]) -> Iterator[None]:
    """Run the path's reader in a child that appends all it reads to the record; kill -9 it."""
    told, tell = os.pipe()
    if not (child := os.fork()):
        try:
            record = os.open(server.work / "record", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            server.loop = Loop()  # the parent's epoll descriptor is shared across fork
            ROUTES[name](server, Reader(record=record)).start(resume)
            os.write(tell, b"r")
            server.loop.pump(30)
        finally:
            os._exit(1)
    os.close(tell)
    try:
        if not os.read(told, 1):
            raise RuntimeError("the reader did not start")
        yield
    finally:
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def restart(name: str, lines: int) -> Figures:
    """Kill the reader for a second, start it again, and count the lines missing on record.

    Only the stream counts: `control` could take lost rows from the screen's history, as text.
    """
    with bed("none") as (server, _, _):
        record, route = server.work / "record", ROUTES[name](server, Reader())
        with reading(name, server, {}):
            pane, _ = server.create(route.extra(), *printing(lines, 500))
            server.loop.pump(5, lambda: record.stat().st_size > 2000)
        server.loop.pump(1)
        with reading(name, server, {pane: record.stat().st_size}):
            server.loop.pump(lines / 500 + 2, lambda: b"END-1\r" in record.read_bytes())
        seen = [int(n) for n in re.findall(rb"^N-(\d+)\r$", record.read_bytes(), re.MULTILINE)]
    return {
        "restart lines missing": lines - len(set(seen)),
        "restart lines twice": len(seen) - len(set(seen)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one small round, below 30 s")
    parser.add_argument("--json", type=Path, help="write the medians and every round here")
    parser.add_argument("--only", help="paths, comma-separated")
    parser.add_argument("--pause-after", type=int, default=1, help="seconds, for control")
    options = parser.parse_args()
    Control.pause_after = options.pause_after
    names = [name + variant for name in ROUTES for variant in ("", "-discard")]
    names.remove("none-discard")
    names = options.only.split(",") if options.only else names
    quick: bool = options.quick
    rounds: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(1 if quick else 3):  # paths in turns, so that a busy minute hits them all
        for name, taken in rounds.items():
            figures = flood(name, 20, 20_000 if quick else 115_000)
            if name in ROUTES and name != "none":
                figures |= creation(name, 20 if quick else 60)
                figures |= latency(name, 40 if quick else 200)
                figures |= final(name, 40 if quick else 200, 8)
                figures |= final(name, 40 if quick else 200, 1)
                figures |= restart(name, 1200)
            taken.append(figures)
            print(f"{name} ", end="", file=sys.stderr, flush=True)
    medians = {
        name: {key: statistics.median(row[key] for row in taken) for key in taken[0]}
        for name, taken in rounds.items()
    }
    if base := medians.get("none"):
        for row in medians.values():
            row["flood slow-down"] = row["flood pane mean s"] / base["flood pane mean s"]
    print(f"\n{'':24}" + "".join(f"{name:>17}" for name in medians))
    for key in dict.fromkeys(key for row in medians.values() for key in row):
        cells = (f"{row[key]:17.2f}" if key in row else " " * 17 for row in medians.values())
        print(f"{key:24}" + "".join(cells))
    if options.json:
        options.json.write_text(json.dumps({"medians": medians, "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()
