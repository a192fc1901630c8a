"""The official client, connected to ``orchctl mcp`` or to its server in this process."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from living import Place
from mcp import Client, StdioServerParameters
from mcp.shared.memory import create_client_server_memory_streams
from orchctl.mcp.reach import Reach
from orchctl.mcp.server import Desk
from orchctl_run import CLIENT, SCRIPT

PATIENCE = 60.0


class Agent:
    """A connected client; ``call`` returns what a model would read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.progress: list[tuple[float, float | None, str | None]] = []

    async def call(self, tool: str, **given: Any) -> Any:
        """Call a tool that succeeds, following its progress."""
        result = await self.client.call_tool(tool, given, progress_callback=self._progressed)
        assert not result.is_error, result.structured_content
        return result.structured_content

    async def silently(self, tool: str, **given: Any) -> Any:
        """Call a tool that succeeds without following its progress."""
        result = await self.client.call_tool(tool, given)
        assert not result.is_error, result.structured_content
        return result.structured_content

    async def refused(self, tool: str, **given: Any) -> Any:
        """Call a tool that refuses; return the error."""
        result = await self.client.call_tool(tool, given)
        assert result.is_error, result.structured_content
        return result.structured_content["error"]

    async def _progressed(self, done: float, total: float | None, message: str | None) -> None:
        self.progress.append((done, total, message))


def mode_of(revision: str) -> str:
    """Return the client's mode: auto asks by server/discover, which 2026-07-28 brought."""
    return "legacy" if revision < "2026" else "auto"


def environment(place: Place) -> dict[str, str]:
    return place.environment | {
        "PYTHONPATH": str(CLIENT),
        "ORCHESTRATORD_SOCKET": str(place.socket),
        "ORCHESTRATORD_STATE_DIR": str(place.state),
        "ORCHCTL_NO_AUTOSTART": "1",
        "ORCHCTL_MCP_IDLE": "1",
    }


@asynccontextmanager
async def speaking(
    place: Place, revision: str, *flags: str, cwd: Path | None = None
) -> AsyncIterator[Agent]:
    """Start ``orchctl mcp`` and talk to it over its standard input and output."""
    server = StdioServerParameters(
        command=sys.executable, args=[str(SCRIPT), "mcp", *flags], env=environment(place), cwd=cwd
    )
    client = Client(server, mode=mode_of(revision), read_timeout_seconds=PATIENCE)
    async with client as connected:
        assert connected.protocol_version == revision
        yield Agent(connected)


@asynccontextmanager
async def within(place: Place, revision: str) -> AsyncIterator[Agent]:
    """Talk to a server in this process, whose clock can be set."""

    async def dial(again: bool) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, str(place.socket))
        return made

    client = Client(
        streams(Desk(Reach(dial), "/")), mode=mode_of(revision), read_timeout_seconds=PATIENCE
    )
    async with client as connected:
        yield Agent(connected)


@asynccontextmanager
async def streams(desk: Desk) -> AsyncIterator[Any]:
    """Serve a client over streams in memory, as it is served over a pipe."""
    async with create_client_server_memory_streams() as (ours, theirs):
        serving = asyncio.create_task(desk.serve(*theirs))
        yield ours
    await serving
