"""What holds for every test: an end in time, told by the test that did not come to it.

pytest-timeout ends the whole run, because only that works whatever hangs; so a coroutine
gets a shorter time of its own, and fails where it waits.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

SHARE = 0.8
"""Of pytest-timeout's time, for the coroutine itself."""


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run a coroutine test under a deadline."""
    test = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(test):
        marker = item.get_closest_marker("timeout")
        whole = marker.args[0] if marker and marker.args else float(item.config.getini("timeout"))
        item.obj = _within(test, whole * SHARE)  # type: ignore[attr-defined]
    return (yield)


def _within(test: Any, seconds: float) -> Any:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **kwargs)

    return bounded
