"""Resources and prompts."""

from __future__ import annotations

import json

import pytest
from mcp_extra import REASON

pytest.importorskip("mcp.client", reason=REASON)

from living import Daemon, Place
from mcp import MCPError
from orchctl.mcp.prompts import ALL
from speaking import within


async def test_screens_and_events_are_resources(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        pane = (await agent.call("open", session="dev", name="web"))["pane"]
        await agent.call("run", pane=pane, command="echo on the screen")
        listed = {one.uri: one for one in (await agent.client.list_resources()).resources}
        assert set(listed) == {"orch://events", f"orch://pane/{pane}/screen"}
        assert listed[f"orch://pane/{pane}/screen"].name == "dev/web"
        for uri in (f"orch://pane/{pane}/screen", "orch://pane/dev/web/output"):
            (content,) = (await agent.client.read_resource(uri)).contents
            assert "on the screen" in content.text  # type: ignore[union-attr]
        (content,) = (await agent.client.read_resource("orch://events")).contents
        events = [json.loads(line) for line in content.text.splitlines()]  # type: ignore[union-attr]
        assert "pane.created" in {event["kind"] for event in events}
        templates = (await agent.client.list_resource_templates()).resource_templates
        assert len(templates) == 2
        for uri in ("orch://pane/nobody/screen", "orch://nothing", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await agent.client.read_resource(uri)


async def test_prompts_are_filled_with_their_arguments(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        listed = {one.name: one for one in (await agent.client.list_prompts()).prompts}
        assert set(listed) == {prompt.name for prompt in ALL}
        for prompt in ALL:
            given = {name: f"<{name}>" for name in prompt.arguments}
            (message,) = (await agent.client.get_prompt(prompt.name, given)).messages
            text = message.content.text  # type: ignore[union-attr]
            assert all(value in text for value in given.values())
            assert "{" not in text
        with pytest.raises(MCPError, match="Missing argument: command"):
            await agent.client.get_prompt("run_tests", {})
        with pytest.raises(MCPError, match="Unknown prompt"):
            await agent.client.get_prompt("nothing", {})


async def test_an_unknown_tool_is_an_error_of_the_protocol(
    daemon: Daemon, place: Place, revision: str
) -> None:
    async with within(place, revision) as agent:
        with pytest.raises(MCPError, match="Unknown tool: rm"):
            await agent.client.call_tool("rm", {})
