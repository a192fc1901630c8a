"""Starting, stopping and looking at the daemon: ``up``, ``down``, ``status``, ``uninstall``."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchctl import autostart, wire
from orchctl.cli import Invocation, out
from orchctl.render import age, cell, fields, painted
from orchctl.wire import Link, RpcError

STATE_FILES = ("store.db", "orchestratord.log")
"""What tells a state directory from any other."""

STOPPING = 10.0
"""Seconds that a stop may take; the daemon promises five."""


def up(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Start the daemon if none answers, and say which one does."""
    invocation.options["autostart"] = True
    result = invocation.call("daemon.ping")
    if invocation.json:
        invocation.show(result)
    elif not invocation.quiet:
        ping = json.loads(result)
        out(f"orchestratord {ping['version']} runs, pid {ping['pid']}\n".encode())
    return 0


def down(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Stop the daemon and return when it has gone; without one there is nothing to do."""
    tmux = bool(params.get("tmux") or params.get("all"))
    ran = stop(invocation, tmux, force=bool(params.get("force")))
    if invocation.json:
        out(b'{"stopped":%s}\n' % (b"true" if ran else b"false"))
    elif not invocation.quiet:
        out(b"orchestratord has stopped\n" if ran else b"orchestratord does not run\n")
    return 0


def stop(invocation: Invocation, tmux: bool, force: bool = False) -> bool:
    """Stop the daemon, and tmux if told to; say whether one ran.

    ``force`` ends tmux also from within one of its panes.
    """
    path = invocation.socket
    if path == wire.SYSTEM_SOCKET:
        raise RpcError(
            "FailedPrecondition",
            412,
            f"the daemon at {path} is run by the system's units",
            {"hint": "as root: systemctl stop orchestratord.socket orchestratord.service"},
        )
    link = running(path)
    if link is None and not tmux:
        return False
    if link is None:
        link = invocation.link()  # only a daemon knows how to end its tmux server
    with suppress(wire.Lost):
        asked = {"tmux": True} if tmux else {}
        link.call("daemon.stop", asked | {"force": True} if force else asked)
    if "socket" not in invocation.options and autostart.unit_installed():
        panes = ("orchestratord-tmux.service",) if tmux else ()
        autostart.systemctl("stop", autostart.UNIT, "orchestratord.service", *panes)
        return True
    _wait_for_the_end(link, path)
    return True


def _wait_for_the_end(link: Link, path: str) -> None:
    deadline = time.monotonic() + STOPPING
    with suppress(wire.Lost):
        while True:
            link.line(max(deadline - time.monotonic(), 0.001))
    while (other := running(path)) is not None:
        other.close()
        if time.monotonic() > deadline:
            raise wire.unavailable(
                f"a daemon still answers at {path}", "a supervisor may have started it again"
            )
        time.sleep(0.01)


def running(path: str) -> Link | None:
    """Return a connection to the daemon that runs there, None if none does."""
    try:
        return Link(wire.connect(path))
    except PermissionError:
        raise RpcError("PermissionDenied", 403, f"you may not connect to {path}") from None
    except OSError:
        return None


def status(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show how the daemon is; 1 when none runs, which it does not change."""
    link = running(invocation.socket)
    if link is None:
        if invocation.json:
            out(wire.encode({"running": False, "socket": invocation.socket}).encode() + b"\n")
        elif not invocation.quiet:
            out(f"orchestratord does not run at {invocation.socket}\n".encode())
        return 1
    result = link.call("daemon.status")
    if invocation.json:
        invocation.show(result)
    elif not invocation.quiet:
        out(overview(json.loads(result)).encode())
    return 0


def overview(state: dict[str, Any]) -> str:
    """Return the daemon's state as a headline and one line for each part."""
    state = dict(state)
    words = ["orchestratord"]
    for name, shape in (("version", "{}"), ("health", "is {}"), ("pid", "pid {}")):
        if name in state:
            value = state.pop(name)
            words.append(shape.format(painted(cell(value)) if name == "health" else cell(value)))
    if isinstance(uptime := state.pop("uptime", None), (int, float)):
        words.append(f"up {age(uptime)}")
    head = words[0] + " " + ", ".join(words[1:]).replace(", is", " is", 1)
    return head + "\n" + fields(state, 2)


def uninstall(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Stop the daemon and tmux, remove the units and the state, after asking."""
    state = Path(wire.state_dir())
    if not params.get("yes"):
        question = f"End every pane, remove the systemd units and delete {state}? [y/N] "
        if not os.isatty(0):
            raise wire.usage("uninstall asks first", "orchctl uninstall --yes does not")
        os.write(2, question.encode())
        if os.read(0, 100).strip().lower() not in (b"y", b"yes"):
            return 1
    if running(invocation.socket) or autostart.unit_installed():
        stop(invocation, tmux=True, force=bool(params.get("force")))
    units = getattr(__import__("orchctl.units", None, None, ["main"]), "main")  # noqa: B009
    units(invocation, {"action": "uninstall", "yes": True}, entry)
    remove_state(state)
    if "socket" not in invocation.options and not os.environ.get("ORCHESTRATORD_SOCKET"):
        remove_sockets(Path(wire.own_socket_path()).parent)
    if not (invocation.json or invocation.quiet):
        out(b"orchestratord is uninstalled; the Python package is your installer's to remove\n")
    return 0


def remove_sockets(directory: Path) -> None:
    """Delete what the sockets' directory holds, if that is nothing but ours."""
    if directory.is_symlink() or not directory.is_dir() or directory.stat().st_uid != os.getuid():
        return
    if all(path.name.startswith("orchestratord") for path in directory.iterdir()):
        shutil.rmtree(directory)


def remove_state(state: Path) -> None:
    """Delete the state directory; one that is not ours alone is refused."""
    if not state.exists():
        return
    home = os.environ.get("HOME", "/")
    if (
        state.is_symlink()
        or state.stat().st_uid != os.getuid()
        or Path(home).is_relative_to(state)
        or not any((state / name).exists() for name in STATE_FILES)
    ):
        raise RpcError(
            "FailedPrecondition",
            412,
            f"{state} does not look like a state directory of orchestratord's; it was left",
        )
    shutil.rmtree(state)
