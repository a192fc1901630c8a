"""The advisor against a real daemon and a Messages API of our own."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from messages_api import MessagesApi

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("daemon", "cli")]

from living import Daemon, Place


@pytest.fixture(autouse=True)
def nothing_of_the_testers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no proxy, no setting of the SDK from outside."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "OTEL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    """A Messages API whose every request was well formed."""
    served = MessagesApi()
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
