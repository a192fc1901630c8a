"""Names, references, labels and lists, through a whole daemon."""

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
    refused,
    session,
    settled,
    shell,
    stamped,
    tmux,
    told,
)

HOSTILE = [
    "%0;kill-server", "%-1", "%4294967296", "%٣", "٣", "$1", "@1", "=", "=dev", "{last}", "{mouse}",
    "!", "~", "%%", "%", "#(touch x)", "#{pane_id}", "dev:", "dev:0.0", ":.0", "-t", "-x", "p",
    "p0", "p01", "p-1", "p1 ", " p1", "p1\n", "P1", "p1;", "a/b/c", "/", "dev/", "/a", "dev/%1",
    "s1/p99", "\u202ep1", "p\u200b1", "é\u0301", "😀", "*", "p*", "[a-z]", "..", "\0", "x" * 200,
]  # fmt: skip


async def test_a_pane_answers_to_each_of_its_references(daemon: Daemon) -> None:
    made = await session(daemon)
    named = await pane(daemon, name="build")
    for ref in (named["id"], named["tmux_id"], "build", "dev/build", f"{made['id']}/build",
                f"dev/{named['id']}"):  # fmt: skip
        assert (await daemon.call("pane.get", pane=ref))["id"] == named["id"], ref
        there = await daemon.call("pane.get", pane=ref.partition("/")[2] or ref, session="dev")
        assert there["id"] == named["id"], ref


async def test_a_pane_of_another_session_is_not_found_in_this_one(daemon: Daemon) -> None:
    await session(daemon)
    other = await session(daemon, "other")
    named = await pane(daemon, name="build")
    for ref in (named["id"], named["tmux_id"], "build"):
        assert await kind(daemon.call("pane.kill", pane=ref, session="other")) == "PaneNotFound"
        assert await kind(daemon.call("pane.get", pane=f"other/{ref}")) == "PaneNotFound"
    assert (await daemon.call("pane.get", pane=other["pane"]["id"]))["exit"] is None
    assert (await daemon.call("pane.get", pane="build"))["exit"] is None


@pytest.mark.parametrize(
    "method", ["pane.get", "pane.kill", "pane.send", "session.kill", "window.kill"]
)
async def test_a_hostile_reference_finds_nothing_and_touches_nothing(
    daemon: Daemon, place: Place, method: str
) -> None:
    await session(daemon)
    await pane(daemon, name="a")
    since, before = await head(daemon), stamped(place)
    noun = method.partition(".")[0]
    more = {"text": "x"} if method == "pane.send" else {}
    for ref in HOSTILE:
        if noun == "window" and ref == "@1":
            continue
        error = await refused(daemon.call(method, **{noun: ref}, **more))
        assert error.kind in ("PaneNotFound", "SessionNotFound", "WindowNotFound",
                              "InvalidArgument"), (ref, error)  # fmt: skip
    assert stamped(place) == before
    assert await history(daemon, since=since) == []


@pytest.mark.parametrize(
    "name",
    ["", "p1", "w7", "s2", "1a", "_a", "-a", "a b", "a:b", "a.b", "a/b", "a\n", "é", "a" * 65,
     "#{x}", "#(id)", "a\u202e", "😀", "%5", "=a"],
)  # fmt: skip
async def test_a_name_that_could_be_mistaken_is_refused(daemon: Daemon, name: str) -> None:
    made = await session(daemon)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("session.create", {"name": name}),
        ("pane.create", {"session": "dev", "name": name}),
        ("pane.rename", {"pane": made["pane"]["id"], "name": name}),
        ("session.rename", {"session": "dev", "name": name}),
        ("window.rename", {"window": made["pane"]["window"], "name": name}),
        ("pane.create", {"session": name, "create_session": True}),
    ]
    for method, params in calls:
        assert (await refused(daemon.call(method, **params))).code in (400, 404, -32602), method


async def test_a_name_in_two_sessions_is_ambiguous_and_both_are_listed(daemon: Daemon) -> None:
    await session(daemon)
    await session(daemon, "ops")
    one = await pane(daemon, name="log")
    two = await pane(daemon, session="ops", name="log")
    error = await refused(daemon.call("pane.kill", pane="log"))
    assert error.kind == "AmbiguousName"
    assert error.data["candidates"] == [f"dev/log ({one['id']})", f"ops/log ({two['id']})"]
    await daemon.call("pane.kill", pane="dev/log")
    assert (await daemon.call("pane.get", pane="log"))["id"] == two["id"]


async def test_a_name_is_free_again_when_its_bearer_has_ended(daemon: Daemon) -> None:
    await session(daemon)
    one = await pane(daemon, name="log")
    error = await refused(pane(daemon, name="log"))
    assert (error.kind, error.data["holder"]) == ("NameTaken", one["id"])
    await daemon.call("pane.kill", pane="log")
    assert (await daemon.call("pane.get", pane="log"))["id"] == one["id"]
    two = await pane(daemon, name="log")
    assert (await daemon.call("pane.get", pane="log"))["id"] == two["id"]


async def test_of_twenty_who_want_a_name_exactly_one_gets_it(daemon: Daemon, place: Place) -> None:
    made, errors = await settled([session(daemon, "same") for _ in range(20)])
    assert (len(made), set(errors), len(errors)) == (1, {"NameTaken"}, 19)
    await session(daemon)
    panes, errors = await settled([pane(daemon, name="same") for _ in range(20)])
    assert (len(panes), set(errors), len(errors)) == (1, {"NameTaken"}, 19)
    assert len(stamped(place)) == 3
    other, errors = await settled(
        [daemon.call("pane.rename", pane=made[0]["pane"]["id"], name="x"),
         daemon.call("pane.rename", pane=panes[0]["id"], name="x")]
    )  # fmt: skip
    assert (len(other), errors) == (2, [])


async def test_twenty_who_ask_for_a_session_all_get_the_same(daemon: Daemon, place: Place) -> None:
    calls = [daemon.call("session.create", name="one", if_exists="return") for _ in range(20)]
    made, errors = await settled(calls)
    assert errors == []
    assert len({(s["id"], s["pane"]["id"]) for s in made}) == 1
    calls = [
        daemon.call("pane.create", session="two", create_session=True, command=FOREVER)
        for _ in range(20)
    ]
    panes, errors = await settled(calls)
    assert errors == []
    assert len({p["session"] for p in panes}) == 1
    assert len({p["id"] for p in panes}) == 20
    assert len(stamped(place)) == 21


async def test_a_name_that_a_person_took_is_taken(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    tmux(place, "new-session", "-d", "-s", "mine", "sleep 100000")
    assert await kind(session(daemon, "mine")) == "NameTaken"
    rename = daemon.call("session.rename", session="dev", name="mine")
    assert await kind(rename) == "NameTaken"
    assert (await daemon.call("session.get", session="dev"))["name"] == "dev"
    assert len(await daemon.call("session.list")) == 1


async def test_panes_are_renamed_in_our_records_and_sessions_in_tmux_too(
    daemon: Daemon, place: Place
) -> None:
    made = await session(daemon)
    since = await head(daemon)
    await daemon.call("pane.rename", pane=made["pane"]["id"], name="a")
    await daemon.call("session.rename", session="dev", name="prod")
    await daemon.call("window.rename", window=made["pane"]["window"], name="w")
    await daemon.call("pane.rename", pane="prod/a")
    assert tmux(place, "list-windows", "-t", "=prod:", "-F", "#{window_name}").split() == ["w"]
    assert [(e["kind"], e["data"].get("name")) for e in await history(daemon, since=since)] == [
        ("pane.renamed", "a"), ("session.renamed", "prod"), ("window.renamed", "w"),
        ("pane.renamed", None),
    ]  # fmt: skip
    assert await kind(daemon.call("session.get", session="dev")) == "SessionNotFound"


async def test_lists_select_by_what_is_asked(daemon: Daemon) -> None:
    made = await session(daemon)
    await session(daemon, "ops")
    one = await pane(daemon, name="a", labels={"role": "db", "tier": "1"})
    two = await pane(daemon, session="ops", name="a", labels={"role": "web"})
    dead = await shell(daemon, "exit 1", labels={"role": "db"})
    await told(daemon, 0, "window.ended")

    async def ids(method: str, **params: Any) -> list[str]:
        return [p["id"] for p in await daemon.call(method, **params)]

    assert await ids("pane.list", label="role=db") == [one["id"]]
    assert await ids("pane.list", label="role") == [one["id"], two["id"]]
    assert await ids("pane.list", name="a", session="ops") == [two["id"]]
    assert await ids("pane.list", state="exited") == [dead["id"]]
    assert await ids("pane.list", owner="uid:12345") == []
    assert await ids("pane.list", session=made["id"]) == [made["pane"]["id"], one["id"]]
    assert await ids("pane.find", name="a") == [one["id"], two["id"]]
    assert await ids("pane.find", label="tier=1") == [one["id"]]
    assert await kind(daemon.call("pane.find")) == "BadValue"
    assert await daemon.call("pane.count") == {"count": 4}
    assert await daemon.call("pane.count", session="ops", state="running") == {"count": 2}
    assert await daemon.call("pane.count", state="lost") == {"count": 0}
    assert len(await daemon.call("window.list")) == 4
    assert len(await daemon.call("window.list", session="ops")) == 2


async def test_labels_set_at_once_are_all_kept(daemon: Daemon) -> None:
    made = (await session(daemon))["pane"]["id"]
    since = await head(daemon)
    await asyncio.gather(
        *(daemon.call("pane.label_set", pane=made, labels={f"k{n}": str(n)}) for n in range(30))
    )
    labels = (await daemon.call("pane.label_get", pane=made))["labels"]
    assert labels == {f"k{n}": str(n) for n in range(30)}
    assert len(await history(daemon, "pane.labeled", since=since)) == 30
    left = await daemon.call("pane.label_unset", pane=made, labels=["k0", "nothing"])
    assert len(left["labels"]) == 29
    more = {f"m{n}": "x" for n in range(36)}
    assert await kind(daemon.call("pane.label_set", pane=made, labels=more)) == "BadValue"
    for bad in ({"a b": "x"}, {"": "x"}, {"a\n": "x"}, {"k": "x" * 257}, {"k": 1}):
        call = daemon.call("pane.label_set", pane=made, labels=bad)
        assert (await refused(call)).code in (400, -32602)
    assert len((await daemon.call("pane.label_get", pane=made))["labels"]) == 29


async def test_names_labels_and_ids_outlive_the_daemon(daemon: Daemon, place: Place) -> None:
    made = await session(daemon)
    one = await pane(daemon, name="a", labels={"x": "y"})
    gone = await pane(daemon, name="b")
    await daemon.call("pane.kill", pane="b")
    before = await daemon.call("session.get", session="dev")
    await daemon.kill()
    later = await place.start()
    await later.connected()
    await becomes(lambda: later.call("session.get", session="dev"), lambda s: s == before)
    shown = await later.call("pane.get", pane="dev/a")
    assert (shown["id"], shown["labels"], shown["pid"]) == (one["id"], {"x": "y"}, one["pid"])
    assert (await later.call("pane.certificate", pane="b"))["pane"] == gone["id"]
    assert len(await later.call("window.list")) == 2
    newer = await pane(later)
    assert int(newer["id"][1:]) > int(gone["id"][1:]) > int(made["pane"]["id"][1:])
