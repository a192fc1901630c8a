"""Waiting through MCP: progress, slices, cancellation, clients that leave, daemons that die."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp_extra import REASON

pytest.importorskip("mcp.client", reason=REASON)

from living import Daemon, Place, until
from orchctl.mcp import decide, overview, work
from speaking import Agent, speaking, within


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a twentieth of a second."""
    for module in (work, overview, decide):
        monkeypatch.setattr(module, "SLICE", 0.05)
        monkeypatch.setattr(module, "UNWATCHED", 0.2)


async def shell(agent: Agent) -> str:
    return str((await agent.call("open", session="dev", shell="bash"))["pane"])


async def running(daemon: Daemon, pane: str) -> str:
    """Return the exec that runs in a pane, once one does."""
    while not (found := await daemon.call("exec.list", pane=pane, state="running")):
        await asyncio.sleep(0.01)
    return str(found[0]["exec"])


async def test_a_watched_command_tells_its_progress_until_its_end(
    daemon: Daemon, place: Place, revision: str, quick: None
) -> None:
    async with within(place, revision) as agent:
        pane = await shell(agent)
        running_ = asyncio.create_task(
            agent.call("run", pane=pane, command="read line; echo got $line", timeout=60)
        )
        identity = await running(daemon, pane)
        await until(lambda: len(agent.progress) >= 3)
        await daemon.call("pane.send", pane=pane, text="it", submit=True)
        ran = await running_
    assert (ran["exec"], ran["exit_code"]) == (identity, 0)
    assert ran["untrusted_output"].endswith("got it\n")
    done = [progress[0] for progress in agent.progress]
    assert done == sorted(done) and len(set(done)) == len(done)
    assert {progress[1] for progress in agent.progress} == {60.0}
    assert all(str(progress[2]).startswith(identity) for progress in agent.progress)


async def test_an_unwatched_command_is_answered_early_and_taken_up_again(
    daemon: Daemon, place: Place, revision: str, quick: None
) -> None:
    async with within(place, revision) as agent:
        pane = await shell(agent)
        ran = await agent.silently("run", pane=pane, command="read line", timeout=600)
        assert ran["state"] == "running"
        assert ran["next"] == f"call wait with exec={ran['exec']} to go on waiting"
        assert ran["foreground"] == "bash"
        waited = await agent.silently("wait", exec=ran["exec"], timeout=600)
        assert waited["state"] == "running"
        await agent.call("send", pane=pane, keys=["Enter"])
        waited = await agent.call("wait", exec=ran["exec"], timeout=60)
    assert (waited["state"], waited["exit_code"]) == ("finished", 0)


async def test_an_unwatched_wait_goes_on_in_the_daemon_and_misses_nothing(
    daemon: Daemon, place: Place, revision: str, quick: None
) -> None:
    async with within(place, revision) as agent:
        pane = await shell(agent)
        asked: dict[str, Any] = {"pane": pane, "patterns": ["^ready$"], "timeout": 600}
        met = await agent.silently("wait", **asked)
        assert met["outcome"] == "waiting"
        await agent.call("run", pane=pane, command="echo ready")
        met = await agent.call("wait", wait=met["wait"], timeout=60)
        assert (met["outcome"], met["untrusted_line"]) == ("matched", "ready")
        met = await agent.call("wait", pane=pane, patterns=["^ready$"], timeout=0.1)
        assert met["outcome"] == "timed_out"


async def test_a_wait_for_an_event_ends_with_it(
    daemon: Daemon, place: Place, revision: str, quick: None
) -> None:
    async with within(place, revision) as agent:
        waiting = asyncio.create_task(agent.call("events", kinds=["session.created"], wait=60))
        await until(lambda: agent.progress)
        await daemon.call("session.create", name="dev")
        (event,) = (await waiting)["events"]
        assert event["kind"] == "session.created"
        found = await agent.call("events", kinds=["session.ended"], wait=0.1)
        assert found["events"] == []


async def test_a_decision_is_waited_for(
    daemon: Daemon, place: Place, revision: str, quick: None
) -> None:
    async with within(place, revision) as agent:
        asked = await daemon.call("decision.ask", question="Go?", options=["yes", "no"])
        waited = await agent.silently("decide", action="wait", decision=asked["id"], timeout=600)
        assert waited["outcome"] == "waiting"
        waiting = asyncio.create_task(
            agent.call("decide", action="wait", decision=asked["id"], timeout=60)
        )
        await until(lambda: agent.progress)
        await daemon.call("decision.answer", decision=asked["id"], choice="no")
        waited = await waiting
    assert (waited["outcome"], waited["decisions"][0]["choice"]) == ("answered", "no")


@pytest.mark.parametrize("flags", [(), ("--shared",)], ids=["alone", "shared"])
async def test_a_cancelled_run_interrupts_its_command(
    daemon: Daemon, place: Place, revision: str, flags: tuple[str, ...]
) -> None:
    async with speaking(place, revision, *flags) as agent:
        pane = await shell(agent)
        call = asyncio.create_task(agent.call("run", pane=pane, command="sleep 1000", timeout=600))
        identity = await running(daemon, pane)
        call.cancel()
        await asyncio.wait({call})
        ended = await daemon.call("exec.wait", exec=identity, timeout=20)
        assert (ended["state"], ended["ended_by"]) == ("finished", "cancelled")
        ran = await agent.call("run", pane=pane, command="echo still here", queue=True)
        assert ran["untrusted_output"] == "still here\n"


async def test_a_cancelled_wait_is_cancelled_in_the_daemon(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with speaking(place, revision) as agent:
        pane = await shell(agent)
        call = asyncio.create_task(agent.call("wait", pane=pane, patterns=["never"], timeout=600))
        while not (waits := await daemon.call("wait.list")):
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait({call})
        ended = await daemon.call("wait.get", wait=waits[0]["wait"], block=20)
    assert ended["outcome"] == "cancelled"


@pytest.mark.parametrize("flags", [(), ("--shared",)], ids=["alone", "shared"])
async def test_a_client_that_leaves_does_not_end_what_it_began(
    daemon: Daemon, place: Place, revision: str, flags: tuple[str, ...]
) -> None:
    async with speaking(place, revision, *flags) as agent:
        pane = await shell(agent)
        # the client's own time limit would cancel the call, so the call is sent and left alone
        call = asyncio.create_task(agent.call("run", pane=pane, command="read line", timeout=600))
        identity = await running(daemon, pane)
    await asyncio.wait({call})
    call.exception()
    async with speaking(place, revision, *flags) as agent:
        still = await daemon.call("exec.get", exec=identity)
        assert still["state"] == "running"
        await agent.call("send", pane=pane, keys=["Enter"])
        ended = await agent.call("wait", exec=identity)
    assert ended["exit_code"] == 0


@pytest.mark.parametrize("flags", [(), ("--shared",)], ids=["alone", "shared"])
async def test_a_daemon_that_was_killed_is_found_again(
    daemon: Daemon, place: Place, revision: str, flags: tuple[str, ...]
) -> None:
    async with speaking(place, revision, *flags) as agent:
        pane = await shell(agent)
        await daemon.kill()
        error = await agent.refused("status")
        assert (error["kind"], error["retryable"]) == ("Unavailable", True)
        assert "orchctl up" in error["hint"]
        await place.start()
        again = await agent.call("open", session="dev", name="again")
        assert again["created"]
        panes = (await agent.call("list"))["panes"]
        assert {row["pane"] for row in panes} == {pane, again["pane"]}


async def test_a_call_that_is_lost_with_the_daemon_acts_once(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with speaking(place, revision) as agent:
        calls = [asyncio.create_task(agent.client.call_tool("status", {})) for _ in range(20)]
        opening = asyncio.create_task(agent.client.call_tool("open", {"session": "dev"}))
        await daemon.kill()
        second = await place.start()
        results = await asyncio.gather(*calls, opening)
        opened = results[-1]
        panes = await second.call("pane.list")
    # without a daemon for a moment some are told so; none is lost, none acted twice
    for result in results:
        kind = result.structured_content.get("error", {}).get("kind")
        assert kind in (None, "Unavailable")
    assert len(panes) <= 1
    assert opened.is_error or [row["id"] for row in panes] == [opened.structured_content["pane"]]
