"""The caller of one connection: who it is, and whether a call of it may begin.

Who it is was found when it connected, and is looked for again when agents or
panes have changed; a token speaks for one call. Made by ``calls``; owns nothing
that another connection sees.
"""

from __future__ import annotations

import msgspec

from orchestratord.errors import Fault
from orchestratord.rpc.audit import Account
from orchestratord.rpc.params import Given
from orchestratord.rpc.policy import Bound, Policy
from orchestratord.rpc.principal import Acting, Peer, Principal

TOKENS = 16
"""Tokens of one connection whose principals are kept at hand."""


class Entrance(msgspec.Struct, frozen=True):
    """A call that may begin: whose it is, who acts in it, and what will be noted of it.

    Nobody need be asked about a free principal that only reads: nobody acts.
    """

    principal: Principal
    acting: Acting | None = None
    account: Account | None = None


class Caller:
    """Who calls on a connection."""

    def __init__(self, peer: Peer, policy: Policy) -> None:
        self._peer = peer
        self._policy = policy
        self._identities = policy.identities
        self._version = self._identities.version
        self._principal = self._identities.identify(peer, None, None)
        self._reading = Entrance(self._principal)
        self._by_token: dict[str, Principal] = {}

    def admit(self, bound: Bound, given: Given, size: int) -> Entrance:
        """Let a call of that many bytes in; raise why not, which is noted."""
        account = None
        try:
            principal = self._principal
            if given.token is not None or self._version != self._identities.version:
                principal = self._who(given.token)
            if principal.free and not bound.mutates:
                return self._reading if principal is self._principal else Entrance(principal)
            acting = Acting(principal, bound.needs)
            account = bound.account(given, acting)
            if not principal.free:
                bound.admit(given, acting, size)
        except Fault as fault:
            acting = Acting(self._principal, bound.needs)  # a wrong token says nothing of who
            self._policy.note(account or bound.opened(given, acting), fault)
            raise
        return Entrance(principal, acting, account)

    def _who(self, token: str | None) -> Principal:
        identities = self._identities
        if self._version != identities.version:
            self._version = identities.version
            self._principal = identities.identify(self._peer, None, self._principal)
            self._reading = Entrance(self._principal)
            self._by_token.clear()
        if token is None:
            return self._principal
        known = self._by_token.get(token)
        if known is None:
            known = identities.identify(self._peer, token, self._principal)
            if len(self._by_token) >= TOKENS:
                self._by_token.clear()
            self._by_token[token] = known
        return known
