"""What the service knows of sessions, windows and panes, in memory and on disk.

Fields may be added with a default, never renamed: old rows must still load.
"""

from __future__ import annotations

import msgspec

from orchestratord.features.panes.model import Exit
from orchestratord.rpc.receipts import Ticket
from orchestratord.tmux.process import Process


class Place(msgspec.Struct, frozen=True):
    """Which pane of which server: what is true only while that server lives."""

    server: str
    pane: str
    tty: str
    process: Process


class PaneRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the service knows of a pane. Never holds values of the environment.

    ``held`` says that ``place.process`` is a holder, and ``program`` the one that
    it starts; what a person respawned by hand has no holder. ``made_in`` is the pane
    in which its maker ran.
    """

    id: str
    session: str
    window: str
    place: Place
    argv: list[str]
    cwd: str
    created_at: str
    owner: str
    made_in: str | None = None
    name: str | None = None
    is_shell: bool = False
    program: Process | None = None
    held: bool = True
    labels: dict[str, str] = {}
    keep: bool = False
    expires_at: float | None = None
    environment_names: list[str] = []
    incarnation: int = 1
    epoch: int = 1
    width: int = 0
    height: int = 0
    title: str = ""
    synchronized: bool = False
    exit: Exit | None = None
    lost: bool = False
    gone: bool = False


class WindowRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the service knows of a window."""

    id: str
    session: str
    tmux: str
    server: str
    name: str
    ended: bool = False


class SessionRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the service knows of a session."""

    id: str
    name: str
    tmux: str
    server: str
    created_at: str
    owner: str
    labels: dict[str, str] = {}
    width: int = 200
    height: int = 50
    ended_at: str | None = None


class Intent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A creation that was begun: enough to adopt what it made, never more.

    ``ticket`` names the call if that has an idempotency key. What was
    ``given_up`` is undone instead, because its caller was told so.
    """

    pane: PaneRecord
    window: WindowRecord | None = None
    session: SessionRecord | None = None
    ticket: Ticket | None = None
    given_up: bool = False
