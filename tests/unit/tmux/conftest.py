"""A spool for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from spool_place import Place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "spool")
    yield made
    made.spool.stop()
    for copier in made.copiers:
        copier.end()
