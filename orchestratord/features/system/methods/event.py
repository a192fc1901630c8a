"""``event.*``: the history, and what is added to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from orchestratord.events import Event
from orchestratord.features.system.fault import UnknownEventKind
from orchestratord.features.system.model import ListedEvents, ListEvents, SubscribeEvents
from orchestratord.features.system.service import System
from orchestratord.rpc.method import Cli, method
from orchestratord.store.journal import EventsCompacted, SeqUnknown

ERRORS = (EventsCompacted, SeqUnknown, UnknownEventKind)
COLUMNS = ("seq", "at", "kind", "session", "pane", "data")


@method("event.list", errors=ERRORS, cli=Cli(columns=COLUMNS))
async def list_(system: System, params: ListEvents) -> ListedEvents:
    """List events, in the order of their numbers.

    ``next`` is the ``since`` that goes on from here; the answer has fewer than
    ``limit`` events if more would not fit into one line, or may not be seen.
    """
    journal = system.store.journal
    selection = system.selection(params.kinds, params.session, params.pane)
    since = journal.oldest - 1 if params.since is None else params.since
    last = journal.head if params.until is None else min(params.until, journal.head)
    found = await journal.after(since, params.limit, until=last, **selection)
    kept = _fitting(found, system.configuration.settings.max_frame * 3 // 4)
    complete = len(kept) == len(found) < params.limit
    following = max(since, last) if complete else kept[-1].seq
    seen = [event for event in kept if system.sees(event)]
    return ListedEvents(events=seen, next=following, oldest=journal.oldest)


@method("event.subscribe", errors=ERRORS, cli=Cli(columns=COLUMNS))
async def subscribe(system: System, params: SubscribeEvents) -> AsyncIterator[Event]:
    """Follow events: those after ``since``, then each as it happens.

    Ends with ``EventsCompacted`` for a follower that falls behind what is kept.
    """
    journal = system.store.journal
    selection = system.selection(params.kinds, params.session, params.pane)
    since = journal.head if params.since is None else params.since
    await journal.after(since, 1)  # what it refuses is the answer, not the end of a stream

    async def items() -> AsyncIterator[Event]:
        async for batch in journal.follow(since, **selection):
            for event in batch:
                if system.sees(event):
                    yield event

    return items()


def _fitting(events: list[Event], room: int) -> list[Event]:
    """Return the first events that fit into that many bytes; at least one, if there are any."""
    for number, event in enumerate(events):
        room -= len(msgspec.json.encode(event)) + 1
        if room < 0:
            return events[: max(1, number)]
    return events
