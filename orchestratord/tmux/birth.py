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
from pathlib import Path
from typing import Literal

from orchestratord.tmux.client import HUB, HUB_HEIGHT, HUB_WIDTH
from orchestratord.tmux.command import (
    Word,
    command,
    exact_session,
    quote,
    quote_format,
    target,
)
from orchestratord.tmux.process import read_stat
from orchestratord.tmux.reply import PaneRow


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new pane shall be. ``pipe`` starts its copier (see ``spool``).

    ``argv`` has two words at least: tmux hands a single one to a shell.
    """

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
        return [*words, quote("--"), *map(quote, self.argv)]

    def stamp(self, where: Sequence[Word] = ()) -> list[bytes]:
        """Return the commands that make the new pane ours; ``where`` as ``-t TARGET``."""
        return [
            command("set-option", "-p", *where, "--", "@orch_id", quote(self.pane)),
            command("set-option", "-p", *where, "--", "remain-on-exit", "on"),
            command("pipe-pane", "-O", *where, self.pipe),
        ]


def held(argv: Sequence[str], note: Path) -> Sequence[str]:
    """Return the argv of a holder that starts a program and outlives it.

    tmux may drop the last output of its own child (of 1 to 3.5 % of short panes,
    even with a pipe): once SIGCHLD has come, it takes a pty whose bytes are still
    on their way in the kernel (FIONREAD is 0) for read out. So the program is not
    tmux's child but that of a ``sleep`` which never collects it. Its end is seen
    by pidfd, its exact wait status stands in /proc until we let go, even while no
    daemon runs, and the pty stays open until all was read. ``note`` receives the
    program's pid. The program starts only when its parent has become the sleep,
    for a shell may collect its children at any moment.
    """
    return ("/bin/sh", "-c", _HOLDER, str(note), *argv)


def begun(pid: int) -> bool:
    """Whether a held program runs, and no longer what starts it, which ignores INT, QUIT and TSTP.

    A process that is gone has been. Between two programs there is a moment without a command
    line (proc(5)), which counts as not yet.
    """
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    if not line:
        stat = read_stat(pid)
        return stat is None or stat.state in "ZX"
    return not line.startswith((_HOLDING, _STARTING))


_HOLDER = """trap '' INT QUIT TSTP; exec 3<&0
{ read -r pid rest </proc/self/stat; echo "$pid" >"$0"
until read -r name </proc/$$/comm && [ "$name" = sleep ]; do :; done
exec env --default-signal=INT,QUIT,TSTP -- "$@"; } <&3 3<&- &
exec sleep 2147483647 3<&-"""
_HOLDING = b"/bin/sh\0-c\0" + _HOLDER.encode()
_STARTING = b"env\0--default-signal=INT,QUIT,TSTP\0"


def _window_stamp(window: str, where: Sequence[Word] = ()) -> list[bytes]:
    return [
        command("set-option", "-w", *where, "--", "@orch_window", quote(window)),
        # Per window and after creation: set globally it kills servers from 3.3 to 3.6a.
        command("set-option", "-w", *where, "--", "window-size", "manual"),
    ]


def new_window(
    birth: Birth, *, window: str, name: str, session: str, size: tuple[int, int]
) -> list[bytes]:
    """Make a window of one pane in the session with that tmux id; nobody's view changes."""
    return [
        command("has-session", "-t", quote(f"{session}:")),  # or the window would stay in the hub
        command(
            "new-window", "-t", exact_session(HUB, ":"), "-n", quote_format(name), *birth.start()
        ),
        *birth.stamp(),
        *_window_stamp(window),
        *([] if size == (HUB_WIDTH, HUB_HEIGHT) else _resize(size)),
        command("move-window", "-d", "-t", quote(f"{session}:")),
    ]


def _resize(size: tuple[int, int]) -> list[bytes]:
    return [
        command("resize-window", "-x", str(size[0]), "-y", str(size[1])),
        command("display-message", "-p", "--", PaneRow.FORMAT),
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
        # What -e gives to new-session stays in the session, for all to see and to inherit.
        *(
            command("set-environment", *where, "-u", quote(name))
            for name in (*birth.environment, "ORCH_PANE")
        ),
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
