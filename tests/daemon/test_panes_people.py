"""What people do to our panes with tmux itself is followed, and told as theirs."""

from __future__ import annotations

import pytest
from living import Daemon, Place
from terminals import (
    ENDS,
    FOREVER,
    end_of,
    head,
    history,
    pane,
    quiet,
    session,
    stamped,
    tmux,
    told,
)


async def test_a_pane_closed_by_a_person_is_lost_once(daemon: Daemon, place: Place) -> None:
    first = (await session(daemon))["pane"]["id"]
    made = await pane(daemon)
    since = await head(daemon)
    tmux(place, "kill-pane", "-t", made["tmux_id"])
    await told(daemon, since, "window.ended")
    assert await quiet(daemon, since) == [("pane.lost", made["id"]), ("window.ended", None)]
    shown = await daemon.call("pane.get", pane=made["id"])
    assert (shown["state"], shown["exit"]["by"]) == ("lost", "outside")
    assert stamped(place) == [first]


@pytest.mark.parametrize("noun", ["window", "session"])
async def test_what_a_person_closes_is_gone_with_all_that_was_in_it(
    daemon: Daemon, place: Place, noun: str
) -> None:
    first = (await session(daemon))["pane"]
    beside = await pane(daemon, place="right", of=first["id"])
    other = (await session(daemon, "ops"))["pane"]["id"]
    since = await head(daemon)
    tmux(place, f"kill-{noun}", "-t", first["tmux_id"])
    await told(daemon, since, "session.ended")
    told_ = await quiet(daemon, since)
    assert sorted(told_[:2]) == [("pane.lost", first["id"]), ("pane.lost", beside["id"])] or (
        {e for e in told_ if e[0] == "pane.lost"}
        == {("pane.lost", first["id"]), ("pane.lost", beside["id"])}
    )
    assert len(told_) == 4
    assert stamped(place) == [other]
    await session(daemon)


async def test_a_session_renamed_by_a_person_is_renamed(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    since = await head(daemon)
    tmux(place, "rename-session", "-t", "=dev", "mine")
    (event,) = await told(daemon, since, "session.renamed")
    assert event["data"] == {"name": "mine", "by": "outside"}
    assert [s["name"] for s in await daemon.call("session.list")] == ["mine"]
    await session(daemon)


async def test_panes_that_a_person_moves_are_followed(daemon: Daemon, place: Place) -> None:
    first = (await session(daemon))["pane"]
    other = (await session(daemon, "ops"))["pane"]
    made = await pane(daemon, place="right", of=first["id"])
    since = await head(daemon)
    tmux(place, "break-pane", "-d", "-s", made["tmux_id"])
    (moved,) = await told(daemon, since, "pane.moved")
    assert moved["data"]["by"] == "outside"
    assert (await daemon.call("pane.get", pane=made["id"]))["window"] == moved["data"]["window"]
    since = await head(daemon)
    tmux(place, "join-pane", "-d", "-s", made["tmux_id"], "-t", other["tmux_id"])
    await told(daemon, since, "window.ended")
    assert await quiet(daemon, since) == [("pane.moved", made["id"]), ("window.ended", None)]
    shown = await daemon.call("pane.get", pane=made["id"])
    assert (shown["session_name"], shown["window"]) == ("ops", other["window"])
    since = await head(daemon)
    tmux(place, "swap-pane", "-d", "-s", made["tmux_id"], "-t", first["tmux_id"])
    await told(daemon, since, "pane.moved", 2)
    assert sorted(await quiet(daemon, since)) == sorted(
        [("pane.moved", made["id"]), ("pane.moved", first["id"])]
    )
    assert (await daemon.call("pane.get", pane=first["id"]))["session_name"] == "ops"
    assert (await daemon.call("pane.get", pane=made["id"]))["session_name"] == "dev"
    assert await history(daemon, *ENDS) == []


async def test_a_pane_that_a_person_respawns_is_newly_incarnated_and_lives(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await pane(daemon)
    for round_ in (2, 3, 4):
        since = await head(daemon)
        tmux(place, "respawn-pane", "-k", "-t", made["tmux_id"], "echo again; exec sleep 1e5")
        await told(daemon, since, "pane.respawned")
        assert await quiet(daemon, since) == [("pane.respawned", made["id"])]
        shown = await daemon.call("pane.get", pane=made["id"])
        assert (shown["state"], shown["incarnation"]) == ("running", round_)
    assert made["id"] in stamped(place)
    killed = await daemon.call("pane.kill", pane=made["id"])
    assert killed["exit"]["by"] == "uid:0"


async def test_the_end_of_what_a_person_respawned_is_told(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon)
    tmux(place, "respawn-pane", "-k", "-t", made["tmux_id"], "sleep 0.3; exit 6")
    ended = await end_of(daemon, made["id"])
    assert (ended["status"], ended["signal"]) == (6, None)


async def test_a_window_in_two_sessions_stays_in_its_own_until_it_leaves_that(
    daemon: Daemon, place: Place
) -> None:
    made = (await session(daemon, "zoo"))["pane"]
    await session(daemon, "ant")
    await session(daemon, "zzz")
    kept = await daemon.call("pane.create", session="zoo", place="window", command=FOREVER)
    since = await head(daemon)
    for name in ("zzz", "ant"):  # tmux lists sessions by name
        tmux(place, "link-window", "-d", "-s", made["tmux_id"], "-t", f"={name}:")
    assert await quiet(daemon, since) == []
    shown = await daemon.call("pane.get", pane=made["id"])
    assert (shown["session_name"], shown["window"]) == ("zoo", made["window"])
    tmux(place, "unlink-window", "-t", "=zoo:0")
    (moved,) = await told(daemon, since, "pane.moved")
    assert await quiet(daemon, since) == [("pane.moved", made["id"])]
    assert moved["data"] == {"window": made["window"], "by": "outside"}
    shown = await daemon.call("pane.get", pane=made["id"])
    assert shown["session_name"] == "ant"  # the oldest of those where it is
    tmux(place, "unlink-window", "-t", f"=ant:{_index(place, 'ant', made['tmux_id'])}")
    await told(daemon, since, "pane.moved", 2)
    assert (await daemon.call("pane.get", pane=made["id"]))["session_name"] == "zzz"
    assert (await daemon.call("pane.get", pane=kept["id"]))["session_name"] == "zoo"
    killed = await daemon.call("session.kill", session="zoo")
    assert killed["killed"] == [kept["id"]]


def _index(place: Place, name: str, tmux_id: str) -> str:
    listed = tmux(place, "list-panes", "-s", "-t", f"={name}", "-F", "#{pane_id} #{window_index}")
    return dict(line.split() for line in listed.splitlines())[tmux_id]


async def test_a_window_that_a_person_renames_or_resizes_is_told_once(
    daemon: Daemon, place: Place
) -> None:
    made = (await session(daemon))["pane"]
    since = await head(daemon)
    tmux(place, "rename-window", "-t", made["tmux_id"], "theirs")
    (event,) = await told(daemon, since, "window.renamed")
    assert event["data"] == {"window": made["window"], "name": "theirs", "by": "outside"}
    await daemon.call("window.rename", window=made["window"], name="ours")
    tmux(place, "resize-window", "-t", made["tmux_id"], "-x", "90", "-y", "20")
    (event,) = await told(daemon, since, "pane.resized")
    assert event["data"] == {"width": 90, "height": 20}
    await daemon.call("daemon.reconcile")
    kinds = [(e["kind"], e["data"].get("by")) for e in await history(daemon, since=since)]
    assert kinds == [
        ("window.renamed", "outside"), ("window.renamed", "uid:0"), ("pane.resized", None),
    ]  # fmt: skip
    assert (await daemon.call("window.get", window=made["window"]))["name"] == "ours"
