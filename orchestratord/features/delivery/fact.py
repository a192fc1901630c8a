"""What can happen to deliveries. No fact holds any of a text; ``size`` is in bytes."""

from __future__ import annotations

from orchestratord.events import Fact
from orchestratord.features.delivery.model import Arrival, Evidence, Reason


class DeliveryQueued(Fact, frozen=True, kw_only=True):
    """A text waits in the daemon until its pane is ready for it."""

    delivery: str
    size: int


class DeliveryPasted(Fact, frozen=True, kw_only=True):
    """A text was given to a pane's terminal, typed or pasted."""

    delivery: str
    size: int


class DeliverySubmitted(Fact, frozen=True, kw_only=True):
    """Enter was pressed after the text had arrived."""

    delivery: str
    arrival: Arrival | None


class DeliveryConfirmed(Fact, frozen=True, kw_only=True):
    """The program has taken the text and the Enter."""

    delivery: str
    evidence: Evidence
    enters: int


class DeliveryUnknown(Fact, frozen=True, kw_only=True):
    """A text was given to the terminal, and what became of it is not known."""

    delivery: str
    reason: Reason


class DeliveryRefused(Fact, frozen=True, kw_only=True):
    """Nothing was typed."""

    delivery: str
    reason: Reason


class DeliveryCancelled(Fact, frozen=True, kw_only=True):
    """A text that waited is not needed any more; nothing was typed."""

    delivery: str
    by: str
