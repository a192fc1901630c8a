"""Tools that make a pane do something and wait for it: run, send, wait.

What is waited for goes on in the daemon: an answer that comes before the end names it,
and ``wait`` takes it up again. A caller that cancels its call ends it; one that is gone
does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from orchctl.mcp import schema
from orchctl.mcp.tool import (
    MAX_OUTPUT,
    SLICE,
    UNWATCHED,
    Json,
    Tool,
    Turn,
    compact,
    last_bytes,
    visible,
)
from orchctl.wire import RpcError, usage

Look = Callable[[str, float], Awaitable[Json | None]]
"""Waits so many seconds for the end of what has that id; None if it goes on."""

SURE = 0.5
"""Seconds longer than its deadline that a wait is looked at, so that its own word is heard."""

CONDITIONS = ("patterns", "stop", "exit", "prompt", "idle")


async def run(turn: Turn, given: Json) -> Json:
    """Run a command in a pane's shell and wait for its end."""
    limit = given.get("max_bytes", MAX_OUTPUT)

    async def begin() -> str:
        asked = {name: given.get(name) for name in ("pane", "command", "until", "idle", "queue")}
        try:
            begun = await turn.call("pane.exec", **asked, wait=False)
        except RpcError as error:
            if error.kind != "PaneBusy" or error.data.get("reason") != "starting":
                raise
            begun = await turn.call("pane.exec", **asked | {"queue": True}, wait=False)
        return str(begun["exec"])

    return await _command(turn, begin, limit, given.get("timeout", UNWATCHED), ends=True)


async def wait(turn: Turn, given: Json) -> Json:
    """Wait for panes, for a command that runs, or go on with an earlier wait."""
    timeout = given.get("timeout", UNWATCHED)
    named = [name for name in ("pane", "panes", "exec", "wait") if given.get(name)]
    if len(named) != 1:
        raise usage("name one of pane, panes, exec and wait")
    asked = [name for name in (*CONDITIONS, "all", "since") if name in given]
    if named[0] in ("exec", "wait") and asked:
        raise usage(f"{asked[0]} goes with pane or panes", f"{named[0]} is already under way")
    if named == ["exec"]:
        limit = given.get("max_bytes", MAX_OUTPUT)
        return await _command(turn, _is(given["exec"]), limit, timeout, ends=False)
    if named == ["wait"]:
        return await _condition(turn, _is(given["wait"]), timeout, ends=False)
    if not any(given.get(name) for name in CONDITIONS):
        raise usage(f"name what to wait for: {', '.join(CONDITIONS)}")
    begins = {name: given.get(name) for name in ("pane", "panes", *asked)}

    async def begin() -> str:
        return str((await turn.call("pane.wait", **begins, timeout=timeout, detach=True))["wait"])

    return await _condition(turn, begin, timeout, ends=True)


async def send(turn: Turn, given: Json) -> Json:
    """Type text, then press keys, then signal, as far as each is given."""
    pane = given["pane"]
    if not any(name in given for name in ("text", "keys", "signal")):
        raise usage("name text, keys or signal")
    if "submit" in given and "text" not in given:
        raise usage("submit goes with text", "keys: [Enter] presses Enter")
    found = await turn.call("pane.get", pane=pane)
    pane, incarnation = found["id"], found["incarnation"]
    if "text" in given:
        await turn.call(
            "pane.send", pane=pane, text=given["text"], submit=given.get("submit"),
            incarnation=incarnation,
        )  # fmt: skip
    if given.get("keys"):
        await turn.call("pane.keys", pane=pane, keys=given["keys"], incarnation=incarnation)
    if "signal" in given:
        await turn.call("pane.signal", pane=pane, signal=given["signal"], incarnation=incarnation)
    return {"pane": pane, "cursor": found["cursor"]}


def _is(identity: str) -> Callable[[], Coroutine[Any, Any, str]]:
    async def known() -> str:
        return identity

    return known


async def _command(
    turn: Turn,
    begin: Callable[[], Coroutine[Any, Any, str]],
    limit: int,
    timeout: float,
    *,
    ends: bool,
) -> Json:
    last: Json = {}

    async def look(identity: str, seconds: float) -> Json | None:
        nonlocal last
        last = await turn.call("exec.wait", exec=identity, timeout=seconds, max_output=limit)
        return last if last["state"] == "finished" else None

    async def stop(identity: str) -> None:
        await turn.call("exec.cancel", exec=identity, signal="INT")

    await _follow(turn, begin, look, stop if ends else None, timeout)
    return shown_exec(last, limit)


async def _condition(
    turn: Turn, begin: Callable[[], Coroutine[Any, Any, str]], timeout: float, *, ends: bool
) -> Json:
    identity = ""

    async def look(found: str, seconds: float) -> Json | None:
        nonlocal identity
        identity = found
        result: Json = await turn.call("wait.get", wait=found, block=seconds + SURE)
        return result if result["outcome"] else None

    async def stop(identity: str) -> None:
        await turn.call("wait.cancel", wait=identity)

    result = await _follow(turn, begin, look, stop if ends else None, timeout)
    if result is None:
        going_on = f"call wait with wait={identity} to go on waiting"
        return {"outcome": "waiting", "wait": identity, "next": going_on}
    return shown_wait(result)


async def _follow(
    turn: Turn,
    begin: Callable[[], Coroutine[Any, Any, str]],
    look: Look,
    stop: Callable[[str], Coroutine[Any, Any, None]] | None,
    timeout: float,
) -> Json | None:
    """Begin something and look at it in slices until it has ended or the time is over.

    Tells the progress after each slice. Cancelled, it leaves ``stop`` to be done: also for
    what had begun without its id being known yet.
    """
    loop = asyncio.get_running_loop()
    beginning = loop.create_task(begin())
    began = loop.time()
    left = whole = timeout if turn.watched else min(timeout, UNWATCHED)
    try:
        identity = await asyncio.shield(beginning)
        while True:
            found = await look(identity, max(min(left, SLICE), 0.0))
            passed = loop.time() - began
            left = whole - passed
            if found is not None or left <= 0:
                return found
            await turn.progress(passed, whole, f"{identity} for {passed:.0f} s")
    except asyncio.CancelledError:
        if stop is not None:
            turn.daemon.unattended(_stop(turn, beginning, stop))
        raise


async def _stop(
    turn: Turn,
    beginning: "asyncio.Task[str]",
    stop: Callable[[str], Coroutine[Any, Any, None]],
) -> None:
    """End what had begun if the caller took the call back, not if the caller is gone."""
    if await turn.taken_back():
        await stop(await beginning)


def shown_exec(found: Json, limit: int) -> Json:
    """Return a command's result as the tools show it."""
    output, cut = last_bytes(visible(found["output"]), limit)
    goes_on = found["state"] != "finished"
    truncated = found["truncated"] or cut
    hint = f"call wait with exec={found['exec']} to go on waiting" if goes_on else None
    if truncated and not goes_on:
        hint = f"all output: call read with pane={found['pane']} since={found['since']}"
    front = found["foreground"] if goes_on else None
    return compact(
        exec=found["exec"], pane=found["pane"], state=found["state"],
        exit_code=found["exit_code"], ended_by=None if goes_on else found["ended_by"],
        signal=found["signal"], untrusted_output=output, truncated=truncated or None,
        since=found["since"] if truncated else None, cursor=found["cursor"],
        duration=found["duration"], cwd=found["cwd"],
        foreground=visible(front["command"]) if front else None,
        waiting_input=found["waiting_input"] if goes_on else None, next=hint,
    )  # fmt: skip


def shown_wait(found: Json) -> Json:
    """Return a wait's result as the tools show it."""
    results = found.get("results")
    return compact(
        outcome=found["outcome"], wait=found.get("wait"), pane=found["pane"],
        condition=found["condition"], pattern=found["pattern"],
        untrusted_match=_cut(found["match"]), untrusted_line=_cut(found["line"]),
        untrusted_groups=[_cut(group) for group in found["groups"]],
        cursor=found["cursor"], exit=shown_exit(found["exit"]),
        results=[shown_wait(one) for one in results] if results else None,
    )  # fmt: skip


def shown_exit(found: Json | None) -> Json | None:
    """Return how a pane ended, its last lines marked as what they are."""
    if found is None:
        return None
    lines = [_cut(line) for line in found.get("last_lines", [])]
    return compact(
        status=found["status"], signal=found["signal"], at=found["at"], by=found["by"],
        untrusted_last_lines=lines,
    )  # fmt: skip


def _cut(text: str | None) -> str | None:
    return None if text is None else visible(text[:400])


RUN = Tool(
    "run",
    "Run a command",
    "Run a shell command in a pane and return its exact exit code and output. The pane needs a "
    "shell (open one without command). The command may have many lines; the shell's state "
    "(directory, variables) stays for the next run. If it has not ended after timeout, state is "
    "running: go on with wait exec=..., answer it with send, or leave it. " + schema.UNTRUSTED,
    {
        "pane": schema.PANE,
        "command": schema.text("What the shell executes, byte for byte."),
        "timeout": schema.TIMEOUT,
        "until": schema.text("Also ends when a line of the output matches (RE2)."),
        "idle": {
            "type": "number",
            "description": "Also ends after so many seconds without output.",
            "minimum": 0.01,
        },
        "queue": schema.yes("If the shell is busy, wait for its prompt instead of failing."),
        "max_bytes": schema.MAX_BYTES,
    },
    run,
    {
        "exec": schema.text("The command's id."),
        "pane": schema.text("The pane's id."),
        "state": {"type": "string", "enum": ["queued", "starting", "running", "finished"]},
        "exit_code": schema.whole("The exit code; absent if it was not learnt."),
        "ended_by": schema.text(
            "exit_code, signal, stopped, pattern, idle, pane_exit or cancelled."
        ),
        "signal": schema.text("The signal that ended it."),
        "untrusted_output": schema.OUTPUT,
        "truncated": schema.yes("The output is longer; this is its end."),
        "since": schema.text("Where its output begins: pass it to read."),
        "cursor": schema.CURSOR,
        "duration": {"type": "number", "description": "Seconds."},
        "cwd": schema.text("The shell's directory."),
        "foreground": schema.text("The program that runs now."),
        "waiting_input": schema.yes("Whether it waits for input."),
        "next": schema.NEXT,
    },
    required=("pane", "command"),
    answered=("exec", "pane", "state", "untrusted_output"),
    needs=("pane.exec", "exec.wait", "exec.cancel"),
    destroys=True,
)

WAIT = Tool(
    "wait",
    "Wait for a pane or a command",
    "Wait until a pane prints a line that matches one of patterns or stop, ends, is at its "
    "prompt, or is silent; or until a command that runs (exec) has ended. Only output after the "
    "call (or after since) counts, so pass the cursor of the answer before. Outcomes: matched, "
    "stopped, exited, timed_out, lagged, gone, cancelled; waiting says how to go on. For exec the "
    "answer is that of run. " + schema.UNTRUSTED,
    {
        "pane": schema.PANE,
        "panes": schema.texts("Several panes; the first that satisfies a condition ends it."),
        "exec": schema.text("A command that runs, from run (e12)."),
        "wait": schema.text("A wait that goes on, from wait (wait7)."),
        "patterns": schema.texts("Regular expressions (RE2), each within a line."),
        "stop": schema.texts("Patterns that end it as stopped: signs of failure."),
        "exit": schema.yes("Until the pane's program has ended."),
        "prompt": schema.yes("Until the shell is at its prompt."),
        "idle": {
            "type": "number",
            "description": "Until nothing was written for so many seconds.",
            "minimum": 0.01,
        },
        "all": schema.yes("Until all panes have satisfied a condition."),
        "since": schema.SINCE,
        "timeout": schema.TIMEOUT,
        "max_bytes": schema.MAX_BYTES,
    },
    wait,
    {
        "outcome": schema.text("How the wait ended; waiting if it goes on. Absent for exec."),
        "wait": schema.text("The wait's id."),
        "pane": schema.text("The pane that ended it."),
        "condition": schema.text("What was met: pattern, stop, exit, prompt or idle."),
        "pattern": schema.text("The pattern that matched."),
        "untrusted_match": schema.OUTPUT,
        "untrusted_line": schema.OUTPUT,
        "untrusted_groups": {"type": "array", "items": {"type": ["string", "null"]}},
        "untrusted_output": schema.OUTPUT,
        "cursor": schema.CURSOR,
        "exit": schema.EXIT,
        "results": schema.rows("Each pane's result, if all was asked for."),
        "exec": schema.text("The command's id."),
        "state": schema.text("The command's state."),
        "exit_code": schema.whole("The command's exit code."),
        "ended_by": schema.text("What ended the command."),
        "next": schema.NEXT,
    },
    needs=("pane.wait", "wait.get", "wait.cancel", "exec.wait"),
    reads=True,
)

SEND = Tool(
    "send",
    "Type into a pane",
    "Type text into a pane's program byte for byte (submit presses Enter after it), press keys "
    "by name (C-c, Enter, Up, F5), or signal its program. For shell commands use run. Password "
    "prompts are refused. Then wait or read with the cursor of the answer.",
    {
        "pane": schema.PANE,
        "text": schema.text("Typed as it is; nothing is interpreted."),
        "submit": schema.yes("Press Enter after the text."),
        "keys": schema.texts("Pressed after the text: Enter, C-c, M-x, Up, or one character."),
        "signal": schema.text("Sent last to the program in the foreground: INT, TERM, 15."),
    },
    send,
    {"pane": schema.text("The pane's id."), "cursor": schema.text("Where the output was before.")},
    required=("pane",),
    answered=("pane", "cursor"),
    needs=("pane.send", "pane.keys", "pane.signal"),
    destroys=True,
)
