"""Who calls: by token, by terminal, by ancestors, by the environment, or by user alone."""

from __future__ import annotations

import os

import pytest
from agents_bed import agent, from_outside, from_pane
from living import Daemon
from orchctl.aio import Client
from terminals import head, kind, pane, refused, session, told

from orchestratord.rpc.principal import BUNDLES, EVERYTHING

WHO = ("agent.whoami", {})


async def test_a_program_outside_of_panes_has_all_rights_of_its_user(daemon: Daemon) -> None:
    await session(daemon)
    who = await daemon.call("agent.whoami")
    assert who == {
        "uid": os.getuid(), "pid": os.getpid(), "pane": None, "agent": None,
        "owner": f"uid:{os.getuid()}", "scopes": sorted(EVERYTHING), "how": "uid", "state": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("way", "how"), [("here", "terminal"), ("detached", "ancestor"), ("orphaned", "hint")]
)
async def test_a_program_in_a_pane_has_the_rights_of_the_pane_s_owner(
    daemon: Daemon, way: str, how: str
) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    made, (who,) = await from_pane(daemon, WHO, way=way, by=worker)
    assert (who["pane"], who["agent"], who["how"]) == (made, "worker", how)
    assert (who["owner"], who["scopes"]) == ("agent:worker", sorted(BUNDLES["operate"]))


async def test_the_hint_is_not_believed_of_a_program_with_another_tmux(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    made = await pane(daemon)
    await daemon.call("pane.give", pane=made["id"], to="worker")
    await worker.client.close()
    other = {"ORCH_PANE": made["id"], "TMUX": "/somewhere/else,1,0", "TMUX_PANE": made["tmux_id"]}
    who = await from_outside(daemon, other)
    assert (who["pane"], who["how"]) == (None, "uid")


async def test_a_token_beats_the_pane_that_a_program_runs_in(daemon: Daemon) -> None:
    await session(daemon)
    worker, other = await agent(daemon, "worker"), await agent(daemon, "other", scopes=["observe"])
    asked = ("agent.whoami", {"token": other.token})
    made, (who, mine) = await from_pane(daemon, asked, WHO, by=worker)
    assert (who["agent"], who["how"], who["pane"]) == ("other", "token", made)
    assert (mine["agent"], mine["how"], mine["pane"]) == ("worker", "terminal", made)


async def test_an_agent_is_known_by_the_pane_that_it_said_it_runs_in(daemon: Daemon) -> None:
    await session(daemon)
    here = ("agent.register", {"name": "worker", "pane": "p2", "scopes": ["read:own"]})
    kill = ("pane.kill", {"pane": "p1"})
    made, (before, _, who, denied) = await from_pane(daemon, WHO, here, WHO, kill)
    assert (made, before["agent"], before["scopes"]) == ("p2", None, sorted(EVERYTHING))
    assert (who["agent"], who["scopes"], who["how"]) == ("worker", ["read:own"], "terminal")
    assert denied == "ScopeMissing"


async def test_forged_and_damaged_tokens_are_refused_and_named_nowhere(daemon: Daemon) -> None:
    worker = await agent(daemon, "worker")
    for token in ("orch_" + "A" * 43, worker.token[:-1], worker.token + "x", "x"):
        error = await refused(daemon.call("daemon.ping", token=token))
        assert error.kind == "BadToken"
        assert token not in str(error.data) + str(error)


async def test_a_token_is_worth_nothing_after_its_agent_was_retired(daemon: Daemon) -> None:
    worker = await agent(daemon, "worker")
    assert (await worker.call("agent.whoami"))["state"] == "active"
    await daemon.call("agent.retire", agent="worker")
    assert await kind(worker.call("daemon.ping")) == "AgentEnded"
    again = await agent(daemon, "worker")
    assert (await again.call("agent.whoami"))["agent"] == "worker"
    assert await kind(worker.call("daemon.ping")) == "BadToken"


async def test_an_agent_that_is_silent_expires_and_one_with_heartbeats_does_not(
    daemon: Daemon,
) -> None:
    since = await head(daemon)
    silent = await agent(daemon, "silent", ttl=0.2)
    lively = await agent(daemon, "lively", ttl=30)
    (event,) = await told(daemon, since, "agent.expired")
    assert event["agent"] == "silent"
    assert await kind(silent.call("agent.heartbeat")) == "AgentEnded"
    beat = await lively.call("agent.heartbeat")
    assert beat["agent"] == "lively"
    assert 0 < beat["expires_in"] <= 30


async def test_tokens_outlive_the_daemon_and_its_death_costs_no_agent_its_time(
    daemon: Daemon,
) -> None:
    worker = await agent(daemon, "worker", ttl=600, scopes=["observe"])
    await daemon.kill()
    again = await daemon.place.start()
    who = await worker.call("agent.whoami")
    assert (who["agent"], who["scopes"]) == ("worker", sorted(BUNDLES["observe"]))
    assert (await again.call("agent.get", agent="worker"))["expires_in"] > 500


async def test_nobody_gives_more_than_they_have(daemon: Daemon) -> None:
    worker = await agent(daemon, "worker")
    error = await refused(worker.call("agent.register", name="boss", scopes=["admin"]))
    assert (error.kind, error.data["who"]) == ("ScopeMissing", "agent:worker")
    child = await worker.call("agent.register", name="child", scopes=["observe"])
    assert (child["by"], child["scopes"]) == ("agent:worker", sorted(BUNDLES["observe"]))
    observer = await agent(daemon, "observer", scopes=["observe"])
    assert await kind(observer.call("agent.register", name="x", scopes=[])) == "ScopeMissing"


async def test_only_an_agent_its_registrar_and_admins_end_it(daemon: Daemon) -> None:
    one, two = await agent(daemon, "one"), await agent(daemon, "two")
    assert await kind(two.call("agent.retire", agent="one")) == "NotOwner"
    assert await kind(two.call("agent.heartbeat", agent="one")) == "NotOwner"
    await one.call("agent.register", name="child", scopes=[])
    assert (await one.call("agent.retire", agent="child"))["agent"] == "child"
    assert (await one.call("agent.retire", agent="one"))["agent"] == "one"
    assert await kind(two.call("agent.register", name="one")) == "NotOwner"


async def test_orchctl_calls_as_the_agent_whose_token_is_in_the_environment(
    daemon: Daemon,
) -> None:
    worker = await agent(daemon, "worker")
    who = await from_outside(daemon, {"ORCHESTRATORD_TOKEN": worker.token})
    assert (who["agent"], who["how"]) == ("worker", "token")
    client = Client(str(daemon.place.socket), token=worker.token)
    assert (await client.call("agent.whoami", token=None))["agent"] is None
    await client.close()
