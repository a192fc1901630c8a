"""The thin side of ``orchctl mcp --shared``: copies between its client and the host.

The host (``host``) has the SDK and serves all pumps. So that the daemon still sees who
calls (it looks at the process that connected), each pump makes its connections to the
daemon itself and hands them over. Standard library only, and little of that.
"""

import os
import sys
import time
from _socket import AF_UNIX, SHUT_RDWR, SHUT_WR, SOCK_STREAM, socket, socketpair
from _thread import start_new_thread

from orchctl import wire
from orchctl.wire import RpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

    from orchctl.cli import Invocation

READY = 15.0
"""Seconds that the host may take to start; it imports the SDK, which costs one on a slow day."""

PASSED = ("PYTHONPATH", "ORCHCTL_MCP_IDLE")
"""What a host gets of our environment beside what a daemon would."""

CHUNK = 1 << 16
GREETING = b"\n"
"""What the host says once it serves the connection."""

LENT = b"+"
REFUSED = b"-"


def pump(invocation: "Invocation") -> int | None:
    """Copy until the client or the host ends it; None if there can be no host."""
    lender, borrower = socketpair(AF_UNIX, SOCK_STREAM)
    host = _connected(host_path(invocation.socket), borrower)
    borrower.close()
    if host is None:
        return None
    start_new_thread(lend, (lender, invocation))
    start_new_thread(_copy_in, (host,))
    try:
        while chunk := host.recv(CHUNK):
            view = memoryview(chunk)
            while view:
                view = view[os.write(1, view) :]
    except OSError:
        return 1  # the client reads no more, or the host died
    return 0


def _copy_in(host: socket) -> None:
    """Hand on what the client says; its end ends our side of the connection only."""
    try:
        while chunk := os.read(0, CHUNK):
            host.sendall(chunk)
        host.shutdown(SHUT_WR)
    except OSError:
        _end(host)


def _end(host: socket) -> None:
    """Shut the connection down, so that the other thread ends; it may be down already."""
    try:  # noqa: SIM105 (contextlib is not loaded yet)
        host.shutdown(SHUT_RDWR)
    except OSError:
        pass


def lend(lender: socket, invocation: "Invocation") -> None:
    """Answer each byte with a connection to the daemon, or with the error."""
    met = False
    try:
        while lender.recv(1):
            try:
                made = invocation.connect(met)
            except RpcError as error:
                lender.sendall(REFUSED + _error_line(error))
                continue
            met = True
            lender.sendmsg([LENT], [_rights(made.fileno())])
            made.close()
    except OSError:
        pass  # the host needs none any more


def _error_line(error: RpcError) -> bytes:
    fields = {"kind": error.kind, "code": error.code, "message": error.message, "data": error.data}
    return wire.encode(fields).encode() + b"\n"


def _rights(descriptor: int) -> tuple[int, int, bytes]:
    """Return the control message that hands a descriptor over (unix(7))."""
    from _socket import SCM_RIGHTS, SOL_SOCKET

    return SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder)


def _connected(path: str, borrower: socket) -> socket | None:
    """Return a connection that the host serves, starting a host if there is none."""
    deadline = time.monotonic() + READY
    child: Popen[bytes] | None = None
    pause = 0.005
    while time.monotonic() < deadline:
        try:
            host = wire.connect(path)
        except OSError:
            if child is None or child.poll() is not None:
                try:
                    child = _spawn(path)
                except OSError:
                    return None
        else:
            if _greeted(host, borrower):
                return host
            host.close()  # it was about to end
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return None


def _greeted(host: socket, borrower: socket) -> bool:
    """Say who we are; the host answers when it serves us."""
    hello = wire.encode({"cwd": os.getcwd()}).encode() + b"\n"  # noqa: PTH109
    host.settimeout(READY)
    try:
        host.sendmsg([hello], [_rights(borrower.fileno())])
        answered = host.recv(1) == GREETING
    except OSError:
        return False
    host.settimeout(None)
    return answered


def _spawn(path: str) -> "Popen[bytes]":
    """Start a host in the background; it ends at once if another one has the lock."""
    import subprocess

    from orchctl.autostart import environment, log_path, make_private

    log = log_path().with_name("mcp.log")
    make_private(log.parent)
    passed = environment()
    passed |= {name: os.environ[name] for name in PASSED if name in os.environ}
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "orchctl.mcp.host", path],
            stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, cwd="/", env=passed,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(descriptor)


def host_path(daemon: str) -> str:
    """Return the socket of the host for that daemon and for this very installation.

    A host lives on after an upgrade; whoever comes then starts another.
    """
    newest = 0
    here = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 (pathlib is not loaded yet)
    for folder in (here, os.path.dirname(__file__)):  # noqa: PTH120
        with os.scandir(folder) as files:
            newest = max(newest, *(file.stat().st_mtime_ns for file in files))
    from zlib import crc32

    tag = crc32(f"{sys.executable}\n{here}\n{newest}\n{daemon}".encode())
    return os.path.join(os.path.dirname(daemon), f"mcp-{tag:08x}.sock")  # noqa: PTH118, PTH120
