"""What an agent may cost: a named refusal, nothing half done. A user has no quota."""

from __future__ import annotations

import asyncio

from agents_bed import agent
from living import Daemon
from orchctl.aio import RpcError
from terminals import FOREVER, refused, session, settled

from orchestratord.features.panes.registry import PANES_OF_AGENT
from orchestratord.features.watch.watches import WATCHES_OF_AGENT
from orchestratord.rpc.meter import BURST


async def test_an_agent_has_so_many_panes_and_no_more(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    asked = {"session": "dev", "place": "window", "command": FOREVER}
    calls = [worker.call("pane.create", **asked) for _ in range(PANES_OF_AGENT + 5)]
    panes, errors = await settled(calls)
    assert (len(panes), errors) == (PANES_OF_AGENT, ["QuotaExceeded"] * 5)
    assert len(await daemon.call("pane.list", owner="agent:worker")) == PANES_OF_AGENT
    error = await refused(worker.call("session.create", name="mine", command=FOREVER))
    assert error.data == {
        "kind": "QuotaExceeded", "retryable": True, "owner": "agent:worker", "what": "panes",
        "limit": PANES_OF_AGENT,
    }  # fmt: skip
    assert [s["name"] for s in await daemon.call("session.list")] == ["dev"]
    await worker.call("pane.kill", pane=panes[0]["id"], grace=0)
    assert (await worker.call("pane.create", **asked))["owner"] == "agent:worker"
    await daemon.call("pane.create", **asked)


async def test_an_agent_has_so_many_watches_and_no_more(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker")
    asked = {"panes": {"all": True}, "patterns": ["x"], "actions": [{"do": "emit"}]}
    calls = [worker.call("watch.create", **asked) for _ in range(WATCHES_OF_AGENT + 2)]
    watches, errors = await settled(calls)
    assert (len(watches), errors) == (WATCHES_OF_AGENT, ["TooManyWatches"] * 2)


async def test_an_agent_that_calls_too_fast_is_refused_and_told_when_to_come_back(
    daemon: Daemon,
) -> None:
    worker = await agent(daemon, "worker")
    calls = [worker.call("daemon.ping") for _ in range(3 * int(BURST))]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    denied = [a for a in answers if isinstance(a, RpcError)]
    assert len(answers) - len(denied) >= BURST - 1
    assert {(e.kind, e.data["what"]) for e in denied} == {("QuotaExceeded", "calls a second")}
    assert all(0 < e.data["retry_after"] <= 1 for e in denied)
    free = await asyncio.gather(*(daemon.call("daemon.ping") for _ in range(3 * int(BURST))))
    assert len(free) == 3 * BURST
