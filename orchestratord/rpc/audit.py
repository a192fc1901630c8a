"""What is noted of calls that change something, and of those that were denied.

``Account`` gathers it while a call runs; who keeps it is an ``Auditor``, which the
app gives. Never the parameters: their size, and the beginning of a hash of them.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import msgspec

from orchestratord.errors import Fault
from orchestratord.rpc.principal import Acting

DIGEST = 16
"""Hexadecimal digits of the SHA-256 that are kept: enough to tell payloads apart."""


class Account(msgspec.Struct, frozen=True):
    """A call on whose outcome something will be noted."""

    method: str
    mutates: bool
    acting: Acting
    size: int
    digest: str

    @classmethod
    def of(cls, method: str, mutates: bool, acting: Acting, payload: bytes) -> Account:
        """Open the account of a call with those parameters, token and key left out."""
        digest = hashlib.sha256(payload).hexdigest()[:DIGEST]
        return cls(method, mutates, acting, len(payload), digest)


class Auditor(Protocol):
    """Keeps what is noted. Returns at once, and never raises."""

    def note(self, account: Account, fault: Fault | None) -> None:
        """Take down how a call ended."""
        ...


class NoAudit:
    """Keeps nothing."""

    def note(self, account: Account, fault: Fault | None) -> None:
        pass
