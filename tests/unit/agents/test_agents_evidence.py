"""In which pane a process runs, from what the kernel says; no process is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestratord.features.agents.evidence import Finder, Found, device
from orchestratord.features.panes.record import PaneRecord, Place
from orchestratord.tmux.process import Process, Stat

HOLDER = 100
PANE = PaneRecord(
    id="p1", session="s1", window="w1", place=Place("s", "%1", "/dev/pts/7", Process(HOLDER, 50)),
    argv=["sh"], cwd="/", created_at="", owner="uid:0",
)  # fmt: skip


def stat(pid: int, parent: int, session: int, started: int, terminal: int = 0) -> Stat:
    return Stat(pid, "S", parent, pid, session, terminal, -1, started, 0)


def looked(*stats: Stat) -> Found | None:
    """Return what is found of the first of those processes."""
    look = {one.pid: one for one in stats}.get
    finder = Finder({HOLDER: PANE}.get, lambda _: None, Path("/nowhere"), look=look)
    return finder.find(stats[0].pid)


def test_the_device_of_a_terminal_is_as_proc_has_it() -> None:
    assert (device("/dev/pts/7"), device("/dev/pts/328")) == (136 << 8 | 7, 1083464)
    assert device("/dev/tty1") is None


def test_a_process_at_the_pane_s_terminal_is_in_the_pane() -> None:
    found = looked(stat(200, 150, HOLDER, 60, device("/dev/pts/7") or 0))
    assert found == Found(PANE, "terminal")


def test_a_detached_process_is_found_by_its_ancestors() -> None:
    found = looked(stat(300, 200, 300, 80), stat(200, 150, 300, 70), stat(150, HOLDER, HOLDER, 60))
    assert found == Found(PANE, "ancestor")


def test_an_ancestor_that_is_younger_than_its_child_is_another_process_with_its_pid() -> None:
    found = looked(stat(300, 200, 300, 80), stat(200, HOLDER, HOLDER, 90))
    assert found is None


def test_a_process_that_is_older_than_the_pane_is_not_in_it() -> None:
    found = looked(stat(200, 1, HOLDER, 49))
    assert found is None


@pytest.mark.parametrize("pid", [0, -1, 999_999_999])
def test_a_caller_that_cannot_be_looked_at_is_in_no_pane(pid: int) -> None:
    assert Finder({HOLDER: PANE}.get, lambda _: PANE, Path("/nowhere")).find(pid) is None


def test_ancestors_that_go_round_in_circles_end_the_search() -> None:
    found = looked(stat(300, 301, 300, 80), stat(301, 300, 300, 80))
    assert found is None


def test_ancestors_that_are_in_no_pane_are_not_looked_through_again() -> None:
    looks: list[int] = []
    known = {s.pid: s for s in (stat(300, 200, 9, 80), stat(301, 200, 9, 81), stat(200, 1, 9, 70))}

    def look(pid: int) -> Stat | None:
        looks.append(pid)
        return known.get(pid)

    finder = Finder({HOLDER: PANE}.get, lambda _: None, Path("/nowhere"), look=look)
    assert [finder.find(pid) for pid in (300, 301)] == [None, None]
    known[200] = stat(200, HOLDER, HOLDER, 75)  # another process has that pid now
    known[HOLDER] = stat(HOLDER, 1, HOLDER, 50)
    assert finder.find(301) == Found(PANE, "ancestor")
    assert looks == [300, 200, 301, 200, 301, 200]
