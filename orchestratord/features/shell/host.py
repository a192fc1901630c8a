"""What a shell asks of the service that it belongs to."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from orchestratord.clock import Clock
from orchestratord.features.panes.keyboard import Keyboard
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.shell.integration import Integration
from orchestratord.features.shell.prompt import Prompt
from orchestratord.features.shell.run import Live
from orchestratord.tmux.spool import Spool


class Recorder(Protocol):
    """Who stores what becomes of a run, and tells it."""

    async def began(self, live: Live) -> None: ...
    async def running(self, live: Live) -> None: ...
    async def timed_out(self, live: Live, then: str) -> None: ...
    async def finished(self, live: Live) -> None: ...


class Seen(Protocol):
    """A shell as the service looks at it."""

    pane: PaneRecord
    prompt: Prompt

    def coming(self) -> bool: ...
    def quiet_for(self) -> float: ...


class Host(Protocol):
    """What a shell asks of its service."""

    @property
    def ledger(self) -> Recorder: ...

    integration: Integration
    keyboard: Keyboard
    spool: Spool
    clock: Clock

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None: ...
    async def column(self, pane: PaneRecord) -> tuple[int, int]: ...
    def lost(self, shell: Seen) -> str | None: ...
