"""The life of the daemon, from settings to the last event.

Start: settings, store, tmux engine, features, socket. Stop, in five seconds at
most: accept nobody, tell the peers, drain, stop the features, write the last
event, close the store. tmux keeps running. What there is to start and to stop,
``assembly`` puts together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from orchestratord import __version__, log
from orchestratord.assembly import Feature, Parts, assemble, make_server
from orchestratord.catalogue import feature_packages
from orchestratord.clock import SystemClock
from orchestratord.config import Configuration, Settings, table
from orchestratord.errors import FailedPrecondition, Fault, Internal
from orchestratord.events import Bus, Fact
from orchestratord.features.system.fact import DaemonReloaded, DaemonStarted, DaemonStopped
from orchestratord.features.system.model import Reloaded
from orchestratord.rpc.notify import Supervisor
from orchestratord.rpc.server import Server
from orchestratord.rpc.socket import Listener, listen
from orchestratord.store import migrate
from orchestratord.store.db import Retention, Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import command
from orchestratord.tmux.link import State

STOP_SECONDS = 5
"""What stopping may take in all; the steps below have less together."""
DRAIN_SECONDS = 1.5
KILL_SECONDS = 1.0
END_TMUX_SECONDS = 0.6
FEATURE_SECONDS = 0.6
FACT_SECONDS = 0.3
"""What the first and the last event wait for a disk that hangs or is full."""
PROBE_SECONDS = 1.0
_log = log.Log("app")


class CannotStart(FailedPrecondition):
    """The system refused what the daemon needs to start."""

    template = "cannot start: {reason}"


class Defect(Internal):
    """The daemon ended by a defect of ours."""

    template = "a defect ended the daemon; the log line before has it"


class Stop(NamedTuple):
    """Why to stop, and whether tmux ends too."""

    reason: str
    tmux: bool = False


async def run(
    configuration: Configuration,
    *,
    sockets: Sequence[socket.socket] = (),
    supervisor: Supervisor | None = None,
    reread: Callable[[], Configuration] | None = None,
    stopping: Callable[[], object] = lambda: None,
) -> str:
    """Live until SIGTERM, SIGINT or ``daemon.stop``; return the reason.

    ``sockets`` listen already (socket activation); else one is made. ``reread``
    gives the configuration anew. ``stopping`` is called once, when stopping
    begins. Raises a fault if the daemon cannot start, and then holds nothing.
    """
    daemon = Daemon(configuration, supervisor or Supervisor({}), reread or (lambda: configuration))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unhandled)
    loop.add_signal_handler(signal.SIGTERM, daemon.ask_to_stop, "SIGTERM")
    loop.add_signal_handler(signal.SIGINT, daemon.ask_to_stop, "SIGINT")
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    asked = Stop("it could not start")
    try:
        try:
            await daemon.start(sockets)
        except OSError as error:
            raise CannotStart(reason=str(error)) from error
        except Fault:
            raise
        except Exception as error:
            _log.error("a defect")
            raise Defect() from error
        asked = await daemon.asked_to_stop
        return asked.reason
    finally:
        stopping()
        await daemon.stop(asked)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


class Daemon:
    """The parts of a running daemon. Made, started and stopped by `run` alone."""

    def __init__(
        self,
        configuration: Configuration,
        supervisor: Supervisor,
        reread: Callable[[], Configuration],
    ) -> None:
        self.asked_to_stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._configuration = configuration
        self._supervisor = supervisor
        self._reread = reread
        self._clock = SystemClock()
        self._bus = Bus(lambda _: _log.error("a listener of events failed"))
        self._listener: Listener | None = None
        self._store: Store | None = None
        self._parts: Parts | None = None
        self._started: list[Feature] = []
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to serve. tmux may come later: what needs it waits, the rest is answered."""
        settings = self._configuration.settings
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not sockets:  # before there are threads, because it changes the umask for a moment
            self._listener = listen(settings.socket)
            sockets = [self._listener.socket]
        self._store = store = await Store.open(
            settings.state_dir,
            migrate.collect(["orchestratord.store", *feature_packages()]),
            clock=self._clock,
            bus=self._bus,
            retention=_retention(settings),
            max_bytes=settings.store_bytes or None,
        )
        await self._tell(
            DaemonStarted(version=__version__, pid=os.getpid(), recovered=store.unclean)
        )
        self._parts = parts = assemble(self._configuration, store, self._bus, self._clock)
        parts.system.shut_down = self.ask_to_stop
        parts.system.reload = self.reload
        for feature in parts.features:
            self._started.append(feature)
            await feature.start()
        self._server = server = make_server(parts, settings, self._clock)
        for listening in sockets:
            await server.serve(listening)
        self._supervisor.ready(f"serving at {settings.socket}")
        self._spawn(self._supervisor.watch(self._clock, self._alive))
        _log.info("serving", version=__version__, socket=str(settings.socket))

    async def stop(self, asked: Stop) -> None:
        """End in order; what does not end in its time is left behind, and said so."""
        _log.info("stopping", reason=asked.reason)
        self._supervisor.stopping()
        if self._server is not None:
            await _bounded("callers", DRAIN_SECONDS + 0.2, self._server.drain(DRAIN_SECONDS))
        for task in self._tasks:
            task.cancel()
        if asked.tmux:
            await self._end_tmux(asked.reason)
        for feature in reversed(self._started):
            await _bounded(type(feature).__name__.lower(), FEATURE_SECONDS, feature.stop())
        if self._store is not None:
            await self._tell(DaemonStopped(reason=asked.reason))
            await self._store.close()
        if self._listener is not None:
            self._listener.close()

    def ask_to_stop(self, reason: str, tmux: bool = False) -> None:
        """Stop soon, after what runs now; the first reason counts."""
        if not self.asked_to_stop.done():
            self.asked_to_stop.set_result(Stop(reason, tmux))

    def reload_soon(self) -> None:
        """Reload, as SIGHUP asks; an unusable configuration is logged and changes nothing."""

        async def reload() -> None:
            try:
                await self.reload()
            except Fault as problem:
                _log.warning("not reloaded", reason=str(problem))

        self._spawn(reload())

    async def reload(self) -> Reloaded:
        """Take over what of a new configuration can change while the daemon runs."""
        assert self._parts is not None and self._store is not None
        system = self._parts.system
        old, newer = system.configuration, self._reread()
        self._supervisor.reloading()
        now = system.configuration = old.reloaded(newer)
        log.configure(now.settings.log_level)
        self._store.retention = _retention(now.settings)
        differing = old.changed(newer)
        changed = [key for key in differing if table()[key].reloads]
        await self._tell(DaemonReloaded(changed=changed))
        self._supervisor.ready(f"serving at {now.settings.socket}")
        return Reloaded(changed=changed, restart=[key for key in differing if key not in changed])

    async def _end_tmux(self, reason: str) -> None:
        """End every pane, so that its end is on record, and then the server, by force if need be.

        tmux to 3.6 may stay, exiting for ever, for a control client whose owner was killed.
        """
        assert self._parts is not None
        link, panes = self._parts.link, self._parts.panes
        server = link.server
        killing = panes.kill_all(panes.registry.live_panes(), KILL_SECONDS / 4, reason)
        await _bounded("panes", KILL_SECONDS, killing)
        await _bounded("tmux", END_TMUX_SECONDS, link.end_server())
        if server is not None and server.process.send(signal.SIGKILL):
            _log.warning("the tmux server did not end by itself", pid=server.process.pid)

    async def _alive(self) -> bool:
        """Say whether loop and store get on; whatever tmux and the disk answer is an answer."""
        assert self._store is not None
        probe = self._spawn(self._probe_tmux())
        with contextlib.suppress(Fault):
            await self._store.commit(sync=False)
        await asyncio.wait({probe}, timeout=PROBE_SECONDS)
        return True

    async def _probe_tmux(self) -> None:
        """Make a round trip through tmux: a client that does not answer is replaced by the link."""
        assert self._parts is not None
        if self._parts.link.state is State.CONNECTED:
            with contextlib.suppress(TmuxGone):
                alive = command("display-message", "-p", "alive")
                await self._parts.link.request(alive, what="self-check")

    async def _tell(self, fact: Fact) -> None:
        """Write an event; a full or hanging disk delays nothing but the event."""
        assert self._store is not None
        await asyncio.wait({self._spawn(self._store.record([], [fact]))}, timeout=FACT_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(fault := task.exception(), Fault):
            _log.warning("not done", reason=str(fault))


def _retention(settings: Settings) -> Retention:
    return Retention(
        days=settings.retention_days,
        events=settings.retention_events,
        bytes=settings.retention_bytes,
        backup_every=settings.backup_every,
        backups=settings.backups,
    )


async def _bounded(what: str, seconds: float, work: Awaitable[object]) -> None:
    """Wait for a step of stopping; neither its failure nor its slowness keeps the next one."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        _log.warning("not stopped in time", part=what, seconds=seconds)
    except Exception:
        _log.error("a part failed to stop", part=what)


def _log_unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if error else None
    _log.error("nobody handled an exception", message=context["message"], traceback=trace)
