"""Every asynchronous test of the engine runs on uvloop, and on asyncio in its debug mode."""

import asyncio
from collections.abc import Callable

import uvloop


def debug_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": debug_loop}
