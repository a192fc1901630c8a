"""The service: opens decisions, ends each of them exactly once, and tells who waits.

State: the register, written here alone and after each commit, so that nobody
sees what is not on disk. Open decisions outlive the daemon, and their deadlines
are moments of the wall clock: what came due while no daemon ran ends when one
starts. What a call began is finished even if its caller goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from msgspec.structs import asdict, replace

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault
from orchestratord.events import Fact
from orchestratord.features.decisions.fact import (
    DecisionAnswered,
    DecisionCancelled,
    DecisionDefaulted,
    DecisionExpired,
    DecisionOpened,
)
from orchestratord.features.decisions.fault import (
    BadOptions,
    DecisionEnded,
    NoSuchOption,
    TooManyDecisions,
)
from orchestratord.features.decisions.model import Decision, Waited
from orchestratord.features.decisions.register import MOST_OPEN, Register, forget, save
from orchestratord.features.panes.registry import Registry
from orchestratord.features.panes.turn import Turns
from orchestratord.log import Log
from orchestratord.store.db import Store

LOOK = 1.0
"""Seconds between two looks at deadlines at most, because the wall clock may jump."""

OnEnd = Callable[[Decision], None]

T = TypeVar("T")

log = Log("decisions")


class Decisions:
    """Everything about decisions.

    A higher feature or a peer (through a hook that ``app`` fills) asks with `ask`
    and is told the end through `on_end`. Callbacks live in memory only: who must
    act on an end after a restart finds its decisions by `of_watch` once this
    service has started, and calls `on_end` again.
    """

    def __init__(self, store: Store, panes: Registry, clock: Clock) -> None:
        self.register = Register()
        self._panes = panes
        self._store = store
        self._clock = clock
        self._turns = Turns()
        self._callbacks: dict[str, dict[object, OnEnd]] = {}
        self._opening = 0
        self._opened = asyncio.Event()
        self._acts: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is known and begin to keep deadlines."""
        self.register.load(
            record for (record,) in await self._store.query("SELECT record FROM decisions")
        )
        self._timer = asyncio.create_task(self._keep_deadlines(), name="decision deadlines")

    async def stop(self) -> None:
        """Finish what is under way. Open decisions stay open."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer
        if self._acts:
            await asyncio.wait(self._acts, timeout=0.5)

    async def ask(
        self,
        *,
        question: str,
        options: Sequence[str],
        deadline: float,
        by: str,
        context: str = "",
        default: str | None = None,
        pane: str | None = None,
        session: str | None = None,
        watch: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Decision:
        """Open a decision and return it once it is on disk.

        ``deadline`` is in seconds from now; ``pane`` and ``session`` are
        references, kept as ids. A pane's end does not end its decisions.

        Raises:
            BadOptions: an option is given twice, or the default is none of them.
            TooManyDecisions: `MOST_OPEN` are open.
            PaneNotFound, AmbiguousName, SessionNotFound: nothing is meant by them.
        """
        if len(set(options)) < len(options):
            raise BadOptions(reason="one is given twice")
        if default is not None and default not in options:
            raise BadOptions(reason=f"the default {default!r} is none of them")
        if session is not None:
            session = self._panes.session(session).id
        if pane is not None:
            record = self._panes.pane(pane, session)
            pane, session = record.id, record.session
        if len(self.register.open) + self._opening >= MOST_OPEN:
            raise TooManyDecisions(limit=MOST_OPEN)
        now = self._clock.now()
        asked = Decision(
            id=f"q{self._store.next_id('decision')}", state="open", question=question,
            options=list(options), default=default, choice=None, reason=None, answered_by=None,
            answered_at=None, expires_at=rfc3339(now + timedelta(seconds=deadline)),
            ended_at=None, pane=pane, session=session, watch=watch, asked_by=by,
            asked_at=rfc3339(now), labels=dict(labels or {}), context=context,
        )  # fmt: skip
        self._opening += 1
        return await self._act(self._open(asked))

    async def answer(self, decision: str, choice: str, reason: str | None, by: str) -> Decision:
        """Choose; of several answers at once exactly one is taken.

        Raises:
            DecisionNotFound: no decision has that id.
            DecisionEnded: it is not open, or its deadline is reached.
            NoSuchOption: the choice is none of its options.
        """

        async def answer() -> Decision:
            async with self._turns.of(decision):
                asked = await self._still_open(decision)
                if choice not in asked.options:
                    raise NoSuchOption(
                        choice=choice, decision=decision, options=" | ".join(asked.options)
                    )
                now = rfc3339(self._clock.now())
                ended = replace(
                    asked, state="answered", choice=choice, reason=reason, answered_by=by,
                    answered_at=now, ended_at=now,
                )  # fmt: skip
                fact = DecisionAnswered(
                    decision=decision, choice=choice, reason=reason, by=by,
                    pane=asked.pane, session=asked.session,
                )  # fmt: skip
                return await self._end(ended, fact)

        return await self._act(answer())

    async def cancel(self, decision: str, by: str) -> Decision:
        """End a decision without a choice; raises what `answer` does."""

        async def cancel() -> Decision:
            async with self._turns.of(decision):
                asked = await self._still_open(decision)
                ended = replace(asked, state="cancelled", ended_at=rfc3339(self._clock.now()))
                fact = DecisionCancelled(
                    decision=decision, by=by, pane=asked.pane, session=asked.session
                )
                return await self._end(ended, fact)

        return await self._act(cancel())

    async def wait(self, decision: str, seconds: float) -> Waited:
        """Return the decision once it has ended, or as it is after that many seconds."""
        found = self.register.get(decision)
        if found.state == "open":
            ended: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
            forget = self.on_end(decision, lambda d: None if ended.done() else ended.set_result(d))
            try:
                async with asyncio.timeout(seconds):
                    found = await ended
            except TimeoutError:
                pass
            finally:
                forget()
        outcome = "timed_out" if found.state == "open" else found.state
        return Waited(**asdict(found), outcome=outcome)

    def on_end(self, decision: str, callback: OnEnd) -> Callable[[], None]:
        """Call back once with the decision when its end is on disk; at once if it is.

        A callback returns at once and never raises. The returned function
        forgets it. Raises ``DecisionNotFound``.
        """
        found = self.register.get(decision)
        if found.state != "open":
            callback(found)
            return lambda: None
        key = object()  # not the callback: one may be given twice
        self._callbacks.setdefault(decision, {})[key] = callback

        def forget() -> None:
            callbacks = self._callbacks.get(decision, {})
            callbacks.pop(key, None)
            if not callbacks:
                self._callbacks.pop(decision, None)

        return forget

    def of_watch(self, watch: str) -> list[Decision]:
        """Return what a watch has asked and is still remembered, in the order of asking."""
        found = (*self.register.ended.values(), *self.register.open.values())
        return sorted((d for d in found if d.watch == watch), key=lambda d: int(d.id[1:]))

    def session_id(self, ref: str) -> str:
        """Return the id of a session that lives, or that a known decision is about."""
        known = (*self.register.open.values(), *self.register.ended.values())
        if any(d.session == ref for d in known):
            return ref
        return self._panes.session(ref).id

    def counts(self) -> dict[str, int]:
        """Figures for ``daemon.status``."""
        return {"decisions_open": len(self.register.open)}

    async def _act(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        return await asyncio.shield(task)

    async def _open(self, asked: Decision) -> Decision:
        fact = DecisionOpened(
            decision=asked.id, question=asked.question, options=asked.options,
            default=asked.default, expires_at=asked.expires_at, pane=asked.pane,
            session=asked.session,
        )  # fmt: skip
        try:
            await self._store.commit([save(asked)], [fact])
        finally:
            self._opening -= 1
        self.register.put(asked)
        self._opened.set()
        return asked

    async def _still_open(self, decision: str) -> Decision:
        """Return a decision that can be ended by its caller, who has its turn."""
        found = self.register.get(decision)
        if found.state == "open" and found.expires_at <= rfc3339(self._clock.now()):
            found = await self._lapse(found)
        if found.state != "open":
            raise DecisionEnded(decision=decision, state=found.state, choice=found.choice)
        return found

    async def _lapse(self, asked: Decision) -> Decision:
        """End a decision by its deadline; the caller has its turn."""
        ended = replace(
            asked, state="expired" if asked.default is None else "defaulted",
            choice=asked.default, ended_at=rfc3339(self._clock.now()),
        )  # fmt: skip
        fact: Fact
        if asked.default is None:
            fact = DecisionExpired(decision=asked.id, pane=asked.pane, session=asked.session)
        else:
            fact = DecisionDefaulted(
                decision=asked.id, choice=asked.default, pane=asked.pane, session=asked.session
            )
        return await self._end(ended, fact)

    async def _end(self, ended: Decision, fact: Fact) -> Decision:
        old = self.register.forgettable()
        await self._store.commit([save(ended), *map(forget, old)], [fact])
        self.register.put(ended)
        self.register.forget(old)
        for callback in self._callbacks.pop(ended.id, {}).values():
            callback(ended)
        return ended

    async def _lapse_if_open(self, decision: str) -> bool:
        """End a decision by its deadline unless it has ended; False if the store refuses."""
        async with self._turns.of(decision):
            asked = self.register.open.get(decision)
            if asked is None:
                return True
            try:
                await self._lapse(asked)
            except Fault:
                return False
        return True

    async def _keep_deadlines(self) -> None:
        while True:
            self._opened.clear()
            if not self.register.open:
                await self._opened.wait()
            due = self.register.due(rfc3339(self._clock.now()))
            ended = await asyncio.gather(*(self._act(self._lapse_if_open(d.id)) for d in due))
            if put_off := ended.count(False):
                log.warning("deadlines put off, the store refuses them", decisions=put_off)
                await self._clock.sleep(LOOK)
            elif self.register.open:
                next_ = self.register.seconds_to_next(self._clock.now())
                await self._clock.sleep(min(LOOK, next_))
