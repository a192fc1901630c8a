"""pane.exec and exec.*: commands in living shells, with their exact results."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from msgspec import Meta

from orchestratord.features.panes.fault import BadPattern, LeaseHeld, StaleFence
from orchestratord.features.panes.keyboard import (
    BadSignal,
    LineTooLong,
    SecretPrompt,
    signal_number,
)
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.methods.pane import ABOUT_LIVING, Fence, Incarnation, OnePane
from orchestratord.features.shell.fault import (
    BadCommand,
    ExecNotFound,
    IntegrationLost,
    PaneBusy,
    QueueFull,
)
from orchestratord.features.shell.model import BegunExec, Exec, ExecResult, ExecState
from orchestratord.features.shell.run import MAX_COMMAND, Live, Wanted
from orchestratord.features.shell.service import Shells
from orchestratord.model import PaneRef, Params, Timeout
from orchestratord.rpc.method import Call, Cli, method

MOST_OUTPUT = 3 << 19
"""Bytes of an answer's output: with escaping it stays below a frame."""

EXEC_COLUMNS = (
    "exec", "pane", "state", "command", "exit_code", "ended_by", "started_at", "duration",
)  # fmt: skip

ExecRef = Annotated[str, Meta(min_length=2, max_length=20, description="An exec: our id (e12).")]
MaxOutput = Annotated[
    int,
    Meta(
        ge=0, le=MOST_OUTPUT,
        description="Bytes of output in the answer at most, the last ones; all is in pane.read.",
    ),
]  # fmt: skip
Raw = Annotated[bool, Meta(description="Output byte for byte, as base64.", extra={"needs": "raw"})]


class ExecPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.exec."""

    command: Annotated[
        str,
        Meta(
            max_length=MAX_COMMAND,
            description="Handed to the shell byte for byte: any number of lines, any characters.",
        ),
    ]
    timeout: (
        Annotated[
            float,
            Meta(ge=0, le=86400, description="Seconds; when waiting 600 if none are given."),
        ]
        | None
    ) = None
    on_timeout: Annotated[
        Literal["leave", "interrupt", "kill"],
        Meta(
            description="After the timeout: leave it running, interrupt it, or go on from INT"
            " over TERM to KILL, two seconds apart."
        ),
    ] = "leave"
    wait: Annotated[bool, Meta(description="False: answer at once; exec.wait has the rest.")] = True
    queue: Annotated[
        bool, Meta(description="If the shell is busy, wait for its prompt, in the daemon.")
    ] = False
    until: (
        Annotated[str, Meta(max_length=1024, description="Also ends when a line matches (RE2).")]
        | None
    ) = None
    idle: (
        Annotated[
            float, Meta(gt=0, le=86400, description="Also ends after so many seconds of silence.")
        ]
        | None
    ) = None
    sentinel: Annotated[
        bool,
        Meta(
            description="Where there is no integration, print a line behind the command that"
            " tells its status; it is seen on the screen."
        ),
    ] = False
    max_output: MaxOutput = 262_144
    raw: Raw = False
    incarnation: Incarnation | None = None
    fence: Fence | None = None


@method(
    "pane.exec",
    mutates=True,
    errors=(
        *ABOUT_LIVING,
        PaneBusy,
        QueueFull,
        IntegrationLost,
        BadCommand,
        BadPattern,
        LineTooLong,
        SecretPrompt,
        LeaseHeld,
        StaleFence,
    ),
    cli=Cli(forms=(("pane", "command..."), ("session", "pane", "command..."))),
    deadline=None,
)
async def exec_(shells: Shells, params: ExecPane, call: Call) -> ExecResult | BegunExec:
    """Run a command in a pane's living shell and tell exactly how it ended.

    Answers when the command has ended, at its timeout, or at once with wait: false.
    Commands that nobody waits for any more are followed to their end all the same.
    """
    registry = shells.panes.registry
    pane = registry.living(params.pane, params.session, params.incarnation)
    timeout = 600.0 if params.timeout is None and params.wait else params.timeout
    wanted = Wanted(
        timeout=timeout, on_timeout=params.on_timeout, until=params.until,
        idle=params.idle, sentinel=params.sentinel, fence=params.fence,
    )  # fmt: skip
    live = await shells.panes.act(
        shells.execute(pane, params.command, wanted, queue=params.queue, owner=owner_of(call))
    )
    if not params.wait:
        return BegunExec(exec=live.run.id)
    await asyncio.shield(live.answered)
    return await shells.result(live, raw=params.raw, limit=params.max_output)


class OneExec(Params, frozen=True, kw_only=True):
    """Names an exec."""

    exec: ExecRef
    max_output: MaxOutput = 262_144
    raw: Raw = False


@method("exec.get", errors=(ExecNotFound,), cli=Cli(forms=(("exec",),)))
async def get(shells: Shells, params: OneExec) -> ExecResult:
    """Show an exec with its output so far."""
    return await shells.result(
        shells.ledger.live(params.exec), raw=params.raw, limit=params.max_output
    )


class ListExecs(Params, frozen=True, kw_only=True):
    """Parameters of exec.list."""

    pane: PaneRef | None = None
    state: Annotated[ExecState, Meta(description="Only execs in this state.")] | None = None


@method("exec.list", errors=ABOUT_LIVING, cli=Cli(forms=((), ("pane",)), columns=EXEC_COLUMNS))
def list_(shells: Shells, params: ListExecs) -> list[Exec]:
    """List the execs that run, wait, or ended lately, the oldest first."""
    pane = shells.panes.registry.pane(params.pane).id if params.pane else None
    return [
        shells.show(live)
        for live in shells.ledger.lives()
        if pane in (None, live.run.pane) and params.state in (None, live.run.state)
    ]


class WaitExec(OneExec, frozen=True, kw_only=True):
    """Parameters of exec.wait."""

    timeout: Timeout = 30.0


@method("exec.wait", errors=(ExecNotFound,), cli=Cli(forms=(("exec",), ("exec", "timeout"))))
async def wait(shells: Shells, params: WaitExec) -> ExecResult:
    """Wait for an exec's end; after the timeout tell how far it is, ended_by timeout."""
    live = shells.ledger.live(params.exec)
    try:
        async with asyncio.timeout(params.timeout):
            await live.done.wait()
    except TimeoutError:
        return await _so_far(shells, params, live)
    return await shells.result(live, raw=params.raw, limit=params.max_output)


async def _so_far(shells: Shells, params: OneExec, live: Live) -> ExecResult:
    result = await shells.result(live, raw=params.raw, limit=params.max_output)
    return result if result.ended_by else _timed_out(result)


def _timed_out(result: ExecResult) -> ExecResult:
    fields = {name: getattr(result, name) for name in result.__struct_fields__}
    return ExecResult(**fields | {"ended_by": "timeout"})


class CancelExec(Params, frozen=True, kw_only=True):
    """Parameters of exec.cancel."""

    exec: ExecRef
    signal: Annotated[
        str, Meta(max_length=40, description="What its program gets: INT, TERM, KILL, or none.")
    ] = "INT"


@method(
    "exec.cancel",
    mutates=True,
    errors=(ExecNotFound, BadSignal),
    cli=Cli(forms=(("exec",), ("exec", "signal"))),
)
async def cancel(shells: Shells, params: CancelExec) -> Exec:
    """End an exec: one that waits for its turn never begins, one that runs is signalled.

    One that has ended is returned as it is.
    """
    live = shells.ledger.live(params.exec)
    number = None if params.signal == "none" else signal_number(params.signal)
    await shells.panes.act(shells.cancel(live, number))
    return shells.show(live)
