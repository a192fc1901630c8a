"""The chain of audit entries: any change of what was noted shows."""

from __future__ import annotations

from typing import Any

import pytest

from orchestratord.features.agents.chain import GENESIS, Entry, Link, chained, follow

START = Link(0, GENESIS)


def rows(count: int) -> list[tuple[Any, ...]]:
    """Return a chain of entries as the table has them."""
    found, before = [], GENESIS
    for seq in range(1, count + 1):
        entry = Entry(seq, "2026", 0, 1, None, None, "pane.kill", f"p{seq}", "ok", 9, "ab")
        before = chained(before, entry)
        found.append((*entry, before))
    return found


def test_a_whole_chain_holds_to_its_head() -> None:
    made = rows(5)
    assert follow(START, made) == (Link(5, made[-1][-1]), None)
    assert follow(Link(2, made[1][-1]), made[2:]) == (Link(5, made[-1][-1]), None)
    assert follow(START, []) == (START, None)


@pytest.mark.parametrize("column", range(1, 11))
def test_a_changed_field_breaks_the_chain_where_it_is(column: int) -> None:
    made = rows(5)
    changed = list(made[2])
    changed[column] = 77 if isinstance(changed[column], int) else "forged"
    made[2] = tuple(changed)
    assert follow(START, made)[1] == 3


def test_missing_inserted_and_exchanged_entries_break_the_chain() -> None:
    made = rows(5)
    assert follow(START, [*made[:2], *made[3:]])[1] == 3
    assert follow(START, [*made[:2], made[1], *made[2:]])[1] == 3
    assert follow(START, [made[1], made[0], *made[2:]])[1] == 1
    assert follow(START, made[1:])[1] == 1
