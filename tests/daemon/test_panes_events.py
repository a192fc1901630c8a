"""Each change is told once, in order, with its ids; keys make a retry harmless."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from living import PATIENCE, Daemon, Place
from orchctl.aio import Lost, connect
from terminals import (
    FOREVER,
    becomes,
    end_of,
    head,
    history,
    kind,
    pane,
    session,
    settled,
    shell,
    stamped,
    told,
    writes,
)


async def test_each_change_is_one_event_in_the_order_of_what_happened(daemon: Daemon) -> None:
    since = await head(daemon)
    made = await session(daemon)
    first, home, window = made["pane"]["id"], made["id"], made["pane"]["window"]
    other = await pane(daemon, name="a", keep=True)
    await daemon.call("pane.label_set", pane="a", labels={"k": "v"})
    await daemon.call("pane.rename", pane="a", name="b")
    await daemon.call("pane.resize", pane="b", width=100)
    await daemon.call("session.rename", session="dev", name="prod")
    await daemon.call("pane.respawn", pane="b", command=["sh", "-c", "exit 3"])
    await told(daemon, since, "pane.exited")
    await daemon.call("pane.kill", pane="b")
    await daemon.call("session.kill", session="prod")
    await told(daemon, since, "session.ended")
    events = await history(daemon, since=since)
    assert [e["seq"] for e in events] == list(range(since + 1, since + 1 + len(events)))
    ours = [
        (e["kind"], e["session"], e.get("pane"))
        for e in events
        if not e["kind"].startswith("server.")
    ]
    assert ours == [
        ("session.created", home, None), ("window.created", home, None),
        ("pane.created", home, first), ("window.created", home, None),
        ("pane.created", home, other["id"]), ("pane.labeled", home, other["id"]),
        ("pane.renamed", home, other["id"]), ("pane.resized", home, other["id"]),
        ("session.renamed", home, None), ("pane.respawned", home, other["id"]),
        ("pane.exited", home, other["id"]), ("pane.closed", home, other["id"]),
        ("window.ended", home, None), ("pane.killed", home, first),
        ("window.ended", home, None), ("session.ended", home, None),
    ]  # fmt: skip
    assert [e["data"]["window"] for e in events if e["kind"] == "window.ended"] == [
        other["window"], window,
    ]  # fmt: skip


async def test_what_changes_nothing_is_no_event(daemon: Daemon) -> None:
    made = (await session(daemon))["pane"]["id"]
    await pane(daemon, place="right", name="a", labels={"k": "v"})
    await daemon.call("daemon.reconcile")
    since = await head(daemon)
    await daemon.call("pane.rename", pane="a", name="a")
    await daemon.call("session.rename", session="dev", name="dev")
    await daemon.call("pane.label_set", pane="a", labels={"k": "v"})
    await daemon.call("pane.label_unset", pane="a", labels=["nothing"])
    await daemon.call("pane.select", pane=made)
    await daemon.call("pane.zoom", pane=made, on=False)
    await daemon.call("session.create", name="dev", if_exists="return")
    assert await daemon.call("daemon.reconcile") == {"differences": []}
    assert await history(daemon, since=since) == []


async def test_a_split_resizes_no_pane_twice(daemon: Daemon) -> None:
    await session(daemon)
    since = await head(daemon)
    for _ in range(3):
        await pane(daemon, place="auto")
    await daemon.call("daemon.reconcile")
    resized = await history(daemon, "pane.resized", since=since)
    assert resized == []


async def test_a_subscriber_misses_nothing_over_restarts_of_the_daemon(
    daemon: Daemon, place: Place
) -> None:
    seen: list[int] = []
    last = asyncio.get_running_loop().create_future()

    async def follow() -> None:
        async for event in daemon.client.subscribe("event.subscribe", since=0):
            seen.append(event["seq"])
            if event["kind"] == "pane.labeled" and "last" in event["data"]["labels"]:
                last.set_result(event["seq"])
                return

    following = asyncio.create_task(follow())
    made = await session(daemon)
    later = daemon
    for restart in range(3):
        await pane(later, name=f"n{restart}")
        later.process.kill()
        await later.process.wait()
        later = await place.start()
        await later.call("pane.kill", pane=f"n{restart}")
    await later.call("pane.label_set", pane=made["pane"]["id"], labels={"last": "1"})
    async with asyncio.timeout(PATIENCE):
        await following
    assert seen == list(range(1, last.result() + 1))


async def test_a_key_makes_one_pane_of_many_tries(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    asked: dict[str, Any] = {"session": "dev", "command": FOREVER, "idempotency_key": "k1"}
    answers, errors = await settled([daemon.call("pane.create", **asked) for _ in range(10)])
    assert errors == []
    assert len({a["id"] for a in answers}) == 1
    assert len(stamped(place)) == 2
    asked["command"] = ["sleep", "5"]
    assert await kind(daemon.call("pane.create", **asked)) in ("InvalidArgument", "KeyReused")
    assert len(stamped(place)) == 2


async def test_a_key_is_good_over_the_death_of_the_daemon(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    asked: dict[str, Any] = {"session": "dev", "command": FOREVER, "idempotency_key": "k1"}
    made = await daemon.call("pane.create", **asked)
    await daemon.kill()
    later = await place.start()
    await later.connected()
    again = await later.call("pane.create", **asked)
    assert (again["id"], again["pid"]) == (made["id"], made["pid"])
    assert len(stamped(place)) == 2


async def test_a_caller_that_goes_away_leaves_a_whole_pane_and_a_whole_end(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    stubborn = await shell(daemon, "trap '' HUP TERM; echo up; while :; do sleep 0.05; done")
    await writes(daemon, stubborn["id"], "up")
    since = await head(daemon)
    tmux = (await daemon.call("daemon.status"))["tmux"]["pid"]
    os.kill(tmux, signal.SIGSTOP)  # so that neither is answered before its caller has gone
    for method, params in (
        ("pane.create", {"session": "dev", "name": "left", "command": FOREVER}),
        ("pane.kill", {"pane": stubborn["id"], "grace": 0.4}),
    ):
        client = await connect(str(place.socket))
        call = asyncio.ensure_future(client.call(method, **params))
        await becomes(
            lambda: daemon.call("daemon.status"), lambda status: status["rpc"]["in_flight"] == 2
        )
        await client.close()
        (lost,) = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(lost, Lost), lost
    os.kill(tmux, signal.SIGCONT)
    (created,) = await told(daemon, since, "pane.created")
    await told(daemon, since, "pane.killed")
    assert (await end_of(daemon, stubborn["id"]))["signal"] == "SIGKILL"
    assert (await daemon.call("pane.get", pane="left"))["id"] == created["pane"]
    assert created["pane"] in stamped(place)
