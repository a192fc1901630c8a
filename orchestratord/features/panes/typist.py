"""Who types into a pane, and under which lease: what the keyboard asks before it does."""

from __future__ import annotations

from typing import NamedTuple

from orchestratord.rpc.principal import acting

DAEMON = "daemon"
"""Types by itself, for nobody: never into a pane that somebody has leased."""


class Typist(NamedTuple):
    """Somebody who types. ``fence`` is that of the lease under which it means to."""

    owner: str
    fence: int | None = None


def whoever(fence: int | None = None) -> Typist:
    """Return whoever acts now."""
    now = acting.get()
    return Typist(now.principal.owner if now is not None else DAEMON, fence)
