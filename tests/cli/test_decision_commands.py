"""What a person sees of decisions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from fake_daemon import FakeDaemon
from orchctl.render import render
from orchctl_run import Orchctl

COLUMNS = ("id", "state", "question", "options", "default", "reason", "expires_at", "pane")


def moment(seconds: float) -> str:
    """Return the time in that many seconds as the wire spells it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_table_says_what_can_be_chosen_and_how_long_there_is() -> None:
    asked = {
        "id": "q7", "state": "open", "question": "Deploy?", "options": ["yes", "not yet"],
        "default": "not yet", "reason": None, "expires_at": moment(7200), "pane": None,
    }  # fmt: skip
    head, row = render(json.dumps([asked]).encode(), COLUMNS, "decision").splitlines()
    assert head.split() == ["ID", "STATE", "QUESTION", "OPTIONS", "DEFAULT", "EXPIRES"]
    assert row.startswith("q7  open   Deploy?   yes | not yet  not yet  in 1h59m")


def test_a_context_is_shown_line_by_line_indented_and_harmless() -> None:
    shown = render(json.dumps({"id": "q7", "context": "a\nstate: \x1b[2Jopen\n"}).encode())
    assert shown == "id:      q7\ncontext:\n  a\n  state: \\x1b[2Jopen\n"


async def test_an_answer_is_typed_in_one_line(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["decision.answer"] = {"id": "q7"}
    daemon.answers["decision.ask"] = {"id": "q8"}
    await orchctl("decision-answer", "q7", "yes", "--reason", "green")
    await orchctl("decision-ask", "Deploy?", "yes", "no", "--deadline", "60")
    assert daemon.requests == [
        ("decision.answer", {"decision": "q7", "choice": "yes", "reason": "green"}),
        ("decision.ask", {"question": "Deploy?", "options": ["yes", "no"], "deadline": 60}),
    ]
