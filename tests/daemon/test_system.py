"""What the daemon tells of itself: status, events, receipts, backups, its doctor."""

import asyncio
import stat
from typing import Any

import pytest
from living import Daemon, Place
from terminals import refused

from orchestratord import __version__


async def test_ping_and_status_tell_which_daemon_this_is(daemon: Daemon) -> None:
    ping = await daemon.call("daemon.ping")
    assert (ping["version"], ping["pid"]) == (__version__, daemon.process.pid)
    status = await daemon.connected()
    assert status["health"] == "ok" and status["degraded"] == []
    assert status["socket"] == str(daemon.place.socket)
    assert status["tmux"]["socket"] == str(daemon.place.tmux_socket)
    assert status["memory"]["daemon"] > 1 << 20 and status["memory"]["tmux"] > 1 << 20
    assert status["counts"]["panes"] == 0
    assert status["store"]["mode"] == "ok" and status["rpc"]["connections"] == 1


async def test_places_are_closed_to_others(daemon: Daemon) -> None:
    await daemon.connected()
    place = daemon.place
    for path in (place.state, place.socket.parent, place.tmux_socket.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600


async def test_without_tmux_the_daemon_serves_and_says_that_it_is_degraded(place: Place) -> None:
    daemon = await place.start("--tmux=/nonexistent/tmux")
    while not (status := await daemon.call("daemon.status"))["link"]["trouble"]:
        await asyncio.sleep(0.01)
    assert status["health"] == "degraded"
    assert "/nonexistent/tmux" in status["degraded"][0]
    checks = {c["check"]: c for c in (await daemon.call("daemon.doctor"))["checks"]}
    assert checks["tmux"]["verdict"] == "fail" and checks["tmux"]["remedy"]


async def test_events_resume_across_kill_9_without_a_gap(place: Place) -> None:
    first = await place.start()
    await first.connected()
    seen = (await first.call("event.list"))["events"]
    await first.kill()
    second = await place.start()
    await second.connected()
    assert [event["kind"] for event in seen[:1]] == ["daemon.started"]
    followed = []
    stream = second.client.subscribe("event.subscribe", since=seen[0]["seq"])
    async for event in stream:
        followed.append(event)
        if event["kind"] == "daemon.started":
            break
    await stream.aclose()
    assert followed[-1]["data"]["recovered"] is True
    assert followed[-1]["data"]["pid"] == second.process.pid
    assert followed[: len(seen) - 1] == seen[1:]
    assert [e["seq"] for e in followed] == list(range(2, followed[-1]["seq"] + 1))


async def test_events_are_listed_by_kind_and_in_pages(daemon: Daemon) -> None:
    await daemon.connected()
    for _ in range(5):
        await daemon.call("daemon.reload")
    kinds = ["daemon.reloaded"]
    page = await daemon.call("event.list", kinds=kinds, limit=3)
    rest = await daemon.call("event.list", kinds=kinds, since=page["next"])
    assert [len(page["events"]), len(rest["events"])] == [3, 2]
    assert rest["next"] >= rest["events"][-1]["seq"] and rest["oldest"] == 1
    nothing = await daemon.call("event.list", since=rest["next"])
    assert nothing["events"] == [] and nothing["next"] == rest["next"]
    until_two = await daemon.call("event.list", until=2)
    assert [event["seq"] for event in until_two["events"]] == [1, 2]


@pytest.mark.parametrize("method", ["event.list", "event.subscribe"])
async def test_a_wrong_filter_or_number_is_the_answer(daemon: Daemon, method: str) -> None:
    assert (await refused(daemon.call(method, kinds=["pane.exploded"]))).kind == (
        "UnknownEventKind"
    )
    assert (await refused(daemon.call(method, since=10**6))).kind == "SeqUnknown"
    assert (await refused(daemon.call(method, session="nobody"))).kind == "SessionNotFound"


async def test_a_keyed_call_acts_once_across_kill_9(place: Place) -> None:
    first = await place.start()
    await first.connected()
    session = await first.call("session.create", name="dev", command=["sleep", "1000"])
    params: dict[str, Any] = {
        "session": session["id"],
        "name": "one",
        "command": ["sleep", "1000"],
        "idempotency_key": "k1",
    }
    made = await first.call("pane.create", **params)
    assert await first.call("pane.create", **params) == made
    await first.kill()
    second = await place.start()
    again = await second.call("pane.create", **params)
    assert (again["id"], again["tmux_id"], again["pid"]) == (
        made["id"],
        made["tmux_id"],
        made["pid"],
    )
    other = await refused(second.call("pane.create", **params | {"name": "two"}))
    assert other.kind == "InvalidArgument"
    listed = await second.call("pane.list", session=session["id"])
    assert len(listed) == 2


async def test_a_backup_is_whole_and_replaces_nothing(daemon: Daemon) -> None:
    path = daemon.place.directory / "copy.db"
    made = await daemon.call("daemon.backup", path=str(path))
    assert made == {"path": str(path), "bytes": path.stat().st_size}
    assert (await refused(daemon.call("daemon.backup", path=str(path)))).kind == "BackupExists"
    nowhere = str(path / "x" / "y")
    assert (await refused(daemon.call("daemon.backup", path=nowhere))).kind == "NoSuchDirectory"


async def test_the_doctor_finds_what_somebody_changed_in_tmux(daemon: Daemon) -> None:
    await daemon.connected()
    before = {c["check"]: c for c in (await daemon.call("daemon.doctor"))["checks"]}
    assert {c["verdict"] for c in before.values()} <= {"ok", "warn"}
    assert before["tmux options"]["verdict"] == before["tmux hooks"]["verdict"] == "ok"
    human = await asyncio.create_subprocess_exec(
        *("tmux", "-S", str(daemon.place.tmux_socket)),
        *("set-option", "-g", "history-limit", "5", ";", "set-hook", "-gu", "pane-died[7717]"),
    )
    assert await human.wait() == 0
    after = {c["check"]: c for c in (await daemon.call("daemon.doctor"))["checks"]}
    assert "history-limit" in after["tmux options"]["detail"]
    assert "pane-died" in after["tmux hooks"]["detail"]
