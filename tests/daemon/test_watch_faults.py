"""Waits and watches when output is lost, patterns are bad, and daemons are killed."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import Any

from living import PATIENCE, Daemon, Place
from terminals import becomes, history, pane, session, shell, told, writes

ALL = {"all": True}
BAD = "[01]*1[01]{60}x"
NOISE = (
    "import random, sys\n"
    "while True: print(''.join(random.choice('01') for _ in range(100)), flush=True)"
)


def copiers(place: Place, pane_id: str) -> list[int]:
    """Return the pids of the processes that copy a pane's output."""
    names = [p.name.split(".") for p in (place.state / "spool").glob(f"{pane_id}.*.*")]
    return [int(name[2]) for name in names if name[2].isdecimal()]


async def numbers(daemon: Daemon, kind: str = "watch.matched") -> list[int]:
    """Return the numbers in the matches of all events of a kind."""
    out: list[int] = []
    since = 0
    while True:
        page = await daemon.call("event.list", kinds=[kind], since=since, limit=1000)
        out += [int(event["data"]["match"].rpartition(" ")[2]) for event in page["events"]]
        if not page["events"]:
            return out
        since = page["next"]


async def test_lost_output_is_told_and_the_watch_goes_on(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon, "cat")
    await daemon.call("watch.create", panes=ALL, patterns=["after"])
    wait = asyncio.ensure_future(
        daemon.call("pane.wait", pane=made["id"], patterns=["never"], timeout=PATIENCE)
    )
    silence = await daemon.call("pane.wait", pane=made["id"], exit=True, timeout=3600, detach=True)
    await becomes(lambda: asyncio.sleep(0, copiers(place, made["id"])), bool)
    for pid in copiers(place, made["id"]):
        os.kill(pid, signal.SIGKILL)
    await told(daemon, 0, "output.gap")
    await daemon.call("pane.send", pane=made["id"], text="after", submit=True)
    got = await wait
    assert (got["outcome"], got["reason"]) == ("lagged", "output was lost")
    (lag,) = [e for e in await told(daemon, 0, "watch.lagged") if e["pane"] == made["id"]]
    assert lag["data"] == {"watch": "watch1", "reason": "output was lost"}
    await told(daemon, 0, "watch.matched", 2)
    assert (await daemon.call("watch.get", watch="watch1"))["gaps"] == 1
    assert (await daemon.call("wait.get", wait=silence["wait"]))["outcome"] is None


async def test_a_pattern_that_takes_too_long_ends_its_own_wait_and_watch_alone(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await pane(daemon, "python3", "-c", NOISE)
    good = [f"^{'[01]' * 8}{n:04b}" for n in range(8)]
    await daemon.call("watch.create", panes=ALL, patterns=["1{200}", *good][:1])
    bad = await daemon.call("watch.create", panes=ALL, patterns=[BAD])
    got = await daemon.call("pane.wait", pane=made["id"], patterns=[BAD], timeout=PATIENCE)
    assert (got["outcome"], got["reason"]) == ("lagged", "a pattern takes too long")
    (ended,) = await told(daemon, 0, "watch.ended")
    assert ended["data"] == {"watch": bad["id"], "reason": "slow"}
    assert (await daemon.call("watch.get", watch="watch1"))["state"] == "active"


async def test_more_matches_than_can_be_told_are_counted_and_said(daemon: Daemon) -> None:
    await session(daemon)
    await daemon.call("watch.create", panes=ALL, patterns=["."])
    made = await shell(daemon, "seq 100000; echo end; exec sleep 1e5")
    await daemon.call("pane.wait", pane=made["id"], patterns=["end"], since="1.0", timeout=PATIENCE)
    lags = await told(daemon, 0, "watch.lagged")
    assert lags[0]["data"]["reason"].startswith("too many matches")
    assert lags[0]["data"]["missed"] > 0
    assert (await daemon.call("watch.get", watch="watch1"))["missed"] > 0


async def test_every_match_is_told_once_however_often_the_daemon_is_killed(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    gate = place.directory / f"gate.{secrets.token_hex(4)}"
    script = (
        f"until [ -e {gate} ]; do sleep 0.02; done\n"
        "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo noise; echo planted $i; sleep 0.005; done\n"
        "exec sleep 1e5"
    )
    await shell(daemon, script)
    await daemon.call(
        "watch.create", panes=ALL, patterns=[r"^planted \d+$"], actions=[{"do": "emit"}]
    )
    wait = await daemon.call(
        "pane.wait", pane="p2", patterns=["^planted 400$"], timeout=3600, detach=True
    )
    gate.touch()
    for pause in (0.3, 0.05, 0.6, 0.2):
        await asyncio.sleep(pause)  # when the kill comes is the point
        await daemon.kill()
        daemon = await place.start()
    got = await daemon.call("wait.get", wait=wait["wait"], block=60)
    assert (got["outcome"], got["line"]) == ("matched", "planted 400")
    await becomes(lambda: numbers(daemon), lambda found: 400 in found)
    assert await numbers(daemon) == list(range(1, 401))
    watch = await daemon.call("watch.get", watch="watch1")
    assert (watch["matches"], watch["gaps"]) == (400, 0)


async def test_an_act_is_done_at_most_once_and_what_is_not_known_is_said(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    heard = place.directory / "heard"
    target = await shell(daemon, f": >{heard}; stty raw -echo; echo ready; exec cat >>{heard}")
    await writes(daemon, target["id"], "ready")
    script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo planted $i; sleep 0.03; done; cat"
    await daemon.call(
        "watch.create", panes={"label": "source"}, patterns=[r"planted \d+"],
        actions=[{"do": "send", "pane": target["id"], "text": "x"}],
    )  # fmt: skip
    await shell(daemon, script, labels={"source": ""})
    for pause in (0.5, 1.2, 0.9):
        await asyncio.sleep(pause)  # when the kill comes is the point
        await daemon.kill()
        daemon = await place.start()
    await becomes(lambda: numbers(daemon), lambda found: 200 in found)
    acts = await told(daemon, 0, "watch.acted", 200)
    results = [event["data"]["result"] for event in acts]
    assert set(results) <= {"done", "unknown", "skipped"} and len(results) == 200
    done, unknown = results.count("done"), results.count("unknown")
    await becomes(lambda: asyncio.sleep(0, Path(heard).stat().st_size), lambda size: size >= done)
    assert done <= heard.stat().st_size <= done + unknown


async def test_what_is_to_be_done_later_is_done_by_the_next_daemon(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await pane(daemon, "cat")
    await daemon.call(
        "watch.create", panes=ALL, patterns=["^go$"], fire="once", after=2, actions=[{"do": "kill"}]
    )
    await daemon.call("pane.send", pane=made["id"], text="go", submit=True)
    await told(daemon, 0, "watch.matched")
    await daemon.kill()
    again = await place.start()
    (killed,) = await told(again, 0, "pane.killed")
    assert (killed["pane"], killed["data"]["by"]) == (made["id"], "watch1")
    (ended,) = await told(again, 0, "watch.ended")
    assert ended["data"]["reason"] == "fired"
    assert len(await history(again, "watch.matched")) == 1


async def test_a_screen_is_looked_at_again_when_tmux_answers_again(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    gate = place.directory / f"gate.{secrets.token_hex(4)}"
    made = await shell(
        daemon, f"until [ -e {gate} ]; do sleep 0.02; done; echo shown; exec sleep 1e5"
    )
    await daemon.call("watch.create", panes=ALL, patterns=["shown"], screen=True)
    server = (await daemon.connected())["tmux"]["pid"]
    os.kill(server, signal.SIGSTOP)
    gate.touch()
    got: dict[str, Any] = await daemon.call(
        "pane.wait", pane=made["id"], patterns=["shown"], timeout=0.5
    )
    assert got["outcome"] == "timed_out"
    os.kill(server, signal.SIGCONT)
    (event,) = await told(daemon, 0, "watch.matched")
    assert event["data"]["match"] == "shown"
