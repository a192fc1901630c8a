"""How panes come into being: one atomic line that makes, stamps, pipes and places.

Nothing may happen between a pane's creation and its stamp, or a crash leaves a
pane that nobody knows. tmux sets the "current" target of a line to what it just
made only without ``-d`` (cmd-new-window.c, cmd-split-window.c), so a window is
born in our hub, where becoming current disturbs nobody, and moved; a split
gives the focus back in the same line. These are the only untargeted commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestratord.tmux.client import HUB
from orchestratord.tmux.command import (
    Word,
    command,
    exact_session,
    quote,
    quote_format,
    target,
)
from orchestratord.tmux.reply import PaneRow


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new pane shall be. ``pipe`` starts its copier (see ``spool``)."""

    pane: str
    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    pipe: Word

    def start(self) -> list[Word]:
        """Return the flags and words that every creating command takes."""
        words: list[Word] = []
        for name, value in {**self.environment, "ORCH_PANE": self.pane}.items():
            words += [quote("-e"), quote(f"{name}={value}")]
        words += [quote("-c"), quote_format(self.cwd), quote("-P"), quote("-F"), PaneRow.FORMAT]
        return [*words, quote("--"), *map(quote, exec_form(self.argv))]

    def stamp(self, where: Sequence[Word] = ()) -> list[bytes]:
        """Return the commands that make the new pane ours; ``where`` as ``-t TARGET``."""
        return [
            command("set-option", "-p", *where, "--", "@orch_id", quote(self.pane)),
            command("set-option", "-p", *where, "--", "remain-on-exit", "on"),
            command("pipe-pane", "-O", *where, self.pipe),
        ]


def exec_form(argv: Sequence[str]) -> Sequence[str]:
    """Return an argv that tmux executes directly; it hands a single word to a shell."""
    return argv if len(argv) > 1 else ("/bin/sh", "-c", 'exec "$0"', *argv)


def _window_stamp(window: str, where: Sequence[Word] = ()) -> list[bytes]:
    return [
        command("set-option", "-w", *where, "--", "@orch_window", quote(window)),
        # Per window and after creation: set globally it kills servers from 3.3 to 3.6a.
        command("set-option", "-w", *where, "--", "window-size", "manual"),
    ]


def new_window(birth: Birth, *, window: str, name: str, session: str) -> list[bytes]:
    """Make a window of one pane in the session with that tmux id; nobody's view changes."""
    return [
        command(
            "new-window", "-t", exact_session(HUB, ":"), "-n", quote_format(name), *birth.start()
        ),
        *birth.stamp(),
        *_window_stamp(window),
        command("move-window", "-d", "-t", quote(f"{session}:")),
    ]


def split(birth: Birth, *, of: str, direction: Literal["right", "below"]) -> list[bytes]:
    """Split a pane; the pane that had the focus of that window keeps it."""
    flag = "-h" if direction == "right" else "-v"
    return [
        command("split-window", flag, "-t", target(of), *birth.start()),
        *birth.stamp(),
        command("select-pane", "-l", "-t", target(of)),
    ]


def new_session(
    birth: Birth, *, session: str, window: str, name: str, window_name: str, size: tuple[int, int]
) -> list[bytes]:
    """Make a session with its first pane; fails as a whole if the name is taken."""
    where = [quote("-t"), exact_session(name, ":")]
    width, height = size
    return [
        command(
            "new-session", "-d", "-s", quote(name), "-n", quote_format(window_name),
            "-x", str(width), "-y", str(height), *birth.start(),
        ),
        *birth.stamp(where),
        *_window_stamp(window, where),
        command("set-option", *where, "--", "@orch_session", quote(session)),
    ]  # fmt: skip


def respawn(birth: Birth, *, of: str) -> list[bytes]:
    """Start a new program in a dead or living pane of ours, which ends what ran there."""
    where = [quote("-t"), target(of)]
    words = birth.start()
    cut = words.index(quote("-P"))
    return [
        command("pipe-pane", *where),
        command("respawn-pane", "-k", *where, *words[:cut], *words[cut + 3 :]),
        command("pipe-pane", "-O", *where, birth.pipe),
        command("display-message", "-p", *where, "--", PaneRow.FORMAT),
    ]
