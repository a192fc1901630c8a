"""Engines and features put together: who gets whom, and which hooks are filled with what.

In the order of the ladder; nothing is started here. Engines and features meet only
here; ``app`` starts and stops what this returns.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestratord import __version__
from orchestratord.catalogue import method_modules
from orchestratord.clock import Clock
from orchestratord.config import Configuration, Settings
from orchestratord.events import Bus
from orchestratord.features.agents.audit import Audit
from orchestratord.features.agents.leases import Leases
from orchestratord.features.agents.messages import Messages
from orchestratord.features.agents.postman import Deliver, Postman
from orchestratord.features.agents.service import Agents
from orchestratord.features.decisions.service import Decisions
from orchestratord.features.delivery.record import Wanted as Delivered
from orchestratord.features.delivery.service import Deliveries
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.view import LINE_EDITORS
from orchestratord.features.shell.run import Wanted
from orchestratord.features.shell.service import Shells
from orchestratord.features.system.service import System
from orchestratord.features.watch.actor import Execute, SendMessage
from orchestratord.features.watch.feed import Feeds
from orchestratord.features.watch.quota import Quota
from orchestratord.features.watch.waits import Waits
from orchestratord.features.watch.watches import Watches
from orchestratord.process import login_environment
from orchestratord.rpc.again import answering, resolving
from orchestratord.rpc.method import Table
from orchestratord.rpc.policy import Limits
from orchestratord.rpc.principal import acting
from orchestratord.rpc.server import Server
from orchestratord.store.db import Store
from orchestratord.tmux.link import Link
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.spool import Spool

SHELLS = (*LINE_EDITORS, "sh", "dash", "ash", "busybox")
"""Programs that execute what is typed."""


class Feature(Protocol):
    """What the app asks of a feature: to begin, and to end."""

    async def start(self) -> None:
        """Begin; needs no tmux to be there."""
        ...

    async def stop(self) -> None:
        """End, within the time that the app gives it."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What was made. ``features`` begin in their order and end in the opposite one."""

    link: Link
    system: System
    panes: Panes
    agents: Agents
    audit: Audit
    features: tuple[Feature, ...]


def assemble(configuration: Configuration, store: Store, bus: Bus, clock: Clock) -> Parts:
    """Make the engines and the features, and fill the hooks between them."""
    settings = configuration.settings
    environment = login_environment(os.environ)
    link = Link(
        settings.tmux,
        settings.tmux_socket,
        environment,
        starts_server=settings.tmux_server == "start",
    )
    mirror = Mirror(link, clock)
    spool = Spool(settings.state_dir / "spool", clock, settings.ended_output_bytes)
    system = System(configuration, store, link, clock)
    panes = Panes(store, link, mirror, spool, clock, environment)
    agents = Agents(panes, store, clock, settings.tmux_socket)
    leases = Leases(panes, store, bus, clock)
    messages = Messages(agents.roll, store, clock)
    audit = Audit(store, clock)
    audit.days = lambda: system.configuration.settings.retention_days
    decisions = Decisions(store, panes.registry, clock)
    feeds, quota = Feeds(spool), Quota()
    waits = Waits(panes, feeds, quota, store, bus, clock)
    watches = Watches(panes, feeds, quota, store, bus, clock)
    shells = Shells(panes, store, bus, clock, settings.tmux_socket.parent / "shell", environment)
    system.reconcile = panes.reconcile
    paste = settings.tmux_socket.parent / "paste"
    deliveries = Deliveries(panes, shells, store, bus, clock, paste)
    counting = (panes, agents, leases, messages, audit, decisions, watches, deliveries)
    system.counts = lambda: {k: v for part in counting for k, v in part.counts().items()}
    system.degraded = panes.degraded
    system.session_id = lambda ref: panes.registry.session(ref).id
    system.pane_id = lambda ref: panes.registry.pane(ref).id
    agents.on_end += [leases.end_of, watches.end_of]
    panes.view.lease_of = leases.holder_of
    panes.keyboard.gate = leases.check
    system.sees = panes.registry.sees
    waits.prompts = shells.at_prompt
    watches.actor.execute = _executing(shells)
    watches.actor.ask = decisions.ask
    watches.actor.message = _messaging(messages)
    postman = Postman(messages, agents.roll, panes, clock)
    postman.deliver, postman.has_shell = _typing(deliveries), _shell_in(panes, shells)
    deliveries.blocked = lambda pane, typist: "lease" if leases.bars(pane, typist) else None
    leases.on_change = deliveries.poke
    features = (
        system, panes, agents, leases, messages, audit, decisions, shells, waits, watches,
        deliveries, postman,
    )  # fmt: skip
    return Parts(link, system, panes, agents, audit, features)


def make_server(parts: Parts, settings: Settings, clock: Clock) -> Server:
    """Make the server of every method there is."""
    methods = Table.collect(method_modules())
    services: dict[type, object] = {type(feature): feature for feature in parts.features}
    server = Server(
        methods,
        services,
        limits=_limits(settings),
        receipts=parts.system.receipts,
        clock=clock,
        identities=parts.agents.identity,
        auditor=parts.audit,
        version=__version__,
    )
    parts.system.rpc = lambda: server.statistics
    parts.system.receipts.resolved = resolving(methods, services)
    parts.system.receipts.answer_for = answering(methods, services)
    return server


def _executing(shells: Shells) -> Execute:
    """Return how a watch has a command executed: in its turn, when the shell is at its prompt."""

    async def execute(pane: PaneRecord, command: str, owner: str) -> str:
        live = await shells.execute(pane, command, Wanted(), queue=True, owner=owner)
        return live.run.id

    return execute


def _messaging(messages: Messages) -> SendMessage:
    """Return how a watch sends a message: as whoever made it."""

    async def send(*, to: str, text: str, by: str) -> str:
        now = acting.get()
        assert now is not None  # a watch acts as its maker
        return (await messages.send(now.principal, to, text))[0].id

    return send


def _typing(deliveries: Deliveries) -> Deliver:
    """Return how a message is typed into a program: once, and submitted."""

    async def deliver(pane: PaneRecord, text: str, owner: str) -> bool:
        wanted = Delivered(submit=True, confirm=True)
        live = await deliveries.send(pane, text, wanted, owner, None)
        return live.record.state not in ("refused", "cancelled", "queued")

    return deliver


def _shell_in(panes: Panes, shells: Shells) -> Callable[[PaneRecord], bool]:
    """Return whether a pane's input goes to a shell, which would execute it, or may do so."""

    def has_shell(pane: PaneRecord) -> bool:
        moment = shells.moment(pane)
        if moment is not None and (moment.lost or moment.state != "busy"):
            return True
        front = panes.view.pane(pane).foreground
        return front is None or front.command in SHELLS or (moment is None and pane.is_shell)

    return has_shell


def _limits(settings: Settings) -> Limits:
    return Limits(
        frame=settings.max_frame,
        calls=settings.max_calls,
        subscriptions=settings.max_subscriptions,
        unsent=settings.max_unsent,
        connections=settings.max_connections or None,
        uids=frozenset(settings.uids),
    )
