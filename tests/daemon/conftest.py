"""Daemons for the tests, each on directories and sockets of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from living import Daemon, Place


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """A private place; whatever was started there is ended and removed."""
    made = Place()
    yield made
    await made.clean_up()


@pytest.fixture
async def daemon(place: Place) -> Daemon:
    """A daemon in a process of its own, answering."""
    return await place.start()
