"""The demonstrations do what they are there to show, on a daemon of this tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from orchctl import autostart, demo, demo_events

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the daemon of this tree, and not an installed one."""
    environment = autostart.environment()
    monkeypatch.setattr(autostart, "program", lambda: [sys.executable, "-m", "orchestratord"])
    monkeypatch.setattr(autostart, "environment", lambda: {**environment, "PYTHONPATH": str(ROOT)})


async def test_the_scaled_demo_keeps_and_kills_by_what_panes_print() -> None:
    said: list[str] = []
    report = await demo.whole(said.append)
    data = report.as_dict()
    assert data["passed"], data
    assert data["timeline"] == [1, 4, 7, 8, 6, 7, 5]
    assert (data["lifecycle_operations"], data["peak_panes"], data["final_panes"]) == (13, 8, 5)
    assert sorted(one.split(",")[0] for one in data["decisions"]) == [
        "build: kill", "db: keep", "test: kill"
    ]  # fmt: skip
    assert data["left_behind"] == []
    assert "13 (1 session, 8 panes, 4 kills)" in report.shown()


async def test_stages_are_triggered_by_what_the_orchestrator_prints() -> None:
    report = await demo_events.whole(lambda _: None)
    data = report.as_dict()
    assert data["passed"], data
    assert data["stages"] == ["analysis", "build", "test", "deploy"]
    assert data["panes_created_by_watches"] == data["panes_killed_by_watches"] == 6
    assert data["peak_panes"] <= 6
