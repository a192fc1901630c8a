"""How panes end: noticed at once, told exactly, recorded once.

The kernel says when a program is gone (pidfd) and how: its holder never collects
it, so its wait status stands in /proc. Only if the holder itself was killed must
tmux say how, after a nudge, for it may have lost the SIGCHLD. When the last
output is in the file the end is written down, with its last lines; only then is
the pane closed in tmux.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import TmuxRefused
from orchestratord.events import Fact
from orchestratord.features.panes.fact import (
    PaneClosed,
    PaneExited,
    PaneKilled,
    PaneLost,
    SessionEnded,
    WindowEnded,
)
from orchestratord.features.panes.keyboard import signal_name
from orchestratord.features.panes.model import Exit
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.registry import Record, Registry, forget, save
from orchestratord.features.panes.survivor import Survivor, escaped
from orchestratord.features.panes.text import last_lines
from orchestratord.log import Log
from orchestratord.store.db import Statement, Store
from orchestratord.store.fault import StoreFault
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import close_pane, command, target
from orchestratord.tmux.link import Link
from orchestratord.tmux.process import Process, Watch, in_session, read_stat, shows_status
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.spool import Spool

log = Log("panes.ending")

GRACE = 2.0
"""Seconds from the hangup to SIGKILL when a caller names none."""

LAST_LINES = 10
_TAIL = 16 << 10
_PATIENCE = 3.0
"""Seconds that tmux is given to tell how a holder ended."""


class Endings:
    """Watches living panes and ends those that are to be killed.

    In memory: a pidfd for each pane, one for each held program, and who asked
    for which end. A crash loses none of that for good: at the next start every
    pane is watched again, and its end is found where it waits.
    """

    def __init__(
        self, registry: Registry, link: Link, spool: Spool, store: Store, clock: Clock
    ) -> None:
        self._registry = registry
        self._link = link
        self._spool = spool
        self._store = store
        self._clock = clock
        self._watches: dict[str, list[Watch]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, str] = {}
        self._background: set[asyncio.Task[object]] = set()
        spool.on_noted = self._program_started

    # Watching

    def watch(self, pane: PaneRecord) -> None:
        """Notice the end of a pane from now on; the end of what ran there before is no news."""
        self._unwatch(pane.id)
        if (ending := self._ending.pop(pane.id, None)) is not None:
            ending.cancel()
        watches = self._watches[pane.id] = []
        pane.program = None  # found again from its note, and watched from then on
        watches.append(Watch(pane.place.process, lambda: self.begin(pane)))
        if (pid := self._spool.noted(pane.id, pane.epoch)) is not None:
            self._program_started(pane.id, pane.epoch, pid)

    def begin(self, pane: PaneRecord) -> None:
        """Find out how a pane ended, unless that is under way or known."""
        if pane.exit is None and not pane.gone and pane.id not in self._ending:
            task = asyncio.create_task(self._end(pane), name=f"end of {pane.id}")
            self._ending[pane.id] = task
            task.add_done_callback(lambda ended: self._found_out(pane.id, ended))

    def _found_out(self, pane_id: str, ended: asyncio.Task[None]) -> None:
        if self._ending.get(pane_id) is ended:
            del self._ending[pane_id]

    def asked_for(self, pane: PaneRecord, by: str) -> None:
        """Note who asks for the end that is about to come."""
        self._asked.setdefault(pane.id, by)

    async def stop(self) -> None:
        """Let ends that are being written down finish, a second at most."""
        for pane in list(self._watches):
            self._unwatch(pane)
        pending = [*self._ending.values(), *self._background]
        if pending:
            await asyncio.wait(pending, timeout=1)
        for task in pending:
            task.cancel()

    def _unwatch(self, pane: str) -> None:
        for watch in self._watches.pop(pane, ()):
            watch.close()

    def _program_started(self, pane_id: str, epoch: int, pid: int) -> None:
        pane = self._registry.panes.get(pane_id)
        if pane is None or pane.epoch != epoch or pane.id not in self._watches or pane.program:
            return
        stat = read_stat(pid)
        if stat is None or stat.parent != pane.place.process.pid:
            if pane.place.process.alive():  # else its own watch says so
                log.error("a program was collected by its holder", pane=pane.id)
                self._later(self.conclude(pane, None, None))
            return
        pane.program = Process(pid, stat.started)
        self._watches[pane_id].append(Watch(pane.program, lambda: self.begin(pane)))

    # Finding out

    async def _end(self, pane: PaneRecord) -> None:
        stat = read_stat(pane.program.pid) if pane.program else None
        if stat is not None and pane.program and stat.started == pane.program.started:
            if stat.state not in "ZX":
                if pane.place.process.alive():
                    return
                await self._ask_tmux(pane)  # the holder died first
                return
            code = os.waitstatus_to_exitcode(stat.status) if shows_status(stat.pid) else None
            hung_up = code == -signal.SIGHUP and pane.id not in self._asked
            if hung_up and not await self._still_there(pane):
                return
            await self._spool.drain(pane.id, pane.place.tty)
            if code is not None and code < 0:
                await self.conclude(pane, None, -code)
            else:
                await self.conclude(pane, code, None)
            return
        await self._ask_tmux(pane)

    async def _still_there(self, pane: PaneRecord) -> bool:
        """Whether a hangup was not tmux's own, which closes or respawns a pane with one."""
        while True:
            try:
                return not self._newer(pane, await self._look(pane))
            except TmuxRefused:
                self.lose(pane, "closed from outside")
                return False
            except TmuxGone:  # if its server has ended, the link finds out, and this is cancelled
                await asyncio.sleep(0.05)

    def _newer(self, pane: PaneRecord, row: PaneRow) -> bool:
        """Whether a pane was respawned; who finds that sends the mirror to look."""
        if row.pid == pane.place.process.pid:
            return False
        self._link.on_change()
        return True

    async def _ask_tmux(self, pane: PaneRecord) -> None:
        pause, patience = 0.002, _PATIENCE
        while patience > 0:
            try:
                row = await self._look(pane)
            except TmuxGone:
                row = None
                await asyncio.sleep(0.05)  # the state is unknown: nothing is concluded from it
                patience += 0.05 if self._server_lives() else 0
            except TmuxRefused:
                self.lose(pane, "closed from outside")
                return
            if row is not None and self._newer(pane, row):
                return
            if row is not None and row.dead and not row.ended_unexplained:
                await self._spool.settle(pane.id, lambda: self._look(pane))
                await self.conclude(pane, row.status, row.signal)
                return
            if row is not None:
                self._link.nudge()
            await asyncio.sleep(pause)
            patience -= pause
            pause = min(pause * 2, 0.1)
        if not pane.place.process.alive():
            await self.conclude(pane, None, None)

    def _server_lives(self) -> bool:
        return self._link.server is not None and self._link.server.process.alive()

    async def _look(self, pane: PaneRecord) -> PaneRow:
        bodies = await self._link.request(
            _look_at(pane), what=f"a look at {pane.id}", server=pane.place.server
        )
        return _row(bodies[0][0])

    # Writing down

    async def conclude(self, pane: PaneRecord, status: int | None, number: int | None) -> None:
        """Write the death certificate, then close the pane unless its screen is kept."""
        if pane.exit is not None:
            return
        by = self._asked.pop(pane.id, None)
        stream = self._spool.get(pane.id)
        lines = last_lines(stream.tail(_TAIL), LAST_LINES) if stream else []
        pane.exit = Exit(
            at=rfc3339(self._clock.now()), status=status, signal=signal_name(number), by=by,
            last_lines=lines,
        )  # fmt: skip
        self._unwatch(pane.id)
        told: Fact
        common = {"session": pane.session, "pane": pane.id}
        if by is not None:
            told = PaneKilled(**common, by=by, status=status, signal=pane.exit.signal)
        else:
            told = PaneExited(**common, status=status, signal=pane.exit.signal)
        self._spool.finish(pane.id)
        await self.write([save(pane)], [told])
        if not pane.keep:
            await self.close(pane, None)

    def lose(self, pane: PaneRecord, reason: str) -> None:
        """Write down that a pane is gone and nobody saw how; called with what was seen."""
        if pane.exit is not None or pane.gone:
            return
        by = self._asked.pop(pane.id, None)
        self._unwatch(pane.id)
        ending = self._ending.get(pane.id)
        if ending is not None and ending is not asyncio.current_task():
            ending.cancel()
        pane.exit = Exit(at=rfc3339(self._clock.now()), by=by or "outside")
        pane.lost = True
        stream = self._spool.get(pane.id)
        if stream is not None:
            stream.look()
            lines = last_lines(stream.tail(_TAIL), LAST_LINES)
            pane.exit = msgspec.structs.replace(pane.exit, last_lines=lines)
        told: Fact = PaneLost(session=pane.session, pane=pane.id, reason=reason)
        if by is not None:
            told = PaneKilled(session=pane.session, pane=pane.id, by=by, status=None, signal=None)
        self._spool.finish(pane.id)
        self._later(self.write([save(pane)], [told]))
        self.left(pane)

    async def close(self, pane: PaneRecord, by: str | None) -> None:
        """Take an ended pane out of tmux. ``by`` says who closes a kept screen."""
        if pane.gone:
            return
        ended = pane.place
        try:
            bodies = await self._link.request(
                close_pane(ended.pane, ended.process.pid), _look_at(pane),
                what=f"closing {pane.id}", server=ended.server,
            )  # fmt: skip
            if self._newer(pane, _row(bodies[-1][0])):
                return
        except TmuxRefused:
            pass
        except TmuxGone as problem:
            log.debug("pane was not closed", pane=pane.id, reason=str(problem))
            return  # it is closed when the link is back
        closed = PaneClosed(session=pane.session, pane=pane.id, by=by) if by else None
        self.left(pane, closed)

    def left(self, pane: PaneRecord, closed: Fact | None = None) -> None:
        """Note that a pane is in tmux no longer, and what that ends."""
        if pane.gone:
            return
        self._registry.gone(pane)
        facts: list[Fact] = [closed] if closed else []
        statements, ended = self.emptied()
        statements = [save(pane), *statements, *self._forget_oldest()]
        self._later(self.write(statements, [*facts, *ended]))

    def emptied(self) -> tuple[list[Statement], list[Fact]]:
        """End the windows and sessions in which nothing of ours is left; return what to write."""
        statements: list[Statement] = []
        facts: list[Fact] = []
        windows, sessions = self._registry.empty()
        for window in windows:
            del self._registry.windows[window.id]
            statements.append(forget(window))
            facts.append(WindowEnded(session=window.session, window=window.id))
        for session in sessions:
            session.ended_at = rfc3339(self._clock.now())
            statements.append(save(session))
            facts.append(SessionEnded(session=session.id, name=session.name))
        return statements, facts

    def _forget_oldest(self) -> list[Statement]:
        old: list[Record] = [*self._registry.forgettable()]
        for pane in old:
            del self._registry.panes[pane.id]
            self._spool.forget(pane.id)
        if old:
            named = {p.session for p in self._registry.panes.values()}
            for session in list(self._registry.sessions.values()):
                if session.ended_at is not None and session.id not in named:
                    del self._registry.sessions[session.id]
                    old.append(session)
        return [forget(record) for record in old]

    async def write(self, statements: list[Statement], facts: list[Fact]) -> None:
        """Record what has happened; on a full disk it is owed, and nobody waits for it."""
        writing = asyncio.ensure_future(self._store.record(statements, facts))
        self._background.add(writing)
        writing.add_done_callback(self._background.discard)
        writing.add_done_callback(_log_refusal)
        while not writing.done() and self._store.statistics().mode == "ok":
            await asyncio.wait([writing], timeout=0.25)

    def _later(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Killing

    async def kill(self, pane: PaneRecord, grace: float, by: str) -> list[Survivor]:
        """End a pane's whole process session: hangup, then TERM, then KILL.

        Returns when the end is written down. Signals only processes whose
        start time was checked and whose session is the pane's. What left the
        session is returned, not signalled.
        """
        self.asked_for(pane, by)
        deadline = self._clock.monotonic() + grace + 5
        outside: dict[int, Process] = {}
        again = min(grace / 4, 0.1)  # bash loses a hangup that meets the end of its child
        for number, wait in (
            (signal.SIGHUP, again), (signal.SIGHUP, grace / 2 - again),
            (signal.SIGTERM, grace / 2), (signal.SIGKILL, 5.0),
        ):  # fmt: skip
            outside |= self._signal_all(pane, number)
            if await self._ended(pane, min(wait, deadline - self._clock.monotonic())):
                break
        return [Survivor.of(p) for p in outside.values() if p.alive()]

    def _signal_all(self, pane: PaneRecord, number: int) -> dict[int, Process]:
        """Signal the members of a pane's session; return its descendants outside of it."""
        holder = pane.place.process
        if not holder.alive():
            self.begin(pane)
            return {}
        members = in_session(holder.pid)
        outside = escaped(members)  # before their parents end, and with them the trace
        for stat in members.values():
            if stat.pid == holder.pid and pane.program is not None:
                continue  # the holder must outlive its program
            process = Process(stat.pid, stat.started)
            process.send(number)
            if number == signal.SIGHUP:
                process.send(signal.SIGCONT)  # a stopped process gets nothing but KILL and CONT
        return outside

    async def _ended(self, pane: PaneRecord, seconds: float) -> bool:
        until = self._clock.monotonic() + seconds
        while pane.exit is None or (not pane.keep and not pane.gone):
            task = self._ending.get(pane.id)
            left = until - self._clock.monotonic()
            if left <= 0:
                return pane.exit is not None
            if task is not None:
                await asyncio.wait([task], timeout=left)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(min(left, 0.001))
        return True


def _look_at(pane: PaneRecord) -> bytes:
    where = target(pane.place.pane)
    return command("display-message", "-p", "-t", where, "--", PaneRow.FORMAT)


def _row(line: bytes) -> PaneRow:
    """Read what a look showed: of a pane that is gone, nothing but separators (3.2 to 3.7)."""
    if line.startswith(b"\t"):
        raise TmuxRefused(command="a look", reason="the pane is gone")
    return PaneRow.parse(line)


def _log_refusal(writing: asyncio.Future[Any]) -> None:
    if not writing.cancelled() and isinstance(writing.exception(), StoreFault):
        log.error("an end was not recorded", reason=str(writing.exception()))
