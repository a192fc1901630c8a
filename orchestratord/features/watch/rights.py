"""What whoever made a watch may do, kept with it: a watch never has more rights than its maker."""

from __future__ import annotations

from contextlib import AbstractContextManager

import msgspec

from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.watch.action import (
    Action,
    Ask,
    Create,
    Emit,
    Kill,
    Message,
    Respawn,
)
from orchestratord.rpc.principal import (
    EVERYTHING,
    Acting,
    Need,
    Principal,
    Scope,
    acting_as,
    visible,
)

_NEEDS: dict[type, Need] = {
    Emit: "read", Ask: "read", Message: "read", Create: "create", Kill: "kill",
    Respawn: "kill",
}  # fmt: skip
"""What an action does to its pane; the others give it input."""


class Rights(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A principal as it was when it made a watch."""

    uid: int
    owner: str
    agent: str | None = None
    pane: str | None = None
    above: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = tuple(sorted(EVERYTHING))
    free: bool = True

    @classmethod
    def of(cls, principal: Principal) -> Rights:
        """Keep what a principal may do."""
        return cls(
            uid=principal.uid, owner=principal.owner, agent=principal.agent, pane=principal.pane,
            above=tuple(sorted(principal.above)), scopes=tuple(sorted(principal.scopes)),
            free=principal.free,
        )  # fmt: skip

    @property
    def principal(self) -> Principal:
        """The principal to act as."""
        return Principal(
            uid=self.uid, pid=0, owner=self.owner, agent=self.agent, pane=self.pane,
            above=frozenset(self.above), scopes=frozenset(self.scopes), free=self.free,
        )  # fmt: skip

    def sees(self, pane: PaneRecord) -> bool:
        """Whether what a pane writes may be looked at."""
        if self.free:
            return True
        with acting_as(self.principal, "read"):
            return visible(pane.owner)

    def check(self, action: Action) -> None:
        """Raise ``ScopeMissing`` if an action could never be allowed."""
        Acting(self.principal, _need(action)).enter()

    def acting(self, action: Action) -> AbstractContextManager[None]:
        """Act as whoever made the watch."""
        return acting_as(self.principal, _need(action))


def _need(action: Action) -> Need:
    return _NEEDS.get(type(action), "input")
