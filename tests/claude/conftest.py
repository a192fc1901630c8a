"""Claude Code's plugin, and Claude Code itself where it is installed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("daemon", "cli")]

from living import Daemon, Place
from orchctl_run import CLIENT


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.clean_up()


@pytest.fixture
async def daemon(place: Place) -> Daemon:
    return await place.start()


@pytest.fixture
def orchctl_file(place: Place) -> Path:
    """Return an ``orchctl`` that needs nothing of its environment, as an installed one."""
    path = place.directory / "bin" / "orchctl"
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(CLIENT)!r})\n"
        "from orchctl.cli import main\n\nmain()\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(place: Place, orchctl_file: Path) -> dict[str, str]:
    """What programs find around them here: an empty home, our daemon, and no network's names."""
    found = place.environment | {
        "ORCHESTRATORD_SOCKET": str(place.socket),
        "ORCHESTRATORD_STATE_DIR": str(place.state),
        "ORCHCTL_NO_AUTOSTART": "1",
        "ORCHCTL_MCP_IDLE": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    del found["PYTHONPATH"]
    return found
