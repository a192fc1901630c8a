"""The methods as tool definitions for language models, from the command table."""

import json
from typing import Any

from orchctl.arguments import similar
from orchctl.cli import Invocation, out
from orchctl.commands import COMMANDS
from orchctl.wire import usage

LEFT_OUT = ("admin", "streams")
"""What is no tool: stopping the daemon, and what never ends."""

LONGEST = 1024
"""Characters of a description that every one of the formats takes."""

ADDS = (
    "acquire", "ask", "create", "heartbeat", "label_set", "layout", "move", "pause", "register",
    "rename", "renew", "resize", "resume", "select", "swap", "wait", "zoom",
)  # fmt: skip
"""Verbs that change something and destroy nothing."""


def tools(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Print the definitions as one JSON list."""
    shapes = {"anthropic": anthropic, "openai": openai, "mcp": mcp}
    wanted = params.get("format", "anthropic")
    if wanted not in shapes:
        raise usage(f"there is no format {wanted}", f"one of {', '.join(shapes)}")
    commands: list[tuple[Any, ...]] = list(COMMANDS.values())
    offered = {
        str(command[0]): command
        for command in commands
        if not any(flag in command[6] for flag in LEFT_OUT)
    }
    methods = params.get("methods") or list(offered)
    for method in methods:
        if method not in offered:
            raise usage(f"no tool can be made of {method}", similar(method, list(offered)))
    found = [shapes[wanted](name(method), offered[method]) for method in methods]
    out(json.dumps(found, ensure_ascii=False, indent=None if invocation.json else 2).encode())
    out(b"\n")
    return 0


def name(method: str) -> str:
    """Return a method's name as a tool: dots are not allowed there."""
    return method.replace(".", "_")


def description(command: Any) -> str:
    """Return what a model is told of a method."""
    told = command[1] + ("\n\n" + command[2] if command[2] else "")
    return str(told if len(told) <= LONGEST else told[: LONGEST - 3] + "...")


def input_schema(command: Any) -> dict[str, Any]:
    """Return a method's parameters as one JSON Schema."""
    return {
        "type": "object",
        "properties": {field[0]: json.loads(field[3]) for field in command[4]},
        "required": [field[0] for field in command[4] if field[2]],
        "additionalProperties": False,
    }


def anthropic(named: str, command: Any) -> dict[str, Any]:
    """Return a tool as the Messages API takes it."""
    return {
        "name": named,
        "description": description(command),
        "input_schema": input_schema(command),
    }


def openai(named: str, command: Any) -> dict[str, Any]:
    """Return a function as the chat completions API takes it."""
    function = {
        "name": named,
        "description": description(command),
        "parameters": input_schema(command),
    }
    return {"type": "function", "function": function}


def mcp(named: str, command: Any) -> dict[str, Any]:
    """Return a tool as an MCP server lists it."""
    return {
        "name": named,
        "description": description(command),
        "inputSchema": input_schema(command),
        "annotations": hints(command),
    }


def hints(command: Any) -> dict[str, bool]:
    """Return what an MCP client may want to ask its user about."""
    mutates = "mutates" in command[6]
    verb = command[0].partition(".")[2]
    return {
        "readOnlyHint": not mutates,
        "destructiveHint": mutates and verb not in ADDS,
        "openWorldHint": mutates,
    }
