"""The loop: ask the model, do the tools that it calls, give it their results, until it ends.

The only module here that imports the ``anthropic`` SDK (a second, 55 MB). The model's
history is all that is kept, and it is kept here.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import anthropic

from orchctl.advisor.budget import Budget
from orchctl.mcp.offer import INSTRUCTIONS, TOOLS
from orchctl.mcp.tool import Json, Tool, Turn, refusal
from orchctl.wire import RpcError

RETRIES = 2
"""After 408, 409, 429, 5xx and lost connections, by the SDK."""

BYTES_A_TOKEN = 3
"""Of the request's text, for what it may cost before that is known."""

SYSTEM = (
    "You do a task for a person by working in terminal panes with your tools. Work step by step: "
    "act, look at what came of it, go on. Verify by exit codes. Close the panes that you opened "
    "when you are done, then say in a few sentences what you did and what the outcome is.\n\n"
    + INSTRUCTIONS
)

End = Literal["done", "refused", "cut", "budget", "turns", "failed"]


@dataclass(frozen=True)
class Limits:
    """How much may be spent. ``max_tokens`` is of one answer, ``seconds`` for one answer."""

    model: str
    max_tokens: int
    turns: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How it ended; ``text`` is the model's last word, or the problem."""

    end: End
    text: str
    turns: int
    tokens: int


Tell = Callable[[str, Json], None]
"""Is told each step: its kind ("says", "calls", "result") and what it is."""


class Loop:
    """One task, done by one model. State: the conversation, in ``messages``."""

    def __init__(
        self,
        api: anthropic.AsyncAnthropic,
        limits: Limits,
        budget: Budget,
        turn: Turn,
        tell: Tell,
        tools: dict[str, Tool] = TOOLS,
    ) -> None:
        self.messages: list[Json] = []
        self._api = api
        self._limits = limits
        self._budget = budget
        self._turn = turn
        self._tell = tell
        self._tools = tools

    async def run(self, task: str) -> Outcome:
        """Work until the model ends, or a limit is reached."""
        self.messages.append({"role": "user", "content": task})
        for turns in range(1, self._limits.turns + 1):
            try:
                reply = await self._ask()
            except anthropic.AnthropicError as error:
                return self._outcome("failed", problem(error), turns)
            if reply is None:
                return self._outcome("budget", "the budget of tokens is spent", turns - 1)
            content = [block.model_dump(exclude_none=True) for block in reply.content]
            self.messages.append({"role": "assistant", "content": content})
            text = "\n".join(block["text"] for block in content if block["type"] == "text")
            if text:
                self._tell("says", {"text": text})
            calls = [block for block in content if block["type"] == "tool_use"]
            if reply.stop_reason == "tool_use" and calls:
                results = await asyncio.gather(*map(self._do, calls))
                self.messages.append({"role": "user", "content": list(results)})
            elif reply.stop_reason != "pause_turn":
                return self._outcome(_ENDS.get(str(reply.stop_reason), "done"), text, turns)
        return self._outcome("turns", "the model took all its turns", self._limits.turns)

    def _outcome(self, end: End, text: str, turns: int) -> Outcome:
        return Outcome(end, text, turns, self._budget.spent)

    async def _ask(self) -> Any:
        """Ask the model and return its message; None if the budget is spent."""
        body: Json = {
            "model": self._limits.model,
            "system": SYSTEM,
            "messages": self.messages,
            "tools": [definition(tool) for tool in self._tools.values()],
        }
        input_ = len(json.dumps(body).encode()) // BYTES_A_TOKEN
        granted = await self._budget.take(input_, self._limits.max_tokens)
        if not granted:
            return None
        used = most = input_ + granted
        try:
            reply = await self._api.messages.create(
                **body, max_tokens=granted, timeout=self._limits.seconds
            )
            used = _tokens(reply.usage) or most
            return reply
        finally:
            await asyncio.shield(self._budget.settle(most, used))

    async def _do(self, block: Json) -> Json:
        """Do one call and return its result, an error too."""
        name, given = block["name"], block["input"]
        self._tell("calls", {"tool": name, "input": given})
        failed = False
        try:
            if not isinstance(given, dict) or name not in self._tools:
                raise RpcError("NotFound", 404, f"there is no tool {name}")
            self._tools[name].check(given)
            found = await self._tools[name].run(self._turn, given)
        except RpcError as error:
            found, failed = {"error": refusal(error)}, True
        self._tell("result", {"tool": name, "result": found, "failed": failed})
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return {
            "type": "tool_result", "tool_use_id": block["id"], "content": text,
            "is_error": failed,
        }  # fmt: skip


_ENDS: dict[str, End] = {"refusal": "refused", "max_tokens": "cut"}


def definition(tool: Tool) -> Json:
    """Return a tool as the Messages API takes it."""
    shown = tool.definition()
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": shown["inputSchema"],
    }


def _tokens(usage: Any) -> int:
    names = (
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
    )  # fmt: skip
    return sum(getattr(usage, name, None) or 0 for name in names)


def problem(error: anthropic.AnthropicError) -> str:
    """Say what went wrong with the API; its text may repeat the key, so little of it is told."""
    if isinstance(error, anthropic.APIStatusError):
        return f"the API answered {error.status_code}"
    if isinstance(error, anthropic.APITimeoutError):
        return "the API did not answer in time"
    if isinstance(error, anthropic.APIConnectionError):
        return "the API cannot be reached"
    return f"the SDK gave up ({type(error).__name__})"
