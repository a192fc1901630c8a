"""Watches on a real daemon: what they look at, what they find, what they do."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from living import PATIENCE, Daemon, Place
from terminals import (
    FOREVER,
    becomes,
    end_of,
    history,
    kind,
    pane,
    refused,
    session,
    shell,
    told,
    writes,
)

ALL = {"all": True}


def gate(place: Place) -> Path:
    """Return a file that is not there yet."""
    return place.directory / f"gate.{secrets.token_hex(4)}"


async def gated(daemon: Daemon, place: Place, script: str, **params: Any) -> tuple[Any, Path]:
    """Create a pane whose script begins when its gate is opened."""
    opened = gate(place)
    made = await shell(daemon, f"until [ -e {opened} ]; do sleep 0.02; done; {script}", **params)
    return made, opened


async def watch(daemon: Daemon, *patterns: Any, panes: Any = ALL, **params: Any) -> dict[str, Any]:
    """Create a watch."""
    made: dict[str, Any] = await daemon.call(
        "watch.create", panes=panes, patterns=list(patterns), **params
    )
    return made


async def matched(daemon: Daemon, count: int) -> list[tuple[str, str, str]]:
    """Return pane, pattern and match of all matches once there are so many."""
    events = await told(daemon, 0, "watch.matched", count)
    return [(e["pane"], e["data"]["pattern"], e["data"]["match"]) for e in events]


async def acts(daemon: Daemon, count: int) -> list[tuple[str, str]]:
    """Return action and result of all that was done once there is so much."""
    events = await told(daemon, 0, "watch.acted", count)
    return [(e["data"]["action"], e["data"]["result"]) for e in events]


async def test_each_occurrence_is_told_once_and_in_order(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made, opened = await gated(daemon, place, "seq 2000; printf 'x 7\\n7'; exec sleep 1e5")
    created = await watch(daemon, "^1?7(00)?$", {"pattern": "(?i)X", "name": "ex"})
    assert (created["id"], created["state"], created["fire"]) == ("watch1", "active", "every")
    assert made["id"] in created["watching"]
    opened.touch()
    want = [("^1?7(00)?$", "7"), ("^1?7(00)?$", "17"), ("^1?7(00)?$", "700"),
            ("^1?7(00)?$", "1700"), ("ex", "x"), ("^1?7(00)?$", "7")]  # fmt: skip
    assert await matched(daemon, 6) == [(made["id"], *pair) for pair in want]
    shown = await daemon.call("watch.get", watch="watch1")
    assert (shown["matches"], shown["missed"], shown["gaps"]) == (6, 0, 0)
    past = await daemon.call("watch.history", watch="watch1", limit=2)
    assert [(p["pattern"], p["line"], p["acts"]) for p in past] == [
        ("ex", "x 7", []), ("^1?7(00)?$", "7", [])
    ]  # fmt: skip


async def test_a_selector_covers_panes_that_come_later_from_their_first_byte(
    daemon: Daemon,
) -> None:
    await session(daemon)
    await watch(daemon, "hello", panes={"session": "dev"})
    await watch(daemon, "hello", panes={"label": "role=web"})
    plain = await shell(daemon, "echo hello")
    web = await shell(daemon, "echo hello; exec sleep 1e5", labels={"role": "web"})
    await daemon.call("session.create", name="other", command=["echo", "hello"])
    events = await told(daemon, 0, "watch.matched", 3)
    found = {(e["pane"], e["data"]["watch"]) for e in events}
    assert found == {(plain["id"], "watch1"), (web["id"], "watch1"), (web["id"], "watch2")}


async def test_a_label_brings_a_pane_into_a_watch_and_takes_it_out(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    await watch(daemon, "x", panes={"label": "watched"})
    await daemon.call("pane.label_set", pane=made["id"], labels={"watched": "yes"})
    await becomes(
        lambda: daemon.call("watch.get", watch="watch1"), lambda w: w["watching"] == [made["id"]]
    )
    await daemon.call("pane.label_unset", pane=made["id"], labels=["watched"])
    await becomes(lambda: daemon.call("watch.get", watch="watch1"), lambda w: w["watching"] == [])


async def test_a_pane_that_succeeds_is_killed_and_a_healthy_one_is_kept(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    done, first = await gated(daemon, place, "echo SUCCESS; exec sleep 1e5")
    well, second = await gated(daemon, place, "echo HEALTHY; exec sleep 1e5")
    await watch(daemon, "HEALTHY", actions=[{"do": "keep"}])
    await watch(daemon, "SUCCESS|HEALTHY", actions=[{"do": "kill"}], after=0.3)
    first.touch()
    second.touch()
    assert (await end_of(daemon, done["id"]))["by"] == "watch2"
    assert sorted(await acts(daemon, 3)) == [("keep", "done"), ("kill", "done"), ("kill", "spared")]
    assert (await daemon.call("pane.get", pane=well["id"]))["exit"] is None


async def test_typed_actions_are_carried_out_in_order(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made, opened = await gated(
        daemon, place, "printf 'go? '; read -r x; echo got $x; read -r y; echo and $y; exec cat"
    )
    await watch(
        daemon, r"go\? ",
        actions=[
            {"do": "send", "text": "yes", "submit": True},
            {"do": "keys", "keys": ["a", "b", "Enter"]},
            {"do": "emit", "note": "answered"},
            {"do": "create", "name": "helper", "command": FOREVER},
            {"do": "ask", "question": "Go on?", "options": ["yes", "no"], "default": "no"},
            {"do": "exec", "command": "true"},
            {"do": "send", "text": "x", "pane": "nobody"},
        ],
    )  # fmt: skip
    opened.touch()
    assert await acts(daemon, 7) == [
        ("send", "done"), ("keys", "done"), ("emit", "done"), ("create", "done"), ("ask", "done"),
        ("exec", "IntegrationLost"), ("send", "PaneNotFound"),
    ]  # fmt: skip
    await writes(daemon, made["id"], "got yes\nab\nand ab")
    assert (await daemon.call("pane.find", name="helper"))[0]["owner"] == made["owner"]
    (asked,) = await daemon.call("decision.list")
    assert (asked["watch"], asked["pane"]) == ("watch1", made["id"])
    (past,) = await daemon.call("watch.history", watch="watch1")
    assert [act["do"] for act in past["acts"]][:2] == ["send", "keys"]


async def test_a_command_is_executed_in_the_shell_of_the_pane(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
    await watch(daemon, "^begin$", actions=[{"do": "exec", "command": "echo $((6*7))"}])
    await daemon.call("pane.exec", pane=made["id"], command="echo begin", timeout=PATIENCE)
    await writes(daemon, made["id"], "\n42\n")
    assert await acts(daemon, 1) == [("exec", "done")]


async def test_a_respawned_pane_is_looked_at_again(daemon: Daemon) -> None:
    await session(daemon)
    script = "echo CRASH; exit 1"
    made = await pane(daemon, "cat", keep=True)
    await watch(daemon, "CRASH", fire="once", actions=[{"do": "respawn", "command": ["cat"]}])
    await daemon.call("pane.respawn", pane=made["id"], command=["sh", "-c", script])
    assert await acts(daemon, 1) == [("respawn", "done")]
    (ended,) = await told(daemon, 0, "watch.ended")
    assert ended["data"] == {"watch": "watch1", "reason": "fired"}
    shown = await daemon.call("watch.get", watch="watch1")
    assert (shown["state"], shown["reason"], shown["watching"]) == ("stopped", "fired", [])
    assert await kind(daemon.call("watch.resume", watch="watch1")) == "WatchStopped"


async def test_a_watch_that_fires_once_takes_the_first_of_many_matches(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, opened = await gated(daemon, place, "seq 1000; exec sleep 1e5")
    await watch(daemon, r"\d+", fire="once")
    opened.touch()
    await told(daemon, 0, "watch.ended")
    assert await matched(daemon, 1) == [(made["id"], r"\d+", "1")]
    assert (await daemon.call("watch.get", watch="watch1"))["state"] == "stopped"


async def test_debouncing_acts_on_the_first_of_a_burst(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    _, opened = await gated(daemon, place, "seq 500; exec sleep 1e5")
    await watch(daemon, r"\d+", debounce=3600, actions=[{"do": "emit"}])
    await watch(daemon, "^500$")
    opened.touch()
    assert [match for _, _, match in await matched(daemon, 2)] == ["1", "500"]
    assert await acts(daemon, 1) == [("emit", "done")]


async def test_a_paused_watch_finds_nothing_until_it_is_resumed(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await pane(daemon, "cat")
    await watch(daemon, "word")
    await daemon.call("watch.pause", watch="watch1")
    await daemon.call("pane.send", pane=made["id"], text="word one", submit=True)
    await writes(daemon, made["id"], "word one\nword one\n")
    await daemon.call("watch.resume", watch="watch1")
    await daemon.call("pane.send", pane=made["id"], text="word two", submit=True)
    await writes(daemon, made["id"], "word two\nword two\n")
    await matched(daemon, 2)
    past = await daemon.call("watch.history", watch="watch1")
    assert [p["line"] for p in past] == ["word two", "word two"]


async def test_a_watch_ends_by_its_ttl_and_a_deleted_one_is_gone(daemon: Daemon) -> None:
    await session(daemon)
    await watch(daemon, "x", ttl=0.2)
    await watch(daemon, "x")
    ended = await told(daemon, 0, "watch.ended")
    assert ended[0]["data"] == {"watch": "watch1", "reason": "ttl"}
    await daemon.call("watch.delete", watch="watch2")
    assert await kind(daemon.call("watch.get", watch="watch2")) == "WatchNotFound"
    assert [w["id"] for w in await daemon.call("watch.list")] == ["watch1"]


async def test_a_watch_that_cannot_be_is_refused(daemon: Daemon) -> None:
    await session(daemon)

    async def no(**params: Any) -> str:
        asked: dict[str, Any] = {"panes": ALL, "patterns": ["x"]} | params
        return await kind(daemon.call("watch.create", **asked))

    assert await no(panes={}) == "BadValue"
    assert await no(panes={"ids": ["p99"]}) == "PaneNotFound"
    assert await no(panes={"session": "none"}) == "SessionNotFound"
    assert await no(patterns=[]) == "InvalidArgument"
    assert await no(patterns=["("]) == "BadPattern"
    assert await no(actions=[{"do": "dance"}]) == "InvalidArgument"
    assert await no(actions=[{"do": "keys", "keys": ["Enterr"]}]) == "BadKey"
    assert await no(patterns=["x"] * 257) == "InvalidArgument"
    await watch(daemon, *[f"x{n}" for n in range(200)])
    error = await refused(watch(daemon, *[f"y{n}" for n in range(57)]))
    assert (error.kind, error.data["count"]) == ("TooManyPatterns", 257)
    assert len(await daemon.call("watch.list")) == 1


async def test_watches_that_chase_each_other_are_stopped(daemon: Daemon) -> None:
    await session(daemon)
    ping = await pane(daemon, "cat")
    pong = await pane(daemon, "cat")
    await watch(
        daemon, "ball", panes={"ids": [ping["id"]]},
        actions=[{"do": "send", "pane": pong["id"], "text": "ball", "submit": True}],
    )  # fmt: skip
    await watch(
        daemon, "ball", panes={"ids": [pong["id"]]},
        actions=[{"do": "send", "pane": ping["id"], "text": "ball", "submit": True}],
    )  # fmt: skip
    await daemon.call("pane.send", pane=ping["id"], text="ball", submit=True)
    ended = await told(daemon, 0, "watch.ended")
    assert ended[0]["data"]["reason"] == "loop"
    states = {w["state"]: w["reason"] for w in await daemon.call("watch.list")}
    assert states["stopped"] == "loop"


async def test_a_watch_does_not_match_what_it_types_itself(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "while read -r x; do echo continue\\?; done")
    await watch(
        daemon, "continue", actions=[{"do": "send", "text": "please continue", "submit": False}]
    )
    await daemon.call("pane.send", pane=made["id"], text="go", submit=True)
    await acts(daemon, 1)
    await writes(daemon, made["id"], "please continue")
    await daemon.call("pane.wait", pane=made["id"], idle=0.5, timeout=PATIENCE)
    assert len(await history(daemon, "watch.matched")) == 1


async def test_watches_survive_the_daemon_and_find_what_was_written_meanwhile(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, opened = await gated(daemon, place, "echo one; exec sleep 1e5")
    second, later = await gated(daemon, place, "echo two; exec sleep 1e5")
    await watch(daemon, "one|two", actions=[{"do": "keep"}, {"do": "emit"}])
    opened.touch()
    await acts(daemon, 2)
    await daemon.kill()
    later.touch()
    again = await place.start()
    assert [m for _, _, m in await matched(again, 2)] == ["one", "two"]
    assert await acts(again, 4) == [("keep", "done"), ("emit", "done")] * 2
    await again.call("watch.create", panes=ALL, patterns=["three"], actions=[{"do": "kill"}])
    assert {w["id"]: w["watching"] for w in await again.call("watch.list")} == {
        "watch1": ["p1", made["id"], second["id"]], "watch2": ["p1", made["id"], second["id"]],
    }  # fmt: skip


async def test_a_match_on_the_screen_is_told_once_while_it_stands_there(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    steps = [gate(place) for _ in range(3)]
    script = "printf '\\033[?1049h\\033[5;10HReady\\033[1;1H'; "
    draws = ["\\033[5;10HReady\\033[7;3H.", "\\033[2J", "\\033[9;4HReady"]
    for step, draw in zip(steps, draws, strict=True):
        script += f"until [ -e {step} ]; do sleep 0.02; done; printf '{draw}'; "
    made = await shell(daemon, script + "exec sleep 1e5")
    await watch(daemon, "^ +Ready", panes={"ids": [made["id"]]}, screen=True)
    assert await matched(daemon, 1) == [(made["id"], "^ +Ready", "         Ready")]
    for number, step in enumerate(steps):
        step.touch()
        await daemon.call("pane.wait", pane=made["id"], idle=0.4, timeout=PATIENCE)
        assert len(await history(daemon, "watch.matched")) == (2 if number == 2 else 1)
