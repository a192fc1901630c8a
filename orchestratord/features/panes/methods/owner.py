"""Who a call comes from, as records and facts name it."""

from __future__ import annotations

from orchestratord.rpc.method import Call


def owner_of(call: Call) -> str:
    """Return the owner of what a call makes: ``agent:NAME`` or ``uid:N``."""
    return call.principal.owner
