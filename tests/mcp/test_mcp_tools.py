"""Every tool, listed and called by the official client."""

from __future__ import annotations

import json

import pytest
from mcp_extra import REASON

pytest.importorskip("mcp.client", reason=REASON)

import jsonschema
from living import Daemon, Place
from speaking import Agent, speaking, within

WANTED = {
    "open", "run", "read", "send", "wait", "list", "find", "close", "layout", "decide", "events",
    "status", "call",
}  # fmt: skip
READS = {"read", "wait", "list", "find", "events", "status"}
DESTROYS = {"run", "send", "close", "call"}


async def test_the_tools_are_listed_with_valid_schemas_and_fitting_hints(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with speaking(place, revision) as agent:
        tools = {tool.name: tool for tool in (await agent.client.list_tools()).tools}
        assert agent.client.instructions and "untrusted" in agent.client.instructions
    assert set(tools) == WANTED
    shown = 0
    for name, tool in tools.items():
        for schema in (tool.input_schema, tool.output_schema):
            assert schema is not None and schema["type"] == "object"
            jsonschema.Draft202012Validator.check_schema(schema)
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name in READS)
        assert tool.annotations.destructive_hint is (name in DESTROYS)
        shown += len(tool.description or "") + len(json.dumps(tool.input_schema))
    assert shown < 20_000  # what every conversation pays for


@pytest.mark.parametrize("flags", [(), ("--shared",)], ids=["alone", "shared"])
async def test_every_tool_can_be_called(
    daemon: Daemon, place: Place, revision: str, flags: tuple[str, ...]
) -> None:
    async with speaking(place, revision, *flags) as agent:
        called = await everything(agent)
    assert called == WANTED


async def everything(agent: Agent) -> set[str]:
    """Use each tool as an agent would; the client checks each answer by its schema."""
    called = set()

    async def call(tool: str, **given: object) -> dict[str, object]:
        called.add(tool)
        found: dict[str, object] = await agent.call(tool, **given)
        return found

    await agent.client.list_tools()  # so that it knows the schemas
    opened = await call("open", session="dev", name="shell", shell="bash", cwd="/")
    pane = opened["pane"]
    assert (opened["created"], opened["session"], opened["cwd"]) == (True, "dev", "/")
    again = await call("open", session="dev", name="shell")
    assert (again["created"], again["pane"]) == (False, pane)

    ran = await call("run", pane=pane, command="printf 'one\\ntwo\\n'; (exit 7)")
    assert (ran["state"], ran["exit_code"], ran["ended_by"]) == ("finished", 7, "exit_code")
    assert ran["untrusted_output"] == "one\ntwo\n"

    sent = await call("send", pane=pane, text="echo typed-$((40 + 2))", submit=True)
    met = await call("wait", pane=pane, patterns=["typed-(\\d+)$"], since=sent["cursor"])
    assert (met["outcome"], met["untrusted_groups"]) == ("matched", ["42"])

    read = await call("read", pane=pane, since=sent["cursor"])
    assert "typed-42\n" in str(read["untrusted_output"])
    assert "typed-42" in str((await call("read", pane=pane, screen=True))["untrusted_output"])
    found = await call("read", pane="dev/shell", pattern="^typed-")
    assert str(found["untrusted_output"]).endswith(": typed-42")

    laid = await call("layout", pane=pane, name="main", labels={"for": "test"}, zoom=True)
    assert laid["done"] == ["zoom", "labels", "name"]
    assert (await call("list", label="for=test"))["total"] == 1
    assert (await call("list", what="sessions"))["total"] == 1
    assert (await call("list", what="windows"))["total"] == 1
    panes = (await call("find", pattern="^typed-42$"))["panes"]
    assert isinstance(panes, list) and [row["pane"] for row in panes] == [pane]

    asked = await call("decide", action="ask", question="Go on?", options=["yes", "no"])
    (decision,) = asked["decisions"]  # type: ignore[misc]
    assert (await call("status"))["open_decisions"] == [decision["decision"]]
    await call("decide", action="answer", decision=decision["decision"], choice="yes")
    waited = await call("decide", action="wait", decision=decision["decision"])
    assert waited["outcome"] == "answered"

    happened = await call("events", kinds=["decision.answered"])
    (event,) = happened["events"]  # type: ignore[misc]
    assert event["kind"] == "decision.answered"

    described = await call("call", method="pane.certificate", describe=True)
    assert "pane" in described["describes"]["parameters"]  # type: ignore[index]
    certificate = await call("call", method="pane.certificate", params={"pane": pane})
    assert certificate["untrusted_result"]["exit"] is None  # type: ignore[index]

    closed = await call("close", pane=pane)
    assert closed["closed"][0]["pane"] == pane  # type: ignore[index]
    return called


async def test_long_output_is_short_at_first_and_whole_by_its_cursors(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        pane = (await agent.call("open", session="dev"))["pane"]
        ran = await agent.call("run", pane=pane, command="seq 5000")
        assert ran["truncated"] and ran["untrusted_output"].endswith("4999\n5000\n")
        assert len(ran["untrusted_output"].encode()) <= 4096
        text, since, more = "", ran["since"], True
        while more:
            part = await agent.call("read", pane=pane, since=since)
            assert len(part["untrusted_output"].encode()) <= 4096
            text, since, more = text + part["untrusted_output"], part["cursor"], part["more"]
    assert text.startswith("".join(f"{n}\n" for n in range(1, 5001)))


async def test_what_programs_print_is_marked_and_cannot_hide(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        pane = (await agent.call("open", session="dev"))["pane"]
        hidden = r"printf 'a\342\200\256b\363\240\201\201c\033[31md\n'"
        ran = await agent.call("run", pane=pane, command=hidden)
        assert ran["untrusted_output"] == "a\\u{202e}b\\u{e0041}cd\n"
        tools = {tool.name: tool for tool in (await agent.client.list_tools()).tools}
    for name in ("run", "read", "wait", "find", "events", "decide", "call", "close"):
        assert "untrusted_*" in (tools[name].description or "")


async def test_a_pane_that_ended_is_read_and_tells_how(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        command = ["/bin/sh", "-c", "echo last words; exit 5"]
        opened = await agent.call("open", session="dev", name="job", command=command)
        met = await agent.call("wait", pane=opened["pane"], exit=True, since=opened["cursor"])
        assert met["outcome"] == "exited" or met["condition"] == "exit"
        assert met["exit"]["status"] == 5
        read = await agent.call("read", pane=opened["pane"])
        assert read["untrusted_output"] == "last words"
        again = await agent.call("open", session="dev", name="job2", command=command)
        assert again["created"]


async def test_refusals_say_what_kind_and_what_helps(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        error = await agent.refused("read", pane="nobody")
        assert (error["kind"], error["retryable"]) == ("PaneNotFound", False)
        assert error["hint"]
        for tool, given, message in (
            ("run", {"pane": "p1"}, "run needs command"),
            ("run", {"pane": "p1", "command": "x", "shell": "y"}, "run takes no shell"),
            ("run", {"pane": 1, "command": "x"}, "pane must be a string"),
            ("wait", {"pane": "p1"}, "name what to wait for: patterns, stop, exit, prompt, idle"),
            ("wait", {}, "name one of pane, panes, exec and wait"),
            ("wait", {"exec": "e1", "exit": True}, "exit goes with pane or panes"),
            ("list", {"what": "cats"}, "what must be one of panes, windows, sessions"),
            ("send", {"pane": "p1"}, "name text, keys or signal"),
            ("close", {"pane": "p", "window": "w1"}, "name one of pane, panes, window and session"),
            ("decide", {"action": "answer", "decision": "q1"}, "answer needs choice"),
            ("decide", {"action": "get", "decision": "q1", "choice": "a"}, "get takes no choice"),
            ("call", {"method": "daemon.stop"}, "daemon.stop cannot be called here"),
            ("call", {"method": "pane.tail"}, "pane.tail cannot be called here"),
        ):  # fmt: skip
            error = await agent.refused(tool, **given)
            assert (error["kind"], error["message"]) == ("InvalidArgument", message)
        assert (await agent.refused("call", method="no.such"))["kind"] == "MethodNotFound"


async def test_a_long_result_of_call_is_cut_and_says_so(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        found = await agent.call("call", method="daemon.config", max_bytes=100)
    assert len(found["untrusted_part"]) == 100 < found["bytes"]
