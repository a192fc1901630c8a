"""The daemon's view of itself: is it well, what is it set to, what has happened.

Owns no state but when it started. What it must ask of higher features, or have
done by the process, are hooks that ``app`` fills.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from orchestratord import __version__
from orchestratord.clock import Clock
from orchestratord.config import Configuration, table
from orchestratord.errors import Fault
from orchestratord.events import FACTS, Event
from orchestratord.features.system.fault import BackupExists, NoSuchDirectory, UnknownEventKind
from orchestratord.features.system.model import (
    BackedUp,
    Effective,
    Memory,
    Ping,
    Reloaded,
    SettingValue,
    Status,
    TmuxStatus,
)
from orchestratord.features.system.receipts import DurableReceipts
from orchestratord.log import Log
from orchestratord.rpc.policy import Statistics
from orchestratord.store.db import Store
from orchestratord.tmux.link import Link

EXPIRY = 3600.0
"""Seconds between two looks for receipts that are too old."""
_PID = os.getpid()
_OWN_ID = re.compile(r"[ps][1-9][0-9]*\Z", re.ASCII)

log = Log("system")


class System:
    """What is known of the daemon, and what can be asked of its process.

    ``shut_down`` and ``reload`` act on the process. ``reconcile``, ``counts``,
    ``degraded``, ``session_id``, ``pane_id`` and ``sees`` ask the features above,
    ``rpc`` the server.
    """

    def __init__(
        self, configuration: Configuration, store: Store, link: Link, clock: Clock
    ) -> None:
        self.configuration = configuration
        self.store = store
        self.link = link
        self.clock = clock
        self.receipts = DurableReceipts(store, clock)
        self.shut_down: Callable[[str, bool], None] = lambda *_: None
        self.reload: Callable[[], Awaitable[Reloaded]] = _no_reload
        self.reconcile: Callable[[], Awaitable[list[dict[str, Any]]]] = _no_differences
        self.counts: Callable[[], dict[str, int]] = dict
        self.degraded: Callable[[], list[str]] = list
        self.session_id: Callable[[str], str] = str
        self.pane_id: Callable[[str], str] = str
        self.sees: Callable[[Event], bool] = lambda _: True
        self.rpc: Callable[[], Statistics] = Statistics
        self._started = clock.monotonic()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to forget old receipts, from time to time."""
        self._sweeper = asyncio.create_task(self._sweep(), name="receipts")

    async def stop(self) -> None:
        """End what `start` began."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return round(self.clock.monotonic() - self._started, 3)

    def ping(self) -> Ping:
        return Ping(version=__version__, pid=_PID, uptime=self.uptime)

    def status(self) -> Status:
        """Return everything that is known now, without waiting for anything."""
        stored = self.store.statistics()
        reasons = self.degraded()
        if stored.mode != "ok":
            reasons = [*reasons, f"the store cannot be written ({stored.mode}): {stored.reason}"]
        tmux = self._tmux()
        return Status(
            health="degraded" if reasons else "ok",
            degraded=reasons,
            version=__version__,
            pid=_PID,
            uptime=self.uptime,
            socket=str(self.configuration.settings.socket),
            tmux=tmux,
            counts=self.counts(),
            memory=Memory(daemon=_resident(_PID) or 0, tmux=_resident(tmux.pid)),
            link=self.link.statistics(),
            store=stored,
            rpc=self.rpc(),
        )

    def effective(self) -> Effective:
        """Return each setting with its value and where that came from."""
        known = self.configuration
        return Effective(
            settings=[
                SettingValue(
                    key=key,
                    value=_plain(known.value(key)),
                    origin=known.origins[key],
                    default=_plain(known.defaults[key]),
                    reloads=setting.reloads,
                    description=setting.description,
                )
                for key, setting in table().items()
            ]
        )

    async def back_up(self, path: Path) -> BackedUp:
        """Copy the store to a path that is free."""
        if path.exists() or path.is_symlink():
            raise BackupExists(path=str(path))
        if not path.parent.is_dir():
            raise NoSuchDirectory(directory=str(path.parent))
        await self.store.backup(path)
        return BackedUp(path=str(path), bytes=path.stat().st_size)

    def selection(
        self, kinds: Collection[str] | None, session: str | None, pane: str | None
    ) -> dict[str, Any]:
        """Return the arguments by which the journal selects events; names become ids."""
        for kind in kinds or ():
            if kind not in FACTS:
                raise UnknownEventKind(event=kind)
        return {
            "kinds": kinds,
            "session": _id_of(session, self.session_id),
            "pane": _id_of(pane, self.pane_id),
        }

    def _tmux(self) -> TmuxStatus:
        server = self.link.server
        return TmuxStatus(
            socket=str(self.link.socket),
            state=self.link.state.value,
            version=server.version if server else None,
            pid=server.process.pid if server else None,
            server=server.uuid if server else None,
        )

    async def _sweep(self) -> None:
        while True:
            try:
                await self.receipts.expire()
            except Fault as problem:
                log.warning("old receipts stay", reason=str(problem))
            await self.clock.sleep(EXPIRY)


def _resident(pid: int | None) -> int | None:
    import psutil  # 15 ms that a start need not wait for

    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _id_of(ref: str | None, resolve: Callable[[str], str]) -> str | None:
    # an id is taken as it is: what it names may be long gone, its events are not
    return ref if ref is None or _OWN_ID.match(ref) else resolve(ref)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


async def _no_reload() -> Reloaded:
    return Reloaded(changed=[], restart=[])


async def _no_differences() -> list[dict[str, Any]]:
    return []
