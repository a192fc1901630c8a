"""Other evidence that a command has ended: a pattern, silence, or a line that we had printed.

Looks only at output behind the run's begin. Of a run that was typed (``way`` is
``typed``) the echo of what was typed is passed over: nothing matches its own echo.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestratord.clock import Clock
from orchestratord.features.panes.search import compile_pattern
from orchestratord.features.panes.text import Plain
from orchestratord.features.shell.model import EndedBy
from orchestratord.features.shell.run import Run
from orchestratord.tmux.stream import Cursor, Slice

Found = Callable[[EndedBy, int | None, Cursor], None]


class Evidence:
    """Watches one run's output; calls ``found`` once."""

    def __init__(self, run: Run, begin: Cursor, clock: Clock, found: Found) -> None:
        wanted = run.wanted
        self._run = run
        self._begin = begin
        self._clock = clock
        self._found = found
        self._pattern = compile_pattern(wanted.until) if wanted.until else None
        self._idle = wanted.idle
        self._sentinel = (
            re.compile(rf"orch-{re.escape(run.nonce)} ([0-9]+)\Z") if wanted.sentinel else None
        )
        self._echo = _echoed(run) if run.way == "typed" else []
        self._plain = Plain()
        self._last = clock.monotonic()
        self._over = False

    def quiet_in(self) -> float | None:
        """Return in how many seconds silence would be the end; None if it never is."""
        if self._idle is None or self._over:
            return None
        return self._last + self._idle - self._clock.monotonic()

    def hear(self, part: Slice) -> None:
        """Take output; what is before the begin is left out."""
        if self._over or part.next <= self._begin:
            return
        if part.gap:
            self._plain = Plain()
        data = part.data
        before = part.next.offset - len(data)
        if part.next.epoch == self._begin.epoch and before < self._begin.offset:
            data = data[self._begin.offset - before :]
        self._last = self._clock.monotonic()
        while self._echo and (newline := data.find(b"\n") + 1):
            line, data = self._plain.feed(data[:newline]), data[newline:]
            if self._is_echo(line):
                cursor = Cursor(part.next.epoch, part.next.offset - len(data))
                self._run.begin = str(cursor)
            elif self._look(line.rstrip("\n"), part.next):
                return
        for line in self._plain.feed(data).splitlines():
            if self._look(line, part.next):
                return
        pending = self._plain.pending
        if pending and not self._echo:
            self._look(pending, part.next)

    def _look(self, line: str, end: Cursor) -> bool:
        if self._sentinel is not None and (match := self._sentinel.search(line)):
            return self._end("sentinel", int(match[1]), end)
        if self._pattern is not None and self._pattern.search(line):
            return self._end("pattern", None, end)
        return False

    def _is_echo(self, line: str) -> bool:
        if self._echo and line.rstrip().endswith(self._echo[0]):
            del self._echo[0]
            return True
        return False

    def _end(self, by: EndedBy, status: int | None, end: Cursor) -> bool:
        self._over = True
        self._found(by, status, end)
        return True


def typed_text(run: Run, front: str) -> str:
    """Return what is typed for a run at something without marks; ``front`` has the terminal.

    With a sentinel the command goes through ``eval``, so that whatever it is, its status
    is printed behind it, in words that the echo does not hold.
    """
    command = (run.command or "").rstrip("\n")
    if not run.wanted.sentinel:
        return command
    status = "$status" if front == "fish" else "$?"
    word = command.replace("\\", "\\\\") if front == "fish" else command
    quoted = "'" + word.replace("'", "\\'" if front == "fish" else "'\\''") + "'"
    return f"eval {quoted}; printf '%s-%s %d\\n' orch {run.nonce} {status}"


def _echoed(run: Run) -> list[str]:
    text = typed_text(run, "") if run.command else ""
    return [line.rstrip()[-40:] for line in text.split("\n") if line.strip()]
