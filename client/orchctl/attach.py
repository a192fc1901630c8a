"""Handing the terminal to tmux, with the session fitted to it meanwhile."""

import json
import os
import signal
import subprocess
from typing import Any

from orchctl.cli import Invocation
from orchctl.wire import RpcError, usage


def attach(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Run tmux on this terminal in a session of the daemon; returns tmux's exit status.

    The session takes the terminal's size, follows it, and gets its own size
    back when nobody else is attached any more.
    """
    if os.environ.get("TMUX"):
        raise RpcError(
            "FailedPrecondition",
            412,
            "this terminal is inside tmux already",
            {"hint": "detach first, or begin with: TMUX= orchctl attach"},
        )
    if not (os.isatty(0) and os.isatty(1)):
        raise usage("attach needs a terminal")
    session = choose(invocation, params.get("session", ""))
    status = json.loads(invocation.call("daemon.status"))
    tmux = status["tmux"]["socket"]
    _fit(invocation, session["id"])
    signal.signal(signal.SIGWINCH, lambda *_: _fit(invocation, session["id"]))
    signal.signal(signal.SIGHUP, lambda *_: None)  # tmux ends by itself; we still clean up
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        command = ["tmux", "-u", "-S", tmux, "attach-session", "-t", "=" + session["name"]]
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        raise RpcError("Unavailable", 503, "tmux is not on PATH") from None
    finally:
        _restore(invocation, session["id"])


def choose(invocation: Invocation, wanted: str) -> dict[str, Any]:
    """Return the session that is wanted, or the only one."""
    if wanted:
        return dict(json.loads(invocation.call("session.get", {"session": wanted})))
    sessions = json.loads(invocation.call("session.list"))
    if len(sessions) == 1:
        return dict(sessions[0])
    if not sessions:
        raise RpcError(
            "NotFound", 404, "there is no session", {"hint": "orchctl session-create NAME"}
        )
    names = ", ".join(session["name"] for session in sessions)
    raise usage(f"there are {len(sessions)} sessions: {names}", "orchctl attach SESSION")


def _fit(invocation: Invocation, session: str) -> None:
    size = os.get_terminal_size(1)
    if size.columns and size.lines:
        params = {"session": session, "width": size.columns, "height": size.lines}
        invocation.call("session.fit", params)


def _restore(invocation: Invocation, session: str) -> None:
    """Give the session its own size back; one that has ended, or a daemon that has, is no fault."""
    invocation.options["autostart"] = False
    try:
        invocation.call("session.fit", {"session": session})  # nothing, if others are attached
    except RpcError as error:
        if error.kind not in ("SessionNotFound", "NotFound", "Unavailable"):
            raise
