"""One shell: its prompt, the run that it executes and those that wait for their turn.

Owned by ``service``, which makes one for each shell pane and tells it what the pane
prints and when it ends. Everything that changes happens between two awaits or in a task
of the run's own, so nobody sees half of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from orchestratord.clock import rfc3339
from orchestratord.errors import Fault
from orchestratord.features.panes.keyboard import terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.shell import reading, screen
from orchestratord.features.shell.fault import IntegrationLost, PaneBusy, QueueFull
from orchestratord.features.shell.host import Host
from orchestratord.features.shell.integration import ECHO, TRIGGERS, Kind
from orchestratord.features.shell.model import EndedBy
from orchestratord.features.shell.prompt import (
    Began,
    Commanded,
    Drafted,
    Ended,
    Moment,
    Notice,
    Prompt,
    Prompted,
    Ready,
    Undrafted,
    Unmarked,
)
from orchestratord.features.shell.run import Live, aborted_by, is_stop, seconds_between
from orchestratord.features.shell.vigil import Vigil
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.stream import Cursor, Slice

PATIENCE = 5.0
"""Seconds in which an idle shell must begin what it was told to; then it is told no longer."""

SOON = 10.0
"""Seconds that a command waits for a shell that starts, or whose last command has just ended."""

AGAIN = 1.0
"""Seconds after which a command that waits is offered again to a line editor with a draft: that
a draft was erased shows nowhere."""

MOST_QUEUED = 100


class Shell:
    """The state of one shell pane. ``current`` is the run that has the shell."""

    def __init__(self, host: Host, pane: PaneRecord, kind: Kind) -> None:
        self.pane = pane
        self.kind = kind
        self.incarnation = pane.incarnation
        self.current: Live | None = None
        self.queue: deque[Live] = deque()
        self._returning = False
        self._free_since = 0.0
        self._column: asyncio.Future[tuple[int, int]] | None = None
        self.at_prompt: list[Callable[[], None]] = []
        self.probed = asyncio.Event()
        self._vigil: Vigil | None = None
        self._host = host
        self.prompt = self._fresh_prompt()

    # What comes

    def hear(self, part: Slice) -> None:
        """Take output of the pane."""
        if part.data and self.incarnation != self.pane.incarnation:
            self.respawned()  # its event may come later than its first prompt
        begin = part.next.offset - len(part.data)
        now = self._host.clock.monotonic()
        for notice in self.prompt.feed(begin, part.data, now, part.gap):
            self._take(notice, part.next.epoch)
        if self._vigil is not None:
            self._vigil.hear(part)

    def respawned(self) -> None:
        """Another shell runs in the pane: what the one before had to do is over."""
        self.incarnation = self.pane.incarnation
        self.over("pane_exit", None)
        self.prompt = self._fresh_prompt()

    def over(self, by: EndedBy, status: int | None) -> None:
        """End everything: the shell is gone."""
        for live in [*([self.current] if self.current else []), *self.queue]:
            self._finish(live, by, status, None)
        self.queue.clear()

    # What is asked

    def submit(self, live: Live, queue: bool) -> None:
        """Execute a run, now or in its turn.

        Raises:
            PaneBusy: The shell does not wait for a command, and nobody wants to queue.
            QueueFull: Too many wait.
        """
        reason = self.busy()
        if reason is None:
            self._host.keyboard.on_typed(self.pane, live.run.command or "")
            self._begin(live)
            return
        if self.coming() and not queue and not self.queue:  # a prompt is about to come
            self._later(live, SOON, lambda: self._give_up(live, reason))
        elif not queue:
            raise PaneBusy(pane=self.pane.id, reason=reason, **self._who())
        elif len(self.queue) >= MOST_QUEUED:
            raise QueueFull(pane=self.pane.id, limit=MOST_QUEUED)
        self._host.keyboard.on_typed(self.pane, live.run.command or "")
        self.queue.append(live)

    def coming(self) -> bool:
        """Whether a prompt is about to come: the shell starts, or its command has just ended."""
        return self.current is None and (self._returning or self.prompt.state == "starting")

    def quiet_for(self) -> float:
        """Return for how many seconds it has been said neither to wait nor to run an exec."""
        if self.current is not None:
            return 0.0
        return self._host.clock.monotonic() - max(self.prompt.since, self._free_since)

    def moment(self) -> Moment:
        """Return what it is doing, and how often it has done anything."""
        prompt, live = self.prompt, self.current
        return Moment(
            state=prompt.state, prompts=prompt.prompts, commands=prompt.commands,
            soon=self.coming() or (live is not None and live.run.state == "starting"),
            free=live is None and not self.queue, lost=self._host.lost(self) is not None,
        )  # fmt: skip

    def busy(self) -> str | None:
        """Say why a command cannot begin at once; None if it can."""
        if self.current is not None:
            return "busy"
        if self.queue:
            return "queue"
        state = self.prompt.state
        if state == "draft" and self.kind != "sh":
            return None  # the line editor knows better, and says so
        return None if state == "idle" else state

    def follow(self, live: Live, begin: Cursor) -> None:
        """Follow a run whose text was typed at something that prints no marks."""
        self.current = live
        live.run.state, live.run.begin = "running", str(begin)
        self._watch(live)

    def resume(self, live: Live) -> None:
        """Take over a run of an earlier daemon."""
        if live.run.state == "queued":
            live.waits_for_turn = True
            self.queue.append(live)
            return
        self.current = live
        if live.run.state == "starting":
            self._later(live, PATIENCE, lambda: self._silent(live))
        else:
            self._watch(live)

    def cancel(self, live: Live) -> None:
        """End a run: one that waits never begins, one that runs is followed no longer."""
        live.cancelled = True
        if live in self.queue:
            self.queue.remove(live)
        elif live is self.current and live.run.state == "starting":
            self._host.integration.disarm(self.pane.id)
        self._finish(live, "cancelled", None, None)

    # How a run goes

    def _begin(self, live: Live) -> None:
        self.current = live
        live.run.state = "starting"
        self.prompt.expecting = True
        self._host.spawn(self._tell_shell(live))

    async def _tell_shell(self, live: Live) -> None:
        host, run, pane = self._host, live.run, self.pane
        where, self._column = self._column, None
        stream = host.spool.get(pane.id)
        run.typed = str(stream.cursor) if stream else None
        command = run.command or ""
        try:
            intent = asyncio.ensure_future(host.ledger.began(live))
            known = where is not None and not self.prompt.disturbed
            column, width = await (where if where and known else host.column(pane))
            entry = screen.entry(column, width, self._echo(), command)
            history = command.rstrip("\n")
            host.integration.arm(pane.id, self.kind, run.nonce, command, entry, history, width)
            await intent
            if live.cancelled:
                host.integration.disarm(pane.id)
                return
            await host.keyboard.raw(pane, TRIGGERS[self.kind], run.typist)
        except (Fault, OSError) as problem:
            self.prompt.expecting = False
            self._fail(live, problem)
            return
        self._later(live, PATIENCE, lambda: self._silent(live))

    def _take(self, notice: Notice, epoch: int) -> None:
        live = self.current
        if isinstance(notice, Began):
            if live is not None and notice.nonce == live.run.nonce and not live.run.begin:
                self._began(live, Cursor(epoch, notice.end))
        elif isinstance(notice, Ended):
            if live is not None and live.run.begin and notice.nonce == live.run.nonce:
                stopped = is_stop(notice.status) and reading.stopped(self.pane)
                by: EndedBy = "stopped" if stopped else "exit_code"
                self._finish(live, by, notice.status, Cursor(epoch, notice.begin))
        elif isinstance(notice, Prompted):
            self._prompted(notice, epoch)
        elif isinstance(notice, Ready):
            self._returning = False
            self._next()
            self._look_at_cursor()
            for listener in tuple(self.at_prompt):
                listener()
        elif isinstance(notice, Undrafted):
            self.probed.set()
        elif isinstance(notice, Drafted):
            self.probed.set()
            if live is not None and live.run.state == "starting":
                self._refused(live, "draft")
        elif isinstance(notice, Unmarked):
            self._unmarked()
        elif isinstance(notice, Commanded):
            pass  # the prompt's state is all that it says

    def _began(self, live: Live, begin: Cursor) -> None:
        live.let_go()
        run = live.run
        run.state, run.begin, run.command = "running", str(begin), None
        run.started_at = rfc3339(self._host.clock.now())
        self._host.spawn(self._host.ledger.running(live))
        self._watch(live)

    def _prompted(self, notice: Prompted, epoch: int) -> None:
        live = self.current
        if live is not None and live.run.way == "typed":  # it was typed at a shell below ours
            self._finish(live, "pane_exit", notice.status, Cursor(epoch, notice.begin))
            return
        if live is None or live.run.nonce != notice.nonce:
            return
        if live.run.begin is None:  # its begin was in a hole
            live.run.begin = live.run.typed
        stream = self._host.spool.get(self.pane.id)
        drawn = reading.drawn_before(stream, epoch, notice.begin) if stream else 0
        end = Cursor(epoch, notice.begin - drawn)
        self._finish(live, aborted_by(notice.status), notice.status, end)

    def _refused(self, live: Live, reason: str) -> None:
        """The shell has not begun it: whoever can wait waits on, others are told why."""
        live.let_go()
        if live is self.current:
            self.current = None
            self._host.integration.disarm(self.pane.id)
        if live.waits_for_turn:
            live.run.state = "queued"
            self.queue.appendleft(live)
            if reason == "draft" and self.kind != "sh":
                self._later(live, AGAIN, lambda: self._offer_again(live))
            return
        self._fail(live, PaneBusy(pane=self.pane.id, reason=reason))

    def _offer_again(self, live: Live) -> None:
        if (
            self.current is None
            and self.queue
            and self.queue[0] is live
            and self.prompt.state == "draft"
        ):
            self._begin(self.queue.popleft())

    def _unmarked(self) -> None:
        """No prompt will ever be seen: whoever waits for one is told so."""
        waiting = list(self.queue)
        self.queue.clear()
        for live in waiting:
            reason = self._host.lost(self) or ""
            self._fail(live, IntegrationLost(pane=self.pane.id, reason=reason))

    def _fail(self, live: Live, problem: Exception) -> None:
        """End a run that the shell never began; whoever waits is told why."""
        live.fail(problem)
        self._finish(live, "cancelled", None, None)

    def _give_up(self, live: Live, reason: str) -> None:
        """The prompt that was about to come has not come."""
        if live in self.queue:
            self.queue.remove(live)
            if (problem := self._host.lost(self)) is not None:
                self._fail(live, IntegrationLost(pane=self.pane.id, reason=problem))
            else:
                self._refused(live, reason)

    def _silent(self, live: Live) -> None:
        if live is self.current and live.run.state == "starting":
            self.prompt.expecting = False
            self._refused(live, "silent")

    def _finish(self, live: Live, by: EndedBy, status: int | None, end: Cursor | None) -> None:
        live.let_go()
        run = live.run
        if run.ended_by is not None:
            return
        if live is self.current:
            self.current = None
            self._vigil = None
            self._free_since = self._host.clock.monotonic()
            self._returning = (
                by in ("exit_code", "stopped", "signal") and self.prompt.state == "busy"
            )
        if run.begin is not None and end is None:
            stream = self._host.spool.get(self.pane.id)
            end = stream.cursor if stream else None
        now = self._host.clock.now()
        run.state, run.exit_code, run.command = "finished", status, None
        run.ended_by = "timeout" if live.timed_out else by
        run.end = str(end) if end else None
        run.ended_at = rfc3339(now)
        if run.started_at is not None:
            run.duration = seconds_between(run.started_at, run.ended_at)
        live.done.set()
        if run.ended_by is not None:
            live.answer(run.ended_by)
        self._host.spawn(self._host.ledger.finished(live))

    def _look_at_cursor(self) -> None:
        """Ask where the prompt has ended, before anybody needs to know."""

        async def ask() -> tuple[int, int]:
            try:
                return await self._host.column(self.pane)
            except (Fault, TmuxGone):
                return 0, self.pane.width  # the screen is less pretty, nothing else

        if self.current is None:
            self._column = asyncio.ensure_future(ask())

    def _next(self) -> None:
        if self.current is None and self.queue and self.prompt.state == "idle":
            live = self.queue.popleft()
            live.let_go()
            self._begin(live)

    def _watch(self, live: Live) -> None:
        """Look at what the caller takes as an end, and at the clock."""
        self._vigil = Vigil(self._host, self.pane, live, self._found)

    def _found(self, by: EndedBy, status: int | None, end: Cursor) -> None:
        if self.current is not None:
            self._finish(self.current, by, status, end)

    def _later(self, live: Live, seconds: float, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        live.timers.append(loop.call_later(seconds, act))

    def _fresh_prompt(self) -> Prompt:
        host = self._host
        return Prompt(host.integration.key(self.pane.id), self.kind, host.clock.monotonic())

    def _echo(self) -> int:
        """Return how many columns the trigger takes on the screen."""
        if self.kind == "sh":  # the kernel shows it, if it shows anything
            mode = terminal(self.pane.place.tty)
            return ECHO["sh"] if mode is None or mode.echo else 0
        return ECHO[self.kind]

    def _who(self) -> dict[str, Any]:
        return {"exec": self.current.run.id} if self.current else {}


def new_nonce() -> str:
    """Return what the marks of one run carry, and of no other."""
    return secrets.token_hex(8)
