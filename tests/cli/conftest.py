"""The real script in a process of its own, against a daemon's side written for tests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon
from orchctl_run import CLIENT, SCRIPT, Done, Orchctl


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[FakeDaemon]:
    fake = FakeDaemon(str(tmp_path / "d.sock"))
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a command finds around it: nothing of the tester's own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ORCHESTRATORD_SOCKET": str(tmp_path / "d.sock"),
        "ORCHCTL_NO_AUTOSTART": "1",
        "PYTHONPATH": str(CLIENT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def orchctl(environment: dict[str, str]) -> Orchctl:
    """Run the script with these words and wait for its end."""

    async def run(
        *words: str | bytes, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: str = "/"
    ) -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment | (env or {}),
            cwd=cwd,
        )
        out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run
