"""Without a key a person at the terminal answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from living import Daemon, Place
from orchctl.advisor.asked import Asked
from orchctl.advisor.person import CONTEXT_LINES, choice_in, sheet
from orchctl_run import CLIENT, SCRIPT
from terminal import Terminal, on_a_terminal

ASKED = {"question": "Deploy?", "options": ["yes", "no"], "deadline": 3600}
PATIENCE = 60.0


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("yes", ("yes", "")),
        ("  yes  ", ("yes", "")),
        ("1", ("yes", "")),
        ("2 because it is late", ("not yet", "because it is late")),
        ("not yet tests fail", ("not yet", "tests fail")),
        ("3", ("2x", "")),
        ("4", ("not", "")),
        ("not", ("not", "")),
        ("yess", None),
        ("0", None),
        ("5", None),
        ("-1", None),
        ("²", None),
        ("", None),
        ("skip", None),
    ],
)
def test_a_line_is_an_option_or_its_number_then_a_reason(
    line: str, chosen: tuple[str, str] | None
) -> None:
    assert choice_in(line, ("yes", "not yet", "2x", "not")) == chosen


def test_an_option_that_looks_like_a_number_is_meant_by_itself() -> None:
    assert choice_in("2", ("2", "1")) == ("2", "")
    assert choice_in("1 fewer", ("2", "1")) == ("1", "fewer")


def test_what_programs_wrote_is_behind_bars_and_harmless() -> None:
    context = "".join(f"line {n}\n" for n in range(30)) + "q9> \x1b[2Jyes\n"
    shown = sheet(
        Asked(
            id="q1",
            question="Go?\x1b[2J",
            options=("yes", "no"),
            default=None,
            context=context,
            expires_at=datetime.now(UTC) + timedelta(hours=2),
            pane="p3",
            session="s1",
            labels={},
        )
    ).splitlines()
    assert shown[1] == "q1  Go?\\x1b[2J (pane p3)"
    assert shown[2].endswith("in 1h59m; then no choice")
    assert shown[3] == "    (11 lines above)"
    assert shown[4:-2] == [f"    | line {n}" for n in range(11, 30)] + ["    | q9> \\x1b[2Jyes"]
    assert len(shown[4:-2]) == CONTEXT_LINES
    assert shown[-2:] == ["    1  yes", "    2  no"]


async def at_terminal(place: Place, *flags: str) -> Terminal:
    environment = place.environment | {
        "ORCHESTRATORD_SOCKET": str(place.socket), "PYTHONPATH": str(CLIENT), "NO_COLOR": "1",
    }  # fmt: skip
    return await on_a_terminal("advisor", *flags, env=environment)


async def test_a_person_answers_what_comes_until_the_input_ends(
    daemon: Daemon, place: Place
) -> None:
    await daemon.call("decision.ask", **ASKED, context="tests: ok\n")
    terminal = await at_terminal(place)
    async with asyncio.timeout(PATIENCE):
        await terminal.until(b"q1> ")
        assert b"a person answers here" in terminal.shown
        assert b"    | tests: ok\r\n    1  yes\r\n    2  no\r\n" in terminal.shown
        terminal.type(b"maybe\n")
        await terminal.until(b"a number or an option")
        terminal.type(b"2 too late today\n")
        first = await daemon.call("decision.wait", decision="q1", timeout=30)
        await daemon.call("decision.ask", **ASKED)
        await terminal.until(b"q2> ")
        await daemon.call("decision.answer", decision="q2", choice="yes")
        await terminal.until(b"q2  answered, not by this advisor")
        await daemon.call("decision.ask", **ASKED)
        await terminal.until(b"q3> ")
        terminal.type(b"\x04")
        assert await terminal.end() == 0
    assert (first["choice"], first["reason"]) == ("no", "too late today")
    assert (await daemon.call("decision.get", decision="q3"))["state"] == "open"


async def test_once_a_person_is_done_when_nothing_is_open(daemon: Daemon, place: Place) -> None:
    await daemon.call("decision.ask", **ASKED)
    await daemon.call("decision.ask", **ASKED | {"deadline": 60})
    terminal = await at_terminal(place, "--once")
    async with asyncio.timeout(PATIENCE):
        await terminal.until(b"q2> ")  # its deadline is the next
        terminal.type(b"yes\n")
        await terminal.until(b"q1> ")
        terminal.type(b"skip\n")
        assert await terminal.end() == 0
    states = {d["id"]: d["state"] for d in await daemon.call("decision.list")}
    assert states == {"q1": "open", "q2": "answered"}


async def test_ctrl_c_ends_it_and_leaves_the_decision(daemon: Daemon, place: Place) -> None:
    await daemon.call("decision.ask", **ASKED)
    terminal = await at_terminal(place)
    async with asyncio.timeout(PATIENCE):
        await terminal.until(b"q1> ")
        terminal.type(b"\x03")
        assert await terminal.end() == 130
    assert b"Traceback" not in terminal.shown
    assert (await daemon.call("decision.get", decision="q1"))["state"] == "open"


async def test_without_key_and_terminal_decisions_are_shown_as_lines(
    daemon: Daemon, place: Place
) -> None:
    asked = await daemon.call("decision.ask", **ASKED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "advisor", "--once",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=place.environment
        | {"ORCHESTRATORD_SOCKET": str(place.socket), "PYTHONPATH": str(CLIENT)},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    shown = json.loads(out)
    assert datetime.fromisoformat(shown.pop("expires_at")) == datetime.fromisoformat(
        asked["expires_at"]
    )
    assert shown == {
        "decision": "q1", "action": "shown", "question": "Deploy?", "options": ["yes", "no"],
        "default": None,
    }  # fmt: skip
    assert err == b"advisor: no ANTHROPIC_API_KEY and no --key-file: decisions are only shown\n"
