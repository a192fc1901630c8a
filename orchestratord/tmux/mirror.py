"""The live copy of what exists in tmux: sessions, windows, panes.

tmux is the truth. Notifications only say "look again"; the mirror re-lists, one
atomic line, and hands the new snapshot to whoever compares it with what was
believed. A listing that fails changes nothing: what it would have shown is
unknown. The only writer is the task in here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestratord.clock import Clock
from orchestratord.errors import TmuxRefused
from orchestratord.log import Log
from orchestratord.tmux.client import HUB, TmuxGone
from orchestratord.tmux.command import command
from orchestratord.tmux.link import DEADLINE, Link
from orchestratord.tmux.reply import PaneRow, SessionRow, UnreadableReply, WindowRow

log = Log("tmux.mirror")

SAFETY_INTERVAL = 10.0
"""Seconds between listings that nothing asked for; everything known is pushed."""

CALM = 0.03
"""Seconds between a hint and the listing: a change comes with several hints, and whoever
caused it through us should have the answer before tmux is kept busy. ``refresh`` does not wait."""

SHORTEST_PAUSE = 0.01
DUTY = 10
"""A listing is followed by a pause of that many times its own duration, so that a
storm of notifications costs at most a tenth of tmux's time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """tmux at one moment. ``ordinal`` orders listings by when they were sent.

    A window that is linked into several sessions is shown in the oldest of them;
    ``linked`` has the others.
    """

    ordinal: int
    server: str
    at: float
    panes: dict[str, PaneRow] = field(default_factory=dict)
    windows: dict[str, WindowRow] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)
    linked: dict[str, set[str]] = field(default_factory=dict)

    def sessions_of(self, window: WindowRow) -> set[str]:
        """Return the sessions in which a window is."""
        return {window.session} | self.linked.get(window.window, set())


class Mirror:
    """Keeps ``snapshot`` current and calls ``on_snapshot`` after each listing."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.snapshot = Snapshot(0, "", 0.0)
        self.listings = 0
        self.on_snapshot: Callable[[Snapshot], None] = lambda _: None
        self._link = link
        self._clock = clock
        self._sent = 0
        self._poked = asyncio.Event()
        self._urgent = asyncio.Event()
        self._newer: asyncio.Future[Snapshot] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def sent(self) -> int:
        """The ordinal of the last listing sent; what tmux confirmed by now is in all later ones."""
        return self._sent

    def poke(self) -> None:
        """Say that something may have changed."""
        self._poked.set()

    async def refresh(self) -> Snapshot:
        """Return a snapshot of a moment after this call began.

        Raises:
            TmuxGone: there was none in five seconds.
        """
        wanted = self._sent + 1
        try:
            async with asyncio.timeout(DEADLINE):
                while self.snapshot.ordinal < wanted:
                    if self._newer is None:
                        self._newer = asyncio.get_running_loop().create_future()
                    self._poked.set()
                    self._urgent.set()
                    await asyncio.shield(self._newer)
        except TimeoutError:
            raise TmuxGone(reason=f"no listing in {DEADLINE:g} s") from None
        return self.snapshot

    async def start(self) -> None:
        """Begin to follow tmux."""
        self._task = asyncio.create_task(self._follow(), name="tmux mirror")

    async def stop(self) -> None:
        """Stop following; the last snapshot stays readable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        checked = self._clock.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAFETY_INTERVAL):
                    await self._poked.wait()
            await self._link.connected()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALM):
                    await self._urgent.wait()
            self._poked.clear()
            self._urgent.clear()
            began = self._clock.monotonic()
            try:
                if began - checked >= SAFETY_INTERVAL:
                    await self._link.restore()
                    checked = began
                snapshot = await self._list()
            except (TmuxGone, TmuxRefused, UnreadableReply) as problem:
                log.warning("listing failed, nothing is concluded", reason=str(problem))
                await asyncio.sleep(SHORTEST_PAUSE * DUTY)
                self._poked.set()
                continue
            self.snapshot = snapshot
            self.listings += 1
            self.on_snapshot(snapshot)
            if self._newer is not None:
                self._newer.set_result(snapshot)
                self._newer = None
            cost = self._clock.monotonic() - began
            await asyncio.sleep(max(SHORTEST_PAUSE, min(1.0, cost * DUTY)))

    async def _list(self) -> Snapshot:
        self._sent += 1
        ordinal = self._sent
        server = await self._link.connected()
        sessions, windows, panes = await self._link.request(
            command("list-sessions", "-F", SessionRow.FORMAT),
            command("list-windows", "-a", "-F", WindowRow.FORMAT),
            command("list-panes", "-a", "-F", PaneRow.FORMAT),
            what="a listing",
        )
        session_rows = list(map(SessionRow.parse, sessions))
        hub = next((s.session for s in session_rows if s.name == HUB), None)
        if hub is None:
            await self._link.restore()
            raise UnreadableReply("our own session is not listed under its name")

        def by_session(row: WindowRow | PaneRow) -> tuple[bool, int]:
            """Order so that what is linked counts where it is last: never in the hub."""
            return row.session != hub, -int(row.session[1:])

        window_rows = sorted(map(WindowRow.parse, windows), key=by_session)
        pane_rows = sorted(map(PaneRow.parse, panes), key=by_session)
        linked: dict[str, set[str]] = {}
        for row in window_rows:
            if row.session != hub:
                linked.setdefault(row.window, set()).add(row.session)
        return Snapshot(
            ordinal=ordinal,
            server=server.uuid,
            at=self._clock.monotonic(),
            panes={p.pane: p for p in pane_rows if p.session != hub or p.orch_id},
            windows={w.window: w for w in window_rows if w.session != hub},
            sessions={s.session: s for s in session_rows if s.session != hub},
            linked={window: at for window, at in linked.items() if len(at) > 1},
        )
