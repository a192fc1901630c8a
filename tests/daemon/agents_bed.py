"""What tests of agents have in common: agents with clients of their own."""

from __future__ import annotations

from typing import Any

from living import Daemon
from orchctl.aio import Client


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
    client = Client(str(daemon.place.socket), record["token"])
    daemon.place.clients.append(client)
    return AgentClient(client, record)
