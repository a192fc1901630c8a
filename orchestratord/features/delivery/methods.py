"""``pane.send`` and ``delivery.*``: text for the programs in panes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from msgspec import Meta

from orchestratord.features.delivery.fault import (
    DeliveryNotFound,
    TooManyDeliveries,
    UnpastableText,
)
from orchestratord.features.delivery.model import Delivery, DeliveryState
from orchestratord.features.delivery.record import Wanted
from orchestratord.features.delivery.service import Deliveries
from orchestratord.features.panes.fault import LeaseHeld, StaleFence
from orchestratord.features.panes.hand import InputOff
from orchestratord.features.panes.keyboard import MAX_TEXT, LineTooLong, SecretPrompt
from orchestratord.features.panes.methods.owner import owner_of
from orchestratord.features.panes.methods.pane import (
    ABOUT_LIVING,
    ABOUT_ONE,
    Fence,
    Incarnation,
    OnePane,
)
from orchestratord.features.shell.fault import PaneBusy
from orchestratord.model import PaneRef, Params, Timeout
from orchestratord.rpc.method import Again, Call, Cli, method
from orchestratord.rpc.principal import visible
from orchestratord.rpc.receipts import Ids

COLUMNS = ("delivery", "pane", "state", "size", "arrival", "evidence", "reason", "created_at")
LONGEST_BLOCK = 3600
AT_ONCE = 10.0
QUEUED = 3600.0
"""Seconds that a text has, and those that it may wait for its turn, if the caller says nothing."""

DeliveryId = Annotated[
    str, Meta(min_length=2, max_length=20, description="A delivery's id.", examples=["d12"])
]


class SendText(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.send."""

    text: Annotated[
        str, Meta(max_length=MAX_TEXT, description="Typed byte for byte; nothing is interpreted.")
    ]
    submit: Annotated[
        bool,
        Meta(description="Press Enter once the text has arrived. A draft at a prompt is refused."),
    ] = False
    confirm: Annotated[
        bool, Meta(description="Submit, and look for evidence that the program has taken it.")
    ] = False
    paste: (
        Annotated[
            bool,
            Meta(
                description="As one paste, bracketed if the program has asked for that. Default:"
                " if a text with several lines or tabs is submitted."
            ),
        ]
        | None
    ) = None
    queue: Annotated[
        bool,
        Meta(
            description="If its shell is busy or has a draft, wait in the daemon for the prompt;"
            " the answer comes at once."
        ),
    ] = False
    timeout: (
        Annotated[
            Timeout,
            Meta(
                description="Seconds for everything, 10 if absent; with queue those to wait for"
                " its turn, 3600 if absent."
            ),
        ]
        | None
    ) = None
    secret: Annotated[
        bool,
        Meta(
            description="Type it although the program asks for a secret; it is stored nowhere.",
            extra={"needs": "input.secret"},
        ),
    ] = False
    incarnation: Incarnation | None = None
    fence: Fence | None = None


def sent_again(deliveries: Deliveries, ids: Ids) -> Delivery:
    """Show the delivery that a call has begun."""
    return deliveries.ledger.get(ids["delivery"]).record.shown()


@method(
    "pane.send",
    mutates=True,
    again=Again(resolved=Deliveries.resolved, answer=sent_again),
    errors=(
        *ABOUT_LIVING, PaneBusy, InputOff, LineTooLong, SecretPrompt, UnpastableText,
        TooManyDeliveries, LeaseHeld, StaleFence,
    ),
    cli=Cli(forms=(("pane", "text"), ("session", "pane", "text"))),
)  # fmt: skip
async def send(deliveries: Deliveries, params: SendText, call: Call) -> Delivery:
    """Type text into a pane, or deliver it to the program there.

    Without submit, confirm and queue the bytes are typed and nothing else happens. The
    state is pasted, submitted or confirmed, as far as was asked for; unknown if it was
    typed and what became of it is not known; queued if it waits.
    """
    pane = deliveries.panes.registry.living(params.pane, params.session, params.incarnation)
    timeout = params.timeout
    if timeout is None:
        timeout = QUEUED if params.queue else AT_ONCE
    wanted = Wanted(
        submit=params.submit or params.confirm, confirm=params.confirm, paste=params.paste,
        queue=params.queue, secret=params.secret, fence=params.fence, timeout=timeout,
    )  # fmt: skip
    work = deliveries.send(pane, params.text, wanted, owner_of(call), call.ticket)
    return (await deliveries.panes.act(work, call.ticket)).record.shown()


class GetDelivery(Params, frozen=True, kw_only=True):
    """Parameters of delivery.get."""

    delivery: DeliveryId
    block: Annotated[
        float, Meta(ge=0, le=LONGEST_BLOCK, description="Seconds to wait for its end.")
    ] = 0


@method(
    "delivery.get",
    errors=(DeliveryNotFound,),
    cli=Cli(forms=(("delivery",), ("delivery", "block"))),
    deadline=LONGEST_BLOCK + 10,
)
async def get(deliveries: Deliveries, params: GetDelivery) -> Delivery:
    """Show how far a delivery is; its text is not kept."""
    live = deliveries.touched(params.delivery)
    if params.block and not live.ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(params.block):
                await live.ended.wait()
    return live.record.shown()


class ListDeliveries(Params, frozen=True, kw_only=True):
    """Parameters of delivery.list."""

    pane: PaneRef | None = None
    state: Annotated[DeliveryState, Meta(description="Only deliveries in this state.")] | None = (
        None
    )


@method("delivery.list", errors=ABOUT_ONE, cli=Cli(forms=((), ("pane",)), columns=COLUMNS))
def list_(deliveries: Deliveries, params: ListDeliveries) -> list[Delivery]:
    """List the deliveries that wait or go on, and those that ended lately, the oldest first."""
    pane = deliveries.panes.registry.pane(params.pane).id if params.pane else None
    return [
        live.record.shown()
        for live in deliveries.ledger.all()
        if pane in (None, live.record.pane)
        and visible(deliveries.owner_of_pane(live))
        and params.state in (None, live.record.state)
    ]


class CancelDelivery(Params, frozen=True, kw_only=True):
    """Parameters of delivery.cancel."""

    delivery: DeliveryId


@method(
    "delivery.cancel",
    mutates=True,
    errors=(DeliveryNotFound,),
    cli=Cli(forms=(("delivery",),)),
)
async def cancel(deliveries: Deliveries, params: CancelDelivery, call: Call) -> Delivery:
    """End a delivery that waits; nothing is typed. Any other is returned as it is."""
    live = deliveries.touched(params.delivery)
    deliveries.cancel(live, owner_of(call))
    await deliveries.ledger.on_disk(live)
    return live.record.shown()
