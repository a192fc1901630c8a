"""The methods as tool definitions for language models, from the command table."""

import json
from typing import Any

from orchctl.cli import Invocation, out
from orchctl.commands import COMMANDS
from orchctl.wire import usage

LEFT_OUT = ("admin", "streams")
"""What is no tool: stopping the daemon, and what never ends."""


def tools(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Print the definitions as one JSON list."""
    shapes = {"anthropic": anthropic, "openai": openai, "mcp": mcp}
    wanted = params.get("format", "anthropic")
    if wanted not in shapes:
        raise usage(f"there is no format {wanted}", f"one of {', '.join(shapes)}")
    commands: list[tuple[Any, ...]] = list(COMMANDS.values())
    found = [
        shapes[wanted](command[0].replace(".", "_"), command)
        for command in commands
        if not any(flag in command[6] for flag in LEFT_OUT)
    ]
    out(json.dumps(found, ensure_ascii=False, indent=None if invocation.json else 2).encode())
    out(b"\n")
    return 0


def description(command: Any) -> str:
    """Return what a model is told of a method."""
    return str(command[1] + ("\n\n" + command[2] if command[2] else ""))


def input_schema(command: Any) -> dict[str, Any]:
    """Return a method's parameters as one JSON Schema."""
    return {
        "type": "object",
        "properties": {field[0]: json.loads(field[3]) for field in command[4]},
        "required": [field[0] for field in command[4] if field[2]],
        "additionalProperties": False,
    }


def anthropic(name: str, command: Any) -> dict[str, Any]:
    """Return a tool as the Messages API takes it."""
    return {
        "name": name,
        "description": description(command),
        "input_schema": input_schema(command),
    }


def openai(name: str, command: Any) -> dict[str, Any]:
    """Return a function as the chat completions API takes it."""
    function = {
        "name": name,
        "description": description(command),
        "parameters": input_schema(command),
    }
    return {"type": "function", "function": function}


def mcp(name: str, command: Any) -> dict[str, Any]:
    """Return a tool as an MCP server lists it."""
    return {
        "name": name,
        "description": description(command),
        "inputSchema": input_schema(command),
        "annotations": {"readOnlyHint": "mutates" not in command[6]},
    }
