"""Processes that die or stop, files that vanish, disks that are full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from living import PATIENCE, Daemon, Place, until
from orchctl.aio import RpcError
from terminals import (
    ENDS,
    becomes,
    end_of,
    head,
    history,
    kind,
    pane,
    quiet,
    session,
    settled,
    shell,
    stamped,
    tmux,
    told,
    writes,
)


async def test_when_the_tmux_server_dies_everything_in_it_is_lost_once(
    daemon: Daemon, place: Place
) -> None:
    first = (await session(daemon))["pane"]
    made = await pane(daemon, name="a")
    since = await head(daemon)
    server = (await daemon.call("daemon.status"))["tmux"]["pid"]
    os.kill(server, signal.SIGKILL)
    newer, errors = await asyncio.gather(_session_again(daemon), _sends(daemon, first["id"]))
    assert errors <= {"TmuxGone", "PaneExited"}
    assert newer["pane"]["tmux_id"] == first["tmux_id"]
    await told(daemon, since, "session.ended")
    events = [e for e in await history(daemon, since=since) if e["kind"] != "pane.resized"]
    kinds = [(e["kind"], e.get("pane")) for e in events]
    assert sorted(k for k in kinds if k[0] in ENDS) == [
        ("pane.lost", first["id"]), ("pane.lost", made["id"]),
    ]  # fmt: skip
    (lost,) = [e["data"] for e in events if e["kind"] == "server.lost"]
    assert lost["panes"] == 2
    assert [k for k, _ in kinds].count("server.connected") == 1
    assert [s["name"] for s in await daemon.call("session.list")] == ["newer"]
    assert (
        "for the old one" not in (await daemon.call("pane.read", pane=newer["pane"]["id"]))["text"]
    )
    assert await kind(daemon.call("pane.send", pane="a", text="x")) == "PaneExited"
    await session(daemon)


async def _session_again(daemon: Daemon) -> dict[str, Any]:
    """Create a session on the server that comes next."""
    while True:
        with contextlib.suppress(RpcError):
            return await session(daemon, "newer")


async def _sends(daemon: Daemon, pane_id: str) -> set[str]:
    """Send to an old pane until it is known to have ended; what waits then reaches no new one."""
    errors: set[str] = set()
    while "PaneExited" not in errors:
        text = daemon.call("pane.send", pane=pane_id, text="for the old one")
        errors |= set((await settled([text]))[1])
    return errors


async def test_equal_tmux_ids_of_a_later_server_are_never_taken_for_the_old_panes(
    daemon: Daemon, place: Place
) -> None:
    old = (await session(daemon))["pane"]
    await pane(daemon, name="a")
    server = (await daemon.call("daemon.status"))["tmux"]["pid"]
    since = await head(daemon)
    await daemon.kill()
    os.kill(server, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{server}").exists())
    later = await place.start()
    newer = await session(later, "newer")
    assert newer["pane"]["tmux_id"] == old["tmux_id"]
    await told(later, since, "session.ended")
    assert (await later.call("pane.get", pane=old["tmux_id"]))["id"] == newer["pane"]["id"]
    assert (await later.call("pane.get", pane=old["id"]))["state"] == "lost"
    assert (await later.call("pane.kill", pane=old["id"]))["already"] is True
    assert (await later.call("pane.get", pane=newer["pane"]["id"]))["state"] == "running"
    lost = await history(later, *ENDS, since=since)
    assert sorted(e["kind"] for e in lost) == ["pane.lost", "pane.lost"]


async def test_a_stopped_tmux_ends_no_pane_and_doubles_none(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    doomed = [await pane(daemon) for _ in range(3)]
    bystander = await pane(daemon)
    server = (await daemon.call("daemon.status"))["tmux"]["pid"]
    since = await head(daemon)
    os.kill(server, signal.SIGSTOP)
    calls: list[Any] = [pane(daemon) for _ in range(4)]
    calls += [daemon.call("pane.kill", pane=p["id"], grace=0.2) for p in doomed]
    calls += [daemon.call("pane.capture", pane=bystander["id"])]
    acting = asyncio.ensure_future(settled(calls))
    while not acting.done():
        shown = await daemon.call("pane.get", pane=bystander["id"])
        assert shown["exit"] is None
        await asyncio.sleep(0.05)
    os.kill(server, signal.SIGCONT)
    answers, errors = await acting
    assert set(errors) <= {"TmuxGone", "PaneUnknown", "DeadlineExceeded"}
    await daemon.connected()
    made = {a["id"] for a in answers if "tmux_id" in a}
    expected = sorted({"p1", bystander["id"], *made}, key=lambda p: int(p[1:]))
    await becomes(lambda: _stamps(place), lambda stamps: stamps == expected)
    await daemon.call("daemon.reconcile")
    listed = sorted((p["id"] for p in await daemon.call("pane.list")), key=lambda p: int(p[1:]))
    assert listed == expected
    ends = [(e["kind"], e["pane"]) for e in await history(daemon, *ENDS, since=since)]
    assert sorted(ends) == sorted(("pane.killed", p["id"]) for p in doomed)


async def _stamps(place: Place) -> list[str]:
    return stamped(place)


async def test_while_tmux_does_not_answer_only_what_the_kernel_shows_is_known(
    daemon: Daemon,
) -> None:
    await daemon.call("session.create", name="dev", shell="bash")
    program = await pane(daemon)
    await becomes(lambda: daemon.call("pane.get", pane="p1"), lambda p: p["state"] == "idle")
    server = (await daemon.call("daemon.status"))["tmux"]["pid"]
    os.kill(server, signal.SIGSTOP)
    try:
        asked = asyncio.ensure_future(settled([daemon.call("pane.capture", pane="p1")]))
        await becomes(lambda: daemon.call("pane.get", pane="p1"), lambda p: p["state"] == "unknown")
        assert (await daemon.call("pane.get", pane=program["id"]))["state"] == "running"
        listed = await daemon.call("pane.list", state="unknown")
        assert [p["id"] for p in listed] == ["p1"]
        await asked
    finally:
        os.kill(server, signal.SIGCONT)
    await becomes(lambda: daemon.call("pane.get", pane="p1"), lambda p: p["state"] == "idle")


async def test_a_stopped_daemon_misses_no_end(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    wait = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
    made = await shell(daemon, f"{wait}; echo bye; exit 5")
    shown = await becomes(
        lambda: daemon.call("pane.get", pane=made["id"]),
        lambda p: p["foreground"] and p["foreground"]["command"] == "sh",
    )
    daemon.process.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    program = Path(f"/proc/{shown['foreground']['pid']}/stat")
    await until(lambda: b") Z " in program.read_bytes())
    daemon.process.send_signal(signal.SIGCONT)
    ended = await end_of(daemon, made["id"])
    assert (ended["status"], ended["last_lines"]) == (5, ["bye"])


async def test_a_copier_that_dies_is_a_gap_told_once_and_output_goes_on(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await shell(daemon, "while read -r x; do echo got $x; done")
    await daemon.call("pane.send", pane=made["id"], text="one", submit=True)
    await writes(daemon, made["id"], "got one")
    before = await daemon.call("pane.read", pane=made["id"])
    (file,) = (place.state / "spool").glob(f"{made['id']}.1.[0-9]*")
    since = await head(daemon)
    os.kill(int(file.suffix[1:]), signal.SIGKILL)
    (gap,) = await told(daemon, since, "output.gap")
    assert gap["pane"] == made["id"]
    await becomes(lambda: _files(place, made["id"], 2), bool)
    await daemon.call("pane.send", pane=made["id"], text="two", submit=True)
    await writes(daemon, made["id"], "got two")
    after = await daemon.call("pane.read", pane=made["id"], since=before["cursor"])
    assert (after["gap"], "got two" in after["text"]) == (True, True)
    kinds = [e["kind"] for e in await history(daemon, since=since)]
    assert [k for k in kinds if not k.startswith("delivery.")] == ["output.gap"]
    await daemon.call("pane.send", pane=made["id"], text="three", submit=True)
    await daemon.call("pane.keys", pane=made["id"], keys=["C-d"])
    assert (await end_of(daemon, made["id"]))["status"] == 0


async def _files(place: Place, pane_id: str, epoch: int) -> list[Path]:
    return list((place.state / "spool").glob(f"{pane_id}.{epoch}.[0-9]*"))


@pytest.mark.parametrize("restart", [False, True])
async def test_a_removed_output_file_is_a_gap_told_once_and_output_goes_on(
    daemon: Daemon, place: Place, restart: bool
) -> None:
    await session(daemon)
    made = await shell(daemon, "while read -r x; do echo got $x; done")
    await daemon.call("pane.send", pane=made["id"], text="one", submit=True)
    await writes(daemon, made["id"], "got one")
    since = await head(daemon)
    if restart:
        await daemon.kill()
    for file in (place.state / "spool").glob(f"{made['id']}.1.[0-9]*"):
        file.unlink()
    if restart:
        daemon = await place.start()
    else:
        await daemon.call("pane.send", pane=made["id"], text="lost", submit=True)
    await told(daemon, since, "output.gap")
    await becomes(lambda: _files(place, made["id"], 2), bool)
    await daemon.call("pane.send", pane=made["id"], text="two", submit=True)
    await writes(daemon, made["id"], "got two")
    assert len(await history(daemon, "output.gap", since=since)) == 1
    await daemon.call("pane.keys", pane=made["id"], keys=["C-d"])
    assert (await end_of(daemon, made["id"]))["status"] == 0


async def test_what_changed_while_no_daemon_ran_is_told_after_its_start(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    exits = await shell(daemon, "read x; echo bye; exit 9")
    await writes(daemon, exits["id"], "")
    closed, moved, respawned = [await pane(daemon) for _ in range(3)]
    still = await pane(daemon)
    since = await head(daemon)
    await daemon.kill()
    tmux(place, "send-keys", "-t", exits["tmux_id"], "Enter")
    tmux(place, "kill-pane", "-t", closed["tmux_id"])
    tmux(place, "join-pane", "-d", "-s", moved["tmux_id"], "-t", still["tmux_id"])
    tmux(place, "respawn-pane", "-k", "-t", respawned["tmux_id"], "sleep 1e5")
    later = await place.start()
    await later.connected()
    ended = await end_of(later, exits["id"])
    assert (ended["status"], ended["last_lines"][-1]) == (9, "bye")
    await told(later, since, "window.ended", 3)
    facts = await quiet(later, since)
    assert sorted(f for f in facts if f[1]) == sorted(
        [("pane.exited", exits["id"]), ("pane.lost", closed["id"]), ("pane.moved", moved["id"]),
         ("pane.respawned", respawned["id"])]
    )  # fmt: skip
    shown = {p["id"]: p for p in await later.call("pane.list")}
    assert set(shown) == {"p1", moved["id"], respawned["id"], still["id"]}
    assert shown[moved["id"]]["window"] == still["window"]
    assert shown[respawned["id"]]["incarnation"] == 2


async def test_short_panes_are_told_exactly_with_their_last_line(daemon: Daemon) -> None:
    await session(daemon)

    async def one(number: int) -> None:
        lines = (0, 1, 10, 500, 5000, 20000)[number % 6]
        status = number % 200
        made = await shell(daemon, f"seq {lines}; echo last {number}; exit {status}")
        ended = await end_of(daemon, made["id"])
        assert (ended["status"], ended["last_lines"][-1]) == (status, f"last {number}")

    for number in range(10):
        await one(number)
    for start in range(0, 50, 10):
        await asyncio.gather(*(one(start + n) for n in range(10)))
    ends = await becomes(lambda: history(daemon, *ENDS), lambda told: len(told) >= 60)
    assert len(ends) == len({e["pane"] for e in ends}) == 60


async def test_two_daemons_live_side_by_side(daemon: Daemon, place: Place) -> None:
    other_place = Place()
    try:
        other = await other_place.start()
        await asyncio.gather(session(daemon), session(other))
        await asyncio.gather(*(pane(d, place="auto") for d in (daemon, other) for _ in range(5)))
        assert len(stamped(place)) == len(stamped(other_place)) == 6
        await daemon.call("session.kill", session="dev")
        assert stamped(place) == []
        assert len(stamped(other_place)) == 6
        assert await other.call("pane.count") == {"count": 6}
    finally:
        await other_place.clean_up()


async def test_on_a_full_disk_panes_can_still_be_ended(place: Place) -> None:
    place.file.write_text("store_bytes = 400000\n")
    daemon = await place.start()
    await session(daemon)
    victims = [await pane(daemon) for _ in range(2)]
    large = {f"k{n}": "x" * 250 for n in range(60)}
    await _fill(lambda n: daemon.call("pane.label_set", pane="p1", labels=large | {"k0": str(n)}))
    last = (await daemon.call("pane.label_get", pane="p1"))["labels"]["k0"]
    await _fill(lambda n: daemon.call("pane.rename", pane=victims[0]["id"], name=f"n{n}"))
    before = stamped(place)
    _, errors = await settled([pane(daemon) for _ in range(3)])
    assert errors == ["StoreFull"] * 3
    assert stamped(place) == before
    assert (await daemon.call("pane.label_get", pane="p1"))["labels"]["k0"] == last
    assert (await daemon.call("pane.signal", pane=victims[0]["id"], signal="TERM"))["pids"]
    assert (await end_of(daemon, victims[0]["id"]))["signal"] == "SIGTERM"
    assert (await daemon.call("pane.interrupt", pane=victims[1]["id"]))["signal"] == "SIGINT"
    assert (await end_of(daemon, victims[1]["id"]))["signal"] == "SIGINT"
    async with asyncio.timeout(PATIENCE):
        killed = await daemon.call("pane.kill", pane="p1")
    assert killed["exit"]["by"] == "uid:0"
    await becomes(lambda: _stamps(place), lambda stamps: stamps == [])
    # What happened meanwhile is owed, and on disk as soon as there is room.
    place.file.write_text("store_bytes = 4000000\n")
    await daemon.end()
    later = await place.start()
    await later.connected()
    ends = await becomes(lambda: history(later, *ENDS), lambda events: len(events) >= 3)
    assert sorted(e["pane"] for e in ends) == ["p1", "p2", "p3"]


async def _fill(change: Any) -> None:
    """Make changes until the store has no room for the next."""
    errors: list[str] = []
    number = 0
    while not errors:
        number += 1
        _, errors = await settled([change(number)])
    assert errors == ["StoreFull"]
