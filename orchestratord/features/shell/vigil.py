"""The watch over one run that has begun: for other evidence of its end, and the clock.

Made by ``shell`` when a run begins, dropped when it ends. What it finds it tells ``found``;
at the run's timeout it answers whoever waits, or interrupts the command first.
"""

from __future__ import annotations

import asyncio
import signal

from orchestratord.clock import rfc3339
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.shell.evidence import Evidence, Found
from orchestratord.features.shell.host import Host
from orchestratord.features.shell.run import Live, seconds_between
from orchestratord.tmux.stream import Cursor, Slice

ESCALATE = 2.0
"""Seconds between the signals of an escalation."""

_INTERRUPT = (signal.SIGINT,)
_KILL = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class Vigil:
    """Looks at what the caller takes as an end, and at the clock."""

    def __init__(self, host: Host, pane: PaneRecord, live: Live, found: Found) -> None:
        self._host = host
        self._pane = pane
        self._live = live
        self._found = found
        self._evidence: Evidence | None = None
        run, wanted = live.run, live.run.wanted
        begin = Cursor.parse(run.begin or "")
        if begin is not None and (wanted.until or wanted.idle or wanted.sentinel):
            self._evidence = Evidence(run, begin, host.clock, found)
            host.spawn(self._idle(self._evidence))
        if wanted.timeout is not None:
            now = rfc3339(host.clock.now())
            spent = seconds_between(run.started_at, now) if run.started_at else 0.0
            left = max(0.0, wanted.timeout - spent)
            live.timers.append(asyncio.get_running_loop().call_later(left, self._late))

    def hear(self, part: Slice) -> None:
        """Take output of the pane."""
        if self._evidence is not None:
            self._evidence.hear(part)

    async def _idle(self, evidence: Evidence) -> None:
        while self._live.run.ended_by is None and (left := evidence.quiet_in()) is not None:
            if left <= 0:
                stream = self._host.spool.get(self._pane.id)
                if stream is not None:
                    self._found("idle", None, stream.cursor)
                return
            await self._host.clock.sleep(left)

    def _late(self) -> None:
        if self._live.run.ended_by is None:
            self._host.spawn(self._time_out())

    async def _time_out(self) -> None:
        live = self._live
        then = live.run.wanted.on_timeout
        await self._host.ledger.timed_out(live, then)
        if then == "leave":
            live.run.left = True
            live.answer("timeout")
            return
        live.timed_out = True
        for number in _INTERRUPT if then == "interrupt" else _KILL:
            if live.run.ended_by is not None:
                break
            self._host.keyboard.signal(self._pane, number, spare_shell=number != signal.SIGINT)
            try:
                async with asyncio.timeout(ESCALATE):
                    await live.done.wait()
            except TimeoutError:
                continue
        live.answer("timeout")
