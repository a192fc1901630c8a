"""A person at the terminal answers: one open decision after the other, as they come.

Reads lines of standard input while decisions open and end; the one with the
next deadline is asked first. Without a terminal it only shows them.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from orchctl.advisor.asked import Asked
from orchctl.advisor.report import Report
from orchctl.render import age, safe

CONTEXT_LINES = 20
"""The last lines of a context that are shown; orchctl decision-get has all of it."""

Answer = Callable[[Asked, str, str], Awaitable[None]]


class Person:
    """Shows decisions on standard error and reads answers; a ``Listener`` of the follower.

    ``answer`` is called with the decision, the choice and the reason, one at a
    time. The open decisions are its only state.
    """

    def __init__(self, report: Report, answer: Answer, interactive: bool) -> None:
        self._report = report
        self._answer = answer
        self._interactive = interactive
        self._waiting: dict[str, Asked] = {}
        self._current: Asked | None = None
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._news = asyncio.Event()

    def opened(self, asked: Asked) -> None:
        self._waiting[asked.id] = asked
        self._news.set()
        if not self._interactive:
            self._report.shown(asked)

    def ended(self, decision: str, state: str) -> None:
        if self._waiting.pop(decision, None) is None:
            return
        if self._current is not None and self._current.id == decision:
            _show("\n")
            self._lines.put_nowait("")  # wakes who waits for a line about it
        self._report.ended(decision, state)

    async def run(self, once: bool) -> None:
        """Ask for ever, or with ``once`` until nothing is open; ends with the input."""
        if not self._interactive:
            if not once:
                await asyncio.Event().wait()
            return
        loop = asyncio.get_running_loop()
        pending = bytearray()
        loop.add_reader(0, self._read, pending)
        try:
            while self._waiting or not once:
                if not self._waiting:
                    self._news.clear()
                    await self._news.wait()
                asked = min(self._waiting.values(), key=lambda one: one.expires_at)
                if not await self._ask(asked):
                    return
        finally:
            loop.remove_reader(0)

    async def _ask(self, asked: Asked) -> bool:
        """Ask until a decision is answered, skipped or ended; False at the end of the input."""
        self._current = asked
        try:
            _show(sheet(asked))
            while asked.id in self._waiting:
                _show(f"{asked.id}> ")
                line = await self._lines.get()
                if line is None:
                    _show("\n")
                    return False
                if asked.id not in self._waiting:
                    break
                chosen = choice_in(line, asked.options)
                if chosen is not None:
                    del self._waiting[asked.id]
                    await self._answer(asked, *chosen)
                elif line.strip() == "skip":
                    del self._waiting[asked.id]
                elif line.strip():
                    _show("a number or an option, then a reason if you like; or skip\n")
        finally:
            self._current = None
        return True

    def _read(self, pending: bytearray) -> None:
        data = os.read(0, 4096)
        pending += data
        *lines, rest = pending.split(b"\n")
        pending[:] = rest
        for line in lines:
            self._lines.put_nowait(line.decode(errors="replace"))
        if not data:
            asyncio.get_running_loop().remove_reader(0)
            self._lines.put_nowait(None)


def choice_in(line: str, options: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the option that a line begins with, and the rest of the line; an option is before
    a number, the longest one first."""
    line = line.strip()
    for option in sorted(options, key=len, reverse=True):
        if line == option or line.startswith(option + " "):
            return option, line[len(option) :].strip()
    number, _, reason = line.partition(" ")
    if number.isascii() and number.isdigit() and 1 <= int(number) <= len(options):
        return options[int(number) - 1], reason.strip()
    return None


def sheet(asked: Asked) -> str:
    """Return a decision as a person reads it, made harmless, what programs wrote behind bars."""
    where = f" (pane {asked.pane})" if asked.pane else ""
    lines = [
        "",
        f"{asked.id}  {safe(asked.question)}{safe(where)}",
        f"    until {time.strftime('%H:%M:%S', asked.expires_at.astimezone().timetuple())}, "
        f"in {age(asked.seconds_left)}; then {safe(asked.otherwise)}",
    ]
    context = asked.context.rstrip("\n").split("\n") if asked.context else []
    if len(context) > CONTEXT_LINES:
        lines.append(f"    ({len(context) - CONTEXT_LINES} lines above)")
    lines += [f"    | {safe(line)}" for line in context[-CONTEXT_LINES:]]
    lines += [f"    {number}  {safe(option)}" for number, option in enumerate(asked.options, 1)]
    return "\n".join(lines) + "\n"


def _show(text: str) -> None:
    os.write(2, text.encode(errors="backslashreplace"))
