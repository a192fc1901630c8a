"""The private tmux server as a process: is one there, which, and may one be started.

Two servers for one socket are the worst that can happen (every pane doubled,
half of them unreachable), so a new one is started only when nobody listens and
the process that we last knew is gone. A server whose socket file was removed is
asked to make it again (SIGUSR1, server.c since 1.8). The record of the server
lies beside its socket and is only a hint: pid and start time are checked.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestratord.errors import FailedPrecondition, Unavailable
from orchestratord.log import Log
from orchestratord.tmux.client import HUB
from orchestratord.tmux.process import Process

log = Log("tmux.server")


_PATIENCE = 2.0
"""Seconds for a server's first answer, which takes 3 ms."""


_SESSION = "#{version}\t#{session_name}\t#{@orch_server}"


class ForeignServer(FailedPrecondition):
    """The tmux socket belongs to a server that is not ours to use."""

    template = "the tmux socket {socket} is not ours to use: {reason}"


class SocketOwned(FailedPrecondition):
    """Another daemon works with the tmux server at that socket."""

    template = "another daemon owns the tmux socket {socket}"
    hint = "stop that daemon, or choose another --tmux-socket"


class ServerUnreachable(Unavailable):
    """Our tmux server runs, but its socket is gone and did not come back."""

    template = "the tmux server (pid {pid}) runs but does not listen on {socket}"


class ServerSilent(Unavailable):
    """Something listens on the tmux socket and does not answer; it may be stopped."""

    template = "what listens on {socket} gave no answer in {seconds:g} s"


def prepare_directory(path: Path) -> None:
    """Make the socket's directory 0700, or refuse one that others could write to."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ForeignServer(socket=str(path), reason="others can write to its directory")


def own(path: Path) -> int:
    """Lock the socket for this process; return the descriptor, which closing gives up.

    The kernel gives it up with the process, and nothing that we start inherits it.

    Raises:
        SocketOwned: another process has it.
    """
    file = path.with_name(f"{path.name}.owner")  # tmux itself locks NAME.lock (client.c)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SocketOwned(socket=str(path)) from None
    return lock


def refuse_default(path: Path) -> None:
    """Refuse the user's own server: we never touch it."""
    for base in {"/tmp", os.environ.get("TMUX_TMPDIR") or "/tmp"}:
        if path.parent.resolve() == (Path(base) / f"tmux-{os.getuid()}").resolve():
            raise ForeignServer(socket=str(path), reason="it lies in the user's own tmux directory")


async def refuse_foreign(program: str, path: Path, environment: Mapping[str, str]) -> str:
    """Refuse a server that has sessions and not our stamp, without leaving a trace in it.

    Returns its version, empty if it has no session to ask.
    """
    look = await asyncio.create_subprocess_exec(
        program, "-N", "-S", str(path), "list-sessions", "-F", _SESSION,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=dict(environment), cwd="/",
    )  # fmt: skip
    try:
        shown, _ = await asyncio.wait_for(look.communicate(), _PATIENCE)
    except TimeoutError:
        raise ServerSilent(socket=str(path), seconds=_PATIENCE) from None
    finally:
        if look.returncode is None:
            look.kill()
            await look.wait()
    version = b""
    for line in shown.splitlines():
        version, _, rest = line.partition(b"\t")
        name, _, stamp = rest.partition(b"\t")
        if not stamp and name != HUB.encode():
            raise ForeignServer(socket=str(path), reason="it has sessions and not our stamp")
    return version.decode("ascii", "replace")


def listener(path: Path) -> int | None:
    """Return the pid of whoever listens on the socket, None if nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return 0  # a full backlog: somebody is there, and stopped
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little")


class ServerRecord:
    """Remembers the last server of a socket, beside it. One writer: the link."""

    def __init__(self, path: Path) -> None:
        self._socket = path
        self._file = path.with_name(path.name + ".server")

    def write(self, process: Process) -> None:
        """Remember it; the old record is replaced as a whole."""
        temporary = self._file.with_name(self._file.name + ".new")
        temporary.write_bytes(msgspec.json.encode(process))
        temporary.replace(self._file)

    def read(self) -> Process | None:
        """Return the last server, None if there is no readable record."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Process)
        except (OSError, msgspec.MsgspecError):
            return None

    async def settle(self) -> bool:
        """Say whether a server listens; revive a lost socket first.

        Raises:
            ServerUnreachable: the server that we knew lives without a socket.
        """
        if listener(self._socket) is not None:
            return True
        known = self.read()
        if known is None or not known.alive():
            return False
        log.warning("socket lost, asking the server to make it again", pid=known.pid)
        known.send(signal.SIGUSR1)
        for _ in range(40):
            await asyncio.sleep(0.025)
            if listener(self._socket) is not None:
                return True
            if not known.alive():
                return False
        raise ServerUnreachable(pid=known.pid, socket=str(self._socket))
