"""The daemon dies between the steps of a creation; the next one puts it right, once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "daemon")]

from living import Daemon, Place
from orchctl.aio import Lost
from terminals import FOREVER, becomes, head, history, kind, pane, session, stamped, tmux

POINTS = ("create.after_intent", "create.after_act", "create.after_result")


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.clean_up()


async def _killed_in(place: Place, point: str, method: str, params: dict[str, Any]) -> Daemon:
    """Make a call in whose middle the daemon dies; return the next daemon, which follows tmux."""
    doomed = await place.start(ORCH_FAIL=point)
    with pytest.raises(Lost):
        await doomed.call(method, **params)
    await doomed.process.wait()
    await doomed.client.close()
    later = await place.start()
    await later.connected()
    await later.call("daemon.reconcile")
    await becomes(lambda: _intents(place), lambda open_: open_ == 0)
    return later


async def _intents(place: Place) -> int:
    (database,) = place.state.glob("*.db")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM intents").fetchall()
    return int(count)


@pytest.mark.parametrize("where", ["window", "right", "below", "auto"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_pane_cut_short_is_there_once_or_not_at_all(
    place: Place, point: str, where: str
) -> None:
    before = await place.start()
    await session(before)
    since = await head(before)
    await before.kill()
    params = {"session": "dev", "name": "a", "command": FOREVER, "place": where}
    later = await _killed_in(place, point, "pane.create", params)
    made = point != "create.after_intent"
    assert len(stamped(place)) == (2 if made else 1)
    facts = [(e["kind"], e.get("pane")) for e in await history(later, since=since)]
    told = [f for f in facts if not f[0].startswith(("daemon.", "pane.resized"))]
    adopted = [("pane.adopted", "p2")] if point == "create.after_act" else []
    window = [("window.created", None)] if where == "window" else []
    assert told == ([*adopted, *window, ("pane.created", "p2")] if made else [])
    if made:
        assert await kind(pane(later, name="a")) == "NameTaken"
        assert (await later.call("pane.get", pane="dev/a"))["state"] == "running"
        shown = await later.call("pane.capture", pane="a")
        assert shown["text"] == ""
        killed = await later.call("pane.kill", pane="a")
        assert killed["exit"]["by"] == "uid:0"
    again = await pane(later, name="a")
    assert int(again["id"][1:]) > 2  # numbers are never given twice
    assert stamped(place) == ["p1", again["id"]]


@pytest.mark.parametrize("point", POINTS)
async def test_a_session_cut_short_is_there_once_or_not_at_all(place: Place, point: str) -> None:
    params = {"name": "dev", "command": FOREVER, "labels": {"a": "b"}, "env": {"X": "y"}}
    later = await _killed_in(place, point, "session.create", params)
    names = tmux(place, "list-sessions", "-F", "#{session_name}").split()
    if point == "create.after_intent":
        assert (names, await later.call("session.list")) == (["_orch"], [])
        await session(later)
        return
    (shown,) = await later.call("session.list")
    assert (shown["name"], shown["panes"], shown["labels"]) == ("dev", 1, {"a": "b"})
    assert sorted(names) == ["_orch", "dev"]
    assert await kind(session(later)) == "NameTaken"
    kinds = [e["kind"] for e in await history(later)]
    for once in ("session.created", "window.created", "pane.created"):
        assert kinds.count(once) == 1, once
    await later.call("session.kill", session="dev")
    await session(later)


KEYED = {
    "pane.create in a window": {"session": "dev", "place": "window"},
    "pane.create by a split": {"session": "dev", "place": "right", "name": "a"},
    "pane.create with its session": {"session": "ops", "create_session": True},
    "window.create": {"session": "dev", "name": "w"},
    "session.create": {"name": "ops", "labels": {"a": "b"}},
}


@pytest.mark.parametrize("call", KEYED)
@pytest.mark.parametrize("point", POINTS)
async def test_a_key_gives_the_true_answer_to_a_call_cut_short(
    place: Place, point: str, call: str
) -> None:
    before = await place.start()
    await session(before)
    await before.kill()
    doomed = await place.start(ORCH_FAIL=point)
    method = call.split()[0]
    params: dict[str, Any] = KEYED[call] | {"idempotency_key": "k"}
    with pytest.raises(Lost):
        await doomed.call(method, **params)
    await doomed.process.wait()
    await doomed.client.close()
    later = await place.start()
    answers = await asyncio.gather(*(later.call(method, **params) for _ in range(3)))
    assert all(_made(answer) == _made(answers[0]) for answer in answers)
    pane_id, shown = _made(answers[0])
    # What was begun is the answer; only what came to nothing is begun again, under a new number.
    assert pane_id == ("p3" if point == "create.after_intent" else "p2")
    assert stamped(place) == ["p1", pane_id]
    assert (await later.call("pane.get", pane=pane_id))["exit"] is None
    assert await kind(later.call(method, **params | {"session": "x", "name": "y"})) in (
        "InvalidArgument", "InvalidParams",
    )  # fmt: skip
    told = [(e["kind"], e.get("pane")) for e in await history(later, "pane.created")]
    assert told == [("pane.created", "p1"), ("pane.created", pane_id)]
    await later.kill()
    last = await place.start()
    assert _made(await last.call(method, **params)) == (pane_id, shown)
    assert stamped(place) == ["p1", pane_id]


def _made(answer: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the pane that an answer is about, and what of it does not change."""
    if "pane" in answer:
        return answer["pane"]["id"], (answer["id"], answer["name"], answer["labels"])
    if "panes" in answer:
        (pane_id,) = answer["panes"]
        return pane_id, (answer["id"], answer["name"], answer["session"])
    return answer["id"], (answer["name"], answer["window"], answer["session_name"])


async def test_a_key_whose_pane_has_ended_since_still_shows_it(place: Place) -> None:
    before = await place.start()
    await session(before)
    await before.kill()
    params = {"session": "dev", "command": ["sh", "-c", "exit 4"], "idempotency_key": "k"}
    later = await _killed_in(place, "create.after_act", "pane.create", params)
    await becomes(lambda: _stamps(place), lambda stamps: stamps == ["p1"])
    again = await later.call("pane.create", **params)
    assert (again["id"], again["exit"]["status"]) == ("p2", 4)
    assert stamped(place) == ["p1"]


async def test_a_key_whose_window_is_gone_says_so_and_makes_no_other(place: Place) -> None:
    before = await place.start()
    await session(before)
    made = await before.call("window.create", session="dev", idempotency_key="k")
    await before.call("window.kill", window=made["id"])
    await before.kill()
    later = await place.start()
    await later.connected()
    assert await kind(later.call("window.create", session="dev", idempotency_key="k")) == (
        "AnswerGone"
    )
    assert stamped(place) == ["p1"]


async def test_what_tmux_made_though_its_caller_was_told_no_is_undone_by_the_next_daemon(
    place: Place,
) -> None:
    before = await place.start()
    await session(before)
    await before.kill()
    params = {"session": "dev", "command": FOREVER, "place": "window", "idempotency_key": "k"}
    doomed = await place.start(ORCH_FAIL="create.after_act")
    with pytest.raises(Lost):
        await doomed.call("pane.create", **params)
    await doomed.process.wait()
    await doomed.client.close()
    given_up = "UPDATE intents SET record = json_set(record, '$.given_up', json('true'))"
    with closing(sqlite3.connect(place.state / "store.db")) as connection, connection:
        connection.execute(given_up)  # as after TmuxGone
    assert stamped(place) == ["p1", "p2"]
    later = await place.start()
    again = await later.call("pane.create", **params)
    assert again["id"] == "p3"
    await becomes(lambda: _stamps(place), lambda stamps: stamps == ["p1", "p3"])
    await becomes(lambda: _intents(place), lambda open_: open_ == 0)
    assert [p["id"] for p in await later.call("pane.list")] == ["p1", "p3"]
    assert await history(later, "pane.adopted") == []


async def test_a_creation_that_tmux_does_not_answer_is_begun_again_by_the_same_key(
    place: Place,
) -> None:
    daemon = await place.start()
    await session(daemon)
    server = (await daemon.call("daemon.status"))["tmux"]["pid"]
    params = {"session": "dev", "command": FOREVER, "place": "window", "idempotency_key": "k"}
    os.kill(server, signal.SIGSTOP)
    try:
        assert await kind(daemon.call("pane.create", **params)) == "TmuxGone"
    finally:
        os.kill(server, signal.SIGCONT)
    again = await daemon.call("pane.create", **params)
    await becomes(lambda: _stamps(place), lambda stamps: stamps == ["p1", again["id"]])
    await becomes(lambda: _intents(place), lambda open_: open_ == 0)
    assert [p["id"] for p in await daemon.call("pane.list")] == ["p1", again["id"]]


async def test_a_program_that_ended_before_it_was_adopted_is_told(place: Place) -> None:
    before = await place.start()
    await session(before)
    await before.kill()
    params = {"session": "dev", "name": "a", "command": ["sh", "-c", "echo bye; exit 4"]}
    later = await _killed_in(place, "create.after_act", "pane.create", params)
    shown = await becomes(lambda: later.call("pane.get", pane="dev/a"), lambda p: p["exit"])
    assert (shown["exit"]["status"], shown["exit"]["last_lines"]) == (4, ["bye"])
    await becomes(lambda: _stamps(place), lambda stamps: stamps == ["p1"])
    kinds = [e["kind"] for e in await history(later) if e.get("pane") == "p2"]
    assert kinds == ["pane.adopted", "pane.created", "pane.exited"]


async def _stamps(place: Place) -> list[str]:
    return stamped(place)
