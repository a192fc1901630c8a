"""The methods that belong to the protocol itself, not to a feature."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from msgspec import Meta

from orchestratord.errors import NotFound
from orchestratord.model import Empty, Params, Result
from orchestratord.rpc.method import Call, Cli, Table, method


class SubscriptionNotFound(NotFound):
    """This connection has no running stream of that name; perhaps it has ended."""

    template = "this connection has no subscription {subscription!r}"


class CancelSubscription(Params, frozen=True):
    """Names a stream of this connection."""

    subscription: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="As answered by the method that streams."),
    ]


class CancelledSubscription(Result, frozen=True):
    """Which stream was ended."""

    subscription: str


class Endpoint:
    """What the built-in methods act on; the server is one."""

    def discover(self) -> dict[str, Any]:
        """Return the OpenRPC document."""
        raise NotImplementedError

    def end_subscription(self, connection: int, subscription: str) -> bool:
        """End a stream of that connection; False if there is none of that name."""
        raise NotImplementedError


@method("rpc.discover", needs="nothing")
def discover(endpoint: Endpoint, params: Empty) -> dict[str, Any]:
    """Describe every method, its parameters, result and errors (OpenRPC 1.3)."""
    return endpoint.discover()


@method(
    "subscription.cancel",
    needs="nothing",
    errors=(SubscriptionNotFound,),
    cli=Cli(forms=(("subscription",),)),
)
def cancel(endpoint: Endpoint, params: CancelSubscription, call: Call) -> CancelledSubscription:
    """End a stream of this connection.

    Its last notification is ``subscription.end`` with the reason ``cancelled``.
    """
    if not endpoint.end_subscription(call.peer.connection, params.subscription):
        raise SubscriptionNotFound(subscription=params.subscription)
    return CancelledSubscription(subscription=params.subscription)


def complete(table: Table) -> Table:
    """Return the table with the built-in methods in it."""
    return Table(sorted((Table.collect([sys.modules[__name__]]) | table).items()))
