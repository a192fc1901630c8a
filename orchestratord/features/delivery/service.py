"""The delivery feature put together: texts that go into panes at once, or wait for their turn.

State: the ledger, and a line for each pane that texts wait for. What was accepted is
followed to its end, whoever asked for it. A waiting text is on disk and outlives the
daemon; one that was begun when a daemon ended is ``unknown``, and never typed again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestratord.clock import Clock
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event
from orchestratord.features.delivery.attempt import (
    Attempt,
    Obstructed,
    Tools,
    check_pastable,
    reason_of,
)
from orchestratord.features.delivery.growth import Growth
from orchestratord.features.delivery.ledger import Ledger
from orchestratord.features.delivery.line import Line
from orchestratord.features.delivery.model import Reason
from orchestratord.features.delivery.record import Live, Wanted
from orchestratord.features.panes.fault import (
    LeaseHeld,
    PaneExited,
    StaleFence,
    StaleIncarnation,
)
from orchestratord.features.panes.hand import InputOff
from orchestratord.features.panes.keyboard import LineTooLong, SecretPrompt, terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.turn import Turns
from orchestratord.features.panes.typist import Typist
from orchestratord.features.shell.fault import IntegrationLost, PaneBusy
from orchestratord.features.shell.service import Shells
from orchestratord.log import Log
from orchestratord.rpc.principal import allow
from orchestratord.rpc.receipts import Ticket
from orchestratord.store.db import Store

SOON = 10.0
"""Seconds that a text waits for a shell that starts, or whose last exec has just ended."""

WORK = 10.0
"""Seconds that an attempt has whose text has waited for its turn."""

AGAIN = 5.0
"""Seconds after which a line looks again, whatever it has heard."""

_ENDED = {"pane.exited", "pane.killed", "pane.lost", "pane.respawned"}

_FINAL = (PaneExited, StaleIncarnation, StaleFence, InputOff, LineTooLong, SecretPrompt)
"""What waiting does not change."""

log = Log("delivery")


class Deliveries:
    """Every text that is delivered.

    ``blocked`` says why somebody may not type into a pane now; who knows leases fills it,
    and calls `poke` when that changes.
    """

    def __init__(
        self, panes: Panes, shells: Shells, store: Store, bus: Bus, clock: Clock, directory: Path
    ) -> None:
        self.blocked: Callable[[PaneRecord, Typist], Reason | None] = lambda *_: None
        self.panes = panes
        self.ledger = Ledger(store, panes.registry, clock)
        self._shells = shells
        self._bus = bus
        self._clock = clock
        self._directory = directory
        self._tools = Tools(self.ledger, shells, panes.keyboard, panes.link, panes.spool, directory)
        self._turns = Turns()
        self._lines: dict[str, Line] = {}
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Go on with what waits; say of what was begun that its end is unknown."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._directory.iterdir():
            left.unlink(missing_ok=True)
        self._unlisten = self._bus.listen(self._heard)
        for live in await self.ledger.load():
            if live.record.begun or live.record.state != "queued":
                self.ledger.unknown(live, "restart")
            else:
                self._line(live.record.pane).lives.append(live)
        for pane in list(self._lines):
            self._work_on(pane)

    async def stop(self) -> None:
        """Stop; what waits goes on waiting with the next daemon."""
        self._unlisten()
        workers = [line.worker for line in self._lines.values() if line.worker is not None]
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=0.3)

    async def send(
        self, pane: PaneRecord, text: str, wanted: Wanted, owner: str, ticket: Ticket | None
    ) -> Live:
        """Deliver a text; return once it is as far as was asked for, has ended, or waits.

        Raises:
            PaneBusy: The shell has a draft, or others may type, or wait to; nothing was typed.
            SecretPrompt, LineTooLong, InputOff, UnpastableText, TooManyDeliveries, PaneExited,
                StaleIncarnation, TmuxGone, StoreFull: Nothing was typed, except by a
                plain text that was cut off.
        """
        if wanted.paste is not False and not wanted.plain:
            check_pastable(text)
        live = self.ledger.make(pane, text, wanted, owner, ticket)
        try:
            await self._send(live, pane, wanted)
        except Obstructed as obstacle:
            self.ledger.refused(live, obstacle.reason, told=True)
            await self.ledger.on_disk(live)
            raise PaneBusy(pane=pane.id, reason=obstacle.reason, delivery=live.record.id) from None
        except Fault as fault:
            self.ledger.refused(live, reason_of(fault), told=True)
            await self.ledger.on_disk(live)
            raise
        await self.ledger.on_disk(live)
        return live

    def touched(self, delivery: str) -> Live:
        """Return a delivery that whoever acts may touch.

        Raises:
            DeliveryNotFound: There is none of that id.
            PermissionDenied: It is not for them.
        """
        live = self.ledger.get(delivery)
        allow(self.owner_of_pane(live), live.record.pane)
        return live

    def owner_of_pane(self, live: Live) -> str:
        """Return who owns the pane of a delivery; who asked for it, if the pane is forgotten."""
        pane = self.panes.registry.panes.get(live.record.pane)
        return pane.owner if pane is not None else live.record.owner

    def cancel(self, live: Live, by: str) -> None:
        """End a delivery that waits; one that was begun or has ended stays as it is."""
        if live.record.state == "queued" and not live.record.begun:
            self.ledger.cancelled(live, by)
            self.poke(live.record.pane)

    async def resolved(self, ticket: Ticket) -> None:
        """Wait until it is on record what the call with a ticket did, in any life."""
        await self.panes.resolved(ticket)

    def poke(self, pane: str) -> None:
        """Look again whether a pane is ready: something about it has changed."""
        line = self._lines.get(pane)
        if line is not None:
            line.woken.set()

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"deliveries_queued": sum(len(line.lives) for line in self._lines.values())}

    async def _send(self, live: Live, pane: PaneRecord, wanted: Wanted) -> None:
        now = asyncio.get_running_loop().time()
        ends = now + (WORK if wanted.queue else wanted.timeout)
        if wanted.plain:
            await Attempt(self._tools, live, pane, ends).plain()
        elif not wanted.queue:
            await self._settle(pane, min(now + SOON, ends))
            await self._attempt(live, pane, ends)
        elif pane.id in self._lines or self._obstacle(live, pane) is not None:
            await self._wait(live, pane)
        else:
            try:
                await self._attempt(live, pane, ends)
            except Obstructed:
                await self._wait(live, pane)

    async def _attempt(self, live: Live, pane: PaneRecord, ends: float) -> None:
        """Deliver a text when the deliveries before it to the same pane are through."""
        turn = self._turns.of(pane.id)
        try:
            async with asyncio.timeout_at(ends):
                await turn.acquire()
        except TimeoutError:
            raise Obstructed("busy") from None
        try:
            attempt = Attempt(self._tools, live, pane, ends)
            await attempt.run(lambda: self._obstacle(live, pane))
        finally:
            turn.release()

    async def _settle(self, pane: PaneRecord, ends: float) -> None:
        """Wait for a prompt, or a command's begin, that is about to come by itself."""
        with Growth(self.panes.spool, pane.id) as growth:
            while (left := ends - asyncio.get_running_loop().time()) > 0:
                moment = self._shells.moment(pane)
                if moment is None or moment.lost or not moment.soon or pane.exit is not None:
                    return
                await growth.wait(min(left, 0.1))

    def _obstacle(self, live: Live, pane: PaneRecord) -> Reason | None:
        """Say why a text cannot be typed now; None if it can.

        One that may wait does so until a shell of ours is at its prompt. Another one goes
        to the program that runs in the shell, if any does.
        """
        blocked = self.blocked(pane, live.typist)
        moment = self._shells.moment(pane)
        if blocked is not None or moment is None:
            return blocked
        waits = live.record.wanted.queue
        if moment.lost:
            mode = terminal(pane.place.tty)
            return "busy" if waits and mode is not None and mode.canonical else None
        if moment.state == "draft":
            return "draft"
        if moment.state == "idle":
            line = self._lines.get(pane.id)
            first = line.first() if line is not None else None
            return None if moment.free and first in (None, live) else "busy"
        return "busy" if waits else None

    # Those that wait

    async def _wait(self, live: Live, pane: PaneRecord) -> None:
        """Let a text wait for its turn; return once that is on disk."""
        if (mode := terminal(pane.place.tty)) is not None and mode.canonical and not mode.echo:
            raise SecretPrompt(pane=pane.id)  # what may be a secret is not stored
        line = self._line(pane.id)
        line.join(live)
        try:
            await self.ledger.queued(live)
        except BaseException:
            with contextlib.suppress(ValueError):
                line.lives.remove(live)
            raise
        finally:
            self._work_on(pane.id)

    def _line(self, pane: str) -> Line:
        return self._lines.setdefault(pane, Line())

    def _work_on(self, pane: str) -> None:
        line = self._line(pane)
        line.woken.set()
        if line.worker is None:
            line.worker = asyncio.create_task(self._work(pane, line), name=f"deliveries of {pane}")

    async def _work(self, pane_id: str, line: Line) -> None:
        """Deliver what waits for a pane, one after the other, until nothing does."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._lines.pop, pane_id)
            with contextlib.suppress(IntegrationLost):  # nothing tells of its prompts
                stack.callback(self._shells.at_prompt(pane_id, line.woken.set))
            while (live := line.first()) is not None:
                line.woken.clear()
                left = await self._try(live)
                if not live.ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(min(left, AGAIN)):
                            await line.woken.wait()

    async def _try(self, live: Live) -> float:
        """Deliver a text that waits, if it can be; else return for how long it still waits."""
        record = live.record
        pane = self.panes.registry.panes.get(record.pane)
        left = (record.expires_at or 0.0) - self._clock.now().timestamp()
        if pane is None or pane.exit is not None or pane.incarnation != record.incarnation:
            self.ledger.refused(live, "gone")
        elif not live.stored:
            return AGAIN
        else:
            record.reason = self._obstacle(live, pane)
            if record.reason is None:
                await self._take_turn(live, pane)
            elif left <= 0:
                self.ledger.refused(live, record.reason)
        return max(0.01, left)

    async def _take_turn(self, live: Live, pane: PaneRecord) -> None:
        ends = asyncio.get_running_loop().time() + WORK
        try:
            await self._attempt(live, pane, ends)
        except Obstructed as obstacle:
            live.record.reason = obstacle.reason
        except _FINAL as fault:
            self.ledger.refused(live, reason_of(fault))
        except LeaseHeld:
            live.record.reason = "lease"
        except Fault as problem:  # no tmux, or no disk: later
            log.info("a delivery waits on", delivery=live.record.id, reason=str(problem))

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in _ENDED and event.pane is not None:
                self.poke(event.pane)
