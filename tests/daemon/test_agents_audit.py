"""What is noted of calls, and what never is: payloads, tokens and values of the environment."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from agents_bed import agent
from living import Daemon
from terminals import FOREVER, kind, pane, reader, session


async def entries(daemon: Daemon, **params: Any) -> list[tuple[str, str | None, str | None, str]]:
    found = await daemon.call("audit.list", **params)
    return [(e["method"], e["agent"], e["thing"], e["result"]) for e in found]


async def test_changes_and_denials_are_noted_and_reads_are_not(daemon: Daemon) -> None:
    await session(daemon)
    worker = await agent(daemon, "worker", scopes=["operate"])
    mine = await worker.call("pane.create", session="dev", command=FOREVER)
    await worker.call("pane.list")
    await worker.call("pane.get", pane="p1")
    assert await kind(worker.call("pane.kill", pane="p1")) == "NotOwner"
    assert await kind(worker.call("pane.read", pane="p1", raw=True)) == "ScopeMissing"
    assert await kind(daemon.call("pane.kill", pane="nothing")) == "PaneNotFound"
    assert await kind(daemon.call("daemon.ping", token="forged")) == "BadToken"
    await worker.call("pane.kill", pane=mine["id"], grace=0)
    assert await entries(daemon) == [
        ("session.create", None, "p1", "ok"),
        ("agent.register", None, None, "ok"),
        ("pane.create", "worker", mine["id"], "ok"),
        ("pane.kill", "worker", "p1", "NotOwner"),
        ("pane.read", "worker", None, "ScopeMissing"),
        ("pane.kill", None, None, "PaneNotFound"),
        ("daemon.ping", None, None, "BadToken"),
        ("pane.kill", "worker", mine["id"], "ok"),
    ]
    (first,) = await daemon.call("audit.list", method="session.create")
    assert (first["uid"], first["pid"]) == (os.getuid(), os.getpid())
    assert (first["size"], len(first["digest"])) == (len(_compact(name="dev", command=FOREVER)), 16)
    assert (await daemon.call("audit.verify"))["ok"]


def _compact(**params: Any) -> str:
    return json.dumps(params, separators=(",", ":"))


async def test_an_agent_sees_its_own_entries(daemon: Daemon) -> None:
    await session(daemon)
    one, two = await agent(daemon, "one"), await agent(daemon, "two")
    for who in (one, two):
        await who.call("pane.create", session="dev", command=FOREVER)
    seen = await one.call("audit.list")
    assert [(e["method"], e["agent"]) for e in seen] == [("pane.create", "one")]
    assert await kind(one.call("audit.list", agent="two")) == "ScopeMissing"
    assert await kind(one.call("audit.verify")) == "ScopeMissing"


async def test_no_payload_token_or_environment_value_is_in_any_file(daemon: Daemon) -> None:
    await session(daemon)
    canary = {name: f"canary{secrets.token_hex(12)}" for name in ("text", "env", "name", "key")}
    worker = await agent(daemon, "worker", scopes=["admin"])
    file = daemon.place.directory / "typed"
    made = await reader(daemon, file)
    await pane(daemon, env={"SECRET": canary["env"]})
    for who in (daemon, worker):
        await who.call("pane.send", pane=made["id"], text=canary["text"])
        refusals = [
            who.call("pane.send", pane="nothing", text=canary["text"]),
            who.call("pane.send", pane=made["id"], text=[canary["text"]]),
            who.call("pane.kill", pane=made["id"], token=canary["key"]),
            who.call("agent.whoami", token="orch_" + canary["key"]),
        ]
        assert [await kind(call) for call in refusals] == [
            "PaneNotFound", "InvalidArgument", "BadToken", "BadToken",
        ]  # fmt: skip
    await worker.call("agent.heartbeat")
    assert (await daemon.call("audit.verify"))["ok"]
    await daemon.end()
    assert canary["text"].encode() in file.read_bytes()
    file.unlink()
    forbidden = [worker.token, canary["env"], canary["text"], canary["key"]]
    assert guilty(daemon.place.directory, forbidden) == []


def guilty(directory: Path, forbidden: list[str]) -> list[str]:
    """Return which files below a directory hold one of those texts."""
    return [
        str(path)
        for path in directory.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in forbidden)
    ]
