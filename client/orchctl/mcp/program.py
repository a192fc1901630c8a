"""``orchctl mcp``: a server of the Model Context Protocol on standard input and output.

By itself it is a process with the SDK in it (64 MiB, 0.7 s to start). With ``--shared``
it is a pump of 9 MiB to one process with the SDK that serves all who ask for that.
"""

import os

from orchctl.wire import RpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from orchctl.cli import Invocation


def main(invocation: "Invocation", params: "dict[str, Any]", entry: "Any") -> int:
    """Serve the client at standard input until it closes that."""
    if not installed():
        raise RpcError(
            "FailedPrecondition", 412, "the MCP SDK is not installed",
            {"hint": "pip install 'orchestratord[mcp]'"},
        )  # fmt: skip
    if params.get("shared"):
        from orchctl.mcp.pump import pump

        status = pump(invocation)
        if status is not None:
            return status
    import asyncio

    asyncio.run(serve(invocation))
    return 0


def installed() -> bool:
    """Say whether the SDK is there, without importing it."""
    import sys

    return any(
        os.path.isdir(os.path.join(folder or ".", "mcp", "server"))  # noqa: PTH112, PTH118
        for folder in sys.path
    )


async def serve(invocation: "Invocation") -> None:
    """Serve the client at standard input; the daemon is reached when a call needs it."""
    import asyncio
    import socket
    from pathlib import Path

    from mcp.server.stdio import stdio_server

    from orchctl.mcp.reach import Reach
    from orchctl.mcp.server import Desk

    async def dial(again: bool) -> "socket.socket":
        made = await asyncio.to_thread(invocation.connect, again)
        return socket.socket(fileno=made.detach())

    desk = Desk(Reach(dial), str(Path.cwd()))
    async with stdio_server() as (incoming, outgoing):
        await desk.serve(incoming, outgoing)
