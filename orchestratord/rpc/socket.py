"""Making the daemon's listening socket safely, or taking it over from systemd.

Nobody but the owner can reach the path, a live daemon is never displaced, a
dead one's socket is removed, and at the end only our own socket is. Blocking,
for the start and the end of the process; called by the app.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from collections.abc import MutableMapping
from pathlib import Path

from orchestratord.errors import AlreadyExists, FailedPrecondition, InvalidArgument

BACKLOG = 2048
"""Callers that may wait to be accepted; 1,000 at once were all served at this."""
MAX_PATH = 107
"""Bytes of a Unix socket's path (``sun_path`` on Linux, without its final NUL)."""
FIRST_FD = 3
"""Where systemd puts the descriptors that it hands over (sd_listen_fds(3))."""


class SocketInUse(AlreadyExists):
    """Another daemon serves this path."""

    template = "a daemon already serves {path}"
    hint = "stop it, or use another --socket"


class SocketUnsafe(FailedPrecondition):
    """The path or its directory could be changed by somebody else, or is not a socket."""

    template = "{path} is not a safe place for a socket: {reason}"


class SocketPathTooLong(InvalidArgument):
    """The path does not fit into a Unix socket's address."""

    template = "the socket path {path} has {length} bytes, the system takes at most 107"


class ActivationBroken(FailedPrecondition):
    """What the service manager handed over is not a listening Unix socket."""

    template = "descriptor {fd} handed over by the service manager {reason}"


class Listener:
    """A listening socket that we made, with the lock that keeps its path ours."""

    def __init__(self, path: Path, made: socket.socket, lock: int) -> None:
        self.path = path
        self.socket = made
        self._lock = lock
        self._made = _identity(path)

    def close(self) -> None:
        """Stop listening; remove the path if it is still the socket we made."""
        if self._lock < 0:
            return
        self.socket.close()
        if _identity(self.path) == self._made:
            self.path.unlink()
        os.close(self._lock)
        self._lock = -1


def listen(path: Path, backlog: int = BACKLOG) -> Listener:
    """Listen on that path, mode 0600, in a directory that only its owner can enter.

    Makes the directory if it is missing. Holds a lock file beside the socket until
    closed. Changes the process's umask for a moment: call it before threads start.
    Raises ``SocketInUse``, ``SocketUnsafe``, ``SocketPathTooLong``.
    """
    path = path.absolute()
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise SocketPathTooLong(path=str(path), length=length)
    _check_directory(path.parent)
    lock = _lock(path)
    try:
        _remove_stale(path)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)  # bind, then chmod, would leave a moment open to others
        try:
            made.bind(str(path))
        finally:
            os.umask(umask)
        made.listen(backlog)
        return Listener(path, made, lock)
    except BaseException:
        os.close(lock)
        raise


def activated(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the listening sockets handed over by systemd, and forget that they were.

    Removes the variables, so that no child takes them for its own. Raises
    ``ActivationBroken`` if a descriptor is something else.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    return [_adopt(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))]


def credentials(connected: socket.socket) -> tuple[int, int, int]:
    """Return pid, uid and gid of the peer when it connected, as the kernel says."""
    packed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", packed)
    return pid, uid, gid


def _adopt(fd: int) -> socket.socket:
    try:
        adopted = socket.socket(fileno=fd)
        listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ActivationBroken(fd=fd, reason=f"cannot be used: {error.strerror}") from None
    if adopted.family != socket.AF_UNIX or adopted.type != socket.SOCK_STREAM or not listens:
        adopted.detach()
        raise ActivationBroken(fd=fd, reason="is not a listening Unix stream socket")
    adopted.set_inheritable(False)
    return adopted


def _check_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SocketUnsafe(path=str(directory), reason="it is not a directory, or is a link to one")
    if found.st_uid != os.geteuid():
        raise SocketUnsafe(path=str(directory), reason=f"it belongs to user {found.st_uid}")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise SocketUnsafe(path=str(directory), reason=f"its mode is {mode:04o}, not 0700")
    for parent in directory.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            reason = f"everybody may rename what is in {parent}"
            raise SocketUnsafe(path=str(directory), reason=reason)


def _lock(path: Path) -> int:
    # The lock file stays: removing it would let two daemons lock two different files.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(f"{path}.lock", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SocketInUse(path=str(path)) from None
    return lock


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on; the lock is held."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketUnsafe(path=str(path), reason="something else has that name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:  # somebody listens, and its backlog is full
            raise SocketInUse(path=str(path)) from None
        except OSError as error:
            raise SocketUnsafe(path=str(path), reason=str(error.strerror)) from None
        else:
            raise SocketInUse(path=str(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
