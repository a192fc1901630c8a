"""Streams on the command line: events, output, and any method that streams.

An item is a line of JSON, or text for people. A stream whose connection is
lost is opened again after the last item that was shown, so that nothing is
missing or shown twice. Ctrl-C ends it.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

from orchctl.cli import Invocation, out
from orchctl.render import block, cell, cut, safe, terminal_width
from orchctl.wire import PATIENCE, Lost, RpcError, encode

LAST_LINES = 10
"""What ``tail`` shows a person of what was there before."""


def follow(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show any streaming method's items as they come."""
    for item in items(invocation, entry[0], params):
        show_item(invocation, item)
    return 0


def items(invocation: Invocation, method: str, params: dict[str, Any]) -> Iterator[Any]:
    """Yield a stream's items; opens it again where it was after a loss.

    ``seq`` (of events) or ``cursor`` (of output) in an item is where to resume.
    Raises the error that ended the stream, or Unavailable when the daemon
    stays away; it does not start another daemon for one that was stopped.
    """
    params = dict(params)
    lost_at = 0.0
    while True:
        try:
            for item in _opened(invocation, method, params, expected=bool(lost_at)):
                lost_at = 0.0
                yield item
            return
        except Lost:
            invocation.drop()
        invocation.options["autostart"] = False
        lost_at = lost_at or time.monotonic()
        if time.monotonic() - lost_at > PATIENCE:
            raise RpcError("Unavailable", 503, f"{method} was cut off and could not go on")
        time.sleep(0.02)


def _opened(
    invocation: Invocation, method: str, params: dict[str, Any], expected: bool
) -> Iterator[Any]:
    """Open the stream once and yield its items; keeps ``params`` ready to resume."""
    link = invocation.link(expected)
    subscription = json.loads(link.answer(link.send(method, encode(params)), PATIENCE * 2))[
        "subscription"
    ]
    while True:
        message = json.loads(link.line())
        told = message.get("params", {})
        if told.get("subscription") != subscription:
            continue
        if message["method"] == "subscription.end":
            if told["reason"] == "failed":
                raise RpcError.from_wire(told["error"])
            if told["reason"] in ("slow", "shutdown"):
                raise Lost()
            return
        item = told["item"]
        mark = next((name for name in ("seq", "cursor") if name in item), None)
        if mark == "seq" and item["seq"] <= params.get("since", -1):
            continue
        if mark:
            params["since"] = item[mark]
        yield item


def show_item(invocation: Invocation, item: Any) -> None:
    """Write one item: text of a pane as text, an event as a line."""
    if invocation.json:
        out(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    elif isinstance(item, dict) and isinstance(item.get("text"), str):
        if item.get("gap"):
            out(b"[output is missing here]\n")
        text = running_text(item["text"])
        if os.isatty(1) and "pending" in item:  # the unfinished line is drawn anew each time
            text = f"\r\x1b[K{text}{cut(safe(item['pending']), terminal_width() - 1)}"
        out(text.encode(errors="backslashreplace"))
    elif isinstance(item, dict) and "kind" in item:
        out((event_line(item) + "\n").encode(errors="backslashreplace"))
    else:
        out((cell(item) + "\n").encode(errors="backslashreplace"))


def running_text(text: str) -> str:
    """Return a piece of output, which may end within a line, made harmless."""
    return block(text) if text.endswith("\n") else block(text).removesuffix("\n")


def event_line(event: dict[str, Any]) -> str:
    """Return an event on one line: number, local time, kind, what it is about."""
    where = "/".join(safe(str(event[name])) for name in ("session", "pane") if event.get(name))
    clock = _clock(str(event.get("at", "")))
    parts = [f"{event.get('seq', '-'):>6}", clock, f"{safe(str(event['kind'])):<18}", where]
    return " ".join([*parts, cell(event["data"]) if event.get("data") else ""]).rstrip()


def _clock(at: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return safe(at)


def events(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show the stored events, and with ``follow`` go on with those that happen."""
    wanted: dict[str, Any] = {
        name: params[name] for name in ("kinds", "session", "pane") if name in params
    }
    if params.get("follow"):
        if "since" in params:
            wanted["since"] = params["since"]
        return follow(invocation, wanted, ("event.subscribe",))
    left = params.get("limit")
    since = params.get("since", 0)
    shown = False
    while left is None or left > 0:
        page = json.loads(
            invocation.call(
                "event.list", wanted | {"since": since, "limit": min(left or 1000, 1000)}
            )
        )
        for event in page["events"]:
            show_item(invocation, event)
        shown = shown or bool(page["events"])
        if left is not None:
            left -= len(page["events"])
        if not page["events"] or page["next"] == since:
            break
        since = page["next"]
    if not shown and not invocation.json and not invocation.quiet:
        out(b"no events\n")
    return 0


def tail(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show a pane's last lines and then its output as it comes, with nothing lost in between.

    Of a pane that has ended the last lines are all there is to come.
    """
    lines = params.pop("lines", LAST_LINES if os.isatty(1) and not invocation.json else 0)
    if "since" not in params and lines:
        try:
            asked = {"pane": params["pane"], "lines": lines}
            screen = json.loads(invocation.call("pane.capture", asked))
        except RpcError as error:
            if error.kind != "PaneExited":
                raise
            ended = json.loads(invocation.call("pane.get", {"pane": params["pane"]}))["exit"]
            screen = {"text": "\n".join(ended["last_lines"][-lines:]), "cursor": None}
        if screen["text"]:
            show_item(invocation, {"text": screen["text"].rstrip("\n") + "\n"})
        if screen["cursor"] is None:
            return 0
        params["since"] = screen["cursor"]
    return follow(invocation, params, ("pane.tail",))
