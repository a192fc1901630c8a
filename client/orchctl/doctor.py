"""Checks of what the daemon needs, made here, so that they work while it does not run."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchctl import autostart, wire
from orchctl.cli import Invocation
from orchctl.life import running
from orchctl.wire import RpcError, encode

Check = dict[str, str]

OLDEST_TMUX = (3, 2)


def doctor(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show every check with its verdict and remedy; 1 when one fails."""
    own = [
        _guarded("tmux", tmux),
        _guarded("state directory", lambda: directory("state directory", Path(wire.state_dir()))),
        _guarded("socket directory", lambda: socket_directory(invocation)),
        _guarded("systemd", lambda: systemd(invocation)),
    ]
    daemons = _guarded_daemon(invocation)
    told = {check["check"] for check in daemons}  # what the daemon finds itself is nearer to it
    checks = [c for c in own if c["check"] not in told or c["verdict"] != "ok"] + daemons
    invocation.show(encode(checks).encode(errors="backslashreplace"), entry[5], "check")
    return 1 if any(check["verdict"] == "fail" for check in checks) else 0


def verdict(check: str, verdict: str, detail: str, remedy: str = "") -> Check:
    """Return one line of the doctor's table; a verdict is ok, warn or fail."""
    return {"check": check, "verdict": verdict, "detail": detail, "remedy": remedy}


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except RpcError as error:
        return verdict(name, "fail", error.message, error.hint)
    except (OSError, subprocess.SubprocessError) as error:
        return verdict(name, "fail", str(error))


def tmux() -> Check:
    """Check that tmux is there and new enough."""
    path = shutil.which("tmux")
    if not path:
        return verdict("tmux", "fail", "not on PATH", "install tmux 3.2 or newer")
    said = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=5, check=False)
    number = "".join(char for char in said.stdout if char.isdigit() or char == ".").split(".")
    try:
        found = tuple(map(int, number[:2]))
    except ValueError:
        return verdict("tmux", "warn", f"{path}: version {said.stdout.strip()!r} is not known")
    if found < OLDEST_TMUX:
        return verdict(
            "tmux", "fail", f"{path}: {said.stdout.strip()}", "install tmux 3.2 or newer"
        )
    return verdict("tmux", "ok", f"{path}: {said.stdout.strip()}")


def directory(name: str, path: Path) -> Check:
    """Check that a directory is the user's own and closed to others, or can be made."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        above = next(parent for parent in path.parents if parent.exists())
        if os.access(above, os.W_OK):
            return verdict(name, "ok", f"{path} will be made")
        return verdict(name, "fail", f"{path} cannot be made", f"{above} is not writable")
    if not stat.S_ISDIR(found.st_mode):
        return verdict(name, "fail", f"{path} is no directory", f"remove {path}")
    if found.st_uid != os.getuid():
        return verdict(name, "fail", f"{path} belongs to uid {found.st_uid}", "use another place")
    if found.st_mode & 0o077:
        return verdict(name, "fail", f"{path} is open to others", f"chmod 700 {path}")
    return verdict(name, "ok", str(path))


def socket_directory(invocation: Invocation) -> Check:
    """Check where the socket lies; the system's is in a directory of root's."""
    if invocation.socket == wire.SYSTEM_SOCKET:
        return verdict("socket directory", "ok", f"{wire.SYSTEM_SOCKET} is the system's, for you")
    return directory("socket directory", Path(invocation.socket).parent)


def systemd(invocation: Invocation) -> Check:
    """Check whether there are units for the user; without them orchctl starts the daemon itself."""
    if invocation.socket == wire.SYSTEM_SOCKET:
        return verdict("systemd", "ok", "the system's units serve you")
    if autostart.unit_installed():
        return verdict("systemd", "ok", f"{autostart.UNIT} is installed")
    return verdict(
        "systemd", "ok", "no user unit; orchctl starts the daemon", "orchctl systemd install"
    )


def _guarded_daemon(invocation: Invocation) -> list[Check]:
    try:
        return daemon(invocation.socket)
    except RpcError as error:
        return [verdict("daemon", "fail", error.message, error.hint)]


def daemon(path: str) -> list[Check]:
    """Check that the daemon answers, and take its own checks."""
    link = running(path)
    if link is None:
        return [verdict("daemon", "warn", f"does not run at {path}", "orchctl up")]
    checks = [verdict("daemon", "ok", f"answers at {path}")]
    found = json.loads(link.call("daemon.doctor"))
    for check in found["checks"] if isinstance(found, dict) else found:
        name = check.get("check") or check.get("name", "")
        checks.append(
            verdict(name, check["verdict"], check.get("detail") or "", check.get("remedy") or "")
        )
    return checks
