"""Leases on real panes: who may type, also when many want to."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents_bed import AgentClient, agent
from living import PATIENCE, Daemon
from orchctl.aio import RpcError
from terminals import becomes, history, kind, reader, refused, session, told, writes

LINES = 300


async def test_only_the_holder_types_by_whatever_method(daemon: Daemon) -> None:
    await daemon.call("session.create", name="dev", shell="bash")
    worker = await agent(daemon, "worker", scopes=["admin"])
    await becomes(lambda: daemon.call("pane.get", pane="p1"), lambda p: p["state"] == "idle")
    lease = await worker.call("lease.acquire", pane="p1", ttl=60)
    assert (lease["pane"], lease["holder"]) == ("p1", "agent:worker")
    assert (await daemon.call("pane.get", pane="p1"))["lease"] == "agent:worker"
    attempts: list[Any] = [
        ("pane.send", {"text": "x"}),
        ("pane.keys", {"keys": ["x"]}),
        ("pane.exec", {"command": "true"}),
        ("pane.exec", {"command": "true", "queue": True}),
    ]
    for method, params in attempts:
        error = await refused(daemon.call(method, pane="p1", **params))
        assert (error.kind, error.data["holder"]) == ("LeaseHeld", "agent:worker"), method
        stale = await kind(worker.call(method, pane="p1", fence=lease["fence"] + 1, **params))
        assert stale == "StaleFence", method
    done = await worker.call("pane.exec", pane="p1", command="echo mine", fence=lease["fence"])
    assert (done["exit_code"], done["output"]) == (0, "mine\n")
    await worker.call("lease.release", lease=lease["lease"])
    done = await daemon.call("pane.exec", pane="p1", command="echo ours")
    assert done["output"] == "ours\n"
    late = await kind(worker.call("pane.exec", pane="p1", command="true", fence=lease["fence"]))
    assert late == "StaleFence"


async def test_a_watch_types_under_the_rights_of_whoever_made_it(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker", scopes=["admin"])
    made = await daemon.call("pane.create", session="dev", command=["cat"], place="window")
    watching = {"ids": [made["id"]]}
    answer = [{"do": "send", "text": "pong", "submit": True}]
    watch = await daemon.call(
        "watch.create", panes=watching, patterns=["^ping"], actions=answer, fire="every"
    )
    await worker.call("lease.acquire", pane=made["id"], ttl=60)
    await worker.call("pane.send", pane=made["id"], text="ping\n")
    acted = (await told(daemon, 0, "watch.acted"))[0]
    assert (acted["data"]["watch"], acted["data"]["result"]) == (watch["id"], "LeaseHeld")


async def test_a_holder_whose_process_dies_loses_it_at_its_ttl(daemon: Daemon) -> None:
    await session(daemon)
    one, two = (
        await agent(daemon, "one", scopes=["admin"]),
        await agent(daemon, "two", scopes=["admin"]),
    )
    first = await one.call("lease.acquire", pane="p1", ttl=0.3)
    await one.client.close()
    second = await two.call("lease.acquire", pane="p1", ttl=30, wait=PATIENCE)
    assert second["fence"] > first["fence"]
    kinds = [
        (e["kind"], e["data"]["holder"]) for e in await history(daemon) if "lease" in e["data"]
    ]
    assert kinds == [
        ("lease.acquired", "agent:one"), ("lease.expired", "agent:one"),
        ("lease.acquired", "agent:two"),
    ]  # fmt: skip


async def test_a_waiter_that_hangs_up_is_passed_over(daemon: Daemon) -> None:
    await session(daemon)
    one, two, three = [await agent(daemon, n, scopes=["admin"]) for n in ("one", "two", "three")]
    lease = await one.call("lease.acquire", pane="p1", ttl=60)
    waiting = []
    for number, who in enumerate((two, three), 1):
        waiting.append(asyncio.create_task(who.call("lease.acquire", pane="p1", wait=300)))
        await becomes(
            lambda: daemon.call("lease.list"), lambda found, n=number: found[0]["waiting"] == n
        )
    await two.client.close()
    await asyncio.wait([waiting[0]])
    await becomes(lambda: daemon.call("lease.list"), lambda found: found[0]["waiting"] == 1)
    await one.call("lease.release", lease=lease["lease"])
    assert (await waiting[1])["holder"] == "agent:three"
    waiting[0].exception()


async def test_two_agents_under_leases_write_whole_lines_only(
    daemon: Daemon, tmp_path: Path
) -> None:
    await session(daemon)
    file = tmp_path / "typed"
    made = await reader(daemon, file)
    agents = [await agent(daemon, name, scopes=["admin"]) for name in ("one", "two")]
    told_stale = await asyncio.gather(*(write_lines(a, made["id"]) for a in agents))
    assert told_stale == [True, True]
    await becomes(lambda: _read(file), lambda text: text.count("\n") >= 2 * LINES)
    lines = (await _read(file)).splitlines()
    for one in agents:
        wanted = [f"{one.name} {number} end" for number in range(LINES)]
        assert [line for line in lines if line.startswith(one.name)] == wanted
    assert len(lines) == 2 * LINES


async def _read(file: Path) -> str:
    return file.read_text()


async def write_lines(one: AgentClient, pane: str) -> bool:
    """Write lines in two pieces each, ten a lease; say whether the old fence was refused."""
    fence = 0
    for start in range(0, LINES, 10):
        lease = await patiently(one, "lease.acquire", pane=pane, ttl=60, wait=PATIENCE)
        assert lease["fence"] > fence
        fence = lease["fence"]
        for number in range(start, start + 10):
            for piece in (f"{one.name} {number}", " end\n"):
                await patiently(one, "pane.send", pane=pane, text=piece, fence=fence)
        await patiently(one, "lease.release", lease=lease["lease"])
    late = patiently(one, "pane.send", pane=pane, text="late", fence=fence)
    return await kind(late) == "StaleFence"


async def patiently(one: AgentClient, method: str, **params: Any) -> Any:
    """Call; a fast machine meets the quota of calls a second, and is told when to come back."""
    while True:
        try:
            return await one.call(method, **params)
        except RpcError as error:
            if error.kind != "QuotaExceeded":
                raise
            await asyncio.sleep(error.data["retry_after"])


async def test_a_person_who_has_just_been_active_holds_the_pane_they_look_at(
    daemon: Daemon,
) -> None:
    made = await daemon.call("session.create", name="dev", command=["cat"])
    pane = made["pane"]["id"]
    other = await daemon.call("pane.create", session="dev", command=["cat"], place="window")
    async with attached(daemon) as terminal:
        await becomes(lambda: daemon.call("session.get", session="dev"), lambda s: s["attached"])
        os.write(terminal, b"by hand")
        await writes(daemon, pane, "by hand")
        error = await refused(daemon.call("pane.send", pane=pane, text="x"))
        assert (error.kind, error.data["holder"]) == ("LeaseHeld", "attached")
        assert 0 < error.data["seconds"] <= 4
        await daemon.call("pane.send", pane=other["id"], text="not looked at")
        await becomes(lambda: typed(daemon, pane), lambda delivered: delivered)
    await writes(daemon, pane, "by handlater")


async def typed(daemon: Daemon, pane: str) -> bool:
    """Type, if nobody is active; say whether that was so."""
    try:
        await daemon.call("pane.send", pane=pane, text="later\n")
    except RpcError as error:
        assert error.kind == "LeaseHeld"
        return False
    return True


@asynccontextmanager
async def attached(daemon: Daemon) -> AsyncIterator[int]:
    """A person at a terminal of their own, attached to the session ``dev``."""
    ours, theirs = pty.openpty()
    client = await asyncio.create_subprocess_exec(
        "tmux", "-S", str(daemon.place.tmux_socket), "attach", "-t", "=dev",
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=daemon.place.environment | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: os.read(ours, 65536))
    try:
        yield ours
    finally:
        loop.remove_reader(ours)
        client.kill()
        await client.wait()
        os.close(ours)
