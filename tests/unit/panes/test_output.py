"""Reads of a stream: increments, cuts, cursors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from panes_records import pane

from orchestratord.clock import ManualClock
from orchestratord.features.panes.fault import BadCursor
from orchestratord.features.panes.output import Output
from orchestratord.tmux.link import Link
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor

LINES = some.lists(
    some.text(some.sampled_from("aé😀 \x1b[1m"), max_size=12).map(lambda t: f"{t}\n"), max_size=40
)


@contextmanager
def _output(directory: Path, data: bytes) -> Iterator[Output]:
    """An output whose first pane wrote that and has ended."""
    directory.mkdir(exist_ok=True)
    (directory / "p1.1.999999").write_bytes(data)
    spool = Spool(directory, ManualClock())
    spool.expect("p1", 1)
    spool.finish("p1")
    yield Output(Link("tmux", directory / "t.sock", {}), spool, ManualClock())
    spool.stop()


@given(lines=LINES, limit=some.integers(1, 200))
async def test_increments_always_reach_the_end(lines: list[str], limit: int) -> None:
    data = "".join(lines).encode()
    with tempfile.TemporaryDirectory() as directory, _output(Path(directory), data) as output:
        _increments_reach_the_end(output, data, limit)


def _increments_reach_the_end(output: Output, data: bytes, limit: int) -> None:
    record = pane(1)
    at, parts = output.cursor(record, None), []
    for _ in range(len(data) + 1):
        got = output.read(record, at, limit)
        parts.append(got.text)
        assert got.gap is False
        if got.cursor == at:
            break
        at = got.cursor
    assert at == Cursor(1, len(data))
    if limit > 64:
        assert "".join(parts) == output.read(record, Cursor(1, 0), 1 << 20).text


async def test_a_cursor_is_read_back_or_refused(tmp_path: Path) -> None:
    with _output(tmp_path / "spool", b"abc") as output:
        assert output.cursor(pane(1), "1.2") == Cursor(1, 2)
        assert output.end(pane(1)) == Cursor(1, 3)
        for bad in ("", "1", "a.b", "1.-2", "1.2.3"):
            with pytest.raises(BadCursor):
                output.cursor(pane(1), bad)
