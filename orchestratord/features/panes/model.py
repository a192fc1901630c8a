"""What sessions, windows and panes look like on the wire."""

from __future__ import annotations

from typing import Literal

from orchestratord.model import Result

PaneState = Literal["starting", "idle", "busy", "running", "exited", "lost", "unknown"]


class Exit(Result, frozen=True, kw_only=True):
    """How a pane ended. ``by`` says who asked for it, None if nobody did."""

    at: str
    status: int | None = None
    signal: str | None = None
    by: str | None = None
    last_lines: list[str] = []


class Foreground(Result, frozen=True, kw_only=True):
    """The program that has the pane's terminal."""

    pid: int
    command: str


class ShellLook(Result, frozen=True, kw_only=True):
    """What a shell of ours is doing, and for how many seconds.

    ``draft`` means that somebody has begun to type at its prompt. ``exec`` is the command
    of ours that has the shell, ``command`` its first line, ``queued`` how many wait.
    ``integration`` is ``lost`` while another shell has the terminal.
    """

    state: Literal["starting", "idle", "draft", "busy"]
    integration: Literal["active", "lost"]
    seconds: float
    exec: str | None
    command: str | None
    queued: int


class Pane(Result, frozen=True, kw_only=True):
    """A pane. Times are RFC 3339; ``cwd`` and ``foreground`` were read at ``as_of``."""

    id: str
    tmux_id: str
    name: str | None
    session: str
    session_name: str
    window: str
    state: PaneState
    command: str
    argv: list[str]
    pid: int
    foreground: Foreground | None
    cwd: str | None
    exit: Exit | None
    width: int
    height: int
    title: str
    labels: dict[str, str]
    owner: str
    lease: str | None
    created_at: str
    last_output_at: str | None
    cursor: str
    shell_integration: str
    shell: ShellLook | None
    incarnation: int
    as_of: str


class Window(Result, frozen=True, kw_only=True):
    """A window. ``layout`` is tmux's description of it."""

    id: str
    tmux_id: str
    name: str
    session: str
    index: int
    active: bool
    panes: list[str]
    width: int
    height: int
    zoomed: bool
    layout: str


class Session(Result, frozen=True, kw_only=True):
    """A session. ``attached`` counts the people who look at it."""

    id: str
    tmux_id: str
    name: str
    created_at: str
    windows: int
    panes: int
    labels: dict[str, str]
    owner: str
    attached: int


class NewSession(Session, frozen=True, kw_only=True):
    """A session with the pane that it was born with."""

    pane: Pane
