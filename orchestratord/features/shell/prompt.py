"""What a shell is doing, from the marks it prints: a state machine without I/O.

A mark is believed only where it can be true: a prompt (P) must carry a count that is
higher than any before, and what belongs to it (C, D, M, S) the same, so a mark that is
printed again changes nothing; the begin and the end of an exec (S, E) carry a nonce that
was used for nothing else. What a human types is known as a draft: bytes after the prompt's
end (B) that nobody of us caused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from orchestratord.features.shell.integration import Kind
from orchestratord.features.shell.mark import Mark, Marks

ShellState = Literal["starting", "idle", "draft", "busy"]

SETTLE = 0.05
"""Seconds after a prompt in which zsh and fish still draw it (right prompts, suggestions)."""

_ESCAPES = re.compile(
    rb"\x1b(?:\[[ -?]*[@-~]|[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[ -/]*[0-~])"
)
_INVISIBLE = bytes({*range(33), 0x7F} - {0x0A})
_CONTROLS = bytes({*range(32), 0x7F})


class Prompted(NamedTuple):
    """A prompt began: the last status, the nonce of the last exec, where it begins."""

    status: int
    nonce: str
    begin: int


class Ready(NamedTuple):
    """The prompt has ended: the shell reads its next command."""


class Drafted(NamedTuple):
    """The shell refused a trigger, because somebody has begun to type."""


class Undrafted(NamedTuple):
    """The shell was asked whether somebody has begun to type, and nobody has."""


class Commanded(NamedTuple):
    """The shell begins to run a command, ours or a human's."""


class Began(NamedTuple):
    """An exec began; its output begins at ``end``."""

    nonce: str
    end: int


class Ended(NamedTuple):
    """An exec ended; its output ends at ``begin``."""

    nonce: str
    status: int
    begin: int


class Unmarked(NamedTuple):
    """The shell says that its prompts will carry no marks: its start-up files forbid that."""


Notice = Prompted | Ready | Drafted | Undrafted | Commanded | Began | Ended | Unmarked


class Moment(NamedTuple):
    """What a shell is doing now; of two moments the counts tell what came between.

    ``soon`` says that a prompt or a command is about to come by itself, ``free`` that no
    exec has the shell or waits for it, ``lost`` that its prompts are not ours to see.
    """

    state: ShellState
    prompts: int
    commands: int
    soon: bool
    free: bool
    lost: bool


class Prompt:
    """The state of one shell.

    ``expecting`` is set by who types a trigger: what the line editor draws then is no draft.
    ``continued`` says that a command was begun on lines before this one. ``disturbed`` says
    that something was written since the prompt's end. ``prompts`` and ``commands`` count
    what has come.
    """

    def __init__(self, key: str, kind: Kind, now: float) -> None:
        self.kind = kind
        self.state: ShellState = "starting"
        self.since = now
        self.expecting = False
        self.continued = False
        self.unmarked = False
        self.disturbed = False
        self.prompts = 0
        self.commands = 0
        self._marks = Marks(key)
        self._ready_at = 0.0
        self._prompting = False
        self._typed_so_far = 0

    def feed(self, at: int, data: bytes, now: float, gap: bool = False) -> Iterator[Notice]:
        """Take output; yield what it says."""
        if gap:
            self._marks.reset()
        for part in self._marks.feed(at, data):
            if isinstance(part, Mark):
                notice = self._take(part, now)
                if notice is not None:
                    yield notice
            elif self.state in ("idle", "draft") and not self._prompting:
                self.disturbed = True
                if not self.expecting and self._typed(part.data, now):
                    yield Ready()

    def lost(self, now: float) -> None:
        """Note that what runs now prints no marks of ours."""
        self._enter("busy", now)

    def _take(self, mark: Mark, now: float) -> Notice | None:
        letter, fields = mark.letter, mark.fields
        if letter == "P" and len(fields) == 3 and fields[0].isdecimal():
            if int(fields[0]) <= self.prompts:
                return None
            self.prompts = int(fields[0])
            self._prompting, self.expecting, self.unmarked = True, False, False
            return Prompted(_status(fields[1]), fields[2], mark.begin)
        if letter == "E" and len(fields) == 2:
            return Ended(fields[0], _status(fields[1]), mark.begin)
        if letter == "N" and not fields and self.prompts == 0:
            self.unmarked = True
            return Unmarked()
        if letter == "B" and not fields:
            return self._prompt_end(now)
        if not fields or fields[-1] != str(self.prompts):
            return None  # of another prompt: printed again
        return self._of_this_prompt(letter, fields, mark.end, now)

    def _of_this_prompt(
        self, letter: str, fields: tuple[str, ...], end: int, now: float
    ) -> Notice | None:
        if letter == "B":
            return self._prompt_end(now)
        if letter == "D":  # what is drawn next is the draft again, so it is still expected
            self._enter("draft", now)
            return Drafted()
        if letter == "U":
            if not self.continued:
                self._enter("idle", now)
            return Undrafted()
        if letter == "C":
            self.commands += 1
            self._enter("busy", now)
            return Commanded()
        if letter == "M":
            self.continued = True
            self._enter("draft", now)
        elif letter == "S" and len(fields) == 2:
            self.expecting = False
            self._enter("busy", now)
            return Began(fields[0], end)
        return None

    def _prompt_end(self, now: float) -> Notice | None:
        """The prompt was drawn for the first time, or again."""
        if self._prompting:
            self.continued = False
        elif self.state not in ("idle", "draft"):
            return None
        self._prompting, self._ready_at, self.disturbed = False, now, False
        self._typed_so_far = 0
        if self.expecting:
            return None
        self._enter("idle", now)
        return Ready()

    def _typed(self, data: bytes, now: float) -> bool:
        """Take what was written behind a prompt; return whether a draft was erased by that."""
        if self.kind in ("zsh", "fish") and now - self._ready_at < SETTLE:
            return False
        if self.kind == "sh":
            return self._echoed(data, now)
        if _ESCAPES.sub(b"", data).translate(None, _INVISIBLE):
            self._enter("draft", now)
        return False

    def _echoed(self, data: bytes, now: float) -> bool:
        """Take what the kernel echoes of a line: a character, or backspaces that erase one.

        A shell without a line editor has no other way to say that a command begins, or
        that somebody has begun to type.
        """
        if b"\n" in data:
            self.commands += 1
            self._enter("busy", now)
            return False
        shown = _ESCAPES.sub(b"", data)
        typed = sum(byte & 0xC0 != 0x80 for byte in shown.translate(None, _CONTROLS))
        self._typed_so_far += typed - shown.count(b"\b")
        if shown.count(b"\t"):  # as wide as the kernel likes
            self._typed_so_far += 1 << 16
        if self._typed_so_far > 0 or self.continued:
            self._enter("draft", now)
            return False
        self._typed_so_far = 0
        was_draft = self.state == "draft"
        self._enter("idle", now)
        return was_draft

    def _enter(self, state: ShellState, now: float) -> None:
        if state != self.state:
            self.state, self.since = state, now


def _status(text: str) -> int:
    return int(text) if text.isdecimal() else 0
