"""How panes end: noticed at once, told exactly, recorded once.

The kernel says when a program is gone (pidfd) and how: its holder never collects
it, so its wait status stands in /proc. Only if the holder itself was killed must
tmux say how, after a nudge, for it may have lost the SIGCHLD. When the last
output is in the file the end is written down, with its last lines; only then is
the pane closed in tmux. What kills panes (``killing``) waits for that here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault, TmuxRefused
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
from orchestratord.features.panes.text import last_lines
from orchestratord.log import Log
from orchestratord.store.db import Statement, Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import close_pane, command, target
from orchestratord.tmux.link import Link
from orchestratord.tmux.process import Process, Watch, read_stat, shows_status
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
    """Watches living panes and records their ends.

    In memory: a pidfd for each pane, one for each held program, who asked for
    which end, and what is being written about whom. A crash loses none of that
    for good: at the next start every pane is watched again, and its end is found
    where it waits.
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
        self._notes: dict[str, set[asyncio.Task[None]]] = {}
        spool.on_noted = self._program_started

    # Watching

    def watch(self, pane: PaneRecord) -> None:
        """Notice the end of a pane from now on; the end of what ran there before is no news."""
        self._registry.lives(pane)
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
            self._find_out(pane, self._end(pane))

    def finding_out(self, pane: PaneRecord) -> asyncio.Task[None] | None:
        """Return what finds out how a pane ends; it is done when that is on disk."""
        return self._ending.get(pane.id)

    def _find_out(self, pane: PaneRecord, how: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(how, name=f"end of {pane.id}")
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
        notes = [note for notes in self._notes.values() for note in notes]
        pending: list[asyncio.Future[Any]] = [*self._ending.values(), *notes]
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
                self._find_out(pane, self.conclude(pane, None, None))
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
        """Write the death certificate, then close the pane unless its screen is kept.

        Returns when both are on disk, or owed to a full one.
        """
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
        self._note(pane, [save(pane)], [told])
        await self.written(pane)
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
        self._note(pane, [save(pane)], [told])
        self.left(pane)

    async def close(self, pane: PaneRecord, by: str | None) -> None:
        """Take an ended pane out of tmux; return when that, and its end, is on disk.

        ``by`` says who closes a kept screen. Raises ``TmuxGone`` if that screen
        may still be there; any other pane is closed when tmux answers again.
        """
        ending = self._ending.get(pane.id)
        if ending is not None and ending is not asyncio.current_task():
            await asyncio.wait([ending])
        if not pane.gone:
            await self._close(pane, by)
        await self.written(pane)

    async def _close(self, pane: PaneRecord, by: str | None) -> None:
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
            if pane.keep:
                raise
            log.debug("pane was not closed", pane=pane.id, reason=str(problem))
            return  # it is closed when the link is back
        told = PaneClosed(session=pane.session, pane=pane.id, by=by) if by and pane.keep else None
        self.left(pane, told)

    def left(self, pane: PaneRecord, closed: Fact | None = None) -> None:
        """Note that a pane is in tmux no longer, and what that ends."""
        if pane.gone:
            return
        self._registry.gone(pane)
        facts: list[Fact] = [closed] if closed else []
        statements, ended = self.emptied()
        statements = [save(pane), *statements, *self._forget_oldest()]
        self._note(pane, statements, [*facts, *ended])

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
        try:
            await self._store.record_or_owe(statements, facts)
        except Fault as problem:
            log.error("an end was not recorded", reason=str(problem))

    def _note(self, pane: PaneRecord, statements: list[Statement], facts: list[Fact]) -> None:
        """Begin to record what has happened to a pane; `written` waits for it."""
        note = asyncio.create_task(self.write(statements, facts), name=f"note of {pane.id}")
        self._notes.setdefault(pane.id, set()).add(note)
        note.add_done_callback(lambda noted: self._noted(pane.id, noted))

    def _noted(self, pane_id: str, note: asyncio.Task[None]) -> None:
        self._notes[pane_id].discard(note)
        if not self._notes[pane_id]:
            del self._notes[pane_id]

    async def written(self, pane: PaneRecord) -> None:
        """Return when all that has happened to a pane is on disk, or owed to a full one."""
        if notes := self._notes.get(pane.id):
            await asyncio.wait(set(notes))


def _look_at(pane: PaneRecord) -> bytes:
    where = target(pane.place.pane)
    return command("display-message", "-p", "-t", where, "--", PaneRow.FORMAT)


def _row(line: bytes) -> PaneRow:
    """Read what a look showed: of a pane that is gone, nothing but separators (3.2 to 3.7)."""
    if line.startswith(b"\t"):
        raise TmuxRefused(command="a look", reason="the pane is gone")
    return PaneRow.parse(line)
