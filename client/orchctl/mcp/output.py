"""Tools that look at what panes show and wrote: read, find."""

import asyncio
from typing import Any

from orchctl.mcp import schema
from orchctl.mcp.panes import pane_row
from orchctl.mcp.tool import MAX_OUTPUT, Json, Tool, Turn, compact, last_bytes, visible
from orchctl.wire import RpcError, usage

LINES = 50
MOST_LINES = 1000
"""The daemon's own limit for one search."""

LONGEST_LINE = 400
SEARCHED = 100
"""Panes that one find looks into."""

AT_ONCE = 8
EVERY_LINE = "^"


async def read(turn: Turn, given: Json) -> Json:
    """Read what is new since a cursor, the lines that match, the last lines, or the screen."""
    limit = given.get("max_bytes", MAX_OUTPUT)
    if given.get("screen"):
        return await _screen(turn, given, limit)
    if "since" in given:
        return await _since(turn, given, limit)
    pane = await turn.call("pane.get", pane=given["pane"])
    pattern = given.get("pattern")
    found = await turn.call(
        "pane.search", pane=pane["id"], pattern=pattern or EVERY_LINE,
        lines=None if pattern else given.get("lines", LINES),
    )  # fmt: skip
    lines = [_numbered(line) if pattern else line["line"] for line in found]
    kept = lines[-given.get("lines", LINES) :]
    text, cut = last_bytes(visible("\n".join(kept)), limit)
    return {
        "pane": pane["id"], "state": pane["state"], "untrusted_output": text,
        "truncated": cut or len(kept) < len(lines), "cursor": pane["cursor"],
    }  # fmt: skip


async def _screen(turn: Turn, given: Json, limit: int) -> Json:
    if "since" in given or "pattern" in given:
        raise usage("screen goes with neither since nor pattern")
    shown = await turn.call("pane.capture", pane=given["pane"], lines=given.get("lines"))
    text, cut = last_bytes(visible(shown["text"]), limit)
    return {
        "untrusted_output": text, "truncated": cut or shown["truncated"],
        "cursor": shown["cursor"], "cursor_x": shown["cursor_x"], "cursor_y": shown["cursor_y"],
        "width": shown["width"], "height": shown["height"],
    }  # fmt: skip


async def _since(turn: Turn, given: Json, limit: int) -> Json:
    if "pattern" in given or "lines" in given:
        raise usage("since goes with neither pattern nor lines", "max_bytes limits the answer")
    got = await turn.call("pane.read", pane=given["pane"], since=given["since"], max=max(limit, 1))
    return {
        "untrusted_output": visible(got["text"]), "cursor": got["cursor"], "more": got["more"],
        **compact(gap=got["gap"] or None),
    }  # fmt: skip


async def find(turn: Turn, given: Json) -> Json:
    """Find panes by name or label, and among them those whose output matches."""
    if not any(name in given for name in ("name", "label", "pattern")):
        raise usage("name what to find: name, label or pattern")
    panes: list[Json] = await turn.call(
        "pane.list", session=given.get("session"), label=given.get("label"),
        name=given.get("name"),
    )  # fmt: skip
    if "pattern" not in given:
        return {"panes": [pane_row(pane) for pane in panes]}
    gate = asyncio.Semaphore(AT_ONCE)

    async def matches(pane: Json) -> list[Json]:
        async with gate:
            try:
                found = await turn.call(
                    "pane.search", pane=pane["id"], pattern=given["pattern"],
                    lines=given.get("lines"),
                )  # fmt: skip
            except RpcError as error:
                if error.kind != "PaneNotFound":
                    raise
                return []  # it went meanwhile
        return [
            {"pane": pane["id"], "untrusted_line": _cut(line["line"])}
            for line in found[-given.get("limit", 3) :]
        ]

    looked_at = panes[:SEARCHED]
    found = await asyncio.gather(*map(matches, looked_at))
    rows = [pane_row(pane) for pane, lines in zip(looked_at, found, strict=True) if lines]
    return {
        "panes": rows, "matches": [line for lines in found for line in lines],
        **compact(not_looked_at=len(panes) - len(looked_at) or None),
    }  # fmt: skip


def _numbered(line: dict[str, Any]) -> str:
    return f"{line['number']}: {line['line']}"


def _cut(text: str) -> str:
    return visible(text[:LONGEST_LINE])


READ = Tool(
    "read",
    "Read a pane",
    "Read what a pane wrote: the last lines, only lines that match pattern (with their numbers), "
    "only what is new since a cursor, or (screen) what a person would see now, for full-screen "
    "programs. Also of panes that ended. Short by default; more says that since=cursor has the "
    "rest. " + schema.UNTRUSTED,
    {
        "pane": schema.PANE,
        "since": schema.SINCE,
        "pattern": schema.text("Only lines in which this occurs (RE2), within the last 1 MiB."),
        "lines": schema.whole(
            f"Lines at most, the last ones; {LINES} if absent.", minimum=1, maximum=MOST_LINES
        ),
        "screen": schema.yes("The rendered screen instead of the output."),
        "max_bytes": schema.MAX_BYTES,
    },
    read,
    {
        "pane": schema.text("The pane's id."),
        "state": schema.text("What the pane does."),
        "untrusted_output": schema.OUTPUT,
        "truncated": schema.yes("What came before it was left out."),
        "more": schema.yes("There is more behind it."),
        "gap": schema.yes("What should come before it is not kept any more."),
        "cursor": schema.CURSOR,
        "cursor_x": schema.whole("The column of the terminal's cursor."),
        "cursor_y": schema.whole("The row of the terminal's cursor."),
        "width": schema.whole("Columns of the screen."),
        "height": schema.whole("Rows of the screen."),
    },
    required=("pane",),
    answered=("untrusted_output", "cursor"),
    needs=("pane.read", "pane.search", "pane.capture"),
    reads=True,
)

FIND = Tool(
    "find",
    "Find panes",
    "Find panes by exact name, by label (KEY or KEY=VALUE), or by what they wrote (pattern). "
    + schema.UNTRUSTED,
    {
        "session": schema.SESSION,
        "name": schema.text("The exact name."),
        "label": schema.text("A label: KEY or KEY=VALUE."),
        "pattern": schema.text("A regular expression (RE2) that occurs in the output."),
        "lines": schema.whole("Look only at so many last lines of each pane.", minimum=1),
        "limit": schema.whole("Lines shown of each pane; 3 if absent.", minimum=1, maximum=50),
    },
    find,
    {
        "panes": schema.rows("The panes, as list shows them."),
        "matches": schema.rows("pane and untrusted_line of each match shown."),
        "not_looked_at": schema.whole("Panes that were too many to look into."),
    },
    answered=("panes",),
    needs=("pane.list", "pane.search"),
    reads=True,
)
