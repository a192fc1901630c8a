"""Kills a committing process at random moments and checks what it acknowledged.

``python tests/recovery/store_storm.py --kills 300`` prints one line of figures,
and exits 1 at the first promise that is broken: an acknowledged change lost,
a half written one, a number with a gap or used twice, an id given twice, or
a database that SQLite does not find whole.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orchestratord

CHILD = Path(__file__).with_name("store_child.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(orchestratord.__file__).parents[1])}


class Broken(AssertionError):
    """A promise of the store does not hold."""


class Storm:
    """What was acknowledged so far, over all kills."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.acknowledged: dict[str, int] = {}
        self.panes: set[str] = set()
        self.head = 0

    def cycle(self) -> None:
        """Run the process, kill it, and look at what it left."""
        child = subprocess.Popen(
            [sys.executable, str(CHILD), "storm", str(self.directory)],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        with child:
            first = child.stdout.readline()
            if not first:
                raise Broken("the store did not open")
            time.sleep(self.random.uniform(0, 0.12))  # the moment of the kill, not a wait
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
        lines = (first + rest).splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self._acknowledge(*line.decode().split())
        self._check()

    def _acknowledge(self, seq: str, text: str, pane: str) -> None:
        if pane in self.panes:
            raise Broken(f"pane number {pane} was given twice")
        self.panes.add(pane)
        self.acknowledged[text] = int(seq)

    def _check(self) -> None:
        with contextlib.closing(sqlite3.connect(self.directory / "store.db")) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
            notes = {text for (text,) in database.execute("SELECT text FROM notes")}
            events = database.execute(
                "SELECT seq, kind, json_extract(data, '$.text') FROM events ORDER BY seq"
            ).fetchall()
        if verdict != "ok":
            raise Broken(f"integrity: {verdict}")
        if lost := self.acknowledged.keys() - notes:
            raise Broken(f"{len(lost)} acknowledged changes lost, such as {min(lost)}")
        numbers = [seq for seq, _, _ in events]
        if numbers != list(range(numbers[0], numbers[-1] + 1)):
            raise Broken("the numbers of the events have a gap")
        if numbers[-1] < self.head:
            raise Broken(f"the head went back from {self.head} to {numbers[-1]}")
        self.head = numbers[-1]
        if strange := {kind for _, kind, _ in events} - {"note.made"}:
            raise Broken(f"events nobody asked for: {strange}")
        at = {}
        for seq, _, text in events:
            if text not in notes:
                raise Broken(f"event {seq} has no change")
            at.setdefault(text, seq)
        for text, seq in self.acknowledged.items():
            if seq >= numbers[0] and at.get(text) != seq:
                raise Broken(f"event {seq} was acknowledged and is not there")


def run(directory: Path, kills: int, seed: int) -> Storm:
    """Kill that many times; raise `Broken` if a promise does not hold."""
    storm = Storm(directory, seed)
    for _ in range(kills):
        storm.cycle()
    return storm


async def reopen(directory: Path) -> tuple[int, int]:
    """Open what the last kill left; return the head and the next pane number."""
    from store_child import open_store

    store = await open_store(directory)
    head, pane = store.journal.head, store.next_id("pane")
    await store.close()
    return head, pane


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.monotonic()
        outcome = run(Path(scratch) / "state", options.kills, options.seed)
        asyncio.run(reopen(Path(scratch) / "state"))
        print(
            f"seed {options.seed}: {options.kills} kills, {len(outcome.acknowledged)} changes"
            f" acknowledged, head {outcome.head}, 0 lost, {time.monotonic() - begun:.0f} s"
        )
