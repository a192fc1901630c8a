"""kill -9 of a whole daemon at random moments under load, and what must hold after each.

``python tests/recovery/daemon_storm.py --kills 300 --panes 100`` is the full
form; the suite runs a small one. Callers create, label and kill panes side by
side and note what was acknowledged. After each kill a new daemon answers; at
the end tmux itself, asked by its command line, and the journal are compared
with the notes: nothing acknowledged is lost, nothing is doubled, no pane of
the others ended, no number is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "daemon"), str(Path(__file__).parents[2])]
sys.path.insert(1, str(Path(__file__).parents[2] / "client"))

from living import Daemon, Place
from orchctl.aio import Lost, RpcError

EXTRA = 20
"""Panes that callers have open at once, beside the others."""

ENDINGS = ("pane.exited", "pane.killed", "pane.lost")


@dataclass
class Notes:
    """What was acknowledged, and what was asked for when the daemon died."""

    created: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    kill_asked: set[str] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    label_asked: dict[str, int] = field(default_factory=dict)
    answers: list[float] = field(default_factory=list)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    open: list[str] = field(default_factory=list)


async def caller(daemon: Daemon, base: list[str], notes: Notes, dice: random.Random) -> None:
    """Create, label and kill until the daemon is gone."""
    try:
        while True:
            action = dice.random()
            if action < 0.35 and len(notes.open) < EXTRA:
                made = await daemon.call(
                    "pane.create", session="storm", command=["sleep", "100000"], place="window"
                )
                notes.created.add(made["id"])
                notes.open.append(made["id"])
            elif action < 0.6 and notes.open:
                doomed = notes.open.pop()
                notes.kill_asked.add(doomed)
                await daemon.call("pane.kill", pane=doomed)
                notes.killed.add(doomed)
            else:
                pane = dice.choice(base)
                number = notes.label_asked.get(pane, 0) + 1
                notes.label_asked[pane] = number
                await daemon.call("pane.label_set", pane=pane, labels={f"n{number}": "x"})
                notes.labels[pane] = max(number, notes.labels.get(pane, 0))
                await daemon.call("pane.label_unset", pane=pane, labels=[f"n{number}"])
    except Lost:
        return
    except RpcError as refused:
        notes.refused[refused.kind] += 1
        if refused.kind not in ("Unavailable", "TmuxGone"):
            raise


async def storm(kills: int, panes: int, seed: int) -> dict[str, Any]:
    """Run the whole; return the figures. Raises AssertionError where a promise is broken."""
    dice = random.Random(seed)
    notes = Notes()
    place = Place()
    try:
        daemon = await place.start()
        await daemon.call("session.create", name="storm")
        base = []
        for _ in range(panes):
            made = await daemon.call(
                "pane.create", session="storm", command=["sleep", "100000"], place="window"
            )
            base.append(made["id"])
        pids = {p["id"]: p["pid"] for p in await daemon.call("pane.list")}
        rounds = 0
        while rounds < kills or not (notes.created and notes.killed):
            rounds += 1
            callers = [asyncio.create_task(caller(daemon, base, notes, dice)) for _ in range(4)]
            await asyncio.sleep(dice.uniform(0.005, 0.4))
            began = time.perf_counter()
            await daemon.kill()
            await asyncio.gather(*callers)
            daemon = await place.start()
            notes.answers.append(time.perf_counter() - began)
        await daemon.connected()
        await check(daemon, place, base, pids, notes)
        notes.answers.sort()
        return {
            "kills": rounds, "panes": panes, "created": len(notes.created),
            "killed": len(notes.killed), "labels": sum(notes.labels.values()),
            "refused": dict(notes.refused),
            "answer_p50": round(notes.answers[len(notes.answers) // 2], 3),
            "answer_max": round(notes.answers[-1], 3),
        }  # fmt: skip
    finally:
        await place.clean_up()


async def check(
    daemon: Daemon, place: Place, base: list[str], pids: dict[str, int], notes: Notes
) -> None:
    """Compare the daemon, tmux and the journal with the notes."""
    shown, in_tmux = await settled(daemon, place)
    assert max(in_tmux.values()) == 1, "a pane is doubled"
    assert set(in_tmux) == set(shown), (set(in_tmux) ^ set(shown), "daemon and tmux differ")
    for pane, pid in pids.items():
        assert shown[pane]["pid"] == pid, f"{pane} has another process"
    for pane in notes.created - notes.kill_asked:
        assert pane in shown, f"acknowledged creation of {pane} is lost"
    events = await every_event(daemon)
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the journal has a gap"
    kinds = collections.Counter((e["kind"], e.get("pane")) for e in events)
    for pane in {*notes.created, *base}:
        assert kinds["pane.created", pane] == 1, (
            f"{pane} was created {kinds['pane.created', pane]}x"
        )
        ends = sum(kinds[kind, pane] for kind in ENDINGS)
        assert ends == (0 if pane in shown else 1), f"{pane} ended {ends} times"
    for pane in notes.killed:
        assert kinds["pane.killed", pane] == 1, f"acknowledged kill of {pane} is lost"
    told = {
        (event["pane"], key)
        for event in events
        if event["kind"] == "pane.labeled"
        for key in event["data"]["labels"]
    }
    for pane, number in notes.labels.items():
        assert (pane, f"n{number}") in told, f"acknowledged label {number} of {pane} is lost"


async def settled(
    daemon: Daemon, place: Place
) -> tuple[dict[str, dict[str, Any]], collections.Counter[str]]:
    """Return what the daemon and tmux show once they agree, or after a minute."""
    ends = time.monotonic() + 60
    while True:
        await daemon.call("daemon.reconcile")
        shown = {p["id"]: p for p in await daemon.call("pane.list")}
        listed = subprocess.run(
            ["tmux", "-S", str(place.tmux_socket), "list-panes", "-a", "-F", "#{@orch_id}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        in_tmux = collections.Counter(filter(None, listed.stdout.split("\n")))
        alive = all(p["exit"] is None for p in shown.values())
        if (set(in_tmux) == set(shown) and alive) or time.monotonic() > ends:
            return shown, in_tmux


async def every_event(daemon: Daemon) -> list[dict[str, Any]]:
    """Read the whole journal."""
    events: list[dict[str, Any]] = []
    since = None
    while True:
        page = await daemon.call(
            "event.list", limit=1000, **({} if since is None else {"since": since})
        )
        if not page["events"]:
            return events
        events += page["events"]
        since = page["next"]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--panes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("seed", options.seed, flush=True)
    print(json.dumps(asyncio.run(storm(options.kills, options.panes, options.seed))))


if __name__ == "__main__":
    main()
