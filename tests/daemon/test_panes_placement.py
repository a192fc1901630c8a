"""Where panes go: splits, windows, moves, sizes, through a whole daemon."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from living import Daemon, Place
from terminals import (
    FOREVER,
    becomes,
    head,
    history,
    kind,
    pane,
    session,
    settled,
    shell,
    stamped,
    tmux,
    told,
)


async def _sizes(daemon: Daemon) -> list[tuple[int, int]]:
    await daemon.call("daemon.reconcile")
    return [(p["width"], p["height"]) for p in await daemon.call("pane.list")]


async def test_auto_splits_while_panes_stay_large_enough_then_opens_a_window(
    daemon: Daemon,
) -> None:
    await session(daemon)
    for _ in range(12):
        await pane(daemon, place="auto")
    sizes = await _sizes(daemon)
    assert all(width >= 80 and height >= 12 for width, height in sizes), sizes
    windows = await daemon.call("window.list")
    assert max(len(w["panes"]) for w in windows) >= 4
    assert len(windows) < 6


async def test_twenty_panes_at_once_are_placed_like_twenty_in_turn(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made, errors = await settled([pane(daemon, place="auto") for _ in range(20)])
    assert (len(made), errors) == (20, [])
    assert len(stamped(place)) == 21
    sizes = await _sizes(daemon)
    assert all(width >= 80 and height >= 12 for width, height in sizes), sizes
    assert len(await daemon.call("window.list")) <= 6


async def test_a_freed_slot_is_used_again(daemon: Daemon) -> None:
    await session(daemon)
    made = [await pane(daemon, place="auto") for _ in range(8)]
    before = len(await daemon.call("window.list"))
    doomed = made[:4]
    await asyncio.gather(*(daemon.call("pane.kill", pane=p["id"]) for p in doomed))
    await settled([pane(daemon, place="auto") for _ in range(4)])
    assert len(await daemon.call("window.list")) <= before
    assert all(w >= 80 and h >= 12 for w, h in await _sizes(daemon))


async def test_a_pane_is_put_where_it_was_asked_for(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]
    right = await pane(daemon, place="right", of=first["id"])
    below = await pane(daemon, place="below", of=right["id"])
    window = await pane(daemon, place="window")
    inside = await pane(daemon, place="auto", of=window["window"])
    assert right["window"] == below["window"] == first["window"] != window["window"]
    assert inside["window"] == window["window"]
    assert below["width"] == right["width"] <= 100 < first["width"]
    other = await session(daemon, "ops")
    call = pane(daemon, place="right", of=other["pane"]["id"])
    assert await kind(call) == "BadValue"
    assert await kind(pane(daemon, place="right", of="nothing")) == "PaneNotFound"


async def test_a_split_without_room_is_refused_and_changes_nothing(
    daemon: Daemon, place: Place
) -> None:
    made = await daemon.call("session.create", name="dev", command=FOREVER, width=4, height=4)
    before = tmux(place, "list-panes", "-a", "-F", "#{pane_id} #{pane_width}x#{pane_height}")
    for where in ("right", "below"):
        for _ in range(4):
            answers, errors = await settled([pane(daemon, place=where, of=made["pane"]["id"])])
            for one in answers:
                await daemon.call("pane.kill", pane=one["id"])
    assert set(errors) <= {"NoRoom"}
    small = await daemon.call("session.create", name="small", command=FOREVER, width=2, height=2)
    for where in ("right", "below"):
        call = pane(daemon, session="small", place=where, of=small["pane"]["id"])
        assert await kind(call) == "NoRoom"
    assert (await pane(daemon, session="small", place="auto"))["window"] != small["pane"]["window"]
    assert before.split("\n")[1] in tmux(
        place, "list-panes", "-a", "-F", "#{pane_id} #{pane_width}x#{pane_height}"
    )


async def test_the_focus_of_a_person_stays_where_it_was(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    await pane(daemon, place="right")
    ask = ("display-message", "-p", "-t", "=dev:", "#{pane_id} #{window_id}")
    before = tmux(place, *ask)
    for where in ("auto", "right", "below", "window"):
        await pane(daemon, place=where)
    assert tmux(place, *ask) == before


async def test_a_layout_is_made_with_the_pane_and_later(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]
    for layout in ("tiled", "even-horizontal", "even-vertical", "main-horizontal", "main-vertical"):
        made = await pane(daemon, place="auto", of=first["window"], layout=layout)
        assert made["exit"] is None
        shown = await daemon.call("window.layout", window=first["window"], layout=layout)
        assert made["id"] in shown["panes"] or made["window"] != shown["id"]
    for bad in ("", "zzzz", "%s", "tiled;kill-server"):
        call = daemon.call("window.layout", window=first["window"], layout=bad)
        assert await kind(call) == "InvalidArgument"
    ended = await pane(daemon, "true", place="auto", layout="tiled")
    assert ended["command"] == "true"


async def test_panes_are_resized_within_their_window_and_with_it(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]["id"]
    alone = await daemon.call("pane.resize", pane=first, width=150, height=40)
    assert (alone["width"], alone["height"]) == (150, 40)
    other = await pane(daemon, place="right", of=first)
    shown = await daemon.call("pane.resize", pane=other["id"], width=30)
    assert shown["width"] == 30
    await becomes(lambda: daemon.call("pane.get", pane=first), lambda p: p["width"] == 119)
    assert await kind(daemon.call("pane.resize", pane=first)) == "BadValue"
    for size in (0, -1, 1, 10_001, 2**32, 1.5):
        call = daemon.call("pane.resize", pane=first, width=size)
        assert await kind(call) == "InvalidArgument"


@pytest.mark.parametrize("alone", [True, False])
async def test_a_pane_moves_to_another_session_and_takes_its_records_along(
    daemon: Daemon, place: Place, alone: bool
) -> None:
    await session(daemon)
    target = await session(daemon, "ops")
    made = await pane(daemon, name="a", place="window" if alone else "right")
    since = await head(daemon)
    moved = await daemon.call("pane.move", pane="a", to_session="ops")
    assert (moved["id"], moved["session"], moved["pid"]) == (made["id"], target["id"], made["pid"])
    assert (await daemon.call("window.get", window=moved["window"]))["panes"] == [made["id"]]
    listed = tmux(place, "list-panes", "-s", "-t", "=ops:", "-F", "#{@orch_id}").split()
    assert made["id"] in listed
    if alone:
        await told(daemon, since, "window.ended")
    await daemon.call("daemon.reconcile")
    kinds = [e["kind"] for e in await history(daemon, since=since) if e["kind"] != "pane.resized"]
    assert kinds == ["window.created", "pane.moved", *(["window.ended"] if alone else [])]
    assert all(w["panes"] for w in await daemon.call("window.list"))


async def test_a_session_whose_last_pane_moved_away_has_ended(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]["id"]
    await session(daemon, "ops")
    await daemon.call("pane.move", pane=first, to_session="ops")
    since = 0
    (ended,) = await told(daemon, since, "session.ended")
    assert ended["data"] == {"name": "dev"}
    assert [s["name"] for s in await daemon.call("session.list")] == ["ops"]
    again = await session(daemon)
    assert again["name"] == "dev"


async def test_a_pane_moves_beside_another(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]
    made = await pane(daemon, name="a")
    moved = await daemon.call("pane.move", pane="a", beside=first["id"])
    assert moved["window"] == first["window"]
    await becomes(lambda: daemon.call("window.list"), lambda windows: len(windows) == 1)
    assert await kind(daemon.call("pane.move", pane="a", beside="a")) == "BadValue"
    assert await kind(daemon.call("pane.move", pane="a")) == "BadValue"
    assert (await daemon.call("pane.get", pane="a"))["pid"] == made["pid"]


async def test_panes_swap_their_places(daemon: Daemon) -> None:
    first = (await session(daemon))["pane"]
    other = (await session(daemon, "ops"))["pane"]
    since = await head(daemon)
    one, two = await daemon.call("pane.swap", pane=first["id"], other=other["id"])
    assert (one["window"], one["session"]) == (other["window"], other["session"])
    assert (two["window"], two["session"]) == (first["window"], first["session"])
    await daemon.call("daemon.reconcile")
    events = await history(daemon, since=since)
    assert [(e["kind"], e["pane"]) for e in events] == [
        ("pane.moved", first["id"]), ("pane.moved", other["id"]),
    ]  # fmt: skip


async def test_zoom_shows_the_pane_that_was_asked_for(daemon: Daemon, place: Place) -> None:
    first = (await session(daemon))["pane"]["id"]
    other = (await pane(daemon, place="right"))["id"]

    def shown() -> str:
        zoomed = "#{&&:#{window_zoomed_flag},#{pane_active}}"
        listed = tmux(place, "list-panes", "-s", "-t", "=dev:", "-f", zoomed, "-F", "#{@orch_id}")
        return listed.strip()

    assert (await daemon.call("pane.zoom", pane=first, on=True))["zoomed"] is True
    assert shown() == first
    assert (await daemon.call("pane.zoom", pane=other, on=True))["zoomed"] is True
    assert shown() == other
    assert (await daemon.call("pane.zoom", pane=first, on=False))["zoomed"] is False
    assert shown() == other
    assert (await daemon.call("pane.zoom", pane=other))["zoomed"] is False
    assert shown() == ""


async def test_select_is_what_a_person_sees(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon)
    beside = await pane(daemon, place="right", of=made["id"])
    for one in (beside, made):
        await daemon.call("pane.select", pane=one["id"])
        assert (
            tmux(place, "display-message", "-p", "-t", "=dev:", "#{@orch_id}").strip() == one["id"]
        )


async def test_windows_are_made_named_and_killed(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await daemon.call("window.create", session="dev", name="logs", cwd="/")
    assert (made["name"], len(made["panes"])) == ("logs", 1)
    assert await daemon.call("window.get", window=made["tmux_id"]) == made
    beside = await pane(daemon, place="right", of=made["id"])
    killed = await daemon.call("window.kill", window=made["id"])
    assert sorted(killed["killed"]) == sorted([*made["panes"], beside["id"]])
    assert await kind(daemon.call("window.get", window=made["id"])) == "WindowNotFound"
    assert len(stamped(place)) == 1


@pytest.mark.parametrize("noun", ["window", "session"])
async def test_what_a_person_put_into_it_ends_with_a_killed(
    daemon: Daemon, place: Place, noun: str
) -> None:
    first = (await session(daemon))["pane"]
    await session(daemon, "ops")
    tmux(place, "split-window", "-d", "-t", first["tmux_id"], "sleep 100000")
    tmux(place, "split-window", "-d", "-t", "=ops:", "sleep 100000")
    ref: dict[str, Any] = {"window": first["window"]} if noun == "window" else {"session": "dev"}
    killed = await daemon.call(f"{noun}.kill", **ref)
    assert killed["killed"] == [first["id"]]
    left = tmux(place, "list-panes", "-a", "-F", "#{session_name} #{@orch_id}").splitlines()
    assert sorted(left) == ["_orch ", "ops ", "ops p2"]
    await session(daemon)


async def test_a_pane_of_a_person_is_never_touched_by_what_is_ours(
    daemon: Daemon, place: Place
) -> None:
    first = (await session(daemon))["pane"]
    tmux(place, "split-window", "-d", "-t", first["tmux_id"], "sleep 100000")
    foreign = tmux(
        place, "list-panes", "-t", "=dev:", "-f", "#{==:#{@orch_id},}", "-F", "#{pane_id}"
    )
    assert await kind(daemon.call("pane.kill", pane=foreign.strip())) == "PaneNotFound"
    await daemon.call("pane.kill", pane=first["id"])
    assert foreign in tmux(place, "list-panes", "-a", "-F", "#{pane_id}")
    status = await becomes(
        lambda: daemon.call("daemon.status"), lambda s: s["counts"]["panes_foreign"] == 1
    )
    assert status["counts"]["panes"] == 0


async def test_creating_and_killing_side_by_side_loses_nobody(daemon: Daemon, place: Place) -> None:
    await session(daemon)

    async def one() -> str:
        made = await pane(daemon, place="auto")
        await daemon.call("pane.kill", pane=made["id"], grace=0)
        made = await shell(daemon, "exit 0", place="auto")
        return str((await pane(daemon, place="auto"))["id"])

    answers, errors = await settled([one() for _ in range(15)])
    assert (len(answers), errors) == (15, [])
    assert stamped(place) == sorted(["p1", *answers], key=lambda p: int(p[1:]))
