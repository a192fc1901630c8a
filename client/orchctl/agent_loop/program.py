"""``orchctl agent-loop``: flags in, the loop, what happens told as it happens."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchctl.advisor.program import read_key
from orchctl.advisor.report import Report
from orchctl.cli import Invocation, out
from orchctl.render import safe
from orchctl.wire import RpcError, usage

if TYPE_CHECKING:
    from orchctl.agent_loop.loop import Limits, Outcome

MODEL = "claude-sonnet-5-5"
MAX_TOKENS = 8192
TURNS = 50
SECONDS = 300.0
SHOWN = 300
"""Characters of a call or a result that a person is shown."""


def main(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Have the task done; exit 0 if the model ended by itself, else 1."""
    for name in ("max_tokens", "budget", "turns", "timeout"):
        if params.get(name, 1) <= 0:
            raise usage(f"{name} must be above 0")
    key = read_key(params.get("key_file"), Report(invocation.json, invocation.quiet))
    if key is None:
        raise RpcError(
            "FailedPrecondition", 412, "there is no key for the API",
            {"hint": "set ANTHROPIC_API_KEY, or give --key-file"},
        )  # fmt: skip
    from orchctl.agent_loop.loop import Limits

    limits = Limits(
        model=params.get("model", MODEL),
        max_tokens=params.get("max_tokens", MAX_TOKENS),
        turns=params.get("turns", TURNS),
        seconds=params.get("timeout", SECONDS),
    )
    found = asyncio.run(work(invocation, params, key, limits))
    line: dict[str, Any] = {"end": found.end, "turns": found.turns, "tokens": found.tokens}
    if invocation.json:
        out(json.dumps({"step": "end", "text": found.text, **line}).encode() + b"\n")
    else:
        told = f"{found.end} after {found.turns} turns and {found.tokens} tokens"
        text = told if found.end in ("done", "cut", "refused") else f"{told}: {found.text}"
        out((safe(text) + "\n").encode(errors="backslashreplace"))
    return 0 if found.end == "done" else 1


async def work(
    invocation: Invocation, params: dict[str, Any], key: str, limits: "Limits"
) -> "Outcome":
    """Do the task; the daemon is started if need be, the SDK's client closed at the end."""
    import anthropic

    from orchctl.advisor.budget import Budget
    from orchctl.agent_loop.loop import RETRIES, Loop
    from orchctl.mcp.reach import Reach
    from orchctl.mcp.tool import Turn

    async def dial(again: bool) -> socket.socket:
        made = await asyncio.to_thread(invocation.connect, again)
        return socket.socket(fileno=made.detach())

    async def progress(done: float, whole: float, message: str) -> None:
        if not invocation.quiet and os.isatty(2):
            os.write(2, f"\r\x1b[K{message}\r".encode())

    async def never() -> bool:
        return False  # a command that runs is left running, as by Ctrl-C of any orchctl

    daemon = Reach(dial)
    turn = Turn(daemon, progress, True, str(Path.cwd()), never)
    tell = _as_json if invocation.json else _as_text
    async with anthropic.AsyncAnthropic(
        api_key=key, base_url=params.get("base_url"), max_retries=RETRIES
    ) as api:
        loop = Loop(api, limits, Budget(params.get("budget")), turn, tell)
        try:
            return await loop.run(params["task"])
        finally:
            await daemon.close()


def _as_json(step: str, what: dict[str, Any]) -> None:
    line = json.dumps({"step": step, **what}, ensure_ascii=False)
    out(line.encode(errors="backslashreplace") + b"\n")


def _as_text(step: str, what: dict[str, Any]) -> None:
    if step == "says":
        text = what["text"]
    elif step == "calls":
        text = f"> {what['tool']} {json.dumps(what['input'], ensure_ascii=False)}"[:SHOWN]
    else:
        mark = "!" if what["failed"] else "<"
        text = f"{mark} {json.dumps(what['result'], ensure_ascii=False)}"[:SHOWN]
    out((safe(text) + "\n").encode(errors="backslashreplace"))
