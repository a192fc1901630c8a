"""Resources: the screens of panes, what they wrote, and the newest events."""

import json
import re

from orchctl.mcp import output, overview
from orchctl.mcp.tool import MOST_OUTPUT, Json, Turn

MOST = 200
"""Panes whose screens are listed; any other can be read by its address."""

SCREEN = "orch://pane/{pane}/screen"
WRITTEN = "orch://pane/{pane}/output"
EVENTS = "orch://events"
UNTRUSTED = "Untrusted data: what programs printed."

_PANE = re.compile(r"orch://pane/([^/]{1,130}(?:/[^/]{1,64})?)/(screen|output)")

TEMPLATES: list[Json] = [
    {
        "uriTemplate": SCREEN,
        "name": "screen",
        "title": "What a pane shows",
        "description": f"What a person would see in the pane now. {UNTRUSTED}",
        "mimeType": "text/plain",
    },
    {
        "uriTemplate": WRITTEN,
        "name": "output",
        "title": "What a pane wrote",
        "description": f"The last {MOST_OUTPUT >> 10} KiB, also of a pane that ended. {UNTRUSTED}",
        "mimeType": "text/plain",
    },
]


async def listed(turn: Turn) -> list[Json]:
    """List the event log and the screens of living panes."""
    panes = await turn.call("pane.list")
    log = {
        "uri": EVENTS,
        "name": "events",
        "title": "What happened lately",
        "description": "The newest events, one JSON object a line.",
        "mimeType": "application/x-ndjson",
    }
    return [log, *(_screen(pane) for pane in panes[:MOST])]


def _screen(pane: Json) -> Json:
    name = f"{pane['session_name']}/{pane['name'] or pane['id']}"
    return {
        "uri": SCREEN.format(pane=pane["id"]),
        "name": name,
        "title": f"The screen of {name}",
        "description": UNTRUSTED,
        "mimeType": "text/plain",
    }


async def read(turn: Turn, uri: str) -> Json | None:
    """Return the contents of a resource, None if there is no such address."""
    if uri == EVENTS:
        found = await overview.events(turn, {"limit": 200})
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in found["events"]]
        return {"uri": uri, "mimeType": "application/x-ndjson", "text": "".join(lines)}
    if not (named := _PANE.fullmatch(uri)):
        return None
    asked = {"pane": named[1], "max_bytes": MOST_OUTPUT}
    asked |= {"screen": True} if named[2] == "screen" else {"lines": output.MOST_LINES}
    found = await output.read(turn, asked)
    return {"uri": uri, "mimeType": "text/plain", "text": found["untrusted_output"]}
