"""What tests of agents have in common: agents with clients of their own."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from living import ROOT, Daemon, until
from orchctl.aio import Client

_NUMBER = itertools.count()


class AgentClient:
    """A registered agent, calling by its token."""

    def __init__(self, client: Client, record: dict[str, Any]) -> None:
        self.client = client
        self.record = record
        self.name: str = record["agent"]
        self.token: str = record["token"]
        self.call = client.call


async def agent(daemon: Daemon, name: str, **params: Any) -> AgentClient:
    """Register an agent; its calls go over a connection of its own."""
    record = await daemon.call("agent.register", name=name, **params)
    client = Client(str(daemon.place.socket), token=record["token"])
    daemon.place.clients.append(client)
    return AgentClient(client, record)


def caller(
    daemon: Daemon, *calls: tuple[str, dict[str, Any]], way: str = "here"
) -> tuple[list[str], Path]:
    """Return a command that makes calls, and the file that it puts their answers in."""
    file = daemon.place.directory / f"answers.{next(_NUMBER)}"
    script = str(Path(__file__).with_name("pane_caller.py"))
    command = ["env", f"PYTHONPATH={ROOT / 'client'}", sys.executable, script]
    command += [str(daemon.place.socket), str(file), way]
    return [*command, *map(json.dumps, calls)], file


async def from_pane(
    daemon: Daemon, *calls: tuple[str, dict[str, Any]], way: str = "here", by: Any = None
) -> tuple[str, list[Any]]:
    """Make calls from within a new pane; return it and what they were answered with."""
    command, file = caller(daemon, *calls, way=way)
    asked = {"session": "dev", "place": "window", "command": command}
    pane = await (by or daemon).call("pane.create", **asked)
    await until(file.exists)
    return pane["id"], json.loads(file.read_text())


async def from_outside(daemon: Daemon, environment: dict[str, str]) -> Any:
    """Ask who calls, as a program with that environment in no pane."""
    ask = (
        "import sys; from orchctl.wire import Link, connect;"
        "sys.stdout.buffer.write(Link(connect(sys.argv[1])).call('agent.whoami'))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ask, str(daemon.place.socket), stdout=asyncio.subprocess.PIPE,
        env=daemon.place.environment | {"PYTHONPATH": str(ROOT / "client")} | environment,
    )  # fmt: skip
    said, _ = await process.communicate()
    return json.loads(said)
