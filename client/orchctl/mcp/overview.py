"""Tools about everything at once: status, events, and call for any other method."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

from orchctl.commands import COMMANDS
from orchctl.mcp import schema
from orchctl.mcp.reach import FLAGS
from orchctl.mcp.tool import (
    LONGEST,
    MOST_OUTPUT,
    SLICE,
    UNWATCHED,
    Json,
    Tool,
    Turn,
    compact,
    visible,
)
from orchctl.wire import RpcError, usage

EVENTS = 20
LOOKED_AT = 2000
"""How many of the newest events are looked at for those that are wanted."""

ANSWER = 8192
"""Bytes of a ``call``'s result unless the caller asks for more."""

CLOSED = ("streams", "admin")
"""What a method does that cannot be called here."""

CALLABLE = {
    str(entry[0]): entry
    for entry in COMMANDS.values()
    if not any(flag in str(entry[6]) for flag in CLOSED)
}


async def status(turn: Turn, given: Json) -> Json:
    """Tell how the daemon is and how much there is."""
    found = await turn.call("daemon.status")
    decisions = await turn.call("decision.list", state="open")
    return compact(
        health=found["health"], degraded=found["degraded"], version=found["version"],
        uptime=round(found["uptime"], 1), tmux=found["tmux"]["state"], counts=found["counts"],
        head=found["store"]["head"], open_decisions=[one["id"] for one in decisions],
    )  # fmt: skip


async def events(turn: Turn, given: Json) -> Json:
    """List what happened: after a number, or the newest; wait for the first if there is none."""
    asked: Json = {name: given[name] for name in ("kinds", "session", "pane") if name in given}
    limit = given.get("limit", EVENTS)
    since = given.get("since")
    if since is None:
        head = (await turn.call("daemon.status"))["store"]["head"]
        if "wait" not in given:
            found = await _list(turn, asked, max(0, head - LOOKED_AT), LOOKED_AT)
            return _shown(found["events"][-limit:], found["next"])
        since = head
    found = await _list(turn, asked, since, limit)
    wait = given.get("wait", 0)
    if not found["events"] and wait:
        await _something(turn, asked, found["next"], wait)
        found = await _list(turn, asked, found["next"], limit)
    return _shown(found["events"], found["next"])


async def _list(turn: Turn, asked: Json, since: int, limit: int) -> Json:
    found: Json = await turn.call("event.list", **asked, since=since, limit=limit)
    return found


async def _something(turn: Turn, asked: Json, since: int, seconds: float) -> None:
    """Return when a wanted event has happened, or after the time."""
    whole = seconds if turn.watched else min(seconds, UNWATCHED)
    loop = asyncio.get_running_loop()
    began = loop.time()
    client = await turn.daemon.client()
    async with aclosing(client.subscribe("event.subscribe", **asked, since=since)) as stream:
        first = asyncio.ensure_future(anext(stream))
        try:
            while (left := whole - (loop.time() - began)) > 0:
                await asyncio.wait({first}, timeout=min(left, SLICE))
                if first.done():
                    first.result()
                    return
                passed = loop.time() - began
                await turn.progress(passed, whole, f"no event for {passed:.0f} s")
        finally:
            first.cancel()
            await asyncio.wait({first})


def _shown(found: list[Json], following: int) -> Json:
    rows = [
        compact(
            seq=event["seq"], at=event["at"], kind=event["kind"], session=event.get("session"),
            pane=event.get("pane"), agent=event.get("agent"),
            untrusted_data=_visible(event.get("data")),
        )
        for event in found
    ]  # fmt: skip
    return {"events": rows, "next": following}


def _visible(value: Any) -> Any:
    """Return JSON with every text in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible(one) for one in value]
    if isinstance(value, dict):
        return {name: _visible(one) for name, one in value.items()}
    return value


async def call(turn: Turn, given: Json) -> Json:
    """Call any method of the daemon, or describe its parameters."""
    method = given["method"]
    entry = CALLABLE.get(method)
    if entry is None and method in FLAGS:
        raise usage(f"{method} cannot be called here", "it streams, or is for the administrator")
    if given.get("describe"):
        if entry is None:
            raise RpcError("MethodNotFound", -32601, f"there is no method {method}")
        return {"method": method, "describes": described(entry)}
    params = given.get("params", {})
    result = _visible(await turn.call(method, **params))
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    limit = given.get("max_bytes", ANSWER)
    if len(text.encode()) <= limit:
        return {"method": method, "untrusted_result": result}
    cut = text.encode()[:limit].decode("utf-8", "ignore")
    return {"method": method, "untrusted_part": cut, "bytes": len(text.encode())}


def described(entry: tuple[Any, ...]) -> Json:
    """Return what a model must know to call a method."""
    return {
        "summary": entry[1] + (" " + entry[2] if entry[2] else ""),
        "parameters": {field[0]: json.loads(field[3]) for field in entry[4]},
        "required": [field[0] for field in entry[4] if field[2]],
    }


def nouns() -> str:
    """Return the names of all methods that can be called, by noun."""
    found: dict[str, list[str]] = {}
    for method in sorted(CALLABLE):
        noun, _, verb = method.partition(".")
        found.setdefault(noun, []).append(verb)
    return "; ".join(f"{noun}: {' '.join(verbs)}" for noun, verbs in found.items())


STATUS = Tool(
    "status",
    "How the daemon is",
    "Tell whether the daemon and tmux are well, how many panes and sessions there are, and which "
    "decisions are open. Starts the daemon if none runs.",
    {},
    status,
    {
        "health": {"type": "string", "enum": ["ok", "degraded"]},
        "degraded": schema.texts("What is wrong."),
        "version": schema.text("The daemon's version."),
        "uptime": {"type": "number", "description": "Seconds."},
        "tmux": schema.text("connecting, connected or stopped."),
        "counts": {"type": "object", "description": "How many there are of what."},
        "head": schema.whole("The newest event's number: pass it as since to events."),
        "open_decisions": schema.texts("Their ids."),
    },
    answered=("health", "version", "tmux", "head"),
    needs=("daemon.status", "decision.list"),
    reads=True,
)

EVENTS_TOOL = Tool(
    "events",
    "What happened",
    "List events (pane.exited, exec.finished, decision.opened, ...): the newest, or those after "
    "a number; with wait, wait for the first one if there is none yet. Pass next as since to go "
    "on without a gap. " + schema.UNTRUSTED,
    {
        "since": schema.whole("Only events after this number.", minimum=0),
        "kinds": schema.texts("Only these kinds, such as pane.exited."),
        "session": schema.SESSION,
        "pane": schema.PANE,
        "limit": schema.whole(f"Events at most; {EVENTS} if absent.", minimum=1, maximum=500),
        "wait": {
            "type": "number",
            "description": "Seconds to wait for the first event; at once if absent.",
            "minimum": 0,
            "maximum": LONGEST,
        },
    },
    events,
    {
        "events": schema.rows("seq, at, kind, session, pane, untrusted_data; oldest first."),
        "next": schema.whole("Pass it as since to go on."),
    },
    answered=("events", "next"),
    needs=("event.list", "event.subscribe"),
    reads=True,
)

CALL = Tool(
    "call",
    "Call any method",
    "Call a method that has no tool of its own; describe: true tells its parameters instead. "
    f"Methods, as noun.verb: {nouns()}. " + schema.UNTRUSTED,
    {
        "method": schema.text("The method, such as pane.certificate."),
        "params": {"type": "object", "description": "Its parameters."},
        "describe": schema.yes("Do not call; tell what it does and takes."),
        "max_bytes": schema.whole(
            f"Bytes of the result at most; {ANSWER} if absent.", minimum=1, maximum=MOST_OUTPUT
        ),
    },
    call,
    {
        "method": schema.text("The method."),
        "untrusted_result": {"description": "Its result."},
        "untrusted_part": schema.text("The begin of a result that is too long, as JSON text."),
        "bytes": schema.whole("How long that result is."),
        "describes": {"type": "object", "description": "summary, parameters, required."},
    },
    required=("method",),
    answered=("method",),
    destroys=True,
)
