"""How each method is called to see who may: parameters that are refused for another reason.

A method that the table has and this has not fails the test, so that nobody forgets
to say whose things it touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

NEVER = 999
"""An incarnation that no pane has."""


class Things(NamedTuple):
    """One thing of each kind, all of one owner; None where that cannot have made one."""

    session: str
    window: str
    pane: str
    exec: str
    delivery: str
    decision: str | None
    watch: str | None
    wait: str | None
    agent: str


class Case(NamedTuple):
    """How a method is called. ``touches`` says whether that is about a thing of somebody's.

    What a ``deadly`` method does when it is allowed would disturb the others: only its
    refusals are looked at. ``own_or_admin`` methods are for owners and admins alone.
    """

    params: Callable[[Things], dict[str, Any]] = lambda _: {}
    touches: bool = True
    deadly: bool = False
    own_or_admin: bool = False


def pane(**more: Any) -> Case:
    return Case(lambda t: {"pane": t.pane} | more)


def session(**more: Any) -> Case:
    return Case(lambda t: {"session": t.session} | more)


def window(**more: Any) -> Case:
    return Case(lambda t: {"window": t.window} | more)


def of(noun: str, **more: Any) -> Case:
    return Case(lambda t: {noun: getattr(t, noun)} | more)


def anything(**params: Any) -> Case:
    return Case(lambda _: params, touches=False)


CASES: dict[str, Case] = {
    "agent.get": of("agent"),
    "agent.heartbeat": Case(lambda t: {"agent": t.agent}, own_or_admin=True),
    "agent.list": anything(),
    "agent.register": anything(name="taken", scopes=[]),
    "agent.retire": Case(lambda t: {"agent": t.agent}, own_or_admin=True, deadly=True),
    "agent.whoami": anything(),
    "audit.list": anything(),
    "audit.verify": anything(),
    "daemon.backup": anything(path="/nowhere/at/all"),
    "daemon.config": anything(),
    "daemon.doctor": anything(),
    "daemon.ping": anything(),
    "daemon.reconcile": anything(),
    "daemon.reload": anything(),
    "daemon.status": anything(),
    "daemon.stop": Case(touches=False, deadly=True),
    "decision.answer": of("decision", choice="none of them"),
    "decision.ask": pane(question="Who?", options=["a", "b"]),
    "decision.cancel": Case(lambda t: {"decision": t.decision}, deadly=True),
    "decision.get": of("decision"),
    "decision.list": anything(),
    "decision.wait": of("decision", timeout=0),
    "delivery.cancel": of("delivery"),
    "delivery.get": of("delivery"),
    "delivery.list": anything(),
    "event.list": anything(limit=1),
    "event.subscribe": anything(),
    "exec.cancel": of("exec"),
    "exec.get": of("exec"),
    "exec.list": anything(),
    "exec.wait": of("exec", timeout=0),
    "lease.acquire": Case(lambda t: {"pane": t.pane}, deadly=True),
    "lease.break": pane(),
    "lease.list": anything(),
    "lease.release": anything(lease="none"),
    "lease.renew": anything(lease="none"),
    "message.ack": anything(messages=["m99"]),
    "message.list": anything(),
    "message.send": anything(to="nobody", text="x"),
    "message.wait": anything(timeout=0),
    "pane.capture": pane(),
    "pane.certificate": pane(),
    "pane.count": anything(),
    "pane.create": Case(lambda t: {"session": t.session, "of": t.pane, "cwd": "no/path"}),
    "pane.exec": pane(command="\0"),
    "pane.find": anything(name="nothing"),
    "pane.get": pane(),
    "pane.give": Case(lambda t: {"pane": t.pane, "to": "nobody"}, own_or_admin=True),
    "pane.has_pattern": pane(pattern="x"),
    "pane.interrupt": pane(),
    "pane.keys": pane(keys=["a"], incarnation=NEVER),
    "pane.kill": pane(incarnation=NEVER),
    "pane.label_get": pane(),
    "pane.label_set": pane(labels={}),
    "pane.label_unset": pane(labels=["nothing"]),
    "pane.list": anything(),
    "pane.move": Case(lambda t: {"pane": t.pane, "beside": t.pane}),
    "pane.read": pane(),
    "pane.record": pane(),
    "pane.rename": pane(name="shell"),
    "pane.resize": pane(),
    "pane.respawn": pane(incarnation=NEVER),
    "pane.search": pane(pattern="x"),
    "pane.select": pane(),
    "pane.send": pane(text="x", incarnation=NEVER),
    "pane.signal": pane(signal="CONT", incarnation=NEVER),
    "pane.swap": Case(lambda t: {"pane": t.pane, "other": t.pane}),
    "pane.tail": pane(),
    "pane.wait": pane(exit=True, timeout=0),
    "pane.zoom": pane(on=False),
    "rpc.discover": anything(),
    "session.create": anything(name="taken"),
    "session.fit": session(),
    "session.get": session(),
    "session.kill": Case(lambda t: {"session": t.session}, deadly=True),
    "session.list": anything(),
    "session.rename": session(name="taken"),
    "subscription.cancel": anything(subscription="none"),
    "wait.cancel": of("wait"),
    "wait.get": of("wait"),
    "wait.list": anything(),
    "watch.create": Case(
        lambda t: {"panes": {"ids": [t.pane]}, "patterns": [{"pattern": "("}], "actions": []}
    ),
    "watch.delete": Case(lambda t: {"watch": t.watch}, deadly=True),
    "watch.get": of("watch"),
    "watch.history": of("watch"),
    "watch.list": anything(),
    "watch.pause": of("watch"),
    "watch.resume": of("watch"),
    "window.create": Case(lambda t: {"session": t.session, "cwd": "no/path"}, touches=False),
    "window.get": window(),
    "window.kill": Case(lambda t: {"window": t.window}, deadly=True),
    "window.layout": window(layout="tiled"),
    "window.list": anything(),
    "window.rename": window(name="shells"),
}
