"""A hand on a pane's keyboard: what its holder types, nobody else comes between.

``Keyboard.turn`` gives it out. What is in the way of keys is cleared in the same step in
which they are typed (``tmux.keys``). Knows nothing of who reads.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from orchestratord.errors import FailedPrecondition, TmuxRefused
from orchestratord.features.panes.fault import PaneExited, StaleIncarnation
from orchestratord.features.panes.record import PaneRecord
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.keys import (
    ALONE,
    NO_INPUT,
    drop,
    forced,
    load,
    pasted,
    pressed,
    rejoin,
    typed,
)
from orchestratord.tmux.link import Link


class InputOff(FailedPrecondition):
    """Somebody at a terminal switched the input of a pane off, and tmux throws keys away."""

    template = "pane {pane} takes no input: somebody switched that off"
    hint = "tmux select-pane -e switches it on again"


class Hand:
    """Types into one incarnation of a pane. ``used`` says whether anything may have been typed."""

    def __init__(self, link: Link, pane: PaneRecord, incarnation: int) -> None:
        self.used = False
        self._link = link
        self._pane = pane
        self._incarnation = incarnation
        self._alone = False

    async def press(self, keys: bytes, *, leave_mode: bool = True) -> None:
        """Press a line's worth of keys in this pane alone, as one step.

        Raises:
            PaneExited: The pane has ended.
            StaleIncarnation: Another program runs in it by now.
            InputOff: Somebody switched its input off; nothing was typed.
        """
        pane = self._pane
        if pane.exit is not None:
            raise PaneExited(pane=pane.id)
        if pane.incarnation != self._incarnation:
            raise StaleIncarnation(pane=pane.id, now=pane.incarnation, given=self._incarnation)
        before, self.used = self.used, True
        try:
            await self._ask(pressed(keys, pane.place.pane, leave_mode=leave_mode))
        except TmuxRefused:  # something is in the way, or the pane is gone
            if await self._force(keys, leave_mode):
                self.used = before
                raise InputOff(pane=pane.id) from None

    async def type(self, data: bytes) -> None:
        """Type bytes, in steps of 4 KiB; raises what ``press`` does."""
        for keys in typed(data, self._pane.place.pane):
            await self.press(keys)

    async def paste(self, data: bytes, directory: Path) -> None:
        """Paste bytes in one step, bracketed if the program wants that; raises what ``press`` does.

        tmux reads them from a private file in that directory, which is deleted again.
        """
        name = f"orch-{secrets.token_hex(8)}"
        file = directory / name
        try:
            _write(file, data)
            await self._ask(load(name, str(file)))
            await self.press(pasted(name, self._pane.place.pane))
        except (PaneExited, StaleIncarnation, InputOff):
            with contextlib.suppress(TmuxRefused, TmuxGone):
                await self._ask(drop(name))
            raise
        finally:
            file.unlink(missing_ok=True)

    async def let_go(self) -> None:
        """Put back what was cleared out of the way of the keys."""
        if self._alone:
            with contextlib.suppress(TmuxGone, TmuxRefused):  # its mark stays
                await self._ask(rejoin(self._pane.place.pane))

    async def _force(self, keys: bytes, leave_mode: bool) -> bool:
        """Clear the way and press the keys; True if the pane takes no input."""
        place = self._pane.place
        try:
            said = await self._ask(forced(keys, place.pane, leave_mode=leave_mode))
        except TmuxRefused:
            raise PaneExited(pane=self._pane.id) from None
        self._alone = self._alone or [ALONE] in said
        return [NO_INPUT] in said

    async def _ask(self, line: bytes) -> list[list[bytes]]:
        return await self._link.request(line, what="input", server=self._pane.place.server)


def _write(file: Path, data: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(data)
