"""How panes are killed: hangup, TERM, KILL, to a whole process session.

Signals processes only; that a pane has ended, and how, is found out and written
down by ``ending``. Called by the panes service.
"""

from __future__ import annotations

import asyncio
import signal

from orchestratord.clock import Clock
from orchestratord.features.panes.ending import Endings
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.survivor import Survivor, escaped
from orchestratord.tmux.process import Process, Stat, in_session, read_stat

FINDING_OUT = 15.0
"""Seconds after SIGKILL in which it must be known how a pane ended: 5 ms, but not on a machine
with nine programs waiting for each of its cores; a tmux that does not answer takes them all."""


class Killing:
    """Ends panes that are to be killed. Its state is on the stacks of the kills under way."""

    def __init__(self, endings: Endings, clock: Clock) -> None:
        self._endings = endings
        self._clock = clock

    async def kill(self, pane: PaneRecord, grace: float, by: str) -> list[Survivor]:
        """End a pane's whole process session: hangup, then TERM, then KILL.

        Returns when nothing of the session runs and the end is on disk. Signals
        only processes whose start time was checked and whose session is the
        pane's. What left the session, or has rights that we do not have, is
        returned, not signalled.
        """
        self._endings.asked_for(pane, by)
        deadline = self._clock.monotonic() + grace + FINDING_OUT
        doomed = _Doomed(pane.place.process)
        again = min(grace / 4, 0.1)  # bash loses a hangup that meets the end of its child
        for number, wait in (
            (signal.SIGHUP, again), (signal.SIGHUP, grace / 2 - again),
            (signal.SIGTERM, grace / 2), (signal.SIGKILL, FINDING_OUT),
        ):  # fmt: skip
            if not doomed.signal(number, spared=pane.program is not None):
                self._endings.begin(pane)
            if await self._ended(pane, doomed, min(wait, deadline - self._clock.monotonic())):
                break
        if (closing := self._endings.finding_out(pane)) is not None:
            await asyncio.wait([closing], timeout=max(0, deadline - self._clock.monotonic()))
        await self._endings.written(pane)
        return [Survivor.of(process) for process in doomed.survivors()]

    async def _ended(self, pane: PaneRecord, doomed: _Doomed, seconds: float) -> bool:
        """Wait until it is known how a pane ended and its session is empty; say whether so."""
        until, pause = self._clock.monotonic() + seconds, 0.001
        while pane.exit is None or doomed.inside():
            task = self._endings.finding_out(pane) if pane.exit is None else None
            left = until - self._clock.monotonic()
            if left <= 0:
                return False
            if task is not None:
                await asyncio.wait([task], timeout=left)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(min(left, pause))
                pause = min(pause * 2, 0.016)
        return True


class _Doomed:
    """The processes of a pane that is being killed: those in its session, and who left it.

    The number of a session is the pid of its leader, the holder. Nothing is looked
    up by it but when the holder or a known member was there a moment ago.
    """

    def __init__(self, holder: Process) -> None:
        self._holder = holder
        self._known = False
        self._members: dict[int, Process] = {}
        self._spared: dict[int, Process] = {}

    def signal(self, number: int, spared: bool) -> bool:
        """Signal the session's members; say whether the holder lives.

        The holder is ``spared`` if it must outlive its program.
        """
        lives = self._holder.alive()
        self._known = lives or self._runs()
        if not self._known:
            return False
        found = self._look()
        members = {pid: Process(pid, stat.started) for pid, stat in found.items()}
        self._spared |= escaped(found)  # before their parents end, and with them the trace
        for pid, process in members.items():
            if pid == self._holder.pid and spared:
                continue
            if not process.send(number) and process.alive():
                self._spared[pid] = process
                continue
            self._members[pid] = process
            if number == signal.SIGHUP:
                process.send(signal.SIGCONT)  # a stopped process gets nothing but KILL and CONT
        return lives

    def inside(self) -> bool:
        """Whether anything runs in the session, also what was begun since it was signalled."""
        if self._known and not self._runs():
            for pid, stat in self._look().items():
                if pid != self._holder.pid and pid not in self._spared:
                    self._members[pid] = Process(pid, stat.started)
        return self._runs()

    def survivors(self) -> list[Process]:
        """Return what lives on."""
        return [p for p in (self._spared | self._members).values() if p.alive()]

    def _look(self) -> dict[int, Stat]:
        found = in_session(self._holder.pid)
        leader = found.get(self._holder.pid)
        return found if leader is None or leader.started == self._holder.started else {}

    def _runs(self) -> bool:
        return any(self._belongs(process) for process in self._members.values())

    def _belongs(self, process: Process) -> bool:
        stat = read_stat(process.pid)
        if stat is None or stat.started != process.started or stat.state in "ZX":
            return False
        return stat.session == self._holder.pid
