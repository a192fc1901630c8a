"""What can happen to sessions, windows and panes. The class name is the event's kind."""

from __future__ import annotations

from orchestratord.events import Fact


class SessionCreated(Fact, frozen=True, kw_only=True):
    """A session came into being."""

    name: str


class SessionRenamed(Fact, frozen=True, kw_only=True):
    """A session has another name; ``by`` is ``outside`` if not through us."""

    name: str
    by: str


class SessionEnded(Fact, frozen=True, kw_only=True):
    """The last pane of a session is gone; its name is free."""

    name: str


class WindowCreated(Fact, frozen=True, kw_only=True):
    """A window came into being."""

    window: str
    name: str


class WindowRenamed(Fact, frozen=True, kw_only=True):
    """A window has another name; ``by`` is ``outside`` if not through us."""

    window: str
    name: str
    by: str


class WindowEnded(Fact, frozen=True, kw_only=True):
    """A window is gone."""

    window: str


class PaneCreated(Fact, frozen=True, kw_only=True):
    """A pane came into being. ``pid`` is tmux's ``pane_pid``."""

    name: str | None
    window: str
    tmux_id: str
    pid: int


class PaneAdopted(Fact, frozen=True, kw_only=True):
    """A pane carried our stamp and was not known: its creation had been cut short."""

    tmux_id: str
    pid: int


class PaneExited(Fact, frozen=True, kw_only=True):
    """A pane ended and nobody had asked for it."""

    status: int | None
    signal: str | None


class PaneKilled(Fact, frozen=True, kw_only=True):
    """A pane ended because ``by`` asked for it."""

    by: str
    status: int | None
    signal: str | None


class PaneLost(Fact, frozen=True, kw_only=True):
    """A pane is gone and how its program ended is not known."""

    reason: str


class PaneClosed(Fact, frozen=True, kw_only=True):
    """The screen of an ended pane, which had been kept, is gone."""

    by: str


class PaneRespawned(Fact, frozen=True, kw_only=True):
    """A pane runs a new program; older cursors and incarnations are stale."""

    incarnation: int
    pid: int


class PaneRenamed(Fact, frozen=True, kw_only=True):
    """A pane has another name."""

    name: str | None


class PaneMoved(Fact, frozen=True, kw_only=True):
    """A pane is in another window or session."""

    window: str
    by: str


class PaneResized(Fact, frozen=True, kw_only=True):
    """A pane has another size."""

    width: int
    height: int


class PaneSynchronized(Fact, frozen=True, kw_only=True):
    """Somebody set ``synchronize-panes``: what a person types into a pane reaches its neighbours.

    What is typed through us never does. ``on`` is false when that is over.
    """

    on: bool


class PaneLabeled(Fact, frozen=True, kw_only=True):
    """A pane's labels changed; ``labels`` are all it has now."""

    labels: dict[str, str]


class PaneGiven(Fact, frozen=True, kw_only=True):
    """A pane belongs to another owner."""

    owner: str
    by: str


class OutputGap(Fact, frozen=True, kw_only=True):
    """Output of a pane was lost between two epochs; how much is not known."""

    reason: str
    cursor: str


class ServerLost(Fact, frozen=True, kw_only=True):
    """The tmux server is gone, and every pane with it."""

    server: str
    panes: int


class ServerConnected(Fact, frozen=True, kw_only=True):
    """The daemon is connected to a tmux server that it did not know before."""

    server: str
    pid: int
    version: str
