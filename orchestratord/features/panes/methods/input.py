"""pane.keys, signal, interrupt: what goes into a pane beside text (which is ``delivery``'s)."""

from __future__ import annotations

import signal as signals
from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.fault import LeaseHeld, StaleFence
from orchestratord.features.panes.hand import InputOff
from orchestratord.features.panes.keyboard import (
    BadKey,
    BadSignal,
    signal_name,
    signal_number,
)
from orchestratord.features.panes.methods.pane import (
    ABOUT_LIVING,
    ONE_PANE,
    Fence,
    Incarnation,
    OnePane,
)
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.typist import whoever
from orchestratord.model import Result
from orchestratord.rpc.method import Cli, method


class PressKeys(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.keys."""

    keys: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=32)]],
        Meta(
            min_length=1,
            max_length=1000,
            description="Names as tmux has them: Enter, C-c, M-x, Up, F5, or one character.",
        ),
    ]
    incarnation: Incarnation | None = None
    fence: Fence | None = None


class Pressed(Result, frozen=True, kw_only=True):
    """How many keys were pressed."""

    pane: str
    keys: int


@method(
    "pane.keys",
    mutates=True,
    errors=(*ABOUT_LIVING, BadKey, InputOff, LeaseHeld, StaleFence),
    cli=Cli(forms=(("pane", "keys..."),)),
)
async def keys(panes: Panes, params: PressKeys) -> Pressed:
    """Press keys in a pane, all or none."""
    pane = panes.registry.living(params.pane, params.session, params.incarnation)
    await panes.act(panes.keyboard.keys(pane, params.keys, whoever(params.fence)))
    return Pressed(pane=pane.id, keys=len(params.keys))


class SignalPane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.signal."""

    signal: Annotated[str, Meta(description="TERM, SIGTERM or 15.", max_length=40)]
    incarnation: Incarnation | None = None


class Signalled(Result, frozen=True, kw_only=True):
    """Who got a signal."""

    pane: str
    signal: str
    pids: list[int]


@method(
    "pane.signal",
    needs="kill",
    mutates=True,
    errors=(*ABOUT_LIVING, BadSignal),
    cli=Cli(forms=(("pane", "signal"), ("session", "pane", "signal"))),
)
async def signal(panes: Panes, params: SignalPane) -> Signalled:
    """Signal the program that has a pane's terminal, and its process group.

    Right after a pane was made this waits until its program has begun, so that no signal
    is lost to what starts it. `pids` are those that got it; empty if there was nobody.
    """
    number = signal_number(params.signal)
    pane = panes.registry.living(params.pane, params.session, params.incarnation)
    pids = await panes.keyboard.signal_begun(pane, number)
    return Signalled(pane=pane.id, signal=signal_name(number) or "", pids=pids)


@method("pane.interrupt", mutates=True, errors=ABOUT_LIVING, cli=Cli(forms=ONE_PANE))
async def interrupt(panes: Panes, params: OnePane) -> Signalled:
    """Interrupt the program that has a pane's terminal, as Ctrl-C does.

    A program that has just begun may still end of it where it would catch it later:
    a shell does so before it has read its files.
    """
    pane = panes.registry.living(params.pane, params.session)
    pids = await panes.keyboard.signal_begun(pane, signals.SIGINT)
    return Signalled(pane=pane.id, signal="SIGINT", pids=pids)
