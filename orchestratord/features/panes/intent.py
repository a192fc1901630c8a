"""Creations that were begun, until it is on record what came of them.

An intent is on disk before tmux is asked, with the ticket of the call if that
has an idempotency key. It ends in the commit of the result, which settles the
key too, or with nothing made, which frees it. What an earlier daemon left is
resolved by the first listing: the stamp is there, or it is not. ``creation``
begins and ends intents of this life, ``following`` those of earlier ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Container

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.features.panes.record import Intent
from orchestratord.features.system.receipts import releasing, revoking, settling
from orchestratord.rpc.receipts import Ids, Ticket
from orchestratord.store.db import Statement, Store

_SAVE = "INSERT OR REPLACE INTO intents (pane, record) VALUES (?, ?)"
_END = "DELETE FROM intents WHERE pane = ?"


def failpoint(name: str) -> None:
    """Die here, as by kill -9, if a test asked for that through the environment."""
    if os.environ.get("ORCH_FAIL") == name:
        os.kill(os.getpid(), signal.SIGKILL)


class Intents:
    """The open intents, by the pane that each is to make.

    In memory: those ``under_way``; those that an ``earlier`` daemon left; and
    those ``given_up``, because tmux did not answer: nobody was told of such a
    pane, so it is undone whenever it shows. On disk: all whose outcome is open.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.under_way: set[str] = set()
        self.earlier: dict[str, Intent] = {}
        self.given_up: set[str] = set()
        self._unsure: dict[str, int] = {}
        self._open: dict[str, tuple[Ticket, asyncio.Event]] = {}
        self._store = store
        self._clock = clock

    async def load(self) -> None:
        """Take what earlier daemons left."""
        for pane, text in await self._store.query("SELECT pane, record FROM intents"):
            intent = msgspec.json.decode(text, type=Intent)
            if intent.given_up:
                self.given_up.add(pane)
                self._unsure[pane] = 0
                continue
            self.earlier[pane] = intent
            if intent.ticket is not None:
                self._open[pane] = intent.ticket, asyncio.Event()

    async def begin(self, intent: Intent) -> None:
        """Write an intent down; without a sync, because a power loss ends tmux too."""
        await self._store.commit([_save(intent)], sync=False)

    async def give_up(self, intent: Intent, listing: int) -> None:
        """Note that tmux did not answer; what it made all the same shows after that listing."""
        self.given_up.add(intent.pane.id)
        self._unsure[intent.pane.id] = listing
        intent.given_up = True
        with contextlib.suppress(Fault):  # the next daemon then adopts what was made
            await self._store.commit([_save(intent)], sync=False)

    async def nothing_came(self, intent: Intent) -> None:
        """End an intent of which nothing came, and free its key."""
        key = [releasing(intent.ticket)] if intent.ticket is not None else []
        with contextlib.suppress(Fault):  # the next daemon finds out the same
            await self._store.commit([_end(intent.pane.id), *key], sync=False)
        self.over(intent.pane.id)

    def hopeless(self, stamped: Container[str], listing: int) -> list[str]:
        """Return, once each, the panes given up that would show in that listing and do not."""
        out = [p for p, since in self._unsure.items() if p not in stamped and since < listing]
        for pane in out:
            del self._unsure[pane]
        return out

    async def end(self, pane: str) -> None:
        """Forget the intent of a pane that was given up."""
        await self._store.commit([_end(pane)], sync=False)

    def fulfilled(self, intent: Intent) -> list[Statement]:
        """Return what belongs into the commit of the result: it ends, and its key is settled."""
        ended = [_end(intent.pane.id)]
        if intent.ticket is None:
            return ended
        return [*ended, settling(intent.ticket, _ids(intent), rfc3339(self._clock.now()))]

    def undone(self, intent: Intent) -> list[Statement]:
        """Return what frees the key of a result that was taken back."""
        return [] if intent.ticket is None else [revoking(intent.ticket)]

    def over(self, pane: str) -> None:
        """Say that what came of an intent is on record."""
        if (found := self._open.pop(pane, None)) is not None:
            found[1].set()

    async def resolved(self, ticket: Ticket) -> None:
        """Wait until what came of every earlier intent with that ticket is on record."""
        for wanted, over in list(self._open.values()):
            if wanted == ticket:
                await over.wait()


def _save(intent: Intent) -> Statement:
    return Statement(_SAVE, (intent.pane.id, msgspec.json.encode(intent).decode()))


def _end(pane: str) -> Statement:
    return Statement(_END, (pane,))


def _ids(intent: Intent) -> Ids:
    """Return what the call answers with: the id of its own noun, and the pane."""
    assert intent.ticket is not None
    noun = intent.ticket.method.partition(".")[0]
    made = {"session": intent.session, "window": intent.window}.get(noun) or intent.pane
    return {"id": made.id, "pane": intent.pane.id}
