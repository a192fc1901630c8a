"""One control-mode client process: requests out, replies and notifications in.

Above: the link, which replaces a client that ended or fell silent; a client is
never repaired. It sends only what ``command`` built and knows nothing of panes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestratord.errors import TmuxRefused, Unavailable
from orchestratord.log import Log
from orchestratord.tmux.door import Door, Way
from orchestratord.tmux.pipe import Pipes
from orchestratord.tmux.process import Process, Watch
from orchestratord.tmux.wire import Desync, Notification, Wire

log = Log("tmux.client")

HUB = "_orch"
"""The session of our clients. New windows are born there, out of anybody's sight."""

HUB_WIDTH, HUB_HEIGHT = 200, 50

LEFTOVERS = 0.05
"""Seconds in which what an ended client had written is read."""


class TmuxGone(Unavailable):
    """The control client ended or fell silent; whether the command ran is not known."""

    template = "the connection to tmux ended: {reason}"


Bodies = list[list[bytes]]
_Waiting = tuple["asyncio.Future[Bodies]", asyncio.TimerHandle | None, str]


class Client:
    """A running client. ``ended`` is set with the reason once nothing more can come."""

    def __init__(self, notify: Callable[[Notification], None]) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._notify = notify
        self._wire = Wire()
        self._waiting: deque[_Waiting] = deque()
        self._process: subprocess.Popen[bytes] | Door | None = None
        self._pipes: Pipes | None = None
        self._silent = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the client)
        self._reason = "the client exited"
        self._gone = asyncio.Event()

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        environment: Mapping[str, str],
        notify: Callable[[Notification], None],
        door: Way | None = None,
    ) -> Client:
        """Start a client of the server that ``argv`` names, attached to the hub.

        The command creates the hub, and with it a server, where there is none. With
        ``door``, the way into a server that runs, no process is started.
        """
        client = cls(notify)
        command = [
            "new-session", "-A", "-E", "-s", HUB, "-x", str(HUB_WIDTH), "-y", str(HUB_HEIGHT),
            "-c", "/", "-f", "no-output,ignore-size", "exec cat",
        ]  # fmt: skip
        stdin, writing = os.pipe()
        reading, stdout = os.pipe()
        client._pipes = Pipes(reading, writing, client._received, client._output_ended)
        try:
            if door is not None:
                client._process = Door(door, command, stdin, stdout, client._exited)
            else:
                client._process = subprocess.Popen(
                    [*argv, "-C", *command], stdin=stdin, stdout=stdout, stderr=client._errors,
                    env=dict(environment), cwd="/", start_new_session=True,
                )  # fmt: skip
                Watch(Process(client._process.pid, 0), client._exited)
        except BaseException:
            client._conclude()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        return client

    @property
    def unknown_lines(self) -> int:
        """Lines outside a reply that were no notification we know."""
        return self._wire.unknown_lines

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered."""
        return len(self._waiting)

    async def request(
        self, line: bytes, *, what: str, opaque: bool = False, deadline: float | None
    ) -> Bodies:
        """Send one line; return the body of each command in it.

        Cancelling stops the waiting, not the command.

        Raises:
            TmuxRefused: a command of the line failed; later ones did not run.
            TmuxGone: the client ended, or did not answer within ``deadline``
                seconds (it is killed then); the outcome is not known.
        """
        if self._pipes is None or not self._pipes.writable or self.ended.done():
            raise TmuxGone(reason=self._reason)
        loop = asyncio.get_running_loop()
        nonce = secrets.token_hex(16).encode()
        future: asyncio.Future[Bodies] = loop.create_future()
        timer = None
        if deadline is not None:
            timer = loop.call_later(deadline, self.kill, f"no answer to {what} in {deadline:g} s")
        self._waiting.append((future, timer, what))
        end = self._wire.expect(nonce, opaque=opaque)
        self._pipes.write(line + b" ; display-message -p " + nonce + b"\n" + end)
        return await future

    def kill(self, reason: str) -> None:
        """End the process at once; requests in flight fail with ``TmuxGone``.

        Does not wait for the end of its output: tmux hands its descriptors to the
        server, and a stopped server holds them open.
        """
        self._reason = reason
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._conclude()

    async def close(self) -> None:
        """Detach and read to the end; closing without reading can keep a server from exiting.

        Returns when the process is gone.
        """
        if self._pipes is not None and not self.ended.done():
            self._reason = "closed"
            self._pipes.finish()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), 2)
        except TimeoutError:
            self.kill("it did not detach within 2 s")
        await self.collected()

    async def collected(self) -> None:
        """Wait until the process of an ended client is gone."""
        await self._gone.wait()

    def _received(self, data: bytes) -> None:
        try:
            for item in self._wire.feed(data):
                if isinstance(item, Notification):
                    self._notify(item)
                    continue
                future, timer, what = self._waiting.popleft()
                if timer is not None:
                    timer.cancel()
                if future.done():
                    continue
                if item.error is None:
                    future.set_result(item.bodies)
                else:
                    reason = item.error.decode("utf-8", "replace")[:200]
                    future.set_exception(TmuxRefused(command=what, reason=reason))
        except Desync as problem:
            log.error("control stream out of step", reason=str(problem))
            self.kill(f"the control stream is out of step: {problem}")

    def _output_ended(self) -> None:
        self._silent = True
        self._maybe_ended()

    def _exited(self) -> None:
        if self._process is not None:
            self._process.wait()
        self._gone.set()
        # The end of its output may not come: tmux hands its descriptors to the server, and
        # one that is stopped holds them open.
        asyncio.get_running_loop().call_later(LEFTOVERS, self._leave_output)
        self._maybe_ended()

    def _leave_output(self) -> None:
        if not self.ended.done():
            self._ended_by_itself()

    def _maybe_ended(self) -> None:
        if self._gone.is_set() and self._silent and not self.ended.done():
            self._ended_by_itself()

    def _ended_by_itself(self) -> None:
        self._errors.seek(0)
        said = self._errors.read(500).decode("utf-8", "replace").strip()
        if said:
            self._reason += f" ({said})"
        self._conclude()

    def _conclude(self) -> None:
        if self._pipes is not None:
            self._pipes.close()
        self._errors.close()
        while self._waiting:
            future, timer, _ = self._waiting.popleft()
            if timer is not None:
                timer.cancel()
            if not future.done():
                future.set_exception(TmuxGone(reason=self._reason))
        if not self.ended.done():
            self.ended.set_result(self._reason)


def argv_for(program: str, socket: Path, *, starts_server: bool = True) -> list[str]:
    """Return how every client of ours is started: private socket, no user configuration, UTF-8."""
    flags = "-u" if starts_server else "-Nu"  # -N since 3.2
    return [program, flags, "-S", str(socket), "-f", "/dev/null"]
