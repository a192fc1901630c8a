"""Starting a daemon where none answers, once, however many callers want one.

Through the systemd user unit where one is installed, else as a detached process
with a minimal environment. Whoever holds the lock beside the socket starts it;
everybody waits by connecting.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from _socket import socket
from pathlib import Path

from orchctl import wire

READY = 15.0
"""Seconds that a start may take; with 300 panes to adopt on a busy machine it takes about one."""

KEPT = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ")
KEPT_PREFIXES = ("LC_", "XDG_", "ORCHESTRATORD_")
"""What a daemon gets of its caller's environment: nothing that is only one terminal's."""

UNIT = "orchestratord.socket"


def start(path: str, chosen: bool = False) -> socket:
    """Start the daemon of that socket and return a connection to it.

    ``chosen`` says that the path was named on the command line, so the daemon
    must be told. Raises Unavailable with the daemon's last words if it ends.
    """
    if not chosen and unit_installed():
        systemctl("start", UNIT)
        try:
            return wire.connect(path, READY)
        except OSError as error:
            raise wire.unavailable(
                f"{UNIT} was started, but nobody answers at {path}: {error.strerror}",
                "orchctl systemd status shows the units",
            ) from None
    directory = Path(path).parent
    try:
        make_private(directory)
        lock = os.open(
            f"{path}.start", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise wire.unavailable(f"cannot start a daemon at {path}: {error.strerror}") from None
    try:
        return _start_once(path, lock, chosen)
    finally:
        os.close(lock)


def _start_once(path: str, lock: int, chosen: bool) -> socket:
    deadline = time.monotonic() + READY
    child: subprocess.Popen[bytes] | None = None
    locked = False
    pause = 0.005
    while True:
        try:
            return wire.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        except OSError as error:
            raise wire.unavailable(f"cannot connect to {path}: {error.strerror or error}") from None
        if locked and child is None:
            child = spawn(path if chosen else None)
        elif not locked:
            if locked := _try_lock(lock):
                continue  # whoever held it may have started the daemon
        elif child is not None and child.poll() is not None:
            raise wire.unavailable(
                f"the daemon ended as it started: {last_words()}", f"its log is {log_path()}"
            )
        if time.monotonic() > deadline:
            raise wire.unavailable(
                f"the daemon did not come up within {READY:g} s", f"its log is {log_path()}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def make_private(directory: Path) -> None:
    """Make a directory for the user alone, and likewise every parent that is missing.

    The socket's may lie in the state directory, which the daemon wants to be 0700.
    """
    before = os.umask(0o077)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def spawn(path: str | None) -> "subprocess.Popen[bytes]":
    """Start a detached daemon that writes its log into the state directory."""
    log = log_path()
    try:
        make_private(log.parent)
        with open(log, "ab", opener=_private) as errors:
            return subprocess.Popen(
                [*program(), *(["--socket", path] if path else [])],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
                env=environment(),
                start_new_session=True,
            )
    except OSError as error:
        raise wire.unavailable(f"cannot start {program()[0]}: {error}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def program() -> list[str]:
    """Return how the daemon is started: as it lies beside this interpreter, else on PATH."""
    beside = Path(sys.executable).parent / "orchestratord"
    if os.access(beside, os.X_OK):
        return [str(beside)]
    if found := shutil.which("orchestratord"):
        return [str(Path(found).absolute())]
    return [sys.executable, "-m", "orchestratord"]


def environment() -> dict[str, str]:
    """Return the daemon's environment: the login's part of the caller's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES)
    }


def log_path() -> Path:
    """Return the file that a daemon started by us logs into."""
    return Path(wire.state_dir()) / "orchestratord.log"


def last_words() -> str:
    """Return what the last line of the daemon's log says."""
    try:
        lines = log_path().read_text(errors="replace").strip().splitlines()
    except OSError:
        return "it said nothing"
    if not lines:
        return "it said nothing"
    import json

    try:
        line = json.loads(lines[-1])
        return str(line.get("reason") or line.get("error") or line["event"])
    except (ValueError, KeyError, AttributeError):
        return lines[-1]


def unit_installed() -> bool:
    """Say whether systemd's user manager runs and knows our socket unit."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.environ.get("ORCHESTRATORD_SOCKET") or not runtime:
        return False
    if not Path(runtime, "systemd", "private").exists():
        return False
    home = os.environ.get("HOME", "")
    places = [
        Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config", "systemd/user"),
        Path(os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share", "systemd/user"),
        Path(runtime, "systemd/user"),
        Path("/etc/systemd/user"),
        Path("/usr/local/lib/systemd/user"),
        Path("/usr/lib/systemd/user"),
    ]
    return any((place / UNIT).exists() for place in places)


def systemctl(*words: str) -> None:
    """Tell systemd's user manager; raises Unavailable with what it says."""
    done = subprocess.run(
        ["systemctl", "--user", *words], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise wire.unavailable(f"systemctl --user {' '.join(words)} failed: {said}")
