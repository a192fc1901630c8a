"""What the advisor says: a line for each thing that it did, for people or as JSON.

Everything that a model, a program or an API wrote is made harmless first.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from orchctl.advisor.asked import Asked
from orchctl.advisor.prompt import Verdict
from orchctl.cli import out
from orchctl.render import safe


def _tell(line: bytes) -> None:
    os.write(2, line)


class Report:
    """Writes to standard output; what is about the advisor itself to standard error."""

    def __init__(
        self,
        as_json: bool,
        quiet: bool,
        write: Callable[[bytes], None] = out,
        tell: Callable[[bytes], object] = _tell,
    ) -> None:
        self._json = as_json
        self._quiet = quiet
        self._write = write
        self._tell = tell

    def answered(self, asked: Asked, verdict: Verdict, dry: bool) -> None:
        """A choice was made, or would have been."""
        action = "would_answer" if dry else "answered"
        words = "would answer" if dry else "answered"
        reason = f": {verdict.reason}" if verdict.reason else ""
        self._line(
            f"{asked.id}  {words} {verdict.choice}{reason} ({verdict.tokens} tokens)",
            {
                "decision": asked.id, "action": action, "choice": verdict.choice,
                "reason": verdict.reason, "tokens": verdict.tokens,
            },
        )  # fmt: skip

    def left(self, asked: Asked, problem: str, tokens: int = 0) -> None:
        """A decision stays open, for a person or its deadline."""
        self._line(
            f"{asked.id}  left to {asked.otherwise}: {problem}",
            {
                "decision": asked.id, "action": "left", "default": asked.default,
                "problem": problem, "tokens": tokens,
            },
        )  # fmt: skip

    def ended(self, decision: str, state: str) -> None:
        """Somebody else, or the deadline, ended a decision."""
        line = {"decision": decision, "action": "ended", "state": state}
        self._line(f"{decision}  {state}, not by this advisor", line)

    def shown(self, asked: Asked) -> None:
        """A decision is open and a person may answer it."""
        options = " | ".join(asked.options)
        self._line(
            f"{asked.id}  {asked.question}  [{options}]",
            {
                "decision": asked.id, "action": "shown", "question": asked.question,
                "options": list(asked.options), "default": asked.default,
                "expires_at": asked.expires_at.isoformat(),
            },
        )  # fmt: skip

    def say(self, text: str) -> None:
        """Tell a person something about the advisor itself."""
        if not self._quiet:
            self._tell(f"advisor: {safe(text)}\n".encode(errors="backslashreplace"))

    def _line(self, text: str, fields: dict[str, Any]) -> None:
        line = json.dumps(fields, ensure_ascii=False) if self._json else safe(text)
        self._write(line.encode(errors="backslashreplace") + b"\n")
