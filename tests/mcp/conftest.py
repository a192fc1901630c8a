"""The MCP server under the official client, in both revisions, on real daemons."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("daemon", "cli")]

from living import Daemon, Place


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.clean_up()


@pytest.fixture
async def daemon(place: Place) -> Daemon:
    return await place.start()


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def revision(request: pytest.FixtureRequest) -> str:
    """The protocol's revision: the previous and the current one."""
    return str(request.param)
