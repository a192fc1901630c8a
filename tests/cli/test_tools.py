"""The methods as tool definitions: valid for those who take them, and of bounded size."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from orchctl.tools import LEFT_OUT, LONGEST, anthropic, hints, name
from orchctl_run import Orchctl

MOST = 12_000
"""Characters of one definition."""


def schema_of(style: str, tool: dict[str, Any]) -> dict[str, Any]:
    inner = tool["function"] if style == "openai" else tool
    key = {"anthropic": "input_schema", "openai": "parameters", "mcp": "inputSchema"}[style]
    found: dict[str, Any] = inner[key]
    return found


@pytest.mark.parametrize("style", ["anthropic", "openai", "mcp"])
async def test_every_tool_has_a_name_a_description_and_an_object_as_its_schema(
    orchctl: Orchctl, style: str
) -> None:
    tools = (await orchctl("tools", "--format", style)).json
    names = [(tool["function"] if style == "openai" else tool)["name"] for tool in tools]
    assert len(set(names)) == len(names) > 50
    for tool, named in zip(tools, names, strict=True):
        assert re.fullmatch(r"[a-z]+_[a-z_]+", named) and len(named) <= 64
        inner = tool["function"] if style == "openai" else tool
        assert 10 < len(inner["description"]) <= LONGEST
        schema = schema_of(style, tool)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) <= set(schema["properties"])
        assert "$ref" not in json.dumps(schema)
        assert len(json.dumps(tool)) < MOST


async def test_the_schemas_are_json_schema(orchctl: Orchctl) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the extra mcp")
    for tool in (await orchctl("tools")).json:
        jsonschema.Draft202012Validator.check_schema(tool["input_schema"])


async def test_the_definitions_are_the_sdks_tools(orchctl: Orchctl) -> None:
    from anthropic.types import ToolParam
    from pydantic import ConfigDict, TypeAdapter, with_config

    exact = TypeAdapter(with_config(ConfigDict(extra="forbid"))(ToolParam))
    for tool in (await orchctl("tools", "--format", "anthropic")).json:
        exact.validate_python(tool)


async def test_the_definitions_are_the_protocols_tools(orchctl: Orchctl) -> None:
    types = pytest.importorskip("mcp_types", reason="the extra mcp is not installed")
    for tool in (await orchctl("tools", "--format", "mcp")).json:
        assert types.Tool.model_validate(tool).annotations.read_only_hint in (True, False)


async def test_only_the_methods_that_were_named_are_printed(orchctl: Orchctl) -> None:
    done = await orchctl("tools", "--methods", "pane.exec", "--methods", "pane.read")
    assert [tool["name"] for tool in done.json] == ["pane_exec", "pane_read"]
    done = await orchctl("tools", "--methods", "pane.exce")
    assert done.status == 2
    assert "pane.exec" in done.err
    assert (await orchctl("tools", "--methods", "daemon.stop")).status == 2


def test_what_destroys_nothing_says_so() -> None:
    read = ("pane.read", "", "", ((),), (), (), "", 30.0)
    assert hints(read) == {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
    create = ("pane.create", "", "", ((),), (), (), "mutates", 30.0)
    assert hints(create)["destructiveHint"] is False
    assert hints(("pane.kill", *create[1:]))["destructiveHint"] is True
    assert name("pane.label_set") == "pane_label_set"
    assert LEFT_OUT == ("admin", "streams")


def test_a_long_description_is_cut() -> None:
    command = ("pane.x", "y" * 2000, "", ((),), (), (), "", 30.0)
    assert len(anthropic("pane_x", command)["description"]) == LONGEST
