"""The command ``systemd``: installs, removes and shows the units.

By default those of the user's own manager; with ``--system`` those of the
system's, for one user. Installing again changes only what differs, and no pane
ever ends by it. Removing takes away what installing wrote and nothing else.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchctl import wire
from orchctl.cli import Invocation, out
from orchctl.unit import SYSTEM, Unit, units
from orchctl.wire import RpcError

COLUMNS = ("unit", "file", "enabled", "active", "pid", "restarts")

PATIENCE = 60.0
"""Seconds for one systemctl; ending panes that do not want to takes ten."""


def main(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Do what ``orchctl systemd ACTION`` says."""
    user = _for(params)
    if params.get("print"):
        for unit in units(user):
            out(f"# {unit.path}\n{unit.text}\n".encode())
        return 0
    actions = {"install": install, "uninstall": uninstall, "status": status}
    return actions[params["action"]](invocation, Manager(user), params)


def install(invocation: Invocation, manager: "Manager", params: dict[str, Any]) -> int:
    """Write the units and listen. A running daemon is replaced, which ends no pane."""
    manager.require(changes=True)
    notes = [] if manager.user else _displace(manager)
    was = manager.states()
    diffs = {unit.name: unit.write() for unit in manager.units}
    socket, daemon, tmux = (unit.name for unit in manager.units)
    if any(diffs.values()):
        manager.systemctl("daemon-reload")
    running = was[daemon]["ActiveState"] not in ("inactive", "failed")
    if diffs[socket] and running:
        manager.systemctl("stop", daemon, socket)
    manager.systemctl("enable", "--now", socket)
    if running and (diffs[socket] or diffs[daemon]):
        manager.systemctl("restart", daemon)
        notes.append(f"{daemon} was restarted; panes live on")
    if diffs[tmux] and was[tmux]["ActiveState"] == "active":
        notes.append(f"{tmux} runs as before until it is restarted, which ends every pane")
    _report(invocation, manager, diffs, notes + _hints(manager))
    return 0


def uninstall(invocation: Invocation, manager: "Manager", params: dict[str, Any]) -> int:
    """Stop and remove what was installed, after asking if that ends panes."""
    ours = [unit for unit in manager.units if unit.ours()]
    if not ours:
        _say(invocation, {"removed": [], "notes": []}, "no units of orchctl's are installed\n")
        return 0
    manager.require(changes=True)
    socket, daemon, tmux = (unit.name for unit in manager.units)
    keep = bool(params.get("keep_panes"))
    alive = manager.states()[tmux]["ActiveState"] not in ("inactive", "failed")
    if alive and not keep and not params.get("yes") and not _confirmed(tmux):
        return 1
    manager.systemctl("disable", "--now", socket)
    manager.systemctl("stop", daemon, *([] if keep else [tmux]))
    notes = [f"{tmux} runs on with its panes until it is stopped"] if alive and keep else []
    if others := manager.others():
        ours = []
        notes.append(f"the unit files stay for {', '.join(others)}")
    for unit in ours:
        unit.path.unlink()
    manager.systemctl("daemon-reload")
    removed = [str(unit.path) for unit in ours]
    lines = [f"removed {path}" for path in removed] + notes
    _say(invocation, {"removed": removed, "notes": notes}, "".join(f"{line}\n" for line in lines))
    return 0


def status(invocation: Invocation, manager: "Manager", params: dict[str, Any]) -> int:
    """Show the units; 1 when nobody listens for callers."""
    manager.require()
    states = manager.states()
    rows = [
        {
            "unit": unit.name,
            "file": _compared(unit),
            "enabled": states[unit.name]["UnitFileState"] or "-",
            "active": f"{states[unit.name]['ActiveState']} ({states[unit.name]['SubState']})",
            "pid": int(states[unit.name].get("MainPID", "0")) or None,
            "restarts": int(states[unit.name].get("NRestarts", "0")),
        }
        for unit in manager.units
    ]
    invocation.show(wire.encode(rows).encode(), COLUMNS, "unit")
    return 0 if states[manager.units[0].name]["ActiveState"] == "active" else 1


@dataclass
class Manager:
    """A systemd that runs units: the system's, for that user, or with None our own."""

    user: "str | None"

    def __post_init__(self) -> None:
        self.units: list[Unit] = units(self.user)

    def require(self, changes: bool = False) -> None:
        """Raise unless that systemd runs and we may tell it what to do."""
        if not shutil.which("systemctl") or not Path("/run/systemd/system").is_dir():
            raise wire.unavailable(
                "systemd does not run here", "orchctl up starts the daemon without it"
            )
        if self.user is None:
            runtime = os.environ.get("XDG_RUNTIME_DIR", "")
            if not runtime or not Path(runtime, "systemd", "private").exists():
                raise wire.unavailable(
                    "your systemd user manager cannot be reached",
                    "log in, or have it started by loginctl enable-linger, and set"
                    f" XDG_RUNTIME_DIR=/run/user/{os.getuid()}",
                )
        elif changes and os.geteuid() != 0:
            raise RpcError(
                "PermissionDenied",
                403,
                "the system's units are root's to change",
                {"hint": f"sudo orchctl systemd ... --system --for {self.user}"},
            )

    def systemctl(self, *words: str) -> str:
        """Tell systemd and return what it prints; raises Unavailable with its reason."""
        line = ["systemctl", *(["--user"] if self.user is None else []), *words]
        try:
            done = subprocess.run(
                line, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise wire.unavailable(f"{' '.join(line)} took over {PATIENCE:g} s") from None
        if done.returncode:
            said = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise wire.unavailable(f"{' '.join(line)} failed: {said}")
        return done.stdout

    def states(self) -> dict[str, dict[str, str]]:
        """Return what systemd knows of each unit, also of one that it does not know."""
        names = [unit.name for unit in self.units]
        said = self.systemctl(
            "show", "-p", "UnitFileState,ActiveState,SubState,MainPID,NRestarts", *names
        )
        blocks = said.strip().split("\n\n")
        pairs = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        return dict(zip(names, pairs, strict=True))

    def others(self) -> list[str]:
        """Return the other users whom the system's units serve."""
        if self.user is None:
            return []
        listed = self.systemctl(
            "list-units", "--plain", "--no-legend", "orchestratord@*", "orchestratord-tmux@*"
        )
        names = [line.split()[0] for line in listed.splitlines()]
        names += [link.name for link in SYSTEM.glob("*.wants/orchestratord@*")]
        served = {name.partition("@")[2].rpartition(".")[0] for name in names}
        return sorted(served - {self.user, ""})


def _for(params: dict[str, Any]) -> "str | None":
    """Return the user whom the system's units are to serve, None for our own manager."""
    named = params.get("for")
    if not params.get("system"):
        if named:
            raise wire.usage("--for goes with --system")
        return None
    if params.get("user"):
        raise wire.usage("choose --user or --system")
    user = str(named or os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name)
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise wire.usage(f"there is no user {user}") from None
    if not all(char.isalnum() or char in ":-_." for char in user) or not user.isascii():
        raise wire.usage(f"{user} cannot be an instance of a systemd unit")
    return user


def _displace(manager: Manager) -> list[str]:
    """Stop a daemon that runs without systemd where ours will listen; its tmux goes on."""
    from orchctl import life

    path = os.environ["XDG_RUNTIME_DIR"] + "/orchestratord/orchestratord.sock"
    if manager.states()[manager.units[0].name]["ActiveState"] == "active":
        return []
    if not life.stop(Invocation({"socket": path, "autostart": False}), tmux=False):
        return []
    return ["the daemon that ran without systemd was stopped; panes live on"]


def _hints(manager: Manager) -> list[str]:
    """Return what the person must know to make use of the units."""
    if manager.user is not None:
        path = f"/run/orchestratord/{manager.user}/orchestratord.sock"
        return [f"{manager.user} reaches the daemon with ORCHESTRATORD_SOCKET={path}"]
    name = pwd.getpwuid(os.getuid()).pw_name
    if Path("/var/lib/systemd/linger", name).exists():
        return []
    return ["everything ends at your last logout, unless you run: loginctl enable-linger"]


def _confirmed(tmux: str) -> bool:
    if not os.isatty(0):
        raise wire.usage(
            f"stopping {tmux} ends every pane",
            "--yes does it without asking, --keep-panes leaves that unit running",
        )
    os.write(2, f"Stop {tmux} and end every pane? [y/N] ".encode())
    return os.read(0, 100).strip().lower() in (b"y", b"yes")


def _compared(unit: Unit) -> str:
    found = unit.found()
    if found is None:
        return "missing"
    if not unit.ours():
        return "not ours"
    return "current" if found == unit.text else "differs"


def _report(
    invocation: Invocation, manager: Manager, diffs: dict[str, str], notes: list[str]
) -> None:
    changes = [
        {"unit": unit.name, "file": str(unit.path), "changed": bool(diffs[unit.name])}
        for unit in manager.units
    ]
    lines = []
    for unit in manager.units:
        diff = diffs[unit.name]
        if diff and "\n-" not in diff.partition("@@")[2]:
            lines.append(f"wrote {unit.path}\n")
        else:
            lines.append(diff or f"unchanged {unit.path}\n")
    text = "".join([*lines, *(f"{note}\n" for note in notes)])
    _say(invocation, {"units": changes, "notes": notes}, text)


def _say(invocation: Invocation, result: dict[str, Any], text: str) -> None:
    if invocation.json:
        out(wire.encode(result).encode() + b"\n")
    elif not invocation.quiet:
        out(text.encode())
