"""The daemon dies between the steps of a creation; the next one puts it right, once."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "daemon")]

from living import Daemon, Place
from orchctl.aio import Lost, RpcError
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
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
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


@pytest.mark.parametrize("point", POINTS)
async def test_a_key_never_makes_two_panes_of_a_call_cut_short(place: Place, point: str) -> None:
    before = await place.start()
    await session(before)
    await before.kill()
    params = {"session": "dev", "command": FOREVER, "idempotency_key": "k"}
    later = await _killed_in(place, point, "pane.create", params)
    there = len(stamped(place))
    try:
        again = await later.call("pane.create", **params)
    except RpcError as error:
        assert error.kind == "OutcomeUnknown"
        assert len(stamped(place)) == there
    else:
        assert len(stamped(place)) == 2
        assert again["id"] in stamped(place)


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
