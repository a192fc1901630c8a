"""Whose things are: given, inherited, left behind, and guarded against mistakes."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from agents_bed import agent, caller, from_pane
from living import Daemon, until
from terminals import FOREVER, end_of, kind, pane, session, settled, told

WHO = ("agent.whoami", {})


async def test_one_of_many_registrations_of_a_name_succeeds(daemon: Daemon) -> None:
    calls = [daemon.call("agent.register", name="worker") for _ in range(20)]
    answers, errors = await settled(calls)
    assert (len(answers), set(errors)) == (1, {"AgentExists"})


async def test_a_pane_that_is_given_away_takes_its_programs_along(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    made = await worker.call("pane.create", session="dev", command=FOREVER)
    await agent(daemon, "heir")
    given = await worker.call("pane.give", pane=made["id"], to="heir")
    assert given["owner"] == "agent:heir"
    assert await kind(worker.call("pane.rename", pane=made["id"], name="x")) == "NotOwner"
    (event,) = await told(daemon, 0, "pane.given")
    assert event["data"] == {"owner": "agent:heir", "by": "agent:worker"}


async def test_a_split_of_a_pane_belongs_to_that_pane_s_owner(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    made = await worker.call("pane.create", session="dev", place="window", command=FOREVER)
    split = await daemon.call(
        "pane.create", session="dev", of=made["id"], place="right", command=FOREVER
    )
    beside = await daemon.call("pane.create", session="dev", command=FOREVER)
    assert (split["owner"], beside["owner"]) == ("agent:worker", f"uid:{os.getuid()}")


@pytest.mark.parametrize("end", ["keep", "kill", "hand_over"])
async def test_a_dead_agent_s_panes_are_left_as_it_was_registered(daemon: Daemon, end: str) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker", ttl=0.5, on_death=end)
    made = await worker.call("pane.create", session="dev", command=FOREVER)
    await told(daemon, 0, "agent.expired")
    if end == "kill":
        assert (await end_of(daemon, made["id"]))["by"] == "agent:worker"
    elif end == "hand_over":
        await told(daemon, 0, "pane.given")
    found = await daemon.call("pane.get", pane=made["id"])
    owner = f"uid:{os.getuid()}" if end == "hand_over" else "agent:worker"
    assert (found["owner"], found["exit"] is None) == (owner, end != "kill")


async def test_a_dead_agent_s_watches_stop(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    asked = {"panes": {"all": True}, "patterns": ["x"], "actions": [{"do": "emit"}]}
    watch = await worker.call("watch.create", **asked)
    await daemon.call("watch.create", **asked)
    await daemon.call("agent.retire", agent="worker")
    states = {w["id"]: (w["state"], w["reason"]) for w in await daemon.call("watch.list")}
    assert states == {watch["id"]: ("stopped", "agent"), "watch2": ("active", None)}


async def test_a_program_in_a_dead_agent_s_pane_has_no_rights(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    retire, who = ("agent.retire", {"agent": "worker"}), WHO
    _, answers = await from_pane(daemon, retire, ("pane.list", {}), who, by=worker)
    assert (answers[0]["agent"], answers[1]) == ("worker", "ScopeMissing")
    assert (answers[2]["state"], answers[2]["scopes"]) == ("retired", [])


async def test_a_program_cannot_end_its_own_pane_by_mistake(daemon: Daemon) -> None:
    await session(daemon)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("pane.kill", {"pane": "p2"}),
        ("pane.respawn", {"pane": "p2"}),
        ("pane.signal", {"pane": "p2", "signal": "TERM"}),
        ("window.kill", {"window": "w2"}),
        ("session.kill", {"session": "dev"}),
        ("daemon.stop", {"tmux": True}),
        ("pane.kill", {"pane": "p1"}),
    ]
    made, answers = await from_pane(daemon, *calls)
    assert made == "p2"
    assert answers[:6] == ["WouldEndCaller"] * 6
    assert answers[6]["exit"]["by"] == f"uid:{os.getuid()}"


async def test_force_ends_one_s_own_pane_for_those_who_are_admins(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker", scopes=["operate"])
    force = ("pane.kill", {"pane": "p2", "force": True})
    _, answers = await from_pane(daemon, force, by=worker)
    assert answers == ["WouldEndCaller"]
    command, _ = caller(daemon, ("pane.kill", {"pane": "p3", "force": True}))
    await pane(daemon, *command)
    assert (await end_of(daemon, "p3"))["by"] == f"uid:{os.getuid()}"


async def test_a_program_cannot_end_the_pane_of_who_made_its_own(daemon: Daemon) -> None:
    await session(daemon)
    mistakes = [("pane.kill", {"pane": "p2"}), ("session.kill", {"session": "dev"})]
    command, file = caller(daemon, *mistakes)
    await from_pane(daemon, ("pane.create", {"session": "dev", "command": command}))
    await until(file.exists)
    answers = json.loads(file.read_text())
    assert answers == ["WouldEndCaller", "WouldEndCaller"]


async def test_keys_of_two_agents_never_meet(daemon: Daemon) -> None:
    await session(daemon)
    one, two = await agent(daemon, "one"), await agent(daemon, "two")
    asked = {"session": "dev", "command": FOREVER, "idempotency_key": "k"}
    first = await one.call("pane.create", **asked)
    second = await two.call("pane.create", **asked)
    assert first["id"] != second["id"]
    assert (await one.call("pane.create", **asked))["id"] == first["id"]


async def test_lists_show_what_may_be_seen(daemon: Daemon) -> None:
    await session(daemon)
    await daemon.call("session.create", name="private", command=FOREVER)
    worker = await agent(daemon, "worker", scopes=["read:own", "create"])
    mine = await worker.call("pane.create", session="dev", place="window", command=FOREVER)
    assert [p["id"] for p in await worker.call("pane.list")] == [mine["id"]]
    assert (await worker.call("pane.count"))["count"] == 1
    assert [w["id"] for w in await worker.call("window.list")] == [mine["window"]]
    assert [s["name"] for s in await worker.call("session.list")] == ["dev"]
    assert [a["agent"] for a in await worker.call("agent.list")] == ["worker"]
    events = (await worker.call("event.list", limit=1000))["events"]
    assert {e.get("pane") for e in events} == {None, mine["id"]}
    assert {e.get("session") for e in events} <= {None, "s1"}
    await worker.client.close()


async def test_a_stream_of_events_shows_what_may_be_seen(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker", scopes=["read:own", "create"])
    items = worker.client.subscribe("event.subscribe", kinds=["pane.created"], since=0)
    hidden = await pane(daemon)
    mine = await worker.call("pane.create", session="dev", place="window", command=FOREVER)
    first = await anext(items)
    assert first["pane"] == mine["id"] != hidden["id"]
    await items.aclose()
