"""Decisions through a whole daemon: asked, answered once, kept over restarts."""

from __future__ import annotations

import asyncio

import pytest
from living import Daemon, Place
from terminals import becomes, head, history, kind, refused, session, settled, told

ASKED = {"question": "Deploy?", "options": ["yes", "no"]}


async def test_an_answer_ends_a_decision_and_tells_who_waits(daemon: Daemon) -> None:
    made = await session(daemon)
    pane = made["pane"]["id"]
    asked = await daemon.call(
        "decision.ask", **ASKED, default="no", deadline=600, context="tests: ok\n", pane=pane,
        labels={"team": "web"},
    )  # fmt: skip
    assert asked["id"] == "q1"
    assert (asked["state"], asked["choice"], asked["pane"], asked["session"]) == (
        "open", None, pane, made["id"],
    )  # fmt: skip
    waiting = asyncio.create_task(daemon.call("decision.wait", decision="q1", timeout=60))
    answered = await daemon.call("decision.answer", decision="q1", choice="yes", reason="green")
    assert (answered["state"], answered["choice"], answered["reason"]) == (
        "answered", "yes", "green",
    )  # fmt: skip
    assert answered["answered_by"] == asked["asked_by"]
    assert answered["answered_at"] == answered["ended_at"] > asked["asked_at"]
    assert await waiting == answered | {"outcome": "answered"}
    assert await daemon.call("decision.wait", decision="q1") == await waiting
    assert await daemon.call("decision.get", decision="q1") == answered
    (shown,) = await daemon.call("decision.list")
    assert shown == {name: value for name, value in answered.items() if name != "context"}
    opened, ended = await history(daemon, "decision.opened", "decision.answered")
    assert (opened["pane"], opened["session"]) == (ended["pane"], ended["session"])
    assert opened["data"] == {"decision": "q1", **ASKED, "default": "no"} | {
        "expires_at": asked["expires_at"]
    }
    assert ended["data"] == {
        "decision": "q1", "choice": "yes", "reason": "green", "by": answered["answered_by"]
    }  # fmt: skip


async def test_of_many_answers_at_once_exactly_one_is_taken(daemon: Daemon) -> None:
    await daemon.call("decision.ask", **ASKED)
    taken, errors = await settled(
        [
            daemon.call("decision.answer", decision="q1", choice=("yes", "no")[n % 2])
            for n in range(20)
        ]
    )
    assert (len(taken), set(errors)) == (1, {"DecisionEnded"})
    assert (await daemon.call("decision.get", decision="q1"))["choice"] == taken[0]["choice"]
    assert len(await history(daemon, "decision.answered")) == 1


async def test_an_ended_decision_names_its_end_to_a_late_answer(daemon: Daemon) -> None:
    await daemon.call("decision.ask", **ASKED)
    await daemon.call("decision.cancel", decision="q1")
    late = await refused(daemon.call("decision.answer", decision="q1", choice="yes"))
    assert (late.kind, late.code, late.message) == (
        "DecisionEnded",
        412,
        "decision q1 is cancelled",
    )
    await daemon.call("decision.ask", **ASKED)
    await daemon.call("decision.answer", decision="q2", choice="no")
    late = await refused(daemon.call("decision.cancel", decision="q2"))
    assert (late.data["state"], late.data["choice"]) == ("answered", "no")
    (cancelled,) = await history(daemon, "decision.cancelled")
    assert cancelled["data"]["decision"] == "q1"


async def test_at_the_deadline_the_default_applies_or_there_is_no_choice(daemon: Daemon) -> None:
    since = await head(daemon)
    await daemon.call("decision.ask", **ASKED, default="no", deadline=0.01)
    await daemon.call("decision.ask", **ASKED, deadline=0.01)
    first = await daemon.call("decision.wait", decision="q1", timeout=20)
    second = await daemon.call("decision.wait", decision="q2", timeout=20)
    assert (first["outcome"], first["choice"], first["answered_at"]) == ("defaulted", "no", None)
    assert (second["outcome"], second["choice"]) == ("expired", None)
    assert first["ended_at"] >= first["expires_at"]
    late = await refused(daemon.call("decision.answer", decision="q2", choice="yes"))
    assert late.data["state"] == "expired"
    assert (await told(daemon, since, "decision.defaulted"))[0]["data"] == {
        "decision": "q1", "choice": "no"
    }  # fmt: skip
    assert (await told(daemon, since, "decision.expired"))[0]["data"] == {"decision": "q2"}


async def test_waiting_ends_at_its_timeout_and_leaves_the_decision_open(daemon: Daemon) -> None:
    await daemon.call("decision.ask", **ASKED)
    waited = await daemon.call("decision.wait", decision="q1", timeout=0.01)
    assert (waited["outcome"], waited["state"]) == ("timed_out", "open")
    assert (await daemon.call("decision.answer", decision="q1", choice="no"))["choice"] == "no"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"options": ["yes"]}, "InvalidArgument"),
        ({"options": [f"o{n}" for n in range(11)]}, "InvalidArgument"),
        ({"options": ["yes", "yes"]}, "BadOptions"),
        ({"options": ["yes", " no"]}, "InvalidArgument"),
        ({"options": ["yes", "n\no"]}, "InvalidArgument"),
        ({"options": ["yes", ""]}, "InvalidArgument"),
        ({"options": ["yes", "n" * 101]}, "InvalidArgument"),
        ({"default": "maybe"}, "BadOptions"),
        ({"deadline": 0}, "InvalidArgument"),
        ({"deadline": 1e9}, "InvalidArgument"),
        ({"question": ""}, "InvalidArgument"),
        ({"question": "a\x1b[2J"}, "InvalidArgument"),
        ({"context": "x" * 16_385}, "InvalidArgument"),
        ({"pane": "p99"}, "PaneNotFound"),
        ({"session": "nowhere"}, "SessionNotFound"),
        ({"labels": {f"k{n}": "" for n in range(9)}}, "InvalidArgument"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused_and_leaves_nothing(
    daemon: Daemon, wrong: dict[str, object], error: str
) -> None:
    assert await kind(daemon.call("decision.ask", **ASKED | wrong)) == error
    assert await daemon.call("decision.list") == []
    assert await history(daemon, "decision.opened") == []


async def test_a_choice_must_be_an_option_to_the_letter(daemon: Daemon) -> None:
    await daemon.call("decision.ask", **ASKED)
    for choice in ("Yes", "yes ", "", "ye"):
        assert (
            await kind(daemon.call("decision.answer", decision="q1", choice=choice))
            == "NoSuchOption"
        )
    assert await kind(daemon.call("decision.answer", decision="q2", choice="yes")) == (
        "DecisionNotFound"
    )
    assert (await daemon.call("decision.get", decision="q1"))["state"] == "open"


async def test_open_decisions_and_their_deadlines_outlive_the_daemon(place: Place) -> None:
    before = await place.start()
    await before.call("decision.ask", **ASKED, deadline=3600, context="why", labels={"a": "b"})
    due = await before.call("decision.ask", **ASKED, default="no", deadline=0.5)
    await before.call("decision.ask", **ASKED)
    await before.call("decision.answer", decision="q3", choice="no", reason="r")
    known = [await before.call("decision.get", decision=q) for q in ("q1", "q3")]
    await before.kill()
    later = await place.start()
    assert [await later.call("decision.get", decision=q) for q in ("q1", "q3")] == known
    late = await later.call("decision.wait", decision="q2", timeout=20)
    assert (late["outcome"], late["choice"], late["expires_at"]) == (
        "defaulted", "no", due["expires_at"],
    )  # fmt: skip
    assert (await later.call("decision.answer", decision="q1", choice="yes"))["state"] == "answered"
    assert (await later.call("decision.ask", **ASKED))["id"] == "q4"
    kinds = [e["kind"] for e in await history(later) if e["kind"].startswith("decision.")]
    assert sorted(kinds) == sorted(
        ["decision.opened"] * 4 + ["decision.answered"] * 2 + ["decision.defaulted"]
    )


async def test_a_key_never_opens_two_decisions_also_over_a_restart(place: Place) -> None:
    before = await place.start()
    first = await before.call("decision.ask", **ASKED, idempotency_key="k")
    assert await before.call("decision.ask", **ASKED, idempotency_key="k") == first
    await before.kill()
    later = await place.start()
    assert await later.call("decision.ask", **ASKED, idempotency_key="k") == first
    assert len(await later.call("decision.list")) == 1


async def test_lists_are_selected_and_the_next_deadline_comes_first(daemon: Daemon) -> None:
    made = await session(daemon)
    await daemon.call("decision.ask", **ASKED, deadline=900, labels={"team": "web"})
    await daemon.call("decision.ask", **ASKED, deadline=300, session="dev")
    await daemon.call("decision.ask", **ASKED, deadline=600, labels={"team": "db"})
    await daemon.call("decision.answer", decision="q3", choice="no")

    async def ids(**by: object) -> list[str]:
        return [d["id"] for d in await daemon.call("decision.list", **by)]

    assert await ids() == ["q2", "q1", "q3"]
    assert await ids(state="open") == ["q2", "q1"]
    assert await ids(label="team") == ["q1", "q3"]
    assert await ids(label="team=db") == ["q3"]
    assert await ids(session="dev") == ["q2"]
    assert await ids(limit=1) == ["q2"]
    assert await kind(daemon.call("decision.list", session="s99")) == "SessionNotFound"
    await daemon.call("session.kill", session="dev", grace=0)
    await becomes(lambda: daemon.call("session.list"), lambda sessions: sessions == [])
    assert await ids(session=made["id"]) == ["q2"]


async def test_the_status_counts_what_is_open(daemon: Daemon) -> None:
    await daemon.call("decision.ask", **ASKED)
    assert (await daemon.call("daemon.status"))["counts"]["decisions_open"] == 1
    await daemon.call("decision.cancel", decision="q1")
    assert (await daemon.call("daemon.status"))["counts"]["decisions_open"] == 0
