"""What a command in a living shell costs, against ``subprocess.run(["bash", "-c", "true"])``.

``python tests/bench/exec.py [--json] [--quick]``. Every row is measured in turns with the
subprocess, so both see the same machine. Rows marked (abs) hold for this machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "daemon"), str(ROOT), str(ROOT / "client")]

import uvloop
from living import Daemon, Place

SHELLS = ("bash", "zsh", "sh", "fish")


def ordinary() -> float:
    """Return what the ordinary way takes, in seconds."""
    began = time.perf_counter()
    subprocess.run(["bash", "-c", "true"], check=True)
    return time.perf_counter() - began


async def executed(daemon: Daemon, pane: str) -> float:
    """Return what an exec of ``true`` takes, in seconds, once the prompt is back."""
    began = time.perf_counter()
    done = await daemon.call("pane.exec", pane=pane, command="true", timeout=30)
    took = time.perf_counter() - began
    assert (done["exit_code"], done["ended_by"]) == (0, "exit_code")
    await daemon.call("pane.wait", pane=pane, prompt=True, timeout=30)
    return took


async def one_shell(daemon: Daemon, shell: str, count: int) -> dict[str, Any]:
    """Measure a shell beside the ordinary way."""
    made = await daemon.call("session.create", name=f"bench-{shell}", shell=shell)
    pane = made["pane"]["id"]
    await daemon.call("pane.exec", pane=pane, command="true", timeout=30)
    ours, theirs = [], []
    for _ in range(count):
        ours.append(await executed(daemon, pane))
        theirs.append(ordinary())
    own, other = statistics.median(ours), statistics.median(theirs)
    return {
        "what": f"pane.exec true in {shell}",
        "p50_ms": own * 1000,
        "p99_ms": sorted(ours)[int(len(ours) * 0.99)] * 1000,
        "against": "subprocess.run bash -c true",
        "against_ms": other * 1000,
        "ratio": own / other,
    }


async def many(daemon: Daemon, panes: int, count: int) -> dict[str, Any]:
    """Measure execs in many panes at once."""
    made = await daemon.call("session.create", name="bench-many", shell="bash")
    ids = [made["pane"]["id"]]
    for _ in range(panes - 1):
        made = await daemon.call("pane.create", session="bench-many", shell="bash", place="window")
        ids.append(made["id"])
    await asyncio.gather(
        *(daemon.call("pane.exec", pane=p, command="true", timeout=60) for p in ids)
    )
    began = time.perf_counter()
    done = await asyncio.gather(
        *(
            daemon.call("pane.exec", pane=pane, command=f"echo {n}", queue=True, timeout=120)
            for n in range(count)
            for pane in ids
        )
    )
    took = time.perf_counter() - began
    assert all(one["ended_by"] == "exit_code" for one in done)
    rate = len(done) / took
    return {"what": f"{len(done)} execs over {panes} panes at once (abs)", "per_second": rate}


async def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything on a daemon of its own."""
    place = Place()
    try:
        daemon = await place.start()
        await daemon.connected()
        rows = [await one_shell(daemon, shell, 50 if quick else 300) for shell in SHELLS]
        rows.append(await many(daemon, 20, 5 if quick else 50))
        return rows
    finally:
        await place.clean_up()


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = uvloop.run(run(options.quick))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        if "ratio" in row:
            print(
                f"{row['what']:<42} p50 {row['p50_ms']:7.2f} ms  p99 {row['p99_ms']:7.2f} ms"
                f"  {row['ratio']:5.2f} x {row['against']} ({row['against_ms']:.2f} ms)"
            )
        else:
            print(f"{row['what']:<42} {row['per_second']:7.0f} /s")


if __name__ == "__main__":
    main()
