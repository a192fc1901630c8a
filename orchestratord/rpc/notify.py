"""Telling the service manager how we are: sd_notify(3) and its watchdog.

Without ``NOTIFY_SOCKET`` in the environment everything here does nothing. The
variables are taken out, so that no child speaks for us.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping

from orchestratord import log
from orchestratord.clock import Clock

_log = log.Log("notify")


class Supervisor:
    """The service manager, if there is one."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        pid = environ.pop("WATCHDOG_PID", str(os.getpid()))
        usec = environ.pop("WATCHDOG_USEC", "")
        watched = self._address and pid == str(os.getpid()) and usec.isdecimal() and int(usec) > 0
        self.period = int(usec) / 1e6 if watched else None
        """Seconds within which the watchdog wants to hear from us, or None."""

    def ready(self, status: str = "") -> None:
        """We serve; also said at the end of a reload."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._tell(f"STATUS={text}")

    def reloading(self) -> None:
        """The configuration is read anew; ``ready`` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We stop, as asked."""
        self._tell("STOPPING=1")

    async def watch(self, clock: Clock, check: Callable[[], Awaitable[bool]]) -> None:
        """Feed the watchdog at half its period while ``check`` returns True in time.

        Runs in the event loop until cancelled, so that a blocked loop is not fed.
        Returns at once if there is no watchdog.
        """
        if self.period is None:
            return
        while True:
            try:
                async with asyncio.timeout(self.period / 2):
                    healthy = await check()
            except TimeoutError:
                healthy = False
            if healthy:
                self._tell("WATCHDOG=1")
            else:
                _log.error("the self-check failed; the watchdog is not fed")
            await clock.sleep(self.period / 2)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):  # Linux's abstract namespace
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto("\n".join(lines).replace("\0", " ").encode(), address)
        except OSError as error:
            _log.warning("the service manager does not listen", why=str(error))
