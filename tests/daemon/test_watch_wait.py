"""Waiting for what panes do, on a real daemon."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from typing import Any

import pytest
from living import PATIENCE, Daemon, Place
from terminals import becomes, kind, pane, refused, session, shell, tmux, told, writes

LONG = 3600


async def begun(daemon: Daemon, count: int = 1) -> None:
    """Return once that many attached waits are in flight, beside this question."""
    await becomes(
        lambda: daemon.call("daemon.status"),
        lambda status: status["rpc"]["in_flight"] >= count,
    )


def waiting(daemon: Daemon, **params: Any) -> asyncio.Task[dict[str, Any]]:
    """Begin to wait."""
    params = {"timeout": PATIENCE} | params
    return asyncio.ensure_future(daemon.call("pane.wait", **params))


async def gated(daemon: Daemon, place: Place, script: str, **params: Any) -> tuple[Any, Any]:
    """Create a pane whose script begins when its gate is opened."""
    gate = place.directory / f"gate.{secrets.token_hex(4)}"
    made = await shell(daemon, f"until [ -e {gate} ]; do sleep 0.02; done; {script}", **params)
    return made, gate


async def test_a_line_that_is_written_later_matches(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "echo one; echo build ok in 3s; exec sleep 1e5")
    wait = waiting(daemon, pane=made["id"], patterns=[r"ok in (\d+)(x)?s"])
    await begun(daemon)
    gate.touch()
    got = await wait
    assert got == {
        "outcome": "matched", "wait": None, "pane": made["id"], "condition": "pattern",
        "pattern": r"ok in (\d+)(x)?s", "match": "ok in 3s", "groups": ["3", None],
        "line": "build ok in 3s", "cursor": got["cursor"], "exit": None, "reason": None,
        "results": None,
    }  # fmt: skip
    assert got["cursor"] == "1.21"


async def test_what_was_there_before_does_not_match_but_a_cursor_reaches_it(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await shell(daemon, "echo ready; exec sleep 1e5")
    await writes(daemon, made["id"], "ready")
    asked = {"pane": made["id"], "patterns": ["ready"]}
    got = await daemon.call("pane.wait", **asked, timeout=0.2)
    assert (got["outcome"], got["pane"], got["condition"]) == ("timed_out", made["id"], None)
    got = await daemon.call("pane.wait", **asked, timeout=PATIENCE, since="1.0")
    assert (got["outcome"], got["match"]) == ("matched", "ready")
    got = await daemon.call("pane.wait", **asked, timeout=0.2, since=got["cursor"])
    assert got["outcome"] == "timed_out"


async def test_a_prompt_without_a_newline_matches(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "printf 'Password: '; exec sleep 1e5")
    wait = waiting(daemon, pane=made["id"], patterns=["^Password: $"])
    await begun(daemon)
    gate.touch()
    assert (await wait)["line"] == "Password: "


async def test_a_stop_pattern_ends_it_and_its_name_is_told(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "echo FAILED: x; echo OK; exec sleep 1e5")
    stop = [{"pattern": "failed", "name": "bad", "ignore_case": True}]
    wait = waiting(daemon, pane=made["id"], patterns=["OK"], stop=stop)
    await begun(daemon)
    gate.touch()
    got = await wait
    assert (got["outcome"], got["condition"], got["pattern"]) == ("stopped", "stop", "bad")
    assert got["match"] == "FAILED"


async def test_the_end_of_a_pane_is_waited_for_with_its_status(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "exit 3")
    wait = waiting(daemon, pane=made["id"], exit=True)
    await begun(daemon)
    gate.touch()
    got = await wait
    assert (got["outcome"], got["condition"], got["exit"]["status"]) == ("exited", "exit", 3)
    again = await daemon.call("pane.wait", pane=made["id"], exit=True, timeout=PATIENCE)
    assert (again["outcome"], again["exit"]) == ("exited", got["exit"])


async def test_the_last_line_of_a_pane_matches_before_its_end_is_told(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "seq 3000; printf DONE")
    wait = waiting(daemon, pane=made["id"], patterns=["^DONE$"], exit=True)
    await begun(daemon)
    gate.touch()
    assert (await wait)["outcome"] == "matched"


@pytest.mark.parametrize("asked", [{"patterns": ["never"]}, {"idle": LONG}])
async def test_an_end_that_was_not_asked_for_ends_a_wait(
    daemon: Daemon, place: Place, asked: dict[str, Any]
) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "echo bye; exit 0")
    wait = waiting(daemon, pane=made["id"], **asked)
    await begun(daemon)
    gate.touch()
    got = await wait
    assert (got["outcome"], got["condition"], got["exit"]["status"]) == ("exited", None, 0)


async def test_a_pane_that_is_closed_from_outside_is_gone(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon)
    wait = waiting(daemon, pane=made["id"], patterns=["x"])
    await begun(daemon)
    tmux(place, "kill-pane", "-t", made["tmux_id"])
    assert (await wait)["outcome"] in ("gone", "exited")


async def test_idle_is_silence_for_so_long(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await shell(daemon, "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exec sleep 1e5")
    got = await daemon.call(
        "pane.wait", pane=made["id"], idle=0.6, since=made["cursor"], timeout=PATIENCE
    )
    assert (got["outcome"], got["condition"]) == ("matched", "idle")
    read = await daemon.call("pane.read", pane=made["id"])
    assert read["text"] == "1\n2\n3\n4\n5\n"


async def test_a_wait_for_nothing_or_for_no_pane_is_refused(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    asked = {"pane": made["id"], "timeout": 1}
    assert await kind(daemon.call("pane.wait", **asked)) == "BadValue"
    assert await kind(daemon.call("pane.wait", exit=True, timeout=1)) == "BadValue"
    assert await kind(daemon.call("pane.wait", **asked, patterns=["("])) == "BadPattern"
    assert await kind(daemon.call("pane.wait", **asked, patterns=[""])) == "InvalidArgument"
    assert await kind(daemon.call("pane.wait", **asked, exit=True, since="x")) == "BadCursor"
    assert await kind(daemon.call("pane.wait", **asked, exit=True, since="1.99")) == "BadCursor"
    assert await kind(daemon.call("pane.wait", pane="p99", exit=True, timeout=1)) == "PaneNotFound"
    assert await kind(daemon.call("pane.wait", **asked, prompt=True)) == "NoPrompt"


async def test_one_owner_has_at_most_256_patterns(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    asked = {"pane": made["id"], "timeout": LONG, "detach": True}
    for _ in range(2):
        await daemon.call("pane.wait", **asked, patterns=[f"x{n}" for n in range(120)])
    error = await refused(daemon.call("pane.wait", **asked, patterns=[f"y{n}" for n in range(17)]))
    assert (error.kind, error.data["count"], error.data["limit"]) == ("TooManyPatterns", 257, 256)
    await daemon.call("wait.cancel", wait="wait1")
    await daemon.call("pane.wait", **asked, patterns=[f"y{n}" for n in range(17)])


async def test_any_of_many_panes_decides_unless_all_must(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = [await gated(daemon, place, f"echo ok {n}; exec sleep 1e5") for n in range(3)]
    ids = [pane["id"] for pane, _ in made]
    any_ = waiting(daemon, panes=ids, patterns=["ok"])
    all_ = waiting(daemon, panes=ids, patterns=["ok"], all=True)
    await begun(daemon, 2)
    made[1][1].touch()
    got = await any_
    assert (got["outcome"], got["pane"], got["results"]) == ("matched", ids[1], None)
    assert not all_.done()
    made[0][1].touch()
    made[2][1].touch()
    got = await all_
    assert [(r["pane"], r["outcome"], r["line"]) for r in got["results"]] == [
        (pane_id, "matched", f"ok {n}") for n, pane_id in enumerate(ids)
    ]


async def test_a_detached_wait_outlives_its_caller_and_is_polled(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "echo done; exec sleep 1e5")
    started = await daemon.call(
        "pane.wait", pane=made["id"], patterns=["done"], timeout=LONG, detach=True
    )
    assert (started["wait"], started["outcome"]) == ("wait1", None)
    await daemon.client.close()
    await daemon.client.open(PATIENCE)
    assert (await daemon.call("wait.get", wait="wait1", block=0.1))["outcome"] is None
    (listed,) = await daemon.call("wait.list")
    assert (listed["wait"], listed["outcome"], listed["panes"]) == ("wait1", None, [made["id"]])
    gate.touch()
    got = await daemon.call("wait.get", wait="wait1", block=PATIENCE)
    assert (got["wait"], got["outcome"], got["match"]) == ("wait1", "matched", "done")
    assert await daemon.call("wait.cancel", wait="wait1") == got
    assert (await told(daemon, 0, "wait.ended"))[0]["data"] == {
        "wait": "wait1", "outcome": "matched"
    }  # fmt: skip


async def test_a_cancelled_wait_says_so(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    await daemon.call("pane.wait", pane=made["id"], exit=True, timeout=LONG, detach=True)
    assert (await daemon.call("wait.cancel", wait="wait1"))["outcome"] == "cancelled"
    assert (await daemon.call("wait.get", wait="wait1"))["outcome"] == "cancelled"
    assert await kind(daemon.call("wait.get", wait="wait9")) == "WaitNotFound"


async def test_a_detached_wait_survives_the_daemon_and_misses_nothing(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, gate = await gated(daemon, place, "seq 1000; echo done; seq 1000; exec sleep 1e5")
    asked = {"pane": made["id"], "timeout": LONG, "detach": True}
    await daemon.call("pane.wait", **asked, patterns=["^done$"])
    await daemon.call("pane.wait", **asked, patterns=["never"])
    await daemon.kill()
    gate.touch()
    again = await place.start()
    got = await again.call("wait.get", wait="wait1", block=PATIENCE)
    assert (got["outcome"], got["line"]) == ("matched", "done")
    assert (await again.call("wait.get", wait="wait2"))["outcome"] is None
    await again.end()
    third = await place.start()
    assert await third.call("wait.get", wait="wait1") == got
    assert (await third.call("wait.get", wait="wait2"))["outcome"] is None


async def test_a_wait_ends_in_time_while_tmux_is_stopped_or_dead(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await pane(daemon)
    server = (await daemon.connected())["tmux"]["pid"]
    os.kill(server, signal.SIGSTOP)
    got = await daemon.call("pane.wait", pane=made["id"], patterns=["x"], timeout=0.5)
    assert got["outcome"] == "timed_out"
    wait = waiting(daemon, pane=made["id"], patterns=["x"])
    await begun(daemon)
    os.kill(server, signal.SIGKILL)
    assert (await wait)["outcome"] in ("gone", "exited")


async def test_the_prompt_of_a_shell_is_waited_for(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
    got = await daemon.call("pane.wait", pane=made["id"], prompt=True, timeout=PATIENCE)
    assert (got["outcome"], got["condition"]) == ("matched", "prompt")


async def test_a_respawn_ends_a_wait_for_what_ran_before(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    waits = [waiting(daemon, pane=made["id"], exit=True),
             waiting(daemon, pane=made["id"], patterns=["new"])]  # fmt: skip
    await begun(daemon, 2)
    await daemon.call("pane.respawn", pane=made["id"], command=["sh", "-c", "echo new; sleep 1e5"])
    assert [(await w)["outcome"] for w in waits] == ["exited", "exited"]
