"""What tests of panes have in common: tmux asked by its own command line, and waiting."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from living import PATIENCE, Daemon, Place
from orchctl.aio import RpcError

FOREVER = ["sleep", "100000"]
ENDS = ("pane.exited", "pane.killed", "pane.lost")


def tmux(place: Place, *words: str) -> str:
    """Run a tmux command as a person would; return what it printed."""
    done = subprocess.run(
        ["tmux", "-S", str(place.tmux_socket), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stamped(place: Place) -> list[str]:
    """Return our stamp of each pane that tmux has, the empty ones left out."""
    listed = tmux(place, "list-panes", "-a", "-F", "#{@orch_id}").split()
    return sorted(listed, key=lambda pane: int(pane[1:]))


async def refused(call: Awaitable[Any]) -> RpcError:
    """Return the error of a call that must fail."""
    try:
        answer = await call
    except RpcError as error:
        return error
    raise AssertionError(f"not refused: {answer}")


async def kind(call: Awaitable[Any]) -> str:
    """Return the kind of error of a call that must fail."""
    return (await refused(call)).kind


async def settled(calls: list[Awaitable[Any]]) -> tuple[list[Any], list[str]]:
    """Make calls at once; return the answers and the kinds of the refusals."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    answers = [o for o in outcomes if not isinstance(o, BaseException)]
    errors = [o for o in outcomes if isinstance(o, BaseException)]
    assert all(isinstance(e, RpcError) for e in errors), errors
    return answers, [e.kind for e in errors if isinstance(e, RpcError)]


async def session(daemon: Daemon, name: str = "dev") -> dict[str, Any]:
    """Create a session whose first pane does nothing."""
    made: dict[str, Any] = await daemon.call("session.create", name=name, command=FOREVER)
    return made


async def pane(daemon: Daemon, *command: str, **params: Any) -> dict[str, Any]:
    """Create a pane in a window of its own in the session ``dev``."""
    asked: dict[str, Any] = {"session": "dev", "place": "window"}
    asked |= {"command": list(command) or FOREVER} | params
    made: dict[str, Any] = await daemon.call("pane.create", **asked)
    return made


async def shell(daemon: Daemon, script: str, **params: Any) -> dict[str, Any]:
    """Create a pane that runs a script of sh."""
    return await pane(daemon, "sh", "-c", script, **params)


async def end_of(daemon: Daemon, pane_id: str) -> dict[str, Any]:
    """Return a pane's exit once it has ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            ended: dict[str, Any] | None = (await daemon.call("pane.get", pane=pane_id))["exit"]
            if ended is not None:
                return ended
            await asyncio.sleep(0.005)


async def writes(daemon: Daemon, pane_id: str, text: str) -> str:
    """Return all that a pane wrote once that contains a text."""
    async with asyncio.timeout(PATIENCE):
        while True:
            got: str = (await daemon.call("pane.read", pane=pane_id))["text"]
            if text in got:
                return got
            await asyncio.sleep(0.005)


async def becomes(call: Any, condition: Any) -> Any:
    """Ask again and again until an answer fits; return it."""
    async with asyncio.timeout(PATIENCE):
        while not condition(answer := await call()):
            await asyncio.sleep(0.01)
    return answer


async def history(daemon: Daemon, *kinds: str, since: int | None = None) -> list[dict[str, Any]]:
    """Return the events of those kinds, all of them if none is named."""
    asked: dict[str, Any] = {"limit": 1000} | ({"kinds": list(kinds)} if kinds else {})
    asked |= {} if since is None else {"since": since}
    found: list[dict[str, Any]] = (await daemon.call("event.list", **asked))["events"]
    return found


async def head(daemon: Daemon) -> int:
    """Return the number of the last event."""
    last: int = (await daemon.call("event.list", limit=1000))["next"]
    return last


async def told(daemon: Daemon, since: int, kind_: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the events of a kind after a number once there are that many."""
    found: list[dict[str, Any]] = await becomes(
        lambda: history(daemon, kind_, since=since), lambda events: len(events) >= count
    )
    return found


async def quiet(daemon: Daemon, since: int) -> list[tuple[str, str | None]]:
    """Return what was told once a further look at tmux finds nothing new."""
    await daemon.call("daemon.reconcile")
    return [
        (e["kind"], e.get("pane"))
        for e in await history(daemon, since=since)
        if e["kind"] != "pane.resized"
    ]


async def reader(daemon: Daemon, file: Path) -> dict[str, Any]:
    """Create a pane that copies its input to a file, byte for byte, and is ready."""
    made = await shell(daemon, f": >{file}; stty raw -echo; echo ready; exec cat >>{file}")
    await writes(daemon, made["id"], "ready")
    return made
