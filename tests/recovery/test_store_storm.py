from pathlib import Path

import pytest
import store_storm


async def test_no_kill_loses_an_acknowledged_change_or_leaves_a_gap(tmp_path: Path) -> None:
    storm = store_storm.run(tmp_path / "state", kills=15, seed=7)
    assert len(storm.acknowledged) >= 15
    head, pane = await store_storm.reopen(tmp_path / "state")
    assert head == storm.head
    assert pane > max(map(int, storm.panes))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_three_hundred_kills(tmp_path: Path) -> None:
    assert store_storm.run(tmp_path / "state", kills=300, seed=11).head > 0
