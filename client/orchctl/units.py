"""The command ``systemd``: installs, removes and shows the units.

By default those of the user's own manager; with ``--system`` those of the
system's, which serve one user. Installing again changes only what differs, and
no pane ever ends by it. Removing takes away what installing wrote, nothing else.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from orchctl import wire
from orchctl.cli import Invocation, out
from orchctl.unit import NAMES, Unit
from orchctl.wire import RpcError

SOCKET, DAEMON, TMUX = NAMES

COLUMNS = ("unit", "file", "enabled", "active", "pid", "restarts")

PATIENCE = 60.0
"""Seconds for one systemctl; ending panes that do not want to takes ten."""


def main(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Do what ``orchctl systemd ACTION`` says."""
    user = _for(params)
    units = [Unit(name, user) for name in NAMES]
    if params.get("print"):
        for unit in units:
            out(f"# {unit.path}\n{unit.text}\n".encode())
        return 0
    actions = {"install": install, "uninstall": uninstall, "status": status}
    return actions[params["action"]](invocation, units, params)


def install(invocation: Invocation, units: list[Unit], params: dict[str, Any]) -> int:
    """Write the units and listen. A running daemon is replaced, which ends no pane."""
    user = units[0].user
    _require(user, changes=True)
    for unit in units:
        unit.refuse_foreign()
    was = _states(user)
    notes = []
    if user is None and was[SOCKET]["ActiveState"] != "active":
        notes += _displace()
    before = {unit.name: unit.found() for unit in units}
    changed = {unit.name for unit in units if before[unit.name] != unit.text}
    for unit in units:
        if unit.name in changed:
            unit.write()
    if changed:
        _systemctl(user, "daemon-reload")
    if SOCKET in changed and _runs(was[SOCKET]):
        _systemctl(user, "stop", DAEMON, SOCKET)
    _systemctl(user, "enable", "--now", SOCKET)
    if _runs(was[DAEMON]) and changed & {SOCKET, DAEMON}:
        _systemctl(user, "restart", DAEMON)
        notes.append(f"{DAEMON} was restarted; panes live on")
    if _runs(was[TMUX]) and TMUX in changed:
        notes.append(f"{TMUX} runs as before until it is restarted, which ends every pane")
    _report(invocation, units, before, notes + _hints(user))
    return 0


def uninstall(invocation: Invocation, units: list[Unit], params: dict[str, Any]) -> int:
    """Stop and remove what was installed, after asking if that ends panes."""
    user = units[0].user
    ours = [unit.path for unit in units if unit.ours()]
    if not ours:
        _say(invocation, {"removed": [], "notes": []}, "no units of orchctl's are installed\n")
        return 0
    _require(user, changes=True)
    keep = bool(params.get("keep_panes"))
    panes = _runs(_states(user)[TMUX])
    if panes and not keep and not params.get("yes") and not _confirmed():
        return 1
    _systemctl(user, "disable", "--now", SOCKET)
    _systemctl(user, "stop", DAEMON, *([] if keep else [TMUX]))
    for path in ours:
        path.unlink()
    _systemctl(user, "daemon-reload")
    notes = [f"{TMUX} runs on with its panes until it is stopped"] if panes and keep else []
    lines = [*(f"removed {path}" for path in ours), *notes]
    result = {"removed": [str(path) for path in ours], "notes": notes}
    _say(invocation, result, "".join(f"{line}\n" for line in lines))
    return 0


def status(invocation: Invocation, units: list[Unit], params: dict[str, Any]) -> int:
    """Show the units; 1 when nobody listens for callers."""
    user = units[0].user
    _require(user)
    states = _states(user)
    rows = [
        {
            "unit": unit.name,
            "file": _compared(unit),
            "enabled": states[unit.name]["UnitFileState"] or None,
            "active": f"{states[unit.name]['ActiveState']} ({states[unit.name]['SubState']})",
            "pid": int(states[unit.name].get("MainPID", "0")) or None,
            "restarts": int(states[unit.name].get("NRestarts", "0")),
        }
        for unit in units
    ]
    invocation.show(wire.encode(rows).encode(), COLUMNS, "unit")
    return 0 if states[SOCKET]["ActiveState"] == "active" else 1


def _for(params: dict[str, Any]) -> "str | None":
    """Return the user whom the system's units are to serve, None for our own manager."""
    named = params.get("for")
    if not params.get("system"):
        if named:
            raise wire.usage("--for goes with --system")
        return None
    if params.get("user"):
        raise wire.usage("choose --user or --system")
    served = Unit(DAEMON, "").serves()
    me = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    user = str(named or served or me)
    try:
        return pwd.getpwnam(user).pw_name
    except KeyError:
        raise wire.usage(f"there is no user {user}") from None


def _require(user: "str | None", changes: bool = False) -> None:
    """Raise unless that systemd runs and we may tell it what to do."""
    if not shutil.which("systemctl") or not Path("/run/systemd/system").is_dir():
        raise wire.unavailable(
            "systemd does not run here", "orchctl up starts the daemon without it"
        )
    if user is None:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if not runtime or not Path(runtime, "systemd", "private").exists():
            raise wire.unavailable(
                "your systemd user manager cannot be reached",
                "log in, or run loginctl enable-linger"
                f" and export XDG_RUNTIME_DIR=/run/user/{os.getuid()}",
            )
    elif changes and os.geteuid() != 0:
        raise RpcError(
            "PermissionDenied", 403, "the system's units are root's to change", {"hint": "use sudo"}
        )


def _systemctl(user: "str | None", *words: str) -> str:
    """Tell systemd and return what it prints; raises Unavailable with its reason."""
    line = ["systemctl", *(["--user"] if user is None else []), *words]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise wire.unavailable(f"{' '.join(line)} took over {PATIENCE:g} s") from None
    if done.returncode:
        said = (done.stderr.strip() or "no reason given").splitlines()[0]
        raise wire.unavailable(f"{' '.join(line)} failed: {said}")
    return done.stdout


def _states(user: "str | None") -> dict[str, dict[str, str]]:
    """Return what systemd knows of each unit, also of one that is not installed."""
    said = _systemctl(
        user, "show", "-p", "UnitFileState,ActiveState,SubState,MainPID,NRestarts", *NAMES
    )
    blocks = said.strip().split("\n\n")
    pairs = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
    return dict(zip(NAMES, pairs, strict=True))


def _runs(state: dict[str, str]) -> bool:
    return state["ActiveState"] not in ("inactive", "failed")


def _displace() -> list[str]:
    """Stop a daemon that runs without systemd where ours will listen; its tmux goes on."""
    from orchctl import life

    path = os.environ["XDG_RUNTIME_DIR"] + "/orchestratord/orchestratord.sock"
    if not life.stop(Invocation({"socket": path, "autostart": False}), tmux=False):
        return []
    return ["the daemon that ran without systemd was stopped; panes live on"]


def _hints(user: "str | None") -> list[str]:
    """Return what the person must know to make use of the units."""
    if user is not None:
        return [
            f"orchctl finds the daemon by itself when {user} runs it and no daemon of {user}'s own"
            f" answers; its socket is {wire.SYSTEM_SOCKET}"
        ]
    if Path("/var/lib/systemd/linger", pwd.getpwuid(os.getuid()).pw_name).exists():
        return []
    return ["everything ends with your last logout, unless you run loginctl enable-linger"]


def _confirmed() -> bool:
    if not os.isatty(0):
        raise wire.usage(
            f"stopping {TMUX} ends every pane",
            "--yes does it without asking, --keep-panes leaves that unit running",
        )
    os.write(2, f"Stop {TMUX} and end every pane? [y/N] ".encode())
    return os.read(0, 100).strip().lower() in (b"y", b"yes")


def _compared(unit: Unit) -> str:
    found = unit.found()
    if found is None:
        return "missing"
    if not unit.ours():
        return "not ours"
    return "current" if found == unit.text else "differs"


def _report(
    invocation: Invocation, units: list[Unit], before: "dict[str, str | None]", notes: list[str]
) -> None:
    changes: list[dict[str, Any]] = []
    text = ""
    for unit in units:
        old = before[unit.name]
        change = "unchanged" if old == unit.text else "written" if old is None else "changed"
        changes.append({"unit": unit.name, "file": str(unit.path), "change": change})
        text += unit.diff(old or "") if change == "changed" else f"{change} {unit.path}\n"
    text += "".join(f"{note}\n" for note in notes)
    _say(invocation, {"units": changes, "notes": notes}, text)


def _say(invocation: Invocation, result: dict[str, Any], text: str) -> None:
    if invocation.json:
        out(wire.encode(result).encode() + b"\n")
    elif not invocation.quiet:
        out(text.encode())
