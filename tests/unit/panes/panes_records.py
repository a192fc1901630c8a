"""Records for tests of what is pure."""

from __future__ import annotations

from typing import Any

from orchestratord.features.panes.model import Exit
from orchestratord.features.panes.record import PaneRecord, Place, SessionRecord, WindowRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.tmux.process import Process

SERVER = "server-1"
AT = "2026-01-01T00:00:00.000000Z"


def pane(number: int, **fields: Any) -> PaneRecord:
    """Return the record of a pane in the first window of the first session."""
    given: dict[str, Any] = {
        "id": f"p{number}", "session": "s1", "window": "w1", "argv": ["sleep"], "cwd": "/",
        "place": Place(SERVER, f"%{number}", "/dev/null", Process(100 + number, 1)),
        "created_at": AT, "owner": "uid:0", "width": 200, "height": 50,
    }  # fmt: skip
    return PaneRecord(**(given | fields))


def ended(number: int, **fields: Any) -> PaneRecord:
    """Return the record of a pane that is gone."""
    return pane(number, exit=Exit(at=f"{AT}{number:06}", status=0), gone=True, **fields)


def registry(*panes: PaneRecord) -> Registry:
    """Return a registry of two sessions with a window each, and those panes."""
    made = Registry()
    for number, name in ((1, "dev"), (2, "ops")):
        made.sessions[f"s{number}"] = SessionRecord(
            id=f"s{number}", name=name, tmux=f"${number}", server=SERVER, created_at=AT,
            owner="uid:0",
        )  # fmt: skip
        made.windows[f"w{number}"] = WindowRecord(
            id=f"w{number}", session=f"s{number}", tmux=f"@{number}", server=SERVER, name="w"
        )
    for one in panes:
        made.add(one)
    return made
