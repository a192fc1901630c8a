"""Messages between agents: durable mailboxes, in the order of priority and sending.

A message is on disk before its sender is answered, and stays until its recipient
acknowledges it or its time is over; so it may be read twice, and never gets lost. One
that comes after others is not shown before those are settled; since only messages
that exist can be named, there are no cycles. State: the mailboxes, written here alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.features.agents.fact import (
    MessageAcked,
    MessageDelivered,
    MessageExpired,
    MessageSent,
)
from orchestratord.features.agents.fault import AgentNotFound, NobodyThere
from orchestratord.features.agents.letter import Letter, Mailboxes, forget, save
from orchestratord.features.agents.model import Mail, Message, Priority
from orchestratord.features.agents.record import agent_name, owner_name
from orchestratord.features.agents.roll import Roll
from orchestratord.log import Log
from orchestratord.rpc.meter import Meter
from orchestratord.rpc.principal import NotOwner, Principal
from orchestratord.store.db import Store

log = Log("messages")

LOOK = 60.0
"""Seconds between two looks for messages whose time is over, at the most."""

RATE, BURST = 5.0, 100.0
"""Messages a second that an agent may send for ever, and at once."""


class Messages:
    """Every mailbox. ``on_arrival`` is told what can be read now that could not before."""

    def __init__(self, roll: Roll, store: Store, clock: Clock) -> None:
        self.on_arrival: Callable[[Letter], None] = lambda _: None
        self._roll = roll
        self._store = store
        self._clock = clock
        self._boxes = Mailboxes()
        self._due: dict[int, float] = {}
        self._meters: dict[str, Meter] = {}
        self._news = asyncio.Event()
        self._set = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is known and begin to look at the time."""
        for (text,) in await self._store.query("SELECT record FROM messages ORDER BY id"):
            letter = msgspec.json.decode(text, type=Letter)
            self._boxes.put(letter)
            self._wind(letter)
        self._timer = asyncio.create_task(self._watch_time(), name="messages' expiry")

    async def stop(self) -> None:
        """Stop looking. Mailboxes are on disk."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer

    async def send(
        self, principal: Principal, to: str, text: str, *, priority: Priority = "normal",
        ttl: float | None = None, reply_to: str | None = None, after: Sequence[str] = (),
    ) -> list[Letter]:  # fmt: skip
        """Put a text into the mailbox of an agent or a user, or of all agents with a label.

        Raises:
            AgentNotFound, NobodyThere: there is nobody of that name, or with that label.
            MessageNotFound: what it answers or comes after does not exist.
            MailboxFull, QuotaExceeded: nothing was sent to anybody.
            NotOwner: it would answer a message of others.
        """
        recipients = self._recipients(principal.owner, to)
        answered = self._boxes.get(reply_to) if reply_to is not None else None
        if answered is not None and not principal.has("admin"):
            self._check_party(principal, answered)
        before = tuple(self._boxes.get(message).number for message in after)
        self._boxes.check_room(recipients, len(text.encode()))
        if principal.agent is not None:
            self._meter(principal.owner).take(0, calls=len(recipients))
        now = self._clock.now()
        letters = [
            Letter(
                number=self._store.next_id("message"), sender=principal.owner, to=owner,
                text=text, at=rfc3339(now), priority=priority,
                expires_at=now.timestamp() + ttl if ttl is not None else None,
                reply_to=answered.number if answered is not None else None, after=before,
            )
            for owner in recipients
        ]  # fmt: skip
        for letter in letters:
            self._boxes.put(letter)
        facts = [
            MessageSent(agent=agent_name(x.to), message=x.id, sender=x.sender, to=x.to)
            for x in letters
        ]
        try:
            await self._store.commit([*map(save, letters)], facts)
        except BaseException:
            for letter in letters:
                self._boxes.take_back(letter)
            raise
        for letter in letters:
            self._wind(letter)
            if self._boxes.ready(letter):
                self.on_arrival(letter)
        self._news.set()
        self._news.clear()
        return letters

    async def ack(self, principal: Principal, messages: Sequence[str]) -> list[str]:
        """Settle messages that were read; what was settled already is left out.

        Raises:
            MessageNotFound: one does not exist; none was settled.
            NotOwner: one is for somebody else.
        """
        letters = {message: self._boxes.get(message) for message in messages}
        for letter in letters.values():
            if letter.to != principal.owner and not principal.has("admin"):
                raise NotOwner(thing=letter.id, owner=letter.to, who=principal.owner, needs="admin")
        fresh = [letter for letter in letters.values() if letter.settled is None]
        await self._settle(fresh, "acked")
        return [letter.id for letter in fresh]

    def listed(self, owner: str, *, unread: bool, since: int) -> list[Message]:
        """Return what is in a mailbox: what can be read now, or all that is known."""
        if unread:
            return [self._boxes.show(x) for x in self._boxes.unread(owner, since)]
        return [self._boxes.show(x) for x in self._boxes.all_of(owner) if x.number > since]

    async def wait(self, owner: str, seconds: float, since: int) -> Mail:
        """Return what can be read as soon as anything can be, after those seconds at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (found := self._boxes.unread(owner, since)):
                    await self._news.wait()
                return Mail(outcome="received", messages=[self._boxes.show(x) for x in found])
        return Mail(outcome="timed_out", messages=[])

    def undelivered(self) -> list[Letter]:
        """Return what can be read and was not typed anywhere."""
        return self._boxes.undelivered()

    def next_undelivered(self, owner: str) -> Letter | None:
        """Return the most urgent of that in one mailbox."""
        return next(iter(self._boxes.undelivered(owner)), None)

    async def delivered(self, letter: Letter) -> None:
        """Note that a message was typed into its recipient's pane; a full disk owes that."""
        letter.delivered = True
        told = MessageDelivered(agent=agent_name(letter.to), message=letter.id, to=letter.to)
        await self._store.record([save(letter)], [told])

    def number(self, message: str | None) -> int:
        """Return the number of a message after which to look."""
        return self._boxes.get(message).number if message is not None else 0

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"messages_unacked": len(self._boxes.open())}

    # Inside

    def _recipients(self, sender: str, to: str) -> list[str]:
        kind, colon, name = to.partition(":")
        if colon and kind == "label":
            key, equals, value = name.partition("=")
            found = [
                agent.owner
                for agent in self._roll.active()
                if key in agent.labels and (not equals or agent.labels[key] == value)
            ]
            if not (others := [owner for owner in found if owner != sender]):
                raise NobodyThere(label=name)
            return others
        if colon and kind == "uid":
            return [to]
        agent = name if colon else to
        if self._roll.find(agent) is None:
            raise AgentNotFound(agent=agent[:64])
        return [owner_name(agent)]

    def _check_party(self, principal: Principal, letter: Letter) -> None:
        if principal.owner not in (letter.to, letter.sender):
            raise NotOwner(thing=letter.id, owner=letter.to, who=principal.owner, needs="admin")

    def _meter(self, owner: str) -> Meter:
        meter = self._meters.get(owner)
        if meter is None:
            meter = Meter(owner, self._clock, rate=RATE, burst=BURST, what="messages a second")
            self._meters[owner] = meter
        return meter

    async def _settle(self, letters: Sequence[Letter], how: Any) -> None:
        waiting = [x for x in self._boxes.open() if not self._boxes.ready(x)]
        kept = [(letter, letter.text) for letter in letters]
        for letter in letters:
            self._boxes.settle(letter, how)
        old = self._boxes.forget_oldest()
        kind = MessageAcked if how == "acked" else MessageExpired
        facts = [kind(agent=agent_name(x.to), message=x.id, to=x.to) for x in letters]
        try:
            await self._store.commit([*map(forget, old), *map(save, letters)], facts)
        except BaseException:
            for letter, text in kept:
                letter.settled, letter.text = None, text
                self._boxes.put(letter)
            raise
        for letter in letters:
            self._due.pop(letter.number, None)
        for letter in waiting:
            if letter.settled is None and self._boxes.ready(letter):
                self.on_arrival(letter)
        self._news.set()
        self._news.clear()

    def _wind(self, letter: Letter) -> None:
        if letter.expires_at is not None and letter.settled is None:
            left = letter.expires_at - self._clock.now().timestamp()
            self._due[letter.number] = self._clock.monotonic() + left
            self._set.set()

    async def _watch_time(self) -> None:
        while True:
            self._set.clear()
            now = self._clock.monotonic()
            over = [x for x in self._boxes.open() if self._due.get(x.number, now + 1) <= now]
            pause = min((due - now for due in self._due.values()), default=LOOK)
            if over:
                try:
                    await self._settle(over, "expired")
                    continue
                except Fault as problem:
                    log.warning("messages expire later", reason=str(problem))
                    pause = LOOK
            tasks: set[asyncio.Future[Any]] = {
                asyncio.ensure_future(self._set.wait()),
                asyncio.ensure_future(self._clock.sleep(min(LOOK, max(0.001, pause)))),
            }
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
