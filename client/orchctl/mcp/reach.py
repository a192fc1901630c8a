"""The daemon as the tools reach it: connected when first needed, again after each loss.

A call that is lost with its connection is made again: it changes nothing, or carries an
idempotency key, so that it acts once.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from orchctl.aio import Client
from orchctl.commands import COMMANDS
from orchctl.wire import PATIENCE, Lost, RpcError

FLAGS: dict[str, str] = {str(entry[0]): str(entry[6]) for entry in COMMANDS.values()}
"""What each method that we know of does: "mutates", "streams", "admin"."""

AGAIN = 0.05
"""Seconds between a lost call and the same call made again."""

Dial = Callable[[bool], Awaitable[socket.socket]]
"""Makes a connection; True says that a daemon was there before. Raises ``RpcError``."""


class Reach:
    """One connection to one daemon, for any number of calls at a time.

    State: the connection, and calls that go on though nobody waits for them.
    """

    def __init__(self, dial: Dial) -> None:
        self._client = Client("", self._connected)
        self._dial = dial
        self._met = False
        self._unattended: set[asyncio.Task[Any]] = set()

    async def call(self, method: str, /, **params: Any) -> Any:
        """Call a method and return its result; parameters that are None are left out.

        Raises ``RpcError``: the daemon's, or Unavailable if none can be reached for
        ``PATIENCE`` seconds. Cancelling the caller cancels the call in the daemon.
        """
        params = {name: value for name, value in params.items() if value is not None}
        if "mutates" in FLAGS.get(method, ""):
            params.setdefault("idempotency_key", secrets.token_hex(16))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                return await self._client.call(method, **params)
            except Lost:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(AGAIN)

    async def client(self) -> Client:
        """Return the connected client, for streams."""
        await self._client.open()
        return self._client

    def unattended(self, work: Coroutine[Any, Any, Any]) -> None:
        """Go on with it though the caller is cancelled; its errors are of no interest."""

        async def quiet() -> None:
            with contextlib.suppress(RpcError):
                await work

        task = asyncio.get_running_loop().create_task(quiet())
        self._unattended.add(task)
        task.add_done_callback(self._unattended.discard)

    async def close(self) -> None:
        """Let unattended calls end, then close the connection."""
        if self._unattended:
            await asyncio.wait(self._unattended, timeout=PATIENCE)
        await self._client.close()

    async def _connected(self) -> socket.socket:
        made = await self._dial(self._met)
        self._met = True
        return made
