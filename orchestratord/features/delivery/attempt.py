"""One attempt at a delivery: type or paste, wait until it has arrived, Enter, look for evidence.

Nothing else comes between a text and its Enter while the program reads. Whatever happens
once something was typed, the text is never typed again: it ends as ``unknown`` at worst.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from orchestratord.errors import Fault, TmuxRefused
from orchestratord.features.delivery.fault import UnpastableText
from orchestratord.features.delivery.ledger import Ledger
from orchestratord.features.delivery.model import Arrival, Reason
from orchestratord.features.delivery.record import Live
from orchestratord.features.delivery.sight import Sight, tail_of
from orchestratord.features.delivery.witness import QUIET, Witness
from orchestratord.features.panes.fault import (
    LeaseHeld,
    PaneExited,
    StaleFence,
    StaleIncarnation,
)
from orchestratord.features.panes.hand import Hand, InputOff
from orchestratord.features.panes.keyboard import (
    Keyboard,
    LineTooLong,
    SecretPrompt,
    check_readable,
    terminal,
)
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.shell.service import Shells
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.link import Link
from orchestratord.tmux.spool import Spool

ENTER = b"\r"
_PASTE_ENDS = ("\x1b[201~", "\x9b201~")


class Obstructed(Exception):
    """The pane is not ready for a text; nothing was typed."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason)


def check_pastable(text: str) -> None:
    """Refuse a text that would end a bracketed paste from within.

    Raises:
        UnpastableText: It would.
    """
    for end in _PASTE_ENDS:
        if end in text:
            raise UnpastableText(what=ascii(end)[1:-1])


def reason_of(fault: Fault) -> Reason:
    """Return in a word why something was not typed."""
    for kind, reason in _REASONS:
        if isinstance(fault, kind):
            return reason
    return "tmux" if isinstance(fault, TmuxGone | TmuxRefused) else "busy"


_REASONS: tuple[tuple[type[Fault], Reason], ...] = (
    (PaneExited, "gone"), (StaleIncarnation, "gone"), (InputOff, "input_off"),
    (SecretPrompt, "secret"), (LineTooLong, "line"), (LeaseHeld, "lease"), (StaleFence, "lease"),
)  # fmt: skip


class Tools(NamedTuple):
    """What an attempt works with; ``directory`` is for the files that tmux pastes from."""

    ledger: Ledger
    shells: Shells
    keyboard: Keyboard
    link: Link
    spool: Spool
    directory: Path


class Attempt:
    """The steps of one attempt, which has until ``ends`` (the loop's time).

    ``typed`` says whether any input was sent.
    """

    def __init__(self, tools: Tools, live: Live, pane: PaneRecord, ends: float) -> None:
        self.typed = False
        self._tools = tools
        self._ledger = tools.ledger
        self._keyboard = tools.keyboard
        self._live = live
        self._pane = pane
        self._ends = ends
        self._now = asyncio.get_running_loop().time
        self._uses = 0

    async def plain(self) -> None:
        """Type the text byte for byte and nothing else, whoever reads it.

        Raises:
            SecretPrompt, LineTooLong, InputOff, PaneExited, StaleIncarnation, TmuxGone, and
                with a key what the store refuses with.
        """
        live, data = self._live, self._live.text.encode()
        await self._keyboard.check(self._pane, data, secret=live.record.wanted.secret)
        async with self._keyboard.turn(self._pane, live.typist) as hand:
            if live.record.ticket is not None:
                await self._ledger.begun(live)
            self._keyboard.on_typed(self._pane, live.text)
            try:
                await hand.type(data)
            except (PaneExited, StaleIncarnation):
                if hand.used:
                    self._ledger.unknown(live, "gone")
                raise
            except TmuxGone:
                self._ledger.unknown(live, "tmux")
                if live.record.ticket is None:
                    raise
                return  # an error would let the same key type it again
        self._ledger.pasted(live)

    async def run(self, obstacle: Callable[[], Reason | None]) -> None:
        """Deliver the text, up to what was asked for.

        Raises:
            Obstructed: ``obstacle``, asked right before anything is typed, has named one.
            SecretPrompt, LineTooLong, InputOff, PaneExited, StaleIncarnation, TmuxGone, and
                what the store refuses with: Nothing was typed.
        """
        tools, pane = self._tools, self._pane
        moment = partial(tools.shells.moment, pane)
        tail = tail_of(self._live.text)
        with Witness(pane, tools.link, tools.spool, tail, moment) as witness:
            try:
                if await self._text(witness, obstacle) and self._live.record.wanted.confirm:
                    await self._confirm(witness)
            except Fault as problem:
                if not self.typed:
                    raise
                self._ledger.unknown(self._live, reason_of(problem))

    async def _text(self, witness: Witness, obstacle: Callable[[], Reason | None]) -> bool:
        """Type the text, and Enter; False if it ends before that."""
        live, wanted = self._live, self._live.record.wanted
        async with self._keyboard.turn(self._pane, live.typist) as hand:
            await self._tools.shells.probe(self._pane, hand)
            before = await witness.look_caught_up()
            if (reason := obstacle()) is not None:
                raise Obstructed(reason)
            check_readable(self._pane, live.text.encode(), secret=wanted.secret)
            if live.ended.is_set():
                return False
            editor = self._edits()
            await self._ledger.begun(live)
            await self._give(hand)
            self._ledger.pasted(live)
            entered = wanted.submit and await self._enter(hand, witness, before, editor)
        self._uses = self._keyboard.uses(self._pane)
        while wanted.submit and not entered:
            if self._now() >= self._ends:
                self._ledger.unknown(live, "unread")
                return False
            async with self._keyboard.turn(self._pane, live.typist) as hand:
                if self._keyboard.uses(self._pane) != self._uses:
                    self._ledger.unknown(live, "typed")
                    return False
                entered = await self._enter(hand, witness, before, editor)
            self._uses += entered
        return wanted.submit

    async def _give(self, hand: Hand) -> None:
        """Give the text to the terminal."""
        data = self._live.text.encode()
        self._keyboard.on_typed(self._pane, self._live.text)
        try:
            if data and self._pastes():
                await hand.paste(data, self._tools.directory)
            elif data:
                await hand.type(data)
        finally:
            self.typed = hand.used or not data

    async def _enter(self, hand: Hand, witness: Witness, before: Sight, editor: bool) -> bool:
        """Press Enter once the text has arrived; False if the program has not read it yet."""
        arrival: Arrival | None = "quiet"
        if self._live.record.size:
            left = max(QUIET, self._ends - self._now())
            arrival = await witness.arrived(before, left, editor=editor)
        if arrival is None:
            return False
        await witness.ready()
        await hand.type(ENTER)
        self._ledger.submitted(self._live, arrival)
        return True

    async def _confirm(self, witness: Witness) -> None:
        left = max(QUIET, self._ends - self._now())
        verdict = await witness.taken(left, partial(self._again, witness))
        if verdict.evidence is not None:
            self._ledger.confirmed(self._live, verdict.evidence)
        else:
            self._ledger.unknown(self._live, verdict.reason or "silent")

    async def _again(self, witness: Witness) -> bool:
        """Press Enter once more, if the text still stands in the input line and nobody typed."""
        async with self._keyboard.turn(self._pane, self._live.typist) as hand:
            if self._keyboard.uses(self._pane) != self._uses:
                return False
            if not witness.unchanged(await witness.look()):
                return False
            await hand.type(ENTER)
            self._live.record.enters += 1
        self._uses += 1
        return True

    def _pastes(self) -> bool:
        wanted = self._live.record.wanted
        if wanted.paste is not None:
            return wanted.paste
        return wanted.submit and any(c in self._live.text for c in "\n\r\t")

    def _edits(self) -> bool:
        """Whether a line editor that is not our shell's reads the text."""
        mode = terminal(self._pane.place.tty)
        moment = self._tools.shells.moment(self._pane)
        ours = moment is not None and not moment.lost and moment.state in ("idle", "draft")
        return mode is not None and not mode.canonical and not ours
