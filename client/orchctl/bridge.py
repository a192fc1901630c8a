"""The original bridge's commands, and those of ours whose exit status is the answer.

Each maps what was typed to calls of the daemon. Where the daemon does not have
a method yet its own MethodNotFound says so. ``pane-exec`` exits with the
command's own code; 125 says that running it failed.
"""

import json
import os
import subprocess
from typing import Any

from orchctl.cli import Invocation, out
from orchctl.stream import items, show_item
from orchctl.wire import RpcError, encode

FAILED = 125
"""The exit status of ``pane-exec`` when the command did not run, as ``docker run`` has it."""

LONGEST = 86_400
"""The longest wait that the daemon takes, in seconds: what 0 meant in the bridge."""

SLICE = 20
"""Seconds for which one call asks whether a wait has ended."""

LONGEST_BLOCK = 3600
"""The longest that the daemon lets one such call take, in seconds."""

WAITS = ("patterns", "stop", "exit", "prompt", "idle")


def exec_(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Run a command in a pane and exit as it does."""
    call = {name: value for name, value in params.items() if name != "wait"}
    if not call.get("timeout", 1):
        call["timeout"] = LONGEST
    try:
        begun = _call(invocation, "pane.exec", call | {"wait": False}, mutates=True)
        if params.get("wait") is False:
            invocation.show(_bytes(begun))
            return 0
        limit = call.get("timeout", LONGEST) + 15  # escalation on timeout takes some of it
        result = _waited(
            invocation,
            "exec.wait",
            {"exec": begun["exec"], "timeout": min(limit, LONGEST)},
            f"orchctl exec-wait {begun['exec']}",
        )
    except RpcError as error:
        if error.kind == "MethodNotFound":
            raise
        raise _as_failure(error) from None
    invocation.show(_bytes(result))
    return exec_status(result)


def exec_status(result: dict[str, Any]) -> int:
    """Return the status to exit with for an exec's result."""
    if isinstance(code := result.get("exit_code"), int):
        return code
    if result.get("ended_by") in ("pattern", "idle", "sentinel"):
        return 0
    if result.get("ended_by") == "timeout":
        return 124
    if result.get("ended_by") == "cancelled":
        return 130
    return FAILED


class ExecFailure(RpcError):
    """An exec that did not run; the command exits with 125 whatever the family."""

    @property
    def exit_status(self) -> int:
        return FAILED


def _as_failure(error: RpcError) -> RpcError:
    return ExecFailure(error.kind, error.code, error.message, error.data)


def wait(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Wait for a pane; without a condition for its prompt or its end.

    The daemon owns the wait, so it outlives this command and goes on over a restart.
    """
    asked = params | {"timeout": params.get("timeout") or LONGEST, "detach": True}
    if any(name in params for name in WAITS):
        begun = _call(invocation, "pane.wait", asked, mutates=True)
    else:
        begun = _until_prompt_or_end(invocation, asked)
    if params.get("detach"):
        invocation.show(_bytes(begun))
        return 0
    result = begun
    while result["outcome"] is None:
        result = _waited(
            invocation,
            "wait.get",
            {"wait": begun["wait"], "block": SLICE},
            f"orchctl wait-get {begun['wait']} {LONGEST_BLOCK}",
        )
    invocation.show(_bytes(result))
    if result["outcome"] == "exited":
        return 0 if result["condition"] == "exit" else 1
    return {"matched": 0, "timed_out": 124, "cancelled": 130}.get(result["outcome"], 1)


def _until_prompt_or_end(invocation: Invocation, asked: dict[str, Any]) -> dict[str, Any]:
    """Begin to wait for the prompt or the end; where no prompt is known, for the end."""
    asked = asked | {"exit": True}
    try:
        return _call(invocation, "pane.wait", asked | {"prompt": True}, mutates=True)
    except RpcError as error:
        if error.kind != "NoPrompt":
            raise
    return _call(invocation, "pane.wait", asked, mutates=True)


def watch(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show the lines that match now."""
    invocation.show(_bytes(_search(invocation, params)), entry[5], "matching line")
    return 0


def watch_timeout(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Wait until a line matches, now or later, and show the matching lines.

    The cursor is taken before the first look, so nothing falls in between.
    """
    cursor = _pane(invocation, params["pane"])["cursor"]
    found = _search(invocation, params)
    if not _rows(found):
        condition = {
            "pane": params["pane"],
            "patterns": [params["pattern"]],
            "since": cursor,
            "timeout": params["timeout"] or LONGEST,
        }
        outcome = _waited(invocation, "pane.wait", condition, "the same command")
        if outcome["outcome"] != "matched":
            invocation.show(_bytes(outcome))
            return 1
        found = _search(invocation, params)
        if not _rows(found):  # it has scrolled away already
            found = [{"number": None, "line": outcome["line"], "match": outcome["match"]}]
    invocation.show(_bytes(found), entry[5], "matching line")
    return 0


def has_pattern(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Say by the exit status whether a pattern is there."""
    result = _call(invocation, "pane.has_pattern", params)
    if not invocation.quiet:
        invocation.show(_bytes(result))
    return 0 if result["matched"] else 1


def is_running(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Say by the exit status whether a program runs in the pane; unknown is no answer."""
    state = _pane(invocation, params["pane"])["state"]
    if state in ("unknown", "lost"):
        raise RpcError("Unavailable", 503, f"whether a program runs in {params['pane']} is {state}")
    running = state in ("starting", "busy", "running")
    if not invocation.quiet:
        out(b"true\n" if running else b"false\n")
    return 0 if running else 1


def status(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show a pane."""
    invocation.show(invocation.call("pane.get", params))
    return 0


def list_json(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """List panes as JSON, whatever standard output is."""
    invocation.options["json"] = True
    return list_(invocation, params, entry)


def list_(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """List panes with the command's own columns."""
    invocation.show(invocation.call("pane.list", params), entry[5], "pane")
    return 0


def create_with_layout(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Create a pane and lay its window out."""
    params.setdefault("layout", "tiled")
    invocation.show(invocation.call("pane.create", params, mutates=True))
    return 0


def metadata_set(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Set a label."""
    labels = {params["key"]: params["value"]}
    call = {"pane": params["pane"], "labels": labels}
    invocation.show(invocation.call("pane.label_set", call, mutates=True))
    return 0


def metadata_get(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show a label's value; a label that is not there is exit 3."""
    found = _call(invocation, "pane.label_get", {"pane": params["pane"]})
    labels = found["labels"] if isinstance(found.get("labels"), dict) else found
    if params["key"] not in labels:
        raise RpcError("NotFound", 404, f"{params['pane']} has no label {params['key']}")
    invocation.show(_bytes(labels[params["key"]]))
    return 0


def state_sync(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Compare with tmux and repair."""
    invocation.show(invocation.call("daemon.reconcile", mutates=True))
    return 0


def tail(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show the last lines, then what comes, with nothing in between lost or shown twice."""
    lines = {"lines": params["lines"]} if "lines" in params else {}
    screen = _call(invocation, "pane.capture", {"pane": params["pane"]} | lines)
    if not screen["text"].endswith("\n"):
        screen["text"] += "\n"  # what comes begins on a line of its own
    show_item(invocation, screen)
    for item in items(invocation, "pane.tail", {"pane": params["pane"], "since": screen["cursor"]}):
        show_item(invocation, item)
    return 0


def stream(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show what comes; a filter is a command line of the caller's own, run by sh."""
    call = {"pane": params["pane"]}
    if not params.get("filter"):
        for item in items(invocation, "pane.tail", call):
            show_item(invocation, item)
        return 0
    with subprocess.Popen(["/bin/sh", "-c", params["filter"]], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            for item in items(invocation, "pane.tail", call):
                process.stdin.write(item["text"].encode())
                process.stdin.flush()
        except BrokenPipeError:
            pass  # the filter has seen enough
    return process.returncode


def _waited(
    invocation: Invocation, method: str, params: dict[str, Any], rejoin: str
) -> dict[str, Any]:
    """Call something that waits; Ctrl-C stops the waiting only and says how to go on."""
    try:
        return _call(invocation, method, params)
    except KeyboardInterrupt:
        os.write(2, f"\norchctl: stopped waiting; what runs goes on. Rejoin: {rejoin}\n".encode())
        raise


def _search(invocation: Invocation, params: dict[str, Any]) -> Any:
    wanted: dict[str, Any] = {
        name: params[name] for name in ("pane", "pattern", "lines") if name in params
    }
    return json.loads(invocation.call("pane.search", wanted))


def _rows(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return next((value for value in found.values() if isinstance(value, list)), [])
    return list(found)


def _pane(invocation: Invocation, pane: str) -> dict[str, Any]:
    return _call(invocation, "pane.get", {"pane": pane})


def _call(
    invocation: Invocation, method: str, params: dict[str, Any], mutates: bool = False
) -> dict[str, Any]:
    return dict(json.loads(invocation.call(method, params, mutates=mutates)))


def _bytes(value: Any) -> bytes:
    return encode(value).encode(errors="backslashreplace")
