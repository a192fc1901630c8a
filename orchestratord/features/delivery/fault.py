"""Why a text is not delivered."""

from __future__ import annotations

from orchestratord.errors import InvalidArgument, NotFound, ResourceExhausted


class DeliveryNotFound(NotFound):
    """No delivery has that id, or it ended so long ago that it is forgotten."""

    template = "no delivery {delivery!r}"


class UnpastableText(InvalidArgument):
    """The text holds what ends a bracketed paste: the rest would count as typed keys."""

    template = "the text holds {what}, which would end the paste within it"
    hint = "remove it, or type the text with paste: false"


class TooManyDeliveries(ResourceExhausted):
    """Too many texts, or too much text, wait already."""

    template = "{count} deliveries of {size} bytes wait already"
