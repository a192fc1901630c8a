"""The tool about decisions: ask a person or another agent, answer what is asked, wait."""

import asyncio
from typing import Any

from orchctl.mcp import schema
from orchctl.mcp.tool import SLICE, UNWATCHED, Json, Tool, Turn, compact, visible
from orchctl.wire import usage

ACTIONS = {
    "list": (), "get": ("decision",), "ask": ("question", "options"),
    "answer": ("decision", "choice"), "wait": ("decision",), "cancel": ("decision",),
}  # fmt: skip
TAKEN = {
    "list": ("state", "session", "label", "limit"),
    "get": ("decision",),
    "ask": (
        "question", "options", "default", "deadline", "context", "pane", "session", "labels",
    ),
    "answer": ("decision", "choice", "reason"),
    "wait": ("decision", "timeout"),
    "cancel": ("decision",),
}  # fmt: skip
LISTED = 20


async def decide(turn: Turn, given: Json) -> Json:
    """Do what ``action`` says."""
    action = given["action"]
    asked = {name: value for name, value in given.items() if name != "action"}
    if extra := [name for name in asked if name not in TAKEN[action]]:
        raise usage(f"{action} takes no {extra[0]}", f"it takes {', '.join(TAKEN[action])}")
    if missing := [name for name in ACTIONS[action] if name not in asked]:
        raise usage(f"{action} needs {' and '.join(missing)}")
    if action == "list":
        asked.setdefault("state", "open")
        found = await turn.call("decision.list", **{"limit": LISTED} | asked)
        return {"decisions": [shown(one) for one in found]}
    if action == "wait":
        return await _wait(turn, given["decision"], given.get("timeout", UNWATCHED))
    return {"decisions": [shown(await turn.call(f"decision.{action}", **asked))]}


async def _wait(turn: Turn, decision: str, timeout: float) -> Json:
    loop = asyncio.get_running_loop()
    began = loop.time()
    left = whole = timeout if turn.watched else min(timeout, UNWATCHED)
    while True:
        found = await turn.call(
            "decision.wait", decision=decision, timeout=max(min(left, SLICE), 0.0)
        )
        passed = loop.time() - began
        left = whole - passed
        if found["outcome"] != "timed_out" or left <= 0:
            break
        await turn.progress(passed, whole, f"{decision} for {passed:.0f} s")
    outcome = "waiting" if found["outcome"] == "timed_out" else found["outcome"]
    now = await turn.call("decision.get", decision=decision)
    return {"outcome": outcome, "decisions": [shown(now)]}


def shown(decision: dict[str, Any]) -> Json:
    """Return a decision in short; its context may be what a program printed."""
    context = decision.get("context")
    return compact(
        decision=decision["id"], state=decision["state"], question=visible(decision["question"]),
        options=decision["options"], default=decision["default"], choice=decision["choice"],
        reason=decision["reason"], answered_by=decision["answered_by"],
        expires_at=decision["expires_at"], pane=decision["pane"], session=decision["session"],
        labels=decision["labels"], untrusted_context=visible(context) if context else None,
    )  # fmt: skip


DECIDE = Tool(
    "decide",
    "Ask for and answer decisions",
    "A decision is a question with two to ten options and a deadline. ask opens one for a person "
    "or another agent (at the deadline the default applies), wait waits for its end, list shows "
    "open ones, answer chooses. Ask a person before what cannot be undone. " + schema.UNTRUSTED,
    {
        "action": {"type": "string", "enum": list(ACTIONS)},
        "decision": schema.text("A decision's id (q7), for get, answer, wait, cancel."),
        "question": schema.text("ask: what is to be decided."),
        "options": schema.texts("ask: what can be chosen."),
        "default": schema.text("ask: the option that applies at the deadline."),
        "deadline": {"type": "number", "description": "ask: seconds from now; 3600 if absent."},
        "context": schema.text("ask: what one must know to decide."),
        "pane": schema.text("ask: the pane that it is about."),
        "session": schema.text("ask, list: the session that it is about."),
        "labels": schema.pairs("ask: labels to select by."),
        "label": schema.text("list: only those with KEY or KEY=VALUE."),
        "state": {
            "type": "string",
            "enum": ["open", "answered", "defaulted", "expired", "cancelled"],
            "description": "list: open if absent.",
        },
        "limit": schema.whole("list: how many at most.", minimum=1, maximum=200),
        "choice": schema.text("answer: one of the options, exactly."),
        "reason": schema.text("answer: why."),
        "timeout": schema.TIMEOUT,
    },
    decide,
    {
        "decisions": schema.rows(
            "decision, state, question, options, default, choice, reason, untrusted_context."
        ),
        "outcome": schema.text("wait: answered, defaulted, expired, cancelled, or waiting."),
    },
    required=("action",),
    answered=("decisions",),
    needs=tuple(f"decision.{action}" for action in ACTIONS),
)
