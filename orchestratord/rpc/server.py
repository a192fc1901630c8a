"""Listening, accepting, sweeping, draining: the life of the daemon's socket.

Accepts connections of the allowed users, as the kernel names them, and makes a
``Connection`` of each. While file descriptors are short it stops accepting;
who is connected is served, who waits in the backlog is taken later.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Mapping
from typing import Any

from orchestratord import log
from orchestratord.clock import Clock, SystemClock
from orchestratord.errors import PermissionDenied
from orchestratord.rpc.audit import Auditor
from orchestratord.rpc.builtin import Endpoint, complete
from orchestratord.rpc.method import Peer, Table
from orchestratord.rpc.openrpc import openrpc
from orchestratord.rpc.peer import Connection
from orchestratord.rpc.policy import Limits, Policy, Statistics
from orchestratord.rpc.principal import Identities
from orchestratord.rpc.receipts import MemoryReceipts, Receipts
from orchestratord.rpc.socket import credentials
from orchestratord.rpc.wire import encode_error

SWEEP = 0.25
"""Seconds between two looks at what takes too long; a deadline is late by no more."""
ACCEPTS = 64
"""Connections taken in one turn of the loop."""
CLOSING = 1.0
"""Seconds that peers get at the end to read what was sent to them."""
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = log.Log("rpc")


class Server(Endpoint):
    """Serves a table of methods on one or more listening sockets.

    ``serve`` and ``drain`` are called by the app. ``services`` maps the type of
    each method's first parameter to the object it gets.
    """

    def __init__(
        self,
        table: Table,
        services: Mapping[type, object],
        *,
        limits: Limits | None = None,
        receipts: Receipts | None = None,
        clock: Clock | None = None,
        identities: Identities | None = None,
        auditor: Auditor | None = None,
        title: str = "orchestratord",
        version: str = "0",
    ) -> None:
        self._clock = clock or SystemClock()
        self._table = complete(table)
        self._limits = limits or Limits()
        self._policy = Policy(
            self._table,
            {**services, Endpoint: self},
            self._limits,
            receipts or MemoryReceipts(self._clock),
            self._clock,
            identities,
            auditor,
        )
        self._title, self._version = title, version
        self._document: dict[str, Any] | None = None
        self._listening: list[socket.socket] = []
        self._accepting = False
        self._arriving: set[asyncio.Task[None]] = set()
        self._connections: dict[int, Connection] = {}
        self._number = 0
        self._open = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._most = self._limits.connections or _most_connections()

    @property
    def statistics(self) -> Statistics:
        """What has been served so far; live, for reading only."""
        self._policy.statistics.connections = len(self._connections)
        return self._policy.statistics

    def discover(self) -> dict[str, Any]:
        if self._document is None:
            self._document = openrpc(self._table, title=self._title, version=self._version)
        return self._document

    def end_subscription(self, connection: int, subscription: str) -> bool:
        found = self._connections[connection].calls.subscriptions.get(subscription)
        if found is not None:
            found.end("cancelled")
        return found is not None

    async def serve(self, listening: socket.socket) -> None:
        """Begin to accept on a socket that already listens. Returns at once."""
        listening.setblocking(False)
        self._listening.append(listening)
        self._stop_accepting()
        self._start_accepting()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def drain(self, timeout: float = 5.0) -> None:
        """Stop, in order; return with every connection closed, within about that time.

        Stops accepting (the sockets stay open, they are the caller's), tells
        subscribers, refuses new calls with ``Stopping``, lets calls end, answers
        those that have not with ``Stopping``, and closes.
        """
        ends = asyncio.get_running_loop().time() + timeout
        self._stop_accepting()
        self._listening.clear()
        self._policy.stopping = True
        if self._arriving:
            await asyncio.wait(self._arriving)
        for connection in tuple(self._connections.values()):
            connection.calls.end_subscriptions("shutdown")
        await self._calls_end(ends - min(CLOSING, timeout / 2))
        closing = [connection.lost for connection in self._connections.values()]
        for connection in tuple(self._connections.values()):
            connection.shut_down()
        for task in self._policy.once.tasks:
            task.cancel()
        if closing:
            await asyncio.wait(closing, timeout=max(0, ends - asyncio.get_running_loop().time()))
        for connection in tuple(self._connections.values()):
            connection.abort("the daemon stops")
        if closing:
            await asyncio.wait(closing)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _calls_end(self, ends: float) -> None:
        running: list[asyncio.Task[Any]] = [*self._policy.once.tasks]
        for connection in self._connections.values():
            running += connection.calls.tasks
        if running:
            loop = asyncio.get_running_loop()
            await asyncio.wait(running, timeout=max(0.0, ends - loop.time()))

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP)
            try:
                self._look(self._clock.monotonic())
            except Exception:  # without the sweep no deadline would hold
                _log.error("a sweep failed")

    def _look(self, now: float) -> None:
        connections = tuple(self._connections.values())
        for connection in connections:
            connection.sweep(now)
        self._policy.once.sweep(now)
        if sum(connection.unsent for connection in connections) > self._limits.unsent_total:
            max(connections, key=lambda connection: connection.unsent).abort(
                "all connections together do not read their answers"
            )
        if self._listening and not self._accepting:
            self._start_accepting()

    def _start_accepting(self) -> None:
        if not self._full:
            self._accepting = True
            for listening in self._listening:
                asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _stop_accepting(self) -> None:
        self._accepting = False
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)

    def _pause_accepting(self, why: str) -> None:
        self._stop_accepting()
        self._policy.statistics.accept_pauses += 1
        _log.warning("accepting pauses", why=why, connections=len(self._connections))

    @property
    def _full(self) -> bool:
        return self._open >= self._most

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            if self._full:
                self._pause_accepting(f"{self._most} connections are open")
                return
            try:
                accepted, _address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                self._pause_accepting(str(error))
                return
            self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        pid, uid, gid = credentials(accepted)
        if uid not in self._limits.uids:
            self._policy.statistics.denied += 1
            _log.warning("refused a user", uid=uid, pid=pid)
            with accepted:
                reason = f"user {uid} may not use this daemon"
                accepted.send(encode_error(None, PermissionDenied(reason=reason, uid=uid)))
            return
        self._number += 1
        self._open += 1
        self._policy.statistics.accepted += 1
        peer = Peer(uid=uid, gid=gid, pid=pid, connection=self._number)
        task = asyncio.get_running_loop().create_task(self._connect(accepted, peer))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, accepted: socket.socket, peer: Peer) -> None:
        connection = Connection(peer, self._policy, self._connections)
        connection.lost.add_done_callback(self._closed)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except OSError as error:
            accepted.close()
            connection.lost.set_result(None)
            _log.warning("a connection failed at once", why=str(error))

    def _closed(self, _: asyncio.Future[None]) -> None:
        self._open -= 1


def _most_connections() -> int:
    """Leave a quarter of the file descriptors to the rest of the daemon."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(1, soft * 3 // 4)
