"""Panes that end at once: is each end exact, told once, with the last line of its output?

``python tests/recovery/short_panes.py --panes 2000`` is the full form; the suite
runs a small one. They write 0 to 20,000 lines and run one after the other or
twenty at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "daemon"), str(Path(__file__).parents[2])]
sys.path.insert(1, str(Path(__file__).parents[2] / "client"))

from living import Daemon, Place

LINES = (0, 1, 3, 40, 200, 1000, 5000, 20_000)
ENDS = ("pane.exited", "pane.killed", "pane.lost")


async def one(daemon: Daemon, lines: int, status: int) -> str:
    """Run a short program in a pane; return the pane's id."""
    script = f"seq {lines}; echo last-$0; exit {status}"
    made = await daemon.call(
        "pane.create", session="short", place="window", command=["sh", "-c", script, str(status)]
    )
    return str(made["id"])


async def short_panes(panes: int, seed: int) -> dict[str, Any]:
    """Run the whole; return the figures. Raises AssertionError where a promise is broken."""
    dice = random.Random(seed)
    place = Place()
    began = time.perf_counter()
    expected: dict[str, tuple[int, int]] = {}
    found: dict[str, dict[str, Any]] = {}
    counted: collections.Counter[str] = collections.Counter()
    try:
        daemon = await place.start()
        await daemon.call("session.create", name="short", command=["sleep", "100000"])
        since = (await daemon.call("event.list", limit=1000))["next"]
        events = daemon.client.subscribe("event.subscribe", since=since, kinds=list(ENDS))
        while len(expected) < panes:
            batch = dice.choice((1, 1, 1, 20))
            wanted = [(dice.choice(LINES), dice.randrange(256)) for _ in range(batch)]
            made = await asyncio.gather(*(one(daemon, *wish) for wish in wanted))
            expected |= dict(zip(made, wanted, strict=True))
            while sum(counted.values()) < len(expected):
                event = await asyncio.wait_for(anext(events), 60)
                counted[event["pane"]] += 1
                pane = event["pane"]
                found[pane] = await daemon.call("pane.certificate", pane=pane)
        await events.aclose()
        wrong = [
            pane
            for pane, (_, status) in expected.items()
            if (found[pane]["exit"]["status"], found[pane]["exit"]["signal"]) != (status, None)
        ]
        cut = [
            pane
            for pane, (_, status) in expected.items()
            if found[pane]["exit"]["last_lines"][-1:] != [f"last-{status}"]
        ]
        twice = [pane for pane, count in counted.items() if count != 1]
        assert not wrong, f"{len(wrong)} ends are not exact: {found[wrong[0]]}"
        assert not cut, f"{len(cut)} last lines are missing: {found[cut[0]]}"
        assert not twice, f"{len(twice)} ends were told more than once"
        assert set(counted) == set(expected)
        return {"panes": len(expected), "seconds": round(time.perf_counter() - began, 1)}
    finally:
        await place.clean_up()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("seed", options.seed, flush=True)
    print(json.dumps(asyncio.run(short_panes(options.panes, options.seed))))


if __name__ == "__main__":
    main()
