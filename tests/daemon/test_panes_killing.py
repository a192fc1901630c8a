"""Panes that are killed: whom the signals reach, what is told, and that it is on disk by then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place, running_here
from terminals import (
    becomes,
    end_of,
    head,
    history,
    pane,
    session,
    settled,
    shell,
    stamped,
    told,
    writes,
)

from orchestratord.store.db import Store


async def test_kill_escalates_against_a_program_that_ignores_hangup_and_term(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await shell(daemon, "trap '' HUP TERM; echo set; while :; do sleep 0.05; done")
    await writes(daemon, made["id"], "set")
    killed = await daemon.call("pane.kill", pane=made["id"], grace=0.4)
    assert (killed["exit"]["signal"], killed["exit"]["by"]) == ("SIGKILL", "uid:0")
    assert killed["already"] is False


async def test_kill_lets_a_program_clean_up_in_its_grace(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    traps = f"trap 'touch {tmp_path}/clean; exit 7' TERM; trap '' HUP"
    made = await shell(daemon, f"{traps}; echo set; while :; do sleep 0.05; done")
    await writes(daemon, made["id"], "set")
    killed = await daemon.call("pane.kill", pane=made["id"], grace=2)
    assert (killed["exit"]["status"], (tmp_path / "clean").exists()) == (7, True)


async def test_kill_without_grace_is_sudden_and_complete(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await shell(daemon, "trap '' HUP TERM INT; sleep 1e5 & sleep 1e5 & echo up; wait")
    await writes(daemon, made["id"], "up")
    killed = await daemon.call("pane.kill", pane=made["id"], grace=0)
    assert killed["exit"]["signal"] == "SIGKILL"
    assert made["id"] not in stamped(place)
    assert not _in_session(made["pid"])


async def test_kill_ends_what_ignores_the_hangup_in_the_background(daemon: Daemon) -> None:
    await session(daemon)
    deaf = "(trap '' HUP TERM; while :; do sleep 0.05; done) &"
    made = await shell(daemon, f"{deaf} (trap '' HUP; exec sleep 1e5) & echo up; exec sleep 1e5")
    await writes(daemon, made["id"], "up")
    killed = await daemon.call("pane.kill", pane=made["id"], grace=0.4)
    assert (killed["exit"]["signal"], killed["survivors"]) == ("SIGHUP", [])
    assert not _in_session(made["pid"])


async def test_kill_names_what_left_the_process_session(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "setsid sleep 54321 & echo away; exec sleep 1e5")
    await writes(daemon, made["id"], "away")
    await becomes(lambda: _running(b"sleep\x0054321\x00"), bool)
    killed = await daemon.call("pane.kill", pane=made["id"])
    (survivor,) = killed["survivors"]
    assert survivor["command"] == "sleep"
    command = Path(f"/proc/{survivor['pid']}/cmdline").read_bytes()
    assert command == b"sleep\x0054321\x00"
    os.kill(survivor["pid"], signal.SIGKILL)


async def test_two_kills_at_once_end_a_pane_once(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    since = await head(daemon)
    answers, errors = await settled([daemon.call("pane.kill", pane=made["id"]) for _ in range(8)])
    assert errors == []
    assert {answer["exit"]["at"] for answer in answers} == {answers[0]["exit"]["at"]}
    assert len(await history(daemon, "pane.killed", since=since)) == 1
    assert (await daemon.call("pane.kill", pane=made["id"]))["already"] is True


async def test_a_pane_that_is_being_created_can_be_killed_with_its_session(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    creating = [asyncio.ensure_future(pane(daemon)) for _ in range(10)]
    answer = await daemon.call("session.kill", session="dev")
    made, errors = await settled(list(creating))
    assert set(errors) <= {"SessionNotFound"}
    for one in made:
        if (await daemon.call("pane.get", pane=one["id"]))["exit"] is None:
            await daemon.call("pane.kill", pane=one["id"])
    assert answer["session"] == "s1"
    assert stamped(place) == []
    assert await daemon.call("session.list") == []


async def test_an_answered_kill_has_its_facts_on_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    gate.set()
    whole = Store.record_or_owe

    async def gated(store: Store, *args: Any) -> Any:
        await gate.wait()
        return await whole(store, *args)

    monkeypatch.setattr(Store, "record_or_owe", gated)
    async with running_here(place) as client:
        await session(client)
        living, kept = await pane(client), await shell(client, "exit 4", keep=True)
        await told(client, 0, "pane.exited")
        since = await head(client)
        gate.clear()
        killing = [
            asyncio.ensure_future(client.call("pane.kill", pane=one["id"]))
            for one in (living, living, kept)
        ]
        await end_of(client, living["id"])
        await becomes(lambda: client.call("pane.list"), lambda found: len(found) == 2)
        assert stamped(place) == ["p1", living["id"]]  # closed only when its end is on disk
        assert not [one for one in killing if one.done()]
        gate.set()
        await asyncio.wait(killing)
        facts = [(e["kind"], e.get("pane", "")) for e in await history(client, since=since)]
        assert sorted(facts) == [
            ("pane.closed", kept["id"]), ("pane.killed", living["id"]),
            ("window.ended", ""), ("window.ended", ""),
        ]  # fmt: skip
        since = await head(client)
        assert (await client.call("session.kill", session="dev"))["killed"] == ["p1"]
        ends = [e["kind"] for e in await history(client, since=since)]
        assert ends == ["pane.killed", "window.ended", "session.ended"]


def _in_session(session_id: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session_id and fields[0] not in (b"Z", b"X"):
            found.append(int(stat.parent.name))
    return found


async def _running(command: bytes) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if file.read_bytes() == command:
                return True
    return False
