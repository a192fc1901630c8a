"""Answering a key for a call of an earlier life, from the method table and the services.

Knows neither where receipts are kept nor what the services do: a method's entry
says how (``method.Again``). ``app`` puts these into the receipts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from orchestratord.rpc.method import Table
from orchestratord.rpc.receipts import Ids, Ticket


def resolving(
    methods: Table, services: Mapping[type, object]
) -> Callable[[Ticket], Awaitable[bool]]:
    """Return what waits until it is on record what an open call did; False if that is not told."""

    async def resolved(ticket: Ticket) -> bool:
        method = methods.get(ticket.method)
        if method is None or method.again is None:
            return False
        await method.again.resolved(services[method.service], ticket)
        return True

    return resolved


def answering(
    methods: Table, services: Mapping[type, object]
) -> Callable[[str, Ids], Awaitable[bytes | None]]:
    """Return what gives a method's answer again: by its ``again``, else by its noun's ``get``."""

    async def answer_for(name: str, ids: Ids) -> bytes | None:
        method = methods.get(name)
        if method is None:
            return None
        if method.again is not None:
            return msgspec.json.encode(method.again.answer(services[method.service], ids))
        noun = name.partition(".")[0]
        get = methods.get(f"{noun}.get")
        if get is None or get.result is not method.result or "id" not in ids:
            return None
        found = get.handler(services[get.service], get.params(**{noun: ids["id"]}))
        return msgspec.json.encode(await found if get.awaits else found)

    return answer_for
