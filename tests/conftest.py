"""What holds for every test: the same outcome on a busy machine, and an end in time.

pytest-timeout ends the whole run, because only that works whatever hangs; so a coroutine
gets a shorter time of its own, and fails where it waits.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SHARE = 0.8
"""Of pytest-timeout's time, for the coroutine itself."""

SLOWNESS = [HealthCheck.too_slow, HealthCheck.data_too_large]

# A run says the same each time; --hypothesis-profile=search looks for what is not known yet.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=SLOWNESS
)
settings.register_profile(
    "search", deadline=None, max_examples=20_000, suppress_health_check=SLOWNESS
)
settings.load_profile("repeatable")

# A shell starts what runs in its background with these ignored, nohup does; children inherit it.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


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
