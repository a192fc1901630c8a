"""The agent's loop, against a real daemon and a scripted Messages API."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("daemon", "cli", "advisor")]

from living import Daemon, Place
from messages_api import MessagesApi, common_problems


@pytest.fixture(autouse=True)
def nothing_of_the_testers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no proxy, no setting of the SDK from outside."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "OTEL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def problems(line: str, headers: dict[str, str], body: dict[str, Any]) -> list[str]:
    """Return what the API would refuse: each call is answered by a result, in the next message."""
    found = common_problems(line, headers, body)
    messages = body["messages"]
    if [message["role"] for message in messages] != ["user", "assistant"] * (len(messages) // 2) + [
        "user"
    ]:
        found.append("roles")
    for asked, answered in zip(messages[1::2], messages[2::2], strict=True):
        calls = [block["id"] for block in asked["content"] if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in answered["content"]]
        if calls != results:
            found.append("tool results")
    names = [tool["name"] for tool in body["tools"]]
    if len(set(names)) != len(names) or any("input_schema" not in tool for tool in body["tools"]):
        found.append("tools")
    return found


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    served = MessagesApi(problems)
    await served.start()
    yield served
    await served.stop()
    assert served.problems == []


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.clean_up()


@pytest.fixture
async def daemon(place: Place) -> Daemon:
    return await place.start()
