"""A store in a temporary directory, closed at the end of the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from store_notes import STEPS, failing_listener

from orchestratord.clock import ManualClock
from orchestratord.events import Bus
from orchestratord.store.db import Store

OpenStore = Callable[..., Awaitable[Store]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus() -> Bus:
    return Bus(failing_listener)


@pytest.fixture
async def open_store(tmp_path: Path, clock: ManualClock, bus: Bus) -> AsyncIterator[OpenStore]:
    opened: list[Store] = []

    async def open_one(**options: Any) -> Store:
        settings = {"migrations": STEPS, "clock": clock, "bus": bus} | options
        store = await Store.open(tmp_path / "state", **settings)
        opened.append(store)
        return store

    yield open_one
    await asyncio.gather(*(store.close() for store in opened))


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
