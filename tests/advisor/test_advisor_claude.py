"""Asking over real HTTP: answers, refusals, faults, time and tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from messages_api import KEY, Body, Gate, HangUp, MessagesApi, Status, message, says
from orchctl.advisor.asked import Asked
from orchctl.advisor.budget import Budget
from orchctl.advisor.claude import RETRIES, Claude
from orchctl.advisor.prompt import Verdict

FAR = 3600.0


def asked(left: float = FAR, **fields: Any) -> Asked:
    known: dict[str, Any] = {
        "id": "q1", "question": "Deploy?", "options": ("yes", "no"), "default": "no",
        "context": "", "expires_at": datetime.now(UTC) + timedelta(seconds=left), "pane": None,
        "session": None, "labels": {},
    }  # fmt: skip
    return Asked(**known | fields)


@asynccontextmanager
async def claude(
    api: MessagesApi, budget: Budget | None = None, **options: Any
) -> AsyncIterator[Claude]:
    settings: dict[str, Any] = {
        "base_url": api.url, "model": "claude-test", "max_tokens": 1000, "effort": None,
        "structure": "schema", "seconds": 30.0, "budget": budget or Budget(None),
    }  # fmt: skip
    made = Claude(KEY, **settings | options)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("structure", ["schema", "tool"])
async def test_a_choice_is_made_by_schema_and_by_tool(api: MessagesApi, structure: str) -> None:
    async with claude(api, structure=structure) as model:
        found = await model.decide(asked())
    assert found == Verdict("yes", "because", "", 230)
    (sent,) = api.requests
    assert (sent["model"], sent["max_tokens"]) == ("claude-test", 1000)
    assert ("effort" in sent.get("output_config", {})) is False


async def test_effort_is_passed_on_beside_the_schema(api: MessagesApi) -> None:
    async with claude(api, effort="low") as model:
        await model.decide(asked())
    assert api.requests[0]["output_config"]["effort"] == "low"


@pytest.mark.parametrize(
    ("answer", "problem", "asked_for"),
    [
        (says("maybe"), "'maybe' is no option", 1),
        (message(stop="refusal"), "the model refused", 1),
        (Status(400, "bad model"), "the API answered 400: bad model", 1),
        (Status(401, f"invalid key {KEY}"), "the API answered 401: invalid key ***", 1),
        (Status(429, "slow down"), "the API answered 429: slow down", 1 + RETRIES),
        (Status(500, "oops"), "the API answered 500: oops", 1 + RETRIES),
        (Status(529, "overloaded"), "the API answered 529: overloaded", 1 + RETRIES),
        (Body(b"<html>", "text/html"), "the API's answer is no JSON", 1),
        (Body(b"{nope"), "the API's answer is no JSON", 1),
        (Body(b"[" * 100_000), "the API's answer is no JSON", 1),
        (Body(b"[1]"), "the API's answer is no message", 1),
        (Body(b"null"), "the API's answer is no message", 1),
        (Body(b'{"content": 5}'), "the API's answer is no message", 1),
        (Body(b"\xff\xfe{}"), "the API's answer is no JSON", 1),
        (HangUp(), "the API cannot be reached (RemoteProtocolError)", 1 + RETRIES),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_what_is_no_answer_is_a_problem_and_retries_are_bounded(
    api: MessagesApi, answer: Any, problem: str, asked_for: int
) -> None:
    api.answers = [answer]
    async with claude(api) as model:
        found = await model.decide(asked())
    assert found.choice is None
    assert found.problem == problem
    assert len(api.requests) == asked_for


async def test_a_retry_that_succeeds_is_an_answer(api: MessagesApi) -> None:
    api.answers = [Status(529), HangUp(), says("no")]
    async with claude(api) as model:
        assert (await model.decide(asked())).choice == "no"


async def test_a_slow_answer_is_given_up_and_counts_as_all_it_may_have_cost(
    api: MessagesApi,
) -> None:
    api.answers = [Gate()]
    budget = Budget(100_000)
    async with claude(api, budget, seconds=0.2) as model:
        found = await model.decide(asked())
    assert found.problem == "no answer within 0.2 s"
    assert budget.spent == found.tokens > 1000


async def test_an_answer_is_not_waited_for_beyond_the_deadline(api: MessagesApi) -> None:
    api.answers = [Gate()]
    async with claude(api) as model:
        late = (await model.decide(asked(left=0.2))).problem
        assert late.startswith(("no answer within", "its deadline is reached"))
        assert (await model.decide(asked(left=-5))).problem == "its deadline is reached"


async def test_an_api_that_is_not_there_is_a_problem(api: MessagesApi) -> None:
    async with claude(api, base_url="http://127.0.0.1:1") as model:
        assert "the API cannot be reached" in (await model.decide(asked())).problem


async def test_a_spent_budget_asks_nothing_more(api: MessagesApi) -> None:
    budget = Budget(2000)
    async with claude(api, budget) as model:
        api.answers = [says("yes", tokens=(300, 700)), says("yes", tokens=(300, 300))]
        first, second, third = [await model.decide(asked()) for _ in range(3)]
    assert (first.choice, second.choice) == ("yes", "yes")
    assert third == Verdict(problem="the budget of 2000 tokens is spent")
    assert len(api.requests) == 2
    assert budget.spent == 1600
    assert api.requests[1]["max_tokens"] < 1000  # what is left of the budget


async def test_the_budget_holds_for_requests_at_the_same_time(api: MessagesApi) -> None:
    budget = Budget(3000)
    api.answers = [says("yes", tokens=(300, 700))]
    async with claude(api, budget) as model:
        found = await asyncio.gather(*(model.decide(asked()) for _ in range(8)))
    assert budget.spent <= 3000
    assert sum(one.choice == "yes" for one in found) == len(api.requests) >= 2
    assert {one.problem for one in found} == {"", "the budget of 3000 tokens is spent"}


async def test_a_cancelled_request_ends_and_counts(api: MessagesApi) -> None:
    gate = Gate()
    api.answers = [gate]
    budget = Budget(100_000)
    async with claude(api, budget) as model:
        asking = asyncio.create_task(model.decide(asked()))
        await gate.reached.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert budget.spent > 1000
