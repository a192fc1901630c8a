"""The link: keeps two control clients on the private server and carries requests.

One client takes commands; the other is always blocked in ``wait-for``, which
hooks on the server signal, because control mode tells nothing about windows of
other sessions. Below: ``client``, ``server``. Above: the mirror, the spool and
the features. It owns the tmux client processes and is their only writer. A
client that ends or falls silent is replaced, within half a second; meanwhile
requests wait for the new one as long as their deadline allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import re
import shutil
import signal
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from orchestratord.errors import Fault, TmuxRefused, Unavailable
from orchestratord.log import Log
from orchestratord.tmux import door, server, setting
from orchestratord.tmux.client import Client, TmuxGone, argv_for
from orchestratord.tmux.command import command, quote, sequence
from orchestratord.tmux.process import Process, identify
from orchestratord.tmux.reply import ServerRow, UnreadableReply, tier_of
from orchestratord.tmux.wire import Notification

log = Log("tmux.link")

DEADLINE = 5.0
"""Seconds for one request; a healthy server answers in 0.05 ms, and in 10 ms under a flood."""

_SHORTEST = 0.9
"""Seconds that a request has at least, once it is sent; so it may end that much too late."""

_RETRY = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds before each new attempt to connect; the last repeats."""


class NoTmux(Unavailable):
    """tmux is not installed, or is not the program that was configured."""

    template = "tmux cannot be started: {reason}"
    hint = "install tmux 3.2 or newer"


class TmuxTooOld(Unavailable):
    """The tmux server is older than what control mode needs."""

    template = "tmux {version} is too old: 3.2 is the oldest that works"


class Server(msgspec.Struct, frozen=True):
    """The server that the link is connected to. ``uuid`` is our stamp in it."""

    process: Process
    uuid: str
    version: str
    tier: tuple[int, int]


class State(enum.Enum):
    """What the link knows of tmux."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    STOPPED = "stopped"


class Link:
    """Carries requests to the private tmux server.

    ``on_change`` is called when something in tmux may have changed,
    ``on_connect`` with the server after each (re)connection and before any
    request waits for it no longer. Survives nothing: it has no state but the
    processes and, if it is ``exclusive``, a lock on the socket. Unless it
    ``starts_server``, it waits where no server runs: one that it started under a
    supervisor would die with the daemon, and every pane with it.
    """

    def __init__(
        self,
        program: str,
        socket: Path,
        environment: Mapping[str, str],
        *,
        starts_server: bool = True,
        exclusive: bool = True,
    ) -> None:
        self.socket = socket
        self.state = State.CONNECTING
        self.server: Server | None = None
        self.trouble: str | None = None
        self.reconnects = 0
        self.requests = 0
        self.on_change: Callable[[], None] = lambda: None
        self.on_connect: Callable[[Server], None] = lambda _: None
        self._program = program
        self._starts_server = starts_server
        self._exclusive = exclusive
        self._environment = environment
        self._settings: list[bytes] = []
        self._record = server.ServerRecord(socket)
        self._lock: int | None = None
        self._client: Client | None = None
        self._waiter: Client | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin connecting; returns at once.

        Raises:
            ForeignServer: The socket is not ours to use.
            SocketOwned: Another daemon uses it.
        """
        server.refuse_default(self.socket)
        server.prepare_directory(self.socket)
        self._lock = server.own(self.socket) if self._exclusive else None
        self._task = asyncio.create_task(self._supervise(), name="tmux link")

    async def stop(self) -> None:
        """Detach from tmux, which keeps running with every pane."""
        self.state = State.STOPPED
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for client in (self._waiter, self._client):
            if client is not None:
                await client.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def request(
        self,
        *commands: bytes,
        what: str,
        server: str | None = None,
        opaque: bool = False,
        deadline: float = DEADLINE,
    ) -> list[list[bytes]]:
        """Run commands as one line, which is atomic; return the body of each.

        ``what`` names the request in errors, without any payload. ``server`` is
        the uuid of the server that ids in the commands belong to: another one,
        which has other things under the same ids, never gets them. ``opaque``
        is for a single command whose output a pane controls.

        Raises:
            TmuxRefused: tmux answered with an error; later commands did not run.
            TmuxGone: there was no answer; what happened is not known.
        """
        line = sequence(commands)
        if not self._up():
            ends = asyncio.get_running_loop().time() + deadline
            try:
                await asyncio.wait_for(self._connected.wait(), deadline)
            except TimeoutError:
                raise TmuxGone(reason=self.trouble or "not connected") from None
            # A client that has just connected is not to be killed for what it has no time for.
            deadline = max(ends - asyncio.get_running_loop().time(), _SHORTEST)
        assert self._client is not None and self.server is not None
        if server not in (None, self.server.uuid):
            raise TmuxGone(reason="its server has ended")
        self.requests += 1
        return await self._client.request(line, what=what, opaque=opaque, deadline=deadline)

    async def connected(self) -> Server:
        """Wait until the link is up; return the server."""
        if not self._up():
            await self._connected.wait()
        assert self.server is not None
        return self.server

    def _up(self) -> bool:
        if self._client is not None and self._client.ended.done():
            self._connected.clear()  # it has just ended, and the supervisor has yet to notice
        return self._connected.is_set()

    def nudge(self) -> None:
        """Make tmux collect dead children again: its SIGCHLD may have been lost (3.2 to 3.5)."""
        if self.server is not None:
            self.server.process.send(signal.SIGCHLD)

    def statistics(self) -> dict[str, int | str | None]:
        """Figures for ``daemon.status``."""
        client = self._client
        return {
            "state": self.state.value,
            "trouble": self.trouble,
            "requests": self.requests,
            "in_flight": client.in_flight if client else 0,
            "reconnects": self.reconnects,
            "unknown_lines": client.unknown_lines if client else 0,
        }

    async def restore(self) -> list[str]:
        """Set again what somebody changed of our options and hooks; return their names.

        Raises:
            TmuxGone: there was no answer.
        """
        (shown,) = await self.request(setting.SHOW, what="a look at options", opaque=True)
        changed = setting.differing(self._settings, shown)
        if changed:
            log.warning("options of ours were changed, and are restored", names=changed)
            again = [setting.rename(shown), *setting.apply()]
            await self.request(*again, what="options")
        return changed

    async def end_server(self) -> None:
        """End the tmux server and every pane in it. Nothing else calls ``kill-server``."""
        known = self.server
        if self._task is not None:
            self._task.cancel()  # else it would start the next one
        with contextlib.suppress(TmuxGone, TmuxRefused):  # the server ends without answering
            await self.request(command("kill-server"), what="kill-server")
        await self.stop()
        for patience in range(200):
            if known is None or not known.process.alive():
                return
            if patience == 50:  # it has let go of its panes and waits for a client that is gone
                known.process.send(signal.SIGKILL)
            await asyncio.sleep(0.01)
        raise TmuxGone(reason="the server did not end")

    async def _supervise(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(_RETRY[min(attempt, len(_RETRY) - 1)])
            attempt += 1
            try:
                await self._connect()
            except (Fault, UnreadableReply, OSError) as problem:
                if str(problem) != self.trouble:
                    log.warning("cannot connect", reason=str(problem))
                self.trouble = str(problem)
                continue
            attempt = 0
            await self._watch()
            self._connected.clear()
            self.state = State.CONNECTING
            self.reconnects += 1
            self.on_change()

    async def _connect(self) -> None:
        program = shutil.which(self._program)
        if program is None:
            raise NoTmux(reason=f"{self._program} is not on the PATH")
        existed = await self._record.settle()
        argv = argv_for(program, self.socket, starts_server=self._starts_server)
        version = ""
        if existed:
            version = await server.refuse_foreign(program, self.socket, self._environment)
        way = self._door(version) if version else None
        client = Client.start(argv, self._environment, self._hear, way)
        self._client = client
        self._waiter = waiter = None
        try:
            found = await self._introduce(client)
            # tmux up to 3.6 crashes when it notifies a control client that is still connecting
            # (see ``door``), so both must be there before we change anything.
            way = self._door(found.version)
            self._waiter = waiter = Client.start(argv, self._environment, lambda _: None, way)
            hello = command("display-message", "-p", "hello")
            await waiter.request(hello, what="introduction", deadline=DEADLINE)
        except BaseException:
            for begun in (client, waiter):
                if begun is not None:
                    begun.kill("the connection was given up")
                    await begun.collected()
            raise
        self._record.write(found.process)
        self.server, self.trouble, self.state = found, None, State.CONNECTED
        log.info("connected", version=found.version, pid=found.process.pid, server=found.uuid)
        self.on_connect(found)
        self._connected.set()

    def _door(self, version: str) -> door.Way | None:
        """Return the way into a server of that version, if its own client is not safe."""
        tier = tier_of(version)
        released = re.fullmatch(r"3\.[0-9][a-z]?", version) is not None
        safe = not door.OLDEST <= tier <= door.NEWEST
        return None if safe or not released else door.Way(self.socket, tier)

    async def _introduce(self, client: Client) -> Server:
        """Learn which server this is, stamp a new one, set the options that we rely on."""
        ask = command("display-message", "-p", ServerRow.FORMAT)
        bodies = await client.request(ask, what="introduction", deadline=DEADLINE)
        row = ServerRow.parse(b"\n".join(*bodies))
        if row.tier < (3, 2):
            raise TmuxTooOld(version=row.version)
        stamp = row.uuid or str(uuid.uuid4())
        lines = [command("set-option", "-s", "--", "@orch_server", quote(stamp))]
        lines += [*setting.apply(), setting.SHOW]
        bodies = await client.request(sequence(lines), what="options", deadline=DEADLINE)
        self._settings = bodies[-1]
        process = identify(row.pid)
        if process is None:
            raise TmuxGone(reason=f"its server (pid {row.pid}) is gone")
        return Server(process, stamp, row.version, row.tier)

    async def _watch(self) -> None:
        """Return when either client has ended; both are gone then."""
        assert self._client is not None and self._waiter is not None
        waker = asyncio.create_task(self._wait_for_wakes(self._waiter), name="tmux wakes")
        try:
            await asyncio.wait(
                [self._client.ended, self._waiter.ended], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waker.cancel()
        for client in (self._client, self._waiter):
            if not client.ended.done():
                client.kill("its partner ended")
            self.trouble = await client.ended if client is self._client else self.trouble
            await client.collected()
        log.warning("disconnected", reason=self.trouble)

    async def _wait_for_wakes(self, waiter: Client) -> None:
        wait = command("wait-for", setting.WAKE)
        while True:
            try:
                await waiter.request(wait, what="wait-for", deadline=None)
            except (TmuxGone, TmuxRefused):
                return
            self.on_change()

    def _hear(self, notification: Notification) -> None:
        if notification.name != "exit":
            self.on_change()
