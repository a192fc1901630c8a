"""What tests of deliveries have in common: programs to deliver to, and what they got."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from living import ROOT, Daemon, Place, until
from terminals import becomes, pane, writes

FATES = ("state", "arrival", "evidence", "reason", "enters")


class Editor:
    """A pane that runs ``editor.py``, and its log."""

    def __init__(self, made: dict[str, Any], log: Path) -> None:
        self.id: str = made["id"]
        self.tmux_id: str = made["tmux_id"]
        self._log = log

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def messages(self) -> list[str]:
        """What was submitted, in order."""
        return [note["message"] for note in self.notes if "message" in note]

    @property
    def enters(self) -> int:
        """How often Enter came, swallowed or not."""
        return sum("enter" in note for note in self.notes)


async def editor(daemon: Daemon, place: Place, *flags: str) -> Editor:
    """Start the editor with these habits; return once it edits."""
    log = place.directory / f"editor.{len(list(place.directory.glob('editor.*')))}"
    log.touch()
    program = str(ROOT / "tests" / "daemon" / "editor.py")
    made = Editor(await pane(daemon, sys.executable, program, str(log), *flags), log)
    if "--deaf" in flags:
        await writes(daemon, made.id, "deaf")
    else:
        await until(lambda: bool(made.notes))
    return made


async def shell_of(daemon: Daemon, name: str = "bash", **params: Any) -> str:
    """Start a shell of ours; return its pane once it is at its prompt."""
    made = await daemon.call("pane.create", session="dev", place="window", shell=name, **params)
    pane_id: str = made["id"]
    await at_prompt(daemon, pane_id)
    return pane_id


async def at_prompt(daemon: Daemon, pane_id: str, state: str = "idle") -> None:
    """Return once a pane's shell is in a state."""
    await becomes(
        lambda: daemon.call("pane.get", pane=pane_id),
        lambda p: p["shell"] is not None and p["shell"]["state"] == state,
    )


async def type_as_human(daemon: Daemon, pane_id: str, text: str) -> None:
    """Leave a draft at a shell's prompt; return once it is seen."""
    await daemon.call("pane.keys", pane=pane_id, keys=list(text))
    await becomes(lambda: screen(daemon, pane_id), lambda shown: shown.endswith(text))


async def ended(daemon: Daemon, delivery: str) -> dict[str, Any]:
    """Return a delivery once it has ended."""
    found: dict[str, Any] = await daemon.call("delivery.get", delivery=delivery, block=60)
    assert found["ended_at"] is not None, found
    return found


def fate(delivery: dict[str, Any]) -> tuple[Any, ...]:
    """Return what came of a delivery: state, arrival, evidence, reason, enters."""
    return tuple(delivery[name] for name in FATES)


async def screen(daemon: Daemon, pane_id: str) -> str:
    """Return what a pane shows."""
    shown: str = (await daemon.call("pane.capture", pane=pane_id))["text"]
    return shown
