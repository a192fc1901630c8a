"""What a person types and sees of deliveries."""

from __future__ import annotations

import json

from fake_daemon import FakeDaemon
from orchctl.render import render
from orchctl_run import Orchctl

COLUMNS = ("delivery", "pane", "state", "size", "arrival", "evidence", "reason", "created_at")
SENT = {
    "delivery": "d7", "pane": "p2", "state": "unknown", "size": 12, "arrival": "echo",
    "evidence": None, "reason": "standing", "enters": 2, "created_at": "2026-01-01T00:00:00Z",
    "ended_at": None,
}  # fmt: skip


async def test_a_message_is_sent_in_one_line(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.send"] = SENT
    await orchctl("pane-send", "p2", "hello there", "--submit", "--confirm", "--queue")
    await orchctl("pane-send", "dev", "p2", "hello", "--no-paste", "--timeout", "5")
    assert daemon.requests == [
        (
            "pane.send",
            {"pane": "p2", "text": "hello there", "submit": True, "confirm": True, "queue": True},
        ),
        (
            "pane.send",
            {"session": "dev", "pane": "p2", "text": "hello", "paste": False, "timeout": 5},
        ),
    ]


def test_a_table_says_how_far_deliveries_are() -> None:
    head, row = render(json.dumps([SENT]).encode(), COLUMNS, "delivery").splitlines()
    assert head.split()[:4] == ["DELIVERY", "PANE", "STATE", "SIZE"]
    assert row.split()[:4] == ["d7", "p2", "unknown", "12"]
    assert "standing" in row
