"""Who a call comes from, as records and facts name it."""

from __future__ import annotations

from orchestratord.rpc.method import Call


def owner_of(call: Call) -> str:
    """Return the principal of a call."""
    return f"uid:{call.peer.uid}"
