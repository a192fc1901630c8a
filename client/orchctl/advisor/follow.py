"""Which decisions are open, told as they open and end, over restarts of the daemon.

The list of open decisions is the truth, and is taken at the start and after
each loss that the stream of events could not bridge; between these, events say
what changed. Asks the daemon; answers nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Protocol

from orchctl.advisor.asked import Asked, Wanted
from orchctl.aio import Client, Lost, RpcError

OPENED = "decision.opened"
ENDS = ("decision.answered", "decision.defaulted", "decision.expired", "decision.cancelled")
MOST = 1000
"""The most open decisions that a daemon has."""

AGAIN = 1.0
"""Seconds between two looks for a daemon that is away."""

PAUSE = 0.1
"""Seconds before the first of them, for a daemon that answers but cannot serve now."""

_STALE = ("EventsCompacted", "SeqUnknown")
"""Errors about a number of an event that taking stock makes good."""


class Listener(Protocol):
    """Who is told. Both return at once."""

    def opened(self, asked: Asked) -> None:
        """A decision waits for an answer."""
        ...

    def ended(self, decision: str, state: str) -> None:
        """A decision that was told as opened has ended."""
        ...


class Follower:
    """Knows the open decisions that are wanted; tells ``listener`` each of them once."""

    def __init__(
        self, client: Client, wanted: Wanted, listener: Listener, say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._listener = listener
        self._say = say
        self._open: set[str] = set()

    async def run(self) -> None:
        """Tell for ever. Raises ``RpcError`` only for what no waiting mends."""
        while True:
            try:
                since = await self.take_stock()
                events = self._client.subscribe(
                    "event.subscribe", kinds=[OPENED, *ENDS], since=since
                )
                async with aclosing(events):
                    async for event in events:
                        await self._take(event)
            except RpcError as error:
                if not passing(error) and error.kind not in _STALE:
                    raise
                await self._wait_for_a_daemon(error)

    async def take_stock(self) -> int:
        """Tell what is open now; return the number of the last event that it accounts for."""
        status = await self._client.call("daemon.status")
        listed = await self._client.call("decision.list", state="open", limit=MOST)
        open_now = [decision["id"] for decision in listed]
        for decision in self._open.difference(open_now):
            await self._look_at(decision)
        for decision in open_now:
            if decision not in self._open:
                await self._look_at(decision)
        return int(status["store"]["head"])

    async def _take(self, event: dict[str, Any]) -> None:
        decision = str(event["data"]["decision"])
        if event["kind"] == OPENED:
            await self._look_at(decision)
        elif decision in self._open:
            self._end(decision, event["kind"].partition(".")[2])

    async def _look_at(self, decision: str) -> None:
        """Tell if a decision that is wanted is open and was not told, or is no longer."""
        try:
            found = await self._client.call("decision.get", decision=decision)
        except RpcError as error:
            if error.kind != "DecisionNotFound":
                raise
            found = {"state": "forgotten"}
        if decision in self._open:
            if found["state"] != "open":
                self._end(decision, found["state"])
        elif found["state"] == "open" and await self._is_wanted(found):
            self._open.add(decision)
            self._listener.opened(Asked.from_wire(found))

    def _end(self, decision: str, state: str) -> None:
        self._open.discard(decision)
        self._listener.ended(decision, state)

    async def _is_wanted(self, found: dict[str, Any]) -> bool:
        session = self._wanted.session
        if not self._wanted.has_label(found["labels"]):
            return False
        if session is None or found["session"] == session:
            return True
        if found["session"] is None:
            return False
        try:
            named = await self._client.call("session.get", session=session)
        except RpcError as error:
            if error.kind != "SessionNotFound":
                raise
            return False
        return bool(named["id"] == found["session"])

    async def _wait_for_a_daemon(self, error: RpcError) -> None:
        told = False
        await asyncio.sleep(PAUSE)
        while True:
            try:
                await self._client.open(patience=0.0)
                break
            except RpcError:
                if not told:
                    self._say(f"{error.message}; waiting for it")
                    told = True
                await asyncio.sleep(AGAIN)
        if told:
            self._say("a daemon answers again")


def passing(error: RpcError) -> bool:
    """Say whether the same call may succeed later."""
    return isinstance(error, Lost) or bool(error.data.get("retryable"))
