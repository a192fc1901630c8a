"""One subscription: carries the items of a handler to a peer, as fast as that reads.

Ends once, with a reason: ``finished``, ``cancelled``, ``failed`` (with the
error), ``slow``, ``shutdown``. The end names the ``cursor`` or ``seq`` of the
last item sent, so that the caller can go on from there. Knows no socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from typing import Any

from orchestratord.errors import Fault
from orchestratord.rpc.wire import AnswerTooLong, encode_notification

TURN = 0.005
"""Seconds of the loop that a stream may take before others get their turn."""


class Subscription:
    """A running stream. ``on_end`` is called once, after the end has been sent.

    An item is at most ``limit`` bytes as a line. What is logged carries the request
    that opened the stream.
    """

    def __init__(
        self,
        name: str,
        items: AsyncIterator[Any],
        *,
        send: Callable[[bytes], None],
        writable: Callable[[], Awaitable[None]],
        fault_of: Callable[[Exception], Fault],
        on_end: Callable[[Subscription], None],
        limit: int,
    ) -> None:
        self.name = name
        self._items = items
        self._send = send
        self._writable = writable
        self._fault_of = fault_of
        self._on_end = on_end
        self._limit = limit
        self._context = copy_context()
        self._cursor: dict[str, Any] = {}
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send; the caller has been told the name."""
        self._task = asyncio.get_running_loop().create_task(self._pump(), context=self._context)

    def end(self, reason: str, fault: Fault | None = None) -> None:
        """Tell the peer, and let go of the source. Later ends change nothing."""
        if self._ended:
            return
        self._ended = True
        params: dict[str, Any] = {"subscription": self.name, "reason": reason} | self._cursor
        if fault is not None:
            params["error"] = {"code": fault.code, "message": str(fault), "data": fault.data()}
        self._send(encode_notification("subscription.end", params))
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._on_end(self)

    async def _pump(self) -> None:
        turn_ends = time.monotonic() + TURN
        try:
            async for item in self._items:
                await self._writable()
                if self._ended:
                    return
                self._send(self._frame(item))
                if time.monotonic() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.monotonic() + TURN
            self.end("finished")
        except asyncio.CancelledError:
            self.end("cancelled")
        except Exception as error:
            self.end("failed", self._fault_of(error))
        finally:
            await self._close_source()

    def _frame(self, item: Any) -> bytes:
        frame = encode_notification("subscription.item", {"subscription": self.name, "item": item})
        if len(frame) > self._limit:
            raise AnswerTooLong(size=len(frame), limit=self._limit)
        for mark in ("cursor", "seq"):
            if (value := getattr(item, mark, None)) is not None:
                self._cursor = {mark: value}
                break
        return frame

    async def _close_source(self) -> None:
        close = getattr(self._items, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except Exception as error:
            self._fault_of(error)
