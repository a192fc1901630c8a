"""The leases: who alone may type into which pane, and who waits for that in which order.

State: one lease a pane at most, and a line of waiters; written here alone. A lease is
on disk before it is told of and outlives the daemon; waiters do not. Asked by the
keyboard before anything is typed. A person at an attached client who has just been
active holds that client's active pane, whatever leases say; that is looked up in tmux
only while somebody is attached.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Bus, Event, Fact
from orchestratord.features.agents.fact import (
    LeaseAcquired,
    LeaseBroken,
    LeaseExpired,
    LeaseReleased,
)
from orchestratord.features.agents.fault import AgentEnded, LeaseNotFound
from orchestratord.features.agents.lease import LeaseRecord, Waiter, forget, save
from orchestratord.features.agents.model import Lease
from orchestratord.features.agents.people import People
from orchestratord.features.panes.fault import LeaseHeld, PaneExited, StaleFence
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.typist import Typist
from orchestratord.log import Log
from orchestratord.rpc.principal import NotOwner, Principal, visible
from orchestratord.store.db import Statement, Store

log = Log("leases")

LONGEST = 60.0
"""Seconds of a lease: what a dead holder can cost the others."""

LOOK = 60.0
"""Seconds between two looks at what has expired, at the most."""

_ENDED = ("pane.exited", "pane.killed", "pane.lost")


class Leases:
    """Who alone may type where. ``on_change`` is told of panes that may be free now."""

    def __init__(self, panes: Panes, store: Store, bus: Bus, clock: Clock) -> None:
        self.on_change: Callable[[str], None] = lambda _: None
        self._panes = panes
        self._people = People(panes.link, panes.mirror, clock)
        self._store = store
        self._bus = bus
        self._clock = clock
        self._held: dict[str, LeaseRecord] = {}
        self._lines: dict[str, deque[Waiter]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._set = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None
        self._deaf: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Load the leases that still hold; their holders know no better."""
        now = self._clock.monotonic()
        for (text,) in await self._store.query("SELECT record FROM leases"):
            lease = msgspec.json.decode(text, type=LeaseRecord)
            pane = self._panes.registry.panes.get(lease.pane)
            if lease.sound(now) and pane is not None and pane.exit is None:
                self._held[lease.pane] = lease
            else:
                told = LeaseExpired(pane=lease.pane, lease=lease.id, holder=lease.holder)
                self._write([forget(lease)], [told])
        self._deaf = self._bus.listen(self._happened)
        self._timer = asyncio.create_task(self._watch_time(), name="leases' expiry")

    async def stop(self) -> None:
        """Stop watching the time. Leases hold on with the next daemon."""
        self._deaf()
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.3)

    # What the keyboard asks

    async def check(self, pane: PaneRecord, typist: Typist) -> None:
        """Raise unless somebody may type into a pane now.

        Raises:
            LeaseHeld: another has its lease, or a person at an attached client is active.
            StaleFence: the fence named is not that of the lease that holds.
        """
        lease = self.of(pane.id)
        if typist.fence is not None and (lease is None or lease.fence != typist.fence):
            state = f"leased with fence {lease.fence}" if lease is not None else "not leased"
            raise StaleFence(fence=typist.fence, pane=pane.id, state=state)
        if lease is not None and not lease.admits(typist):
            raise self._refusal(lease)
        if (seconds := await self._people.active_on(pane)) is not None:
            raise LeaseHeld(pane=pane.id, holder="attached", seconds=seconds)

    def bars(self, pane: PaneRecord, typist: Typist) -> bool:
        """Whether another has the lease of a pane."""
        lease = self.of(pane.id)
        return lease is not None and not lease.admits(typist)

    def holder_of(self, pane: str) -> str | None:
        """Return who holds a pane's lease."""
        lease = self.of(pane)
        return lease.holder if lease is not None else None

    def of(self, pane: str) -> LeaseRecord | None:
        """Return the lease of a pane, unless its time is over."""
        lease = self._held.get(pane)
        if lease is not None and lease.until <= self._clock.monotonic():
            self._expire(lease)
            lease = self._held.get(pane)
        return lease

    # What methods ask

    async def acquire(
        self, pane: PaneRecord, principal: Principal, ttl: float, wait: float
    ) -> LeaseRecord:
        """Take the lease of a pane, in one's turn.

        Raises:
            LeaseHeld: another has it, also after so many seconds.
            PaneExited, AgentEnded: there is nothing to wait for any more.
        """
        held = self.of(pane.id)
        if held is None:
            lease = self._grant(pane.id, principal.owner, ttl)
        elif wait > 0:
            lease = await self._in_turn(pane, Waiter(principal.owner, ttl), wait)
        else:
            raise self._refusal(held)
        told = LeaseAcquired(
            pane=pane.id, lease=lease.id, holder=lease.holder, fence=lease.fence, ttl=ttl,
            session=pane.session,
        )  # fmt: skip
        try:
            await asyncio.sleep(0)  # what has just ended is written before what now begins
            await self._store.commit([save(lease)], [told])
        except BaseException:  # also: the caller went away, and knows of no lease
            self._end(lease, LeaseReleased(**_about(lease), reason="not taken"))
            raise
        return lease

    async def renew(self, lease_id: str, principal: Principal, ttl: float | None) -> LeaseRecord:
        """Let a lease last longer, from now on.

        Raises:
            LeaseNotFound, NotOwner.
        """
        lease = self._mine(lease_id, principal)
        lease.ttl = ttl if ttl is not None else lease.ttl
        lease.until = self._clock.monotonic() + lease.ttl
        self._set.set()
        with contextlib.suppress(Fault):  # after a crash it is shorter than its holder thinks
            await self._store.commit([save(lease)], sync=False)
        return lease

    async def release(self, lease_id: str, principal: Principal) -> LeaseRecord:
        """Give a lease back; who waits first gets one.

        Raises:
            LeaseNotFound, NotOwner.
        """
        lease = self._mine(lease_id, principal)
        await self._ended(lease, LeaseReleased(**_about(lease), reason="released"))
        return lease

    async def break_(self, pane: PaneRecord, principal: Principal) -> LeaseRecord:
        """Take a pane's lease from its holder, who is told by an event.

        Raises:
            LeaseNotFound: nobody has it.
            NotOwner: the caller is neither the pane's owner nor the holder nor an admin.
        """
        lease = self.of(pane.id)
        if lease is None:
            raise LeaseNotFound(lease=pane.id)
        if principal.owner not in (pane.owner, lease.holder) and not principal.has("admin"):
            raise NotOwner(thing=pane.id, owner=pane.owner, who=principal.owner, needs="admin")
        await self._ended(lease, LeaseBroken(**_about(lease), by=principal.owner))
        return lease

    def pane(self, ref: str, session: str | None = None) -> PaneRecord:
        """Return the living pane that a reference names."""
        return self._panes.registry.living(ref, session)

    def listed(self) -> list[LeaseRecord]:
        """Return the leases that hold, as far as their panes may be seen."""
        panes = self._panes.registry.panes
        held = [self.of(pane) for pane in [*self._held]]
        return [
            lease
            for lease in held
            if lease is not None and (p := panes.get(lease.pane)) is not None and visible(p.owner)
        ]

    def show(self, lease: LeaseRecord) -> Lease:
        """Return a lease as the wire has it."""
        left = max(0.0, lease.until - self._clock.monotonic())
        return Lease(
            lease=lease.id, pane=lease.pane, holder=lease.holder, fence=lease.fence,
            ttl=lease.ttl, seconds=round(left, 3),
            expires_at=rfc3339(self._clock.now() + timedelta(seconds=left)),
            waiting=len(self._lines.get(lease.pane, ())),
        )  # fmt: skip

    def end_of(self, owner: str) -> None:
        """An agent is dead: its leases end, and it waits for none."""
        for lease in [*self._held.values()]:
            if lease.holder == owner:
                self._end(lease, LeaseReleased(**_about(lease), reason="agent ended"))
        ended = AgentEnded(agent=owner.partition(":")[2], state="retired or expired")
        for line in self._lines.values():
            for waiter in line:
                if waiter.holder == owner and not waiter.granted.done():
                    waiter.granted.set_exception(ended)

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"leases": len(self._held)}

    # Inside

    def _refusal(self, lease: LeaseRecord) -> LeaseHeld:
        left = round(max(0.0, lease.until - self._clock.monotonic()), 3)
        return LeaseHeld(pane=lease.pane, holder=lease.holder, seconds=left)

    def _mine(self, lease_id: str, principal: Principal) -> LeaseRecord:
        for pane, lease in [*self._held.items()]:
            if lease.id == lease_id and self.of(pane) is lease:
                if principal.owner != lease.holder and not principal.has("admin"):
                    raise NotOwner(
                        thing=lease_id, owner=lease.holder, who=principal.owner, needs="admin"
                    )
                return lease
        raise LeaseNotFound(lease=lease_id[:40])

    def _grant(self, pane: str, holder: str, ttl: float) -> LeaseRecord:
        """Make a lease; it excludes others at once, and is written by whoever gets it."""
        number = self._store.next_id("lease")
        lease = self._held[pane] = LeaseRecord(
            id=f"l{number}", pane=pane, holder=holder, fence=number, ttl=ttl,
            until=self._clock.monotonic() + ttl,
        )  # fmt: skip
        self._set.set()
        return lease

    async def _in_turn(self, pane: PaneRecord, waiter: Waiter, seconds: float) -> LeaseRecord:
        """Wait in line; whoever stops waiting in the moment that it gets a lease gives it back."""
        line = self._lines.setdefault(pane.id, deque())
        line.append(waiter)
        over = asyncio.ensure_future(self._clock.sleep(seconds))
        either: set[asyncio.Future[Any]] = {over, waiter.granted}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            if waiter.granted.done() and waiter.granted.exception() is None:
                lease = waiter.granted.result()
                self._end(lease, LeaseReleased(**_about(lease), reason="not taken"))
            raise
        finally:
            over.cancel()
            if waiter in line:
                line.remove(waiter)
            if not line:
                self._lines.pop(pane.id, None)
        if waiter.granted.done():
            return waiter.granted.result()
        waiter.granted.cancel()
        held = self.of(pane.id)
        if held is not None:
            raise self._refusal(held)
        return self._grant(pane.id, waiter.holder, waiter.ttl)

    def _end(self, lease: LeaseRecord, told: Fact) -> asyncio.Task[None] | None:
        """End a lease now, let the next in line have one, and write that."""
        if self._held.get(lease.pane) is not lease:
            return None
        del self._held[lease.pane]
        writing = self._write([forget(lease)], [told])
        self._next(lease.pane)
        self.on_change(lease.pane)
        return writing

    async def _ended(self, lease: LeaseRecord, told: Fact) -> None:
        """End a lease; return when that is on disk."""
        if (writing := self._end(lease, told)) is not None:
            await asyncio.shield(writing)

    def _next(self, pane: str) -> None:
        line = self._lines.get(pane, deque())
        while line:
            waiter = line.popleft()
            if not waiter.granted.done():
                waiter.granted.set_result(self._grant(pane, waiter.holder, waiter.ttl))
                return

    def _expire(self, lease: LeaseRecord) -> None:
        self._end(lease, LeaseExpired(**_about(lease)))

    def _happened(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in _ENDED and event.pane is not None:
                lease = self._held.get(event.pane)
                for waiter in self._lines.pop(event.pane, ()):
                    if not waiter.granted.done():
                        waiter.granted.set_exception(PaneExited(pane=event.pane))
                if lease is not None:
                    self._end(lease, LeaseReleased(**_about(lease), reason="pane ended"))

    async def _watch_time(self) -> None:
        while True:
            self._set.clear()
            for pane in [*self._held]:
                self.of(pane)
            now = self._clock.monotonic()
            left = min((lease.until - now for lease in self._held.values()), default=LOOK)
            tasks: set[asyncio.Future[Any]] = {
                asyncio.ensure_future(self._set.wait()),
                asyncio.ensure_future(self._clock.sleep(min(LOOK, max(0.001, left)))),
            }
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()

    def _write(self, statements: list[Statement], facts: list[Fact]) -> asyncio.Task[None]:
        """Record what has happened; a full disk owes it."""
        task = asyncio.create_task(self._record(statements, facts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _record(self, statements: list[Statement], facts: list[Fact]) -> None:
        try:
            await self._store.record(statements, facts)
        except Fault as problem:
            log.warning("the end of a lease is not on disk", reason=str(problem))


def _about(lease: LeaseRecord) -> dict[str, Any]:
    return {"pane": lease.pane, "lease": lease.id, "holder": lease.holder}
