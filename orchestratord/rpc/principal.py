"""Who calls, and what they may do: the principal of a call, and what it is about to do.

A principal is found once a connection, or by a call's token; the app says how
(``Identities``). A method states what it needs. ``acting`` holds both while a call
runs, in every task that it starts, so that whoever touches a thing asks ``allow``
and nobody has to hand the caller down. Knows no panes and no agents: a thing is an
id and an owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol, get_args

import msgspec

from orchestratord.errors import PermissionDenied
from orchestratord.rpc.meter import Meter

Scope = Literal[
    "read:own", "read:all", "input:own", "input:any", "input.secret", "create",
    "kill:own", "kill:any", "raw", "admin",
]  # fmt: skip
Need = Literal["nothing", "read", "input", "create", "kill", "admin"]
"""What a method does to what it touches; ``own`` or ``any`` is seen by whose that is."""
Evidence = Literal["uid", "token", "terminal", "ancestor", "hint"]

EVERYTHING: frozenset[Scope] = frozenset(get_args(Scope))
BUNDLES: dict[str, frozenset[Scope]] = {
    "observe": frozenset({"read:own", "read:all"}),
    "operate": frozenset({"read:own", "read:all", "input:own", "create", "kill:own"}),
    "admin": EVERYTHING,
}
_PAIRS: dict[Need, tuple[Scope, Scope]] = {
    "read": ("read:own", "read:all"),
    "input": ("input:own", "input:any"),
    "create": ("input:own", "input:any"),  # what is made beside a thing changes that
    "kill": ("kill:own", "kill:any"),
}
_ENTRY: dict[Need, frozenset[Scope]] = {
    "nothing": frozenset(),
    "read": frozenset({"read:own", "read:all"}),
    "input": frozenset({"input:own", "input:any"}),
    "create": frozenset({"create"}),
    "kill": frozenset({"kill:own", "kill:any"}),
    "admin": frozenset({"admin"}),
}


class ScopeMissing(PermissionDenied):
    """The caller's scopes do not allow this; ``needs`` names one that would."""

    template = "{who} lacks the scope {needs}"


class NotOwner(PermissionDenied):
    """The thing belongs to somebody else, and the caller's scopes are for its own only."""

    template = "{thing} belongs to {owner}; {who} lacks the scope {needs}"


class WouldEndCaller(PermissionDenied):
    """The call would end the pane that the caller runs in, its supervisor's, or tmux."""

    template = "{thing} is where the caller or its supervisor runs"
    hint = "force does it, for callers with the scope admin"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on the other end, as the kernel said when it connected."""

    uid: int
    gid: int
    pid: int
    connection: int


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls. ``owner`` is what records and facts say: ``uid:N`` or ``agent:NAME``.

    ``pane`` is where the caller runs, ``how`` says by which evidence, ``above`` are
    the panes of its supervisors. ``free`` principals need never be asked about.
    """

    uid: int
    pid: int
    owner: str
    agent: str | None = None
    pane: str | None = None
    above: frozenset[str] = frozenset()
    how: Evidence = "uid"
    scopes: frozenset[Scope] = EVERYTHING
    meter: Meter | None = None
    free: bool = True

    def has(self, *scopes: Scope) -> bool:
        """Whether it has one of those scopes."""
        return not self.scopes.isdisjoint(scopes)

    def require(self, *scopes: Scope) -> None:
        """Raise ``ScopeMissing`` unless it has one of those scopes."""
        if not self.has(*scopes):
            raise ScopeMissing(who=self.owner, needs=" or ".join(scopes))


def by_uid(peer: Peer) -> Principal:
    """Return the principal of a peer of whom nothing else is known: all rights of its user."""
    return Principal(uid=peer.uid, pid=peer.pid, owner=f"uid:{peer.uid}")


class Identities(Protocol):
    """Says who calls. ``version`` rises when what was said before may be wrong by now."""

    version: int

    def identify(self, peer: Peer, token: str | None, before: Principal | None) -> Principal:
        """Return the principal of a connection, or of a call with a token.

        ``before`` is what was said of that connection first. Raises a
        ``PermissionDenied`` for a token that is none.
        """
        ...


class ByUid:
    """Identities where there are no agents: everybody has the rights of their user."""

    version = 0

    def identify(self, peer: Peer, token: str | None, before: Principal | None) -> Principal:
        return before or by_uid(peer)


class Acting(msgspec.Struct):
    """Who acts, and what it needs. ``touched`` is the thing that it was last allowed to touch."""

    principal: Principal
    needs: Need
    force: bool = False
    touched: str | None = None

    def enter(self) -> None:
        """Raise ``ScopeMissing`` unless the principal may do such things at all."""
        wanted = _ENTRY[self.needs]
        if wanted and self.principal.scopes.isdisjoint(wanted):
            raise ScopeMissing(who=self.principal.owner, needs=" or ".join(sorted(wanted)))

    def may(self, owner: str) -> bool:
        """Whether the principal may do it to a thing of that owner."""
        pair = _PAIRS.get(self.needs)
        if pair is None:
            return True
        own, every = pair
        scopes = self.principal.scopes
        return every in scopes or (own in scopes and owner == self.principal.owner)

    def allow(self, owner: str, thing: str) -> None:
        """Raise ``NotOwner``, ``ScopeMissing`` or ``WouldEndCaller`` if it may not."""
        self.touched = thing
        principal = self.principal
        if principal.free:
            return
        if not self.may(owner):
            own, every = _PAIRS[self.needs]
            if owner == principal.owner:
                raise ScopeMissing(who=principal.owner, needs=f"{own} or {every}")
            raise NotOwner(thing=thing, owner=owner, who=principal.owner, needs=every)
        if self.needs == "kill" and (thing == principal.pane or thing in principal.above):
            self.forced(thing)

    def forced(self, thing: str) -> None:
        """Raise ``WouldEndCaller`` unless that is asked for, by somebody who may."""
        if not self.force or not self.principal.has("admin"):
            raise WouldEndCaller(thing=thing)


acting: ContextVar[Acting | None] = ContextVar("acting", default=None)
"""None: the daemon acts by itself, and may do everything."""


def allow(owner: str, thing: str) -> None:
    """Raise a ``PermissionDenied`` unless whoever acts may do so to a thing of that owner."""
    if (now := acting.get()) is not None:
        now.allow(owner, thing)


def visible(owner: str) -> bool:
    """Whether whoever acts may see a thing of that owner in a list."""
    now = acting.get()
    return now is None or now.principal.free or now.may(owner)


@contextmanager
def acting_as(principal: Principal, needs: Need) -> Iterator[None]:
    """Act with the rights of somebody, such as whoever made a watch."""
    token = acting.set(Acting(principal, needs))
    try:
        yield
    finally:
        acting.reset(token)
