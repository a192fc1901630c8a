"""pane.capture, read, tail, search, has_pattern, record: what comes out of a pane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.fault import BadCursor, BadPattern, PaneExited
from orchestratord.features.panes.methods.pane import ABOUT_ONE, ONE_PANE, OnePane
from orchestratord.features.panes.search import MatchedLine, compile_pattern, search
from orchestratord.features.panes.service import Panes
from orchestratord.model import Result
from orchestratord.rpc.method import Cli, method

MOST_BYTES = 1 << 20
"""Of one read: with escaping its answer stays below a frame."""

MOST_LINES = 1000
MOST_OF_A_LINE = 2000
"""Of a search: with these its answer stays below a frame."""

CursorText = Annotated[str, Meta(max_length=40, description="Where to begin: a cursor of ours.")]
Pattern = Annotated[str, Meta(max_length=1024, description="A regular expression (RE2).")]
Raw = Annotated[
    bool, Meta(description="Byte for byte, as base64.", extra={"needs": "raw"})
]  # fmt: skip
Lines = Annotated[int, Meta(ge=1, le=100_000, description="Only so many lines from the end.")]


class CapturePane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.capture."""

    history: Annotated[bool, Meta(description="With everything that scrolled off.")] = False
    lines: Lines | None = None
    escapes: Annotated[
        bool, Meta(description="With escape sequences for colours.", extra={"needs": "raw"})
    ] = False
    join: Annotated[bool, Meta(description="Join lines that tmux wrapped.")] = False


class Capture(Result, frozen=True, kw_only=True):
    """A screen. ``cursor`` is where the output was; of one ``truncated`` the first lines lack."""

    text: str
    cursor_x: int
    cursor_y: int
    width: int
    height: int
    cursor: str
    truncated: bool


@method(
    "pane.capture",
    errors=(*ABOUT_ONE, PaneExited),
    cli=Cli(forms=(("pane",), ("session", "pane"), ("session", "pane", "lines"))),
)
async def capture(panes: Panes, params: CapturePane) -> Capture:
    """Return what a pane shows, as a person would see it."""
    pane = panes.registry.pane(params.pane, params.session)
    if pane.gone:
        raise PaneExited(pane=pane.id)
    screen = await panes.output.capture(
        pane, history=params.history, lines=params.lines, escapes=params.escapes, join=params.join
    )
    row = screen.row
    return Capture(
        text=screen.text, cursor_x=row.cursor_x, cursor_y=row.cursor_y, width=row.width,
        height=row.height, cursor=str(panes.output.end(pane)), truncated=screen.truncated,
    )  # fmt: skip


class ReadPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.read."""

    since: CursorText | None = None
    max: Annotated[int, Meta(ge=1, le=MOST_BYTES, description="Bytes of output at most.")] = 262_144
    raw: Raw = False


class ReadOutput(Result, frozen=True, kw_only=True):
    """Output since a cursor, and the next cursor. ``gap``: what came before it is gone."""

    text: str
    cursor: str
    gap: bool
    more: bool


@method("pane.read", errors=(*ABOUT_ONE, BadCursor), cli=Cli(forms=ONE_PANE))
def read(panes: Panes, params: ReadPane) -> ReadOutput:
    """Return what a pane wrote since a cursor; without one, all that is kept."""
    pane = panes.registry.pane(params.pane, params.session)
    since = panes.output.cursor(pane, params.since)
    reader = panes.output.read_raw if params.raw else panes.output.read
    got = reader(pane, since, params.max)
    return ReadOutput(
        text=got.text, cursor=str(got.cursor), gap=got.gap,
        more=got.cursor != since and got.cursor < panes.output.end(pane),
    )  # fmt: skip


class TailPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.tail."""

    since: CursorText | None = None
    raw: Raw = False


class TailItem(Result, frozen=True, kw_only=True):
    """Lines as they end. ``pending`` is the unfinished one; the cursor is before it."""

    text: str
    pending: str
    cursor: str
    gap: bool


@method("pane.tail", errors=(*ABOUT_ONE, BadCursor), cli=Cli(forms=ONE_PANE))
async def tail(panes: Panes, params: TailPane) -> AsyncIterator[TailItem]:
    """Follow what a pane writes, from a cursor or from now on, until it ends."""
    pane = panes.registry.pane(params.pane, params.session)
    end = panes.output.end(pane)
    since = panes.output.cursor(pane, params.since) if params.since is not None else end

    async def items() -> AsyncIterator[TailItem]:
        async for part in panes.output.tail(pane, since, params.raw):
            yield TailItem(
                text=part.text, pending=part.pending, cursor=str(part.cursor), gap=part.gap
            )

    return items()


class SearchPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.search."""

    pattern: Pattern
    lines: Lines | None = None
    ignore_case: bool = False


class FoundLine(Result, frozen=True, kw_only=True):
    """A line with a match. ``number`` counts from 1 at the oldest line looked at."""

    number: int
    line: str
    match: str


@method(
    "pane.search",
    errors=(*ABOUT_ONE, BadPattern),
    cli=Cli(
        forms=(
            ("pane", "pattern"),
            ("session", "pane", "pattern"),
            ("session", "pane", "pattern", "lines"),
        ),
        columns=("number", "line"),
    ),
)
async def search_(panes: Panes, params: SearchPane) -> list[FoundLine]:
    """Return the lines of a pane's output in which a pattern occurs."""
    found = await _search(panes, params, MOST_LINES)
    return [
        FoundLine(number=f.line, line=f.text[:MOST_OF_A_LINE], match=_match(f)[:MOST_OF_A_LINE])
        for f in found
    ]


async def _search(panes: Panes, params: SearchPane, most: int) -> list[MatchedLine]:
    """Search in a thread: a megabyte of output can take a tenth of a second."""
    compiled = compile_pattern(params.pattern, params.ignore_case)
    pane = panes.registry.pane(params.pane, params.session)
    data = panes.output.recent(pane)

    def look() -> list[MatchedLine]:
        return search(panes.output.lines(data, params.lines), compiled, most)

    return await asyncio.to_thread(look)


def _match(found: MatchedLine) -> str:
    start, end = found.spans[0]
    return found.text[start:end]


class HasPattern(Result, frozen=True, kw_only=True):
    """Whether a pattern occurs, and in which line first."""

    matched: bool
    line: str | None
    match: str | None


@method(
    "pane.has_pattern",
    errors=(*ABOUT_ONE, BadPattern),
    cli=Cli(
        forms=(
            ("pane", "pattern"),
            ("session", "pane", "pattern"),
            ("session", "pane", "pattern", "lines"),
        )
    ),
)
async def has_pattern(panes: Panes, params: SearchPane) -> HasPattern:
    """Say whether a pattern occurs in what a pane wrote."""
    found = await _search(panes, params, 1)
    if not found:
        return HasPattern(matched=False, line=None, match=None)
    line, match = found[0].text[:MOST_OF_A_LINE], _match(found[0])[:MOST_OF_A_LINE]
    return HasPattern(matched=True, line=line, match=match)


class Cast(Result, frozen=True, kw_only=True):
    """A recording in the asciicast v2 format. ``complete``: nothing was dropped."""

    cast: str
    complete: bool


@method("pane.record", also="raw", errors=ABOUT_ONE, cli=Cli(forms=ONE_PANE))
def record(panes: Panes, params: OnePane) -> Cast:
    """Return the output of a pane that is kept as an asciicast v2 recording."""
    pane = panes.registry.pane(params.pane, params.session)
    stream = panes.output.cursor(pane, None)
    lines: list[str] = []
    size = 0
    complete = stream.offset == 0 and pane.epoch == 1
    for line in panes.output.record(pane):
        size += len(line.encode()) + line.count('"') + line.count("\\") + 2
        if size > 3 * MOST_BYTES:
            complete = False
            break
        lines.append(line)
    return Cast(cast="\n".join(lines) + "\n", complete=complete)
