"""Agents by name, token and pane."""

from __future__ import annotations

from typing import Any

import pytest

from orchestratord.features.agents.fault import AgentEnded, AgentNotFound, BadToken
from orchestratord.features.agents.record import AgentRecord, hash_of, new_token
from orchestratord.features.agents.roll import REMEMBERED, Roll


def record(name: str, token: str, **fields: Any) -> AgentRecord:
    given: dict[str, Any] = {
        "name": name, "uid": 1000, "by": "uid:1000", "scopes": ["read:own"],
        "token_hash": hash_of(token), "created_at": "2026",
    }  # fmt: skip
    return AgentRecord(**(given | fields))


def test_a_token_is_good_for_processes_of_its_user_only() -> None:
    roll, token = Roll(), new_token()
    roll.put(record("worker", token))
    assert roll.by_token(token, 1000).name == "worker"
    with pytest.raises(BadToken):
        roll.by_token(token, 1001)


def test_a_token_has_256_bits_and_is_never_kept() -> None:
    token = new_token()
    assert len(token.removeprefix("orch_")) == 43
    assert token not in repr(record("worker", token))
    assert len({new_token() for _ in range(1000)}) == 1000


def test_an_agent_that_has_ended_has_no_rights_and_no_pane() -> None:
    roll, token = Roll(), new_token()
    agent = record("worker", token, pane="p1")
    roll.put(agent)
    assert roll.in_pane("p1") is agent
    agent.state = "retired"
    roll.changed(agent)
    assert (roll.in_pane("p1"), agent.allowed) == (None, frozenset())
    with pytest.raises(AgentEnded):
        roll.by_token(token, 1000)


def test_who_takes_the_name_of_one_that_has_ended_replaces_it() -> None:
    roll, first, second = Roll(), new_token(), new_token()
    roll.put(record("worker", first, state="expired"))
    roll.put(record("worker", second))
    with pytest.raises(BadToken):
        roll.by_token(first, 1000)
    assert roll.get("worker") is roll.by_token(second, 1000)
    with pytest.raises(AgentNotFound):
        roll.get("other")


def test_every_change_is_told() -> None:
    roll, told = Roll(), []
    roll.on_change = lambda: told.append(1)
    agent = record("worker", new_token())
    roll.put(agent)
    roll.changed(agent)
    assert len(told) == 2


def test_the_oldest_ended_agents_are_forgotten_first() -> None:
    roll = Roll()
    for number in range(REMEMBERED + 2):
        ended = f"2026-{number:06}"
        roll.put(record(f"a{number}", new_token(), state="retired", ended_at=ended))
    assert [agent.name for agent in roll.forgettable()] == ["a0", "a1"]
