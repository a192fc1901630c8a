"""orchctl on this host, a daemon on another one, and the way between them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("daemon", "cli")]

from living import Daemon, Place
from orchctl_run import CLIENT, SCRIPT, Done, Orchctl
from remote import MISSING, Sshd


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.clean_up()


@pytest.fixture
async def daemon(place: Place) -> Daemon:
    """The daemon on the other host."""
    return await place.start()


@pytest.fixture
async def here(place: Place) -> AsyncIterator[dict[str, str]]:
    """The environment on this host, and the end of every connection that was kept."""
    home = place.directory / "here"
    home.mkdir()
    ssh = f"ssh -F {place.directory}/ssh/config"
    yield {
        "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(CLIENT),
        "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", "ORCHCTL_NO_AUTOSTART": "1",
        "ORCHESTRATORD_STATE_DIR": str(home / "state"), "ORCHCTL_SSH": ssh,
    }  # fmt: skip
    for control in (home / "state" / "run" / "ssh").glob("*.ctl"):
        ending = await asyncio.create_subprocess_exec(
            "ssh", "-F", f"{place.directory}/ssh/config", "-S", str(control), "-O", "exit", "x",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        await ending.wait()


@pytest.fixture
def orchctl(here: dict[str, str]) -> Orchctl:
    """Run the script on this host and wait for its end."""

    async def run(*words: str, env: dict[str, str] | None = None) -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), *words, env=here | (env or {}), cwd="/",
            stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
async def sshd(
    request: pytest.FixtureRequest, place: Place, here: dict[str, str]
) -> AsyncIterator[Sshd]:
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    made = Sshd(place)
    program = place.directory / "bin" / "orchctl"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(CLIENT)!r})\n"
        "from orchctl.cli import main\n\nmain()\n"
    )
    program.chmod(0o755)
    there = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "ORCHESTRATORD_SOCKET": str(place.socket),
        "ORCHESTRATORD_STATE_DIR": str(place.state),
        "ORCHCTL_NO_AUTOSTART": "1",
    }
    made.prepare(there, getattr(request, "param", "yes"))
    await made.start()
    yield made
    await made.stop()
