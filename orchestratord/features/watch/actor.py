"""Carries out what watches do, by the services in this process.

What is done to one pane is done one after the other, whichever watch asks for it.
Who executes commands, opens decisions and sends messages is filled in by ``app``.
State: which panes are kept from being killed, by which watch; ``watches`` stores it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from orchestratord.clock import Clock
from orchestratord.errors import Fault
from orchestratord.features.panes.access import touch
from orchestratord.features.panes.fault import PaneExited
from orchestratord.features.panes.keyboard import check_key
from orchestratord.features.panes.program import Program, Wish
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.turn import Turns
from orchestratord.features.watch.action import (
    Action,
    Ask,
    Create,
    Emit,
    Exec,
    Keep,
    Keys,
    Kill,
    Message,
    Respawn,
    Send,
    word,
)
from orchestratord.features.watch.fault import ActionUnavailable
from orchestratord.features.watch.model import Act
from orchestratord.features.watch.rights import Rights
from orchestratord.tmux.client import TmuxGone

CAUSED = 2.0
"""Seconds after an action into a pane for which what that pane prints may come of it."""

INTO_PANES = (Exec, Send, Keys, Respawn, Create)
"""Actions whose effect may match again, so that watches can chase each other."""


class Order(NamedTuple):
    """What is to be done, for whom, and why."""

    watch: str
    rights: Rights
    action: Action
    pane: PaneRecord
    line: str


class Execute(Protocol):
    """Has a pane's shell execute a command in its turn; returns the exec's id."""

    def __call__(self, pane: PaneRecord, command: str, owner: str) -> Awaitable[str]: ...


class Opened(Protocol):
    """A decision that was opened."""

    @property
    def id(self) -> str: ...


class OpenDecision(Protocol):
    """Opens a decision."""

    def __call__(
        self, *, question: str, options: Sequence[str], default: str | None, deadline: float,
        context: str, pane: str, watch: str, by: str,
    ) -> Awaitable[Opened]: ...  # fmt: skip


class SendMessage(Protocol):
    """Sends a message to an agent; returns its id."""

    def __call__(self, *, to: str, text: str, by: str) -> Awaitable[str]: ...


class Actor:
    """Does one thing after the other. ``kept`` says which watch keeps a pane.

    ``on_typing`` is called with the watch, the pane and the text before a watch types,
    ``on_kept`` with a pane and the watch that keeps it from now on.
    """

    def __init__(self, panes: Panes, clock: Clock) -> None:
        self.execute: Execute | None = None
        self.ask: OpenDecision | None = None
        self.message: SendMessage | None = None
        self.kept: dict[str, str] = {}
        self.on_typing: Callable[[str, PaneRecord, str], None] = lambda *_: None
        self.on_kept: Callable[[str, str], None] = lambda *_: None
        self._panes = panes
        self._clock = clock
        self._turns = Turns()
        self._touched: dict[str, float] = {}

    def check(self, actions: Sequence[Action], rights: Rights) -> None:
        """Refuse what could never be carried out.

        Raises:
            ActionUnavailable, BadKey, ScopeMissing.
        """
        who = {Exec: self.execute, Ask: self.ask, Message: self.message}
        for action in actions:
            if who.get(type(action), self) is None:
                raise ActionUnavailable(action=word(action))
            rights.check(action)
            if isinstance(action, Keys):
                for key in action.keys:
                    check_key(key)

    def caused(self, pane_id: str) -> bool:
        """Whether what a pane does now may come of what a watch has just done to it."""
        return self._clock.monotonic() - self._touched.get(pane_id, -CAUSED) < CAUSED

    async def carry_out(self, order: Order) -> Act:
        """Do it as whoever made the watch, and say what came of it; a fault is a result."""
        result, detail = "done", None
        try:
            with order.rights.acting(order.action):
                pane = self._target(order)
                async with self._turns.of(pane.id):
                    result, detail = await self._do(order, pane)
        except Fault as fault:
            result = fault.kind
        except TmuxGone:
            result = "TmuxGone"
        return Act(do=word(order.action), result=result, detail=detail)

    def _target(self, order: Order) -> PaneRecord:
        named = getattr(order.action, "pane", None)
        if named is not None:
            return self._panes.registry.pane(named)
        touch(order.pane)
        return order.pane

    async def _do(self, order: Order, pane: PaneRecord) -> tuple[str, str | None]:
        match order.action:
            case Emit(note=note):
                return "done", note or None
            case Kill(grace=grace):
                return await self._kill(order, pane, grace)
            case Keep():
                _living(pane)
                if self.kept.setdefault(pane.id, order.watch) == order.watch:
                    self.on_kept(pane.id, order.watch)
                return "done", self.kept[pane.id]
            case Message(to=to, text=text):
                assert self.message is not None
                return "done", await self.message(to=to, text=text, by=order.watch)
            case Ask() as ask:
                assert self.ask is not None
                opened = self.ask(
                    question=ask.question, options=ask.options, default=ask.default,
                    deadline=ask.deadline, context=order.line, pane=pane.id, watch=order.watch,
                    by=order.rights.owner,
                )  # fmt: skip
                return "done", (await opened).id
            case action:
                return "done", await self._into_pane(order, action, pane)

    def _touch(self, pane_id: str) -> None:
        now = self._clock.monotonic()
        self._touched[pane_id] = now
        for old in [p for p, at in self._touched.items() if now - at > CAUSED]:
            del self._touched[old]

    async def _into_pane(self, order: Order, action: Action, pane: PaneRecord) -> str | None:
        panes = self._panes
        if not isinstance(action, Create):
            self._touch(pane.id)
        match action:
            case Send(text=text, submit=submit):
                _living(pane)
                self.on_typing(order.watch, pane, text)
                await panes.act(panes.keyboard.text(pane, text, submit))
            case Keys(keys=keys):
                _living(pane)
                await panes.act(panes.keyboard.keys(pane, keys))
            case Exec(command=command):
                assert self.execute is not None
                self.on_typing(order.watch, pane, command)
                return await self.execute(pane, command, order.rights.owner)
            case Respawn(command=command):
                if pane.gone:
                    raise PaneExited(pane=pane.id)
                await panes.act(panes.creation.respawn(pane, command, {}))
            case Create() as create:
                made = await panes.act(self._create(order, create))
                self._touch(made.id)
                return made.id
        return None

    async def _kill(self, order: Order, pane: PaneRecord, grace: float) -> tuple[str, str | None]:
        keeper = self.kept.get(pane.id, order.watch)
        if keeper != order.watch:
            return "spared", keeper
        if pane.exit is not None:
            await self._panes.act(self._panes.endings.close(pane, order.watch))
            return "done", None
        await self._panes.act(self._panes.killing.kill(pane, grace, order.watch))
        return "done", None

    async def _create(self, order: Order, wanted: Create) -> PaneRecord:
        registry = self._panes.registry
        session = registry.session(wanted.session or order.pane.session)
        program = Program(
            command=tuple(wanted.command) if wanted.command else None, shell=wanted.shell,
            cwd=wanted.cwd,
        )  # fmt: skip
        wish = Wish(
            program=program, owner=order.rights.owner, name=wanted.name, labels=wanted.labels,
            place=wanted.place,
        )  # fmt: skip
        return await self._panes.creation.pane(session, wish)


def _living(pane: PaneRecord) -> None:
    if pane.exit is not None:
        raise PaneExited(pane=pane.id)
