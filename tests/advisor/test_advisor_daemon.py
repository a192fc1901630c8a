"""The advisor at work on a real daemon."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place, until
from messages_api import KEY, Gate, MessagesApi, Status, says
from orchctl.advisor.asked import Wanted
from orchctl.advisor.program import Settings, advise, read_key
from orchctl.advisor.report import Report
from orchctl.aio import Client, RpcError
from orchctl_run import CLIENT, SCRIPT
from terminals import session

ASKED = {"question": "Deploy?", "options": ["yes", "no"], "default": "no", "deadline": 3600}
PATIENCE = 60.0


class Advising:
    """An advisor in this process; ``lines`` are what it did, ``said`` what it told beside."""

    def __init__(self, place: Place, api: MessagesApi, key: str | None = KEY, **flags: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.said: list[bytes] = []
        settings = Settings(base_url=api.url, model="claude-test", **flags)
        report = Report(
            True, False, lambda line: self.lines.append(json.loads(line)), self.said.append
        )
        self.task = asyncio.create_task(advise(Client(str(place.socket)), settings, key, report))

    async def says(self, decision: str, action: str) -> dict[str, Any]:
        """Return the line about a decision with that action, once it is there."""

        def found() -> list[dict[str, Any]]:
            assert not self.task.done() or self.task.result() is not None
            return [
                line for line in self.lines
                if (line["decision"], line["action"]) == (decision, action)
            ]  # fmt: skip

        await until(found, PATIENCE)
        return found()[0]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def advising(place: Place, api: MessagesApi, **flags: Any) -> AsyncIterator[Advising]:
    running = Advising(place, api, **flags)
    try:
        yield running
    finally:
        await running.stop()


async def test_what_is_open_and_what_opens_is_answered(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    await daemon.call("decision.ask", **ASKED, context="tests: ok")
    async with advising(place, api) as advisor:
        assert await advisor.says("q1", "answered") == {
            "decision": "q1", "action": "answered", "choice": "yes", "reason": "because",
            "tokens": 230,
        }  # fmt: skip
        await daemon.call("decision.ask", **ASKED)
        await advisor.says("q2", "answered")
    for decision in ("q1", "q2"):
        found = await daemon.call("decision.get", decision=decision)
        assert (found["state"], found["choice"], found["reason"]) == ("answered", "yes", "because")
    assert "tests: ok" in api.requests[0]["messages"][0]["content"]
    assert len(api.requests) == 2


async def test_what_cannot_be_answered_stays_open_for_its_default(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    api.answers = [says("maybe"), Status(400, "no such model"), says("no")]
    async with advising(place, api) as advisor:
        for decision, problem in (
            ("q1", "'maybe' is no option"), ("q2", "the API answered 400: no such model")
        ):  # fmt: skip
            await daemon.call("decision.ask", **ASKED)
            left = await advisor.says(decision, "left")
            assert (left["problem"], left["default"]) == (problem, "no")
        await daemon.call("decision.ask", **ASKED)
        await advisor.says("q3", "answered")
    states = [d["state"] for d in await daemon.call("decision.list")]
    assert states == ["open", "open", "answered"]


async def test_a_person_is_faster_and_the_request_ends(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    gate = Gate()
    api.answers = [gate, says("no")]
    await daemon.call("decision.ask", **ASKED)
    async with advising(place, api) as advisor:
        await asyncio.wait_for(gate.reached.wait(), PATIENCE)
        await daemon.call("decision.answer", decision="q1", choice="yes")
        assert (await advisor.says("q1", "ended"))["state"] == "answered"
        await daemon.call("decision.ask", **ASKED)
        await advisor.says("q2", "answered")
    assert [line["decision"] for line in advisor.lines] == ["q1", "q2"]


async def test_only_what_is_wanted_is_answered(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    made = await session(daemon)
    wanted = Wanted(session="dev", label="by=claude")
    async with advising(place, api, wanted=wanted) as advisor:
        await daemon.call("decision.ask", **ASKED)
        await daemon.call("decision.ask", **ASKED, session="dev")
        await daemon.call("decision.ask", **ASKED, labels={"by": "claude"})
        await daemon.call("decision.ask", **ASKED, pane=made["pane"]["id"], labels={"by": "claude"})
        await advisor.says("q4", "answered")
    assert [line["decision"] for line in advisor.lines] == ["q4"]


async def test_a_dry_run_answers_nothing(daemon: Daemon, place: Place, api: MessagesApi) -> None:
    await daemon.call("decision.ask", **ASKED)
    async with advising(place, api, dry=True, once=True) as advisor:
        assert await asyncio.wait_for(advisor.task, PATIENCE) == 0
    assert advisor.lines[0]["action"] == "would_answer"
    assert (await daemon.call("decision.get", decision="q1"))["state"] == "open"


async def test_once_ends_and_says_whether_anything_was_left(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    for _ in range(5):
        await daemon.call("decision.ask", **ASKED)
    async with advising(place, api, once=True, budget=6000) as advisor:
        assert await asyncio.wait_for(advisor.task, PATIENCE) == 0
    assert len(api.requests) == len(advisor.lines) == 5
    await daemon.call("decision.ask", **ASKED)
    async with advising(place, api, once=True, budget=100) as advisor:
        assert await asyncio.wait_for(advisor.task, PATIENCE) == 1
    assert advisor.lines[0]["problem"] == "the budget of 100 tokens is spent"
    assert len(api.requests) == 5


async def test_it_goes_on_after_a_restart_of_the_daemon_with_what_it_was_at(
    place: Place, api: MessagesApi
) -> None:
    before = await place.start()
    gate = Gate()
    api.answers = [gate, says("no")]
    await before.call("decision.ask", **ASKED)
    async with advising(place, api) as advisor:
        await asyncio.wait_for(gate.reached.wait(), PATIENCE)
        await before.kill()
        gate.open.set()
        later = await place.start()
        await advisor.says("q1", "answered")
        await later.call("decision.ask", **ASKED)
        await advisor.says("q2", "answered")
        assert (await later.call("decision.get", decision="q1"))["choice"] == "yes"
        assert len(api.requests) == 2


async def test_it_waits_for_a_daemon_that_stays_away(place: Place, api: MessagesApi) -> None:
    before = await place.start()
    async with advising(place, api) as advisor:
        await before.call("decision.ask", **ASKED)
        await advisor.says("q1", "answered")
        await before.end()
        await until(lambda: b"waiting for it" in advisor.said[-1], PATIENCE)
        later = await place.start()
        await later.call("decision.ask", **ASKED)
        await advisor.says("q2", "answered")
        assert advisor.said[-1] == b"advisor: a daemon answers again\n"


async def test_a_daemon_that_knows_no_decisions_ends_it_with_the_error(
    place: Place, api: MessagesApi, tmp_path: Path
) -> None:
    from fake_daemon import FakeDaemon

    old = FakeDaemon(str(tmp_path / "d.sock"))
    old.answers["daemon.status"] = {"store": {"head": 1}}
    await old.start()
    settings = Settings(base_url=api.url)
    with pytest.raises(RpcError, match=r"there is no method 'decision\.list'"):
        await advise(Client(old.path), settings, KEY, Report(True, True, lambda _: None))
    await old.stop()


async def test_the_command_ends_on_ctrl_c_and_never_shows_the_key(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    gate = Gate()
    api.answers = [Status(401, f"the key {KEY} is wrong"), gate]
    await daemon.call("decision.ask", **ASKED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "--text", "advisor", "--base-url", api.url,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=place.environment | {
            "ORCHESTRATORD_SOCKET": str(place.socket), "PYTHONPATH": str(CLIENT),
            "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_LOG": "debug",
        },
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    first = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert first == b"q1  left to the default, no: the API answered 401: the key *** is wrong\n"
    await daemon.call("decision.ask", **ASKED)
    await asyncio.wait_for(gate.reached.wait(), PATIENCE)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 130
    assert out == b""
    assert b"advisor: claude-sonnet-5-5 answers\n" in err
    assert b"Traceback" not in err
    assert KEY.encode() not in err
    assert (await daemon.call("decision.get", decision="q2"))["state"] == "open"


def test_a_key_comes_from_the_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = Report(False, False)
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    assert read_key(None, report) is None
    assert read_key(str(file), report) == KEY
    assert capfd.readouterr().err == ""
    file.chmod(0o644)
    assert read_key(str(file), report) == KEY
    assert capfd.readouterr().err == f"advisor: {file} can be read by others; chmod 600 it\n"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
    assert read_key(None, report) == "from-the-environment"
    for text in ("", "two words", "caf\u00e9", "a\nb"):
        file.write_text(text)
        with pytest.raises(RpcError, match="holds no key"):
            read_key(str(file), report)
    file.write_bytes(b"\xff")
    with pytest.raises(RpcError, match="it is not text"):
        read_key(str(file), report)
    with pytest.raises(RpcError, match="No such file"):
        read_key(str(tmp_path / "none"), report)
