"""A scripted model works in panes: it opens, runs a failing test, reads, mends, runs, closes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from living import Daemon, Place
from messages_api import KEY, Gate, MessagesApi, Status, message
from orchctl_run import CLIENT, SCRIPT, Done

Body = dict[str, Any]


def call(tool: str, number: int = 1, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": given}


def calls(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message(*blocks, stop="tool_use", **more)


def says(text: str, **more: Any) -> dict[str, Any]:
    return message({"type": "text", "text": text}, **more)


def results(body: Body) -> list[Any]:
    """Return what the tools answered to the last calls."""
    return [json.loads(block["content"]) for block in body["messages"][-1]["content"]]


async def agent(place: Place, api: MessagesApi, *words: str, key: str = KEY) -> Done:
    """Run the real command against the scripted model."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "agent-loop", *words, "--base-url", api.url,
        env=place.environment
        | {
            "PYTHONPATH": str(CLIENT), "ORCHESTRATORD_SOCKET": str(place.socket),
            "ORCHCTL_NO_AUTOSTART": "1", "ANTHROPIC_API_KEY": key,
        },
        cwd=place.directory, stdin=subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


TEST = """\
from adding import add
assert add(2, 2) == 4, f"add(2, 2) is {add(2, 2)}"
print("1 test passed")
"""
MEND = "sed -i 's/a - b/a + b/' adding.py"


def script(python: str) -> list[Callable[[Body], dict[str, Any]] | dict[str, Any]]:
    """Return a model that knows what it wants, and looks at what it gets."""
    run = f"{python} test_adding.py"

    def ran(body: Body) -> dict[str, Any]:
        (opened,) = results(body)
        assert opened["created"]
        return calls(call("run", 2, pane=opened["pane"], command=run))

    def failed(body: Body) -> dict[str, Any]:
        (found,) = results(body)
        assert found["exit_code"] == 1
        assert "add(2, 2) is 0" in found["untrusted_output"]
        return calls(
            {"type": "text", "text": "The test fails; I look at the code."},
            call("run", 3, pane=found["pane"], command="cat adding.py"),
        )

    def mended(body: Body) -> dict[str, Any]:
        (found,) = results(body)
        assert "return a - b" in found["untrusted_output"]
        return calls(call("run", 4, pane=found["pane"], command=MEND))

    def again(body: Body) -> dict[str, Any]:
        (found,) = results(body)
        assert found["exit_code"] == 0
        return calls(call("run", 5, pane=found["pane"], command=run))

    def closed(body: Body) -> dict[str, Any]:
        (found,) = results(body)
        assert (found["exit_code"], found["untrusted_output"]) == (0, "1 test passed\n")
        return calls(call("close", 6, pane=found["pane"]), call("status", 7))

    def done(body: Body) -> dict[str, Any]:
        ended, status = results(body)
        assert ended["closed"] and status["health"] == "ok"
        return says("add subtracted; it adds now, and the test passes.")

    return [
        calls(call("open", 1, session="work", name="tests")), ran, failed, mended, again, closed,
        done,
    ]  # fmt: skip


async def test_a_model_mends_a_failing_test(daemon: Daemon, place: Place, api: MessagesApi) -> None:
    (place.directory / "adding.py").write_text("def add(a, b):\n    return a - b\n")
    (place.directory / "test_adding.py").write_text(TEST)
    api.answers = script(f"PYTHONDONTWRITEBYTECODE=1 {sys.executable}")
    done = await agent(place, api, "Make the test pass.", "--json")
    assert done.status == 0, done.err
    steps = [json.loads(line) for line in done.out.splitlines()]
    transcript = [(step["step"], step.get("tool")) for step in steps]
    assert transcript == [
        ("calls", "open"), ("result", "open"),
        ("calls", "run"), ("result", "run"),
        ("says", None), ("calls", "run"), ("result", "run"),
        ("calls", "run"), ("result", "run"),
        ("calls", "run"), ("result", "run"),
        ("calls", "close"), ("calls", "status"), *transcript[13:15],
        ("says", None), ("end", None),
    ]  # fmt: skip
    assert sorted(transcript[13:15]) == [("result", "close"), ("result", "status")]
    assert [step.get("failed") for step in steps if step["step"] == "result"] == [False] * 7
    assert steps[-1] == {
        "step": "end", "text": "add subtracted; it adds now, and the test passes.",
        "end": "done", "turns": 7, "tokens": 7 * 230,
    }  # fmt: skip
    assert "a + b" in (place.directory / "adding.py").read_text()
    assert await daemon.call("pane.list") == []
    first = api.requests[0]
    assert first["messages"] == [{"role": "user", "content": "Make the test pass."}]
    assert "untrusted" in first["system"]
    assert {"open", "run", "read", "close"} <= {tool["name"] for tool in first["tools"]}


async def test_what_a_tool_refuses_is_told_to_the_model(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    def look(body: Body) -> dict[str, Any]:
        kinds = [result["error"]["kind"] for result in results(body)]
        assert kinds == ["PaneNotFound", "InvalidArgument", "NotFound"]
        assert all(block["is_error"] for block in body["messages"][-1]["content"])
        return says("nothing there")

    api.answers = [
        calls(call("read", 1, pane="p9"), call("run", 2, bogus=1), call("rm", 3)), look
    ]  # fmt: skip
    done = await agent(place, api, "Look.", "--text")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-2:] == ["nothing there", "done after 2 turns and 460 tokens"]
    assert "! {" in done.out


@pytest.mark.parametrize(
    ("answers", "words", "end"),
    [
        ([calls(call("list"))], ("--turns", "3"), "turns after 3 turns and 690 tokens"),
        ([calls(call("list"))], ("--budget", "9000", "--max-tokens", "300"), "budget after"),
        ([message(stop="refusal")], (), "refused after 1 turns"),
        ([says("half a", stop="max_tokens")], (), "cut after 1 turns"),
        ([Status(400)], (), "failed after 1 turns and"),
        ([Status(529)], (), "failed after 1 turns and"),
    ],
    ids=["turns", "budget", "refusal", "cut", "400", "529"],
)
async def test_every_limit_and_fault_ends_it_with_status_1(
    daemon: Daemon, place: Place, api: MessagesApi, answers: list[Any], words: Any, end: str
) -> None:
    api.answers = answers
    done = await agent(place, api, "Go.", "--text", *words)
    assert done.status == 1
    assert end in done.out.splitlines()[-1]
    assert KEY not in done.out + done.err


async def test_without_a_key_nothing_is_asked(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    done = await agent(place, api, "Go.", key="")
    assert (done.status, api.requests) == (5, [])
    assert "ANTHROPIC_API_KEY" in done.err


async def test_an_api_that_is_silent_is_given_up(
    daemon: Daemon, place: Place, api: MessagesApi
) -> None:
    api.answers = [Gate()]
    done = await agent(place, api, "Go.", "--text", "--timeout", "0.2")
    assert done.status == 1
    assert "the API did not answer in time" in done.out
