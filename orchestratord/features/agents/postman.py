"""Carries messages from mailboxes into the programs of agents that want them typed.

Only into a full-screen or line-editing program in the agent's own pane, never into a
shell, which would execute a message; and only while that program is quiet. What
cannot be typed stays in the mailbox, and whatever was typed stays there too until the
agent acknowledges it, but is not typed again. How a text is typed, and whether a shell
waits for one, app fills in; without that everything stays in its mailbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from orchestratord.clock import Clock
from orchestratord.errors import Fault
from orchestratord.features.agents.letter import Letter
from orchestratord.features.agents.messages import Messages
from orchestratord.features.agents.record import agent_name
from orchestratord.features.agents.roll import Roll
from orchestratord.features.panes.keyboard import terminal
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.service import Panes
from orchestratord.log import Log

QUIET = 2.0
"""Seconds without output after which a program counts as idle."""

AGAIN = 2.0
"""Seconds between two looks at a program that is not."""

Deliver = Callable[[PaneRecord, str, str], Awaitable[bool]]
"""Types a text into a pane for an owner and submits it; says whether anything was typed."""

log = Log("postman")


class Postman:
    """One round for each agent that has something to be typed.

    Nothing survives a crash but the mailboxes, where what was typed is on record.
    """

    def __init__(self, messages: Messages, roll: Roll, panes: Panes, clock: Clock) -> None:
        self.deliver: Deliver | None = None
        self.has_shell: Callable[[PaneRecord], bool] = lambda pane: pane.is_shell
        self._messages = messages
        self._roll = roll
        self._panes = panes
        self._clock = clock
        self._rounds: dict[str, asyncio.Task[None]] = {}
        messages.on_arrival = self.arrived

    async def start(self) -> None:
        """Begin with what had arrived before."""
        for letter in self._messages.undelivered():
            self.arrived(letter)

    async def stop(self) -> None:
        """Stop; what was not typed stays in its mailbox."""
        rounds = [*self._rounds.values()]
        for task in rounds:
            task.cancel()
        if rounds:
            await asyncio.wait(rounds, timeout=0.3)

    def arrived(self, letter: Letter) -> None:
        """Something can be read that could not be read before."""
        name = agent_name(letter.to)
        agent = self._roll.find(name) if name is not None else None
        if agent is None or not agent.deliver or self.deliver is None or letter.to in self._rounds:
            return
        self._start(letter.to, self._go(letter.to))

    def _start(self, owner: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"messages of {owner}")
        self._rounds[owner] = task
        task.add_done_callback(lambda _: self._rounds.pop(owner, None))

    async def _go(self, owner: str) -> None:
        """Type what an agent has, one after the other, each when its program is idle."""
        while True:
            pane = self._home(owner)
            letter = self._messages.next_undelivered(owner)
            if pane is None or letter is None:
                return
            if not self._idle(pane):
                await self._clock.sleep(AGAIN)
                continue
            assert self.deliver is not None
            try:
                typed = await self.deliver(pane, _shown(letter), owner)
            except Fault as problem:
                log.info("a message stays in its mailbox", message=letter.id, reason=problem.kind)
                await self._clock.sleep(AGAIN)
                continue
            if typed:
                await self._messages.delivered(letter)
            else:
                await self._clock.sleep(AGAIN)

    def _home(self, owner: str) -> PaneRecord | None:
        agent = self._roll.find(agent_name(owner) or "")
        if agent is None or agent.state != "active" or agent.pane is None:
            return None
        pane = self._panes.registry.panes.get(agent.pane)
        return pane if pane is not None and pane.exit is None else None

    def _idle(self, pane: PaneRecord) -> bool:
        """Whether a program that reads keys, and is no shell, has been quiet for a while."""
        mode = terminal(pane.place.tty)
        if mode is None or mode.canonical or self.has_shell(pane):
            return False
        stream = self._panes.spool.get(pane.id)
        last = stream.last_output if stream is not None else None
        return last is None or self._clock.now().timestamp() - last >= QUIET


def _shown(letter: Letter) -> str:
    """Return what an agent reads; who wrote it comes first, and is ours."""
    text = letter.text.rstrip("\n")
    return f"[message {letter.id} from {letter.sender}] {text}"
