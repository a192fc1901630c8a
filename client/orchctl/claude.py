"""``orchctl claude``: Claude Code's plugin, and the hooks that it calls.

The plugin is the repository's ``client/claude-plugin``, installed beside this package. It is
written below the user's data directory, with the path of this ``orchctl``; Claude Code is told
about it by the person, with the commands that are printed. Nothing of Claude Code's is touched.
"""

import os

from orchctl import wire
from orchctl.wire import RpcError, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from orchctl.cli import Invocation

NAME = "orchestratord"
STATES = ("idle", "working", "waiting", "done", "failed", "ended")
AGENT = "agent"
STATE = "agent_state"
PATIENCE = 2.0
"""Seconds after which a hook gives up: it must not hold Claude Code up."""


def main(invocation: "Invocation", params: "dict[str, Any]", entry: "Any") -> int:
    """Do what ``orchctl claude ACTION`` says."""
    action = params["action"]
    if action == "hook":
        return hook(invocation.socket, params.get("state", ""))
    if "state" in params or action not in ("install", "uninstall"):
        raise usage(f"claude has no action {action}", "install, uninstall, or hook STATE")
    place = _place()
    if action == "uninstall":
        return _uninstall(invocation, place, bool(params.get("print")))
    return _install(invocation, place, bool(params.get("print")))


def hook(socket: str, state: str) -> int:
    """Label the pane that we run in; outside of a pane, or without a daemon, do nothing.

    Prints nothing and fails for no reason but a wrong word: Claude Code would show it.
    """
    if state not in STATES:
        raise usage(f"there is no state {state}", ", ".join(STATES))
    pane = os.environ.get("ORCH_PANE", "")
    if not pane:
        return 0
    try:
        link = wire.Link(wire.connect(socket))
    except OSError:
        return 0
    try:
        found = link.call("pane.get", {"pane": pane}, PATIENCE)
        if _within(_pid(found)):
            _label(link, pane, state, found)
    except RpcError:
        pass
    finally:
        link.close()
    return 0


def _label(link: wire.Link, pane: str, state: str, found: bytes) -> None:
    if state == "ended":
        link.call("pane.label_unset", {"pane": pane, "labels": [AGENT, STATE]}, PATIENCE)
    elif f'"{STATE}":"{state}"'.encode() not in found:  # else it would be an event for nothing
        labels = {AGENT: "claude", STATE: state}
        link.call("pane.label_set", {"pane": pane, "labels": labels}, PATIENCE)


def _pid(pane: bytes) -> bytes:
    """Return the pane's pid from its JSON; importing ``json`` would double what a hook costs."""
    return pane.partition(b'"pid":')[2].partition(b",")[0]


def _within(pid: bytes) -> bool:
    """Say whether we descend from that process: ORCH_PANE alone may be another daemon's."""
    process = str(os.getppid()).encode()
    for _ in range(64):
        if process == pid:
            return True
        try:
            with open(b"/proc/" + process + b"/stat", "rb") as file:  # noqa: PTH123 (pathlib: +6 ms)
                process = file.read().rpartition(b")")[2].split()[1]
        except (OSError, IndexError):
            return False
        if process in (b"0", b"1"):
            return False
    return False


def _install(invocation: "Invocation", place: "Path", only_say: bool) -> int:
    files = _files(_program())
    _refuse_what_is_not_ours(place)
    if not only_say:
        for name, content in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    said = "would write" if only_say else "wrote"
    todo = [
        f"claude plugin marketplace add {place}",
        f"claude plugin install {NAME}@{NAME}",
    ]
    lines = [f"{said} {place / name}" for name in files]
    lines += ["to let Claude Code use it:", *(f"  {command}" for command in todo)]
    lines.append(f"or for one session only: claude --plugin-dir {place}")
    from orchctl.mcp.program import installed

    if not installed():
        lines.append("its tools need the MCP SDK: pip install 'orchestratord[mcp]'")
    return _say(invocation, lines, {"written": not only_say, "place": str(place), "todo": todo})


def _uninstall(invocation: "Invocation", place: "Path", only_say: bool) -> int:
    import shutil

    _refuse_what_is_not_ours(place)
    there = place.exists()
    if there and not only_say:
        shutil.rmtree(place)
    said = "would remove" if only_say else "removed"
    todo = [f"claude plugin uninstall {NAME}@{NAME}", f"claude plugin marketplace remove {NAME}"]
    lines = [f"{said} {place}" if there else f"{place} is not there"]
    lines += ["if Claude Code was told about it:", *(f"  {command}" for command in todo)]
    removed = there and not only_say
    return _say(invocation, lines, {"removed": removed, "place": str(place), "todo": todo})


def _say(invocation: "Invocation", lines: list[str], found: "dict[str, Any]") -> int:
    from orchctl.cli import out

    text = wire.encode(found) if invocation.json else "\n".join(lines)
    out((text + "\n").encode(errors="backslashreplace"))
    return 0


def _place() -> "Path":
    from pathlib import Path

    return Path(wire.home_path("XDG_DATA_HOME", ".local/share"), NAME, "claude-plugin")


def _source() -> "Path":
    from pathlib import Path

    here = Path(__file__).parent
    installed = here / "claude_plugin"
    return installed if installed.is_dir() else here.parent / "claude-plugin"


def _program() -> str:
    """Return the ``orchctl`` that Claude Code is to start: this one."""
    import sys
    from pathlib import Path

    return str(Path(sys.argv[0]).absolute())


def _files(program: str) -> "dict[str, bytes]":
    """Return the plugin's files by their names, with the program's path in them."""
    import json
    import shlex

    source = _source()
    found: dict[str, bytes] = {}
    for path in sorted(source.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(source))] = path.read_bytes()
    servers = json.loads(found[".mcp.json"])
    servers["mcpServers"][NAME]["command"] = program
    found[".mcp.json"] = _pretty(servers)
    hooks = json.loads(found["hooks/hooks.json"])
    for groups in hooks["hooks"].values():
        for group in groups:
            for each in group["hooks"]:
                each["command"] = shlex.quote(program) + each["command"].removeprefix("orchctl")
    found["hooks/hooks.json"] = _pretty(hooks)
    return found


def _pretty(value: object) -> bytes:
    import json

    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _refuse_what_is_not_ours(place: "Path") -> None:
    """Raise FailedPrecondition if something else lies where the plugin belongs."""
    import json

    if not place.exists():
        return
    try:
        manifest = json.loads((place / ".claude-plugin" / "plugin.json").read_bytes())
        ours = manifest["name"] == NAME
    except (OSError, ValueError, LookupError, TypeError):
        ours = False
    if not ours:
        raise RpcError(
            "FailedPrecondition", 412, f"{place} is there and is not our plugin",
            {"hint": "move it away, then try again"},
        )  # fmt: skip
