"""pane.wait, wait.*: waiting for what panes do."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.fault import (
    AmbiguousName,
    BadCursor,
    BadPattern,
    BadValue,
    PaneNotFound,
    SessionNotFound,
)
from orchestratord.features.panes.methods.output import CursorText
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.watch.fault import NoPrompt, TooManyPatterns, TooManyWaits, WaitNotFound
from orchestratord.features.watch.model import WaitInfo, WaitResult
from orchestratord.features.watch.needle import Expression, Text
from orchestratord.features.watch.quota import PATTERNS
from orchestratord.features.watch.record import Conditions
from orchestratord.features.watch.waits import Waits
from orchestratord.model import Empty, PaneRef, Params, Timeout
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import NotOwner

LONGEST_BLOCK = 3600

Patterns = Annotated[
    list[Text | Expression],
    Meta(max_length=PATTERNS, description="Regular expressions, or {pattern, name, ...}."),
]
WaitName = Annotated[str, Meta(max_length=40, description="A detached wait, such as wait7.")]


class WaitPane(Params, frozen=True, kw_only=True):
    """Parameters of pane.wait."""

    pane: PaneRef | None = None
    panes: Annotated[
        list[PaneRef], Meta(max_length=256, description="Several panes instead of one.")
    ] = []
    patterns: Patterns = []
    stop: Annotated[
        list[Text | Expression],
        Meta(max_length=PATTERNS, description="Patterns that end it as stopped: a failure, say."),
    ] = []
    exit: Annotated[bool, Meta(description="Until the pane's program has ended.")] = False
    prompt: Annotated[bool, Meta(description="Until the shell is at its prompt.")] = False
    idle: (
        Annotated[
            float,
            Meta(gt=0, le=86400, description="Until nothing was written for so many seconds."),
        ]
        | None
    ) = None
    all: Annotated[
        bool, Meta(description="Until every pane has satisfied a condition, not only one.")
    ] = False
    since: CursorText | None = None
    timeout: Timeout
    detach: Annotated[
        bool, Meta(description="Answer at once with the wait's id; the daemon goes on with it.")
    ] = False


@method(
    "pane.wait", needs="read",
    mutates=True,
    errors=(
        PaneNotFound, AmbiguousName, SessionNotFound, BadPattern, BadCursor, BadValue, NoPrompt,
        TooManyPatterns, TooManyWaits,
    ),
    cli=Cli(forms=(("pane",), ("session", "pane"), ("session", "pane", "timeout"))),
)  # fmt: skip
async def wait(waits: Waits, params: WaitPane, call: Call) -> WaitResult:
    """Wait until a pane does something that is asked for, from now on or from a cursor on.

    A pattern matches within a line. The first condition that is met ends the wait;
    so do a stop pattern, the pane's end and the timeout, each with its outcome.
    """
    conditions = Conditions(
        patterns=tuple(map(Expression.of, params.patterns)),
        stop=tuple(map(Expression.of, params.stop)),
        exit=params.exit, prompt=params.prompt, idle=params.idle, all=params.all,
    )  # fmt: skip
    if conditions == Conditions(all=params.all):
        raise BadValue(field="patterns", reason="name something to wait for")
    if (params.pane is None) != bool(params.panes):
        raise BadValue(field="panes", reason="name either pane or panes")
    if params.since is not None and len(params.panes) > 1:
        raise BadValue(field="since", reason="a cursor belongs to one pane")
    refs = [params.pane] if params.pane is not None else params.panes
    panes = list({p.id: p for p in map(waits.pane, refs)}.values())
    begun = waits.begin(owner_of(call), conditions, panes, params.since)
    if params.detach:
        return WaitResult(wait=await waits.detach(begun, params.timeout))
    return await waits.hold(begun, params.timeout)


class GetWait(Params, frozen=True, kw_only=True):
    """Parameters of wait.get."""

    wait: WaitName
    block: Annotated[
        float, Meta(ge=0, le=LONGEST_BLOCK, description="Seconds to wait for its end.")
    ] = 0


@method(
    "wait.get",
    errors=(WaitNotFound, NotOwner),
    cli=Cli(forms=(("wait",), ("wait", "block"))),
    deadline=LONGEST_BLOCK + 10,
)
async def get(waits: Waits, params: GetWait) -> WaitResult:
    """Return the result of a detached wait; its outcome is null while it goes on."""
    return await waits.get(params.wait, params.block)


@method(
    "wait.list",
    cli=Cli(columns=("wait", "outcome", "panes", "conditions", "created_at", "deadline")),
)
def list_(waits: Waits, _: Empty) -> list[WaitInfo]:
    """List detached waits, with those that ended within the last hour."""
    return waits.listed()


class CancelWait(Params, frozen=True, kw_only=True):
    """Parameters of wait.cancel."""

    wait: WaitName


@method(
    "wait.cancel",
    needs="input",
    mutates=True,
    errors=(WaitNotFound, NotOwner),
    cli=Cli(forms=(("wait",),)),
)
async def cancel(waits: Waits, params: CancelWait) -> WaitResult:
    """End a detached wait; one that has ended keeps its result."""
    return await waits.cancel(params.wait)
