"""watch.*: patterns over panes, and what is done when they match."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.fault import (
    AmbiguousName,
    BadPattern,
    BadValue,
    PaneNotFound,
    SessionNotFound,
)
from orchestratord.features.panes.keyboard import BadKey
from orchestratord.features.watch.action import Action
from orchestratord.features.watch.fault import (
    ActionUnavailable,
    TooManyPatterns,
    TooManyWatches,
    WatchNotFound,
    WatchStopped,
)
from orchestratord.features.watch.model import Fire, Firing, Watch
from orchestratord.features.watch.needle import Expression, Text
from orchestratord.features.watch.quota import PATTERNS
from orchestratord.features.watch.record import Terms
from orchestratord.features.watch.rights import Rights
from orchestratord.features.watch.selector import Selector
from orchestratord.features.watch.table import HISTORY
from orchestratord.features.watch.watches import Watches
from orchestratord.model import Empty, Name, Params, Result
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import NotOwner, ScopeMissing

COLUMNS = ("id", "name", "state", "panes", "patterns", "matches", "acted", "created_at")

WatchName = Annotated[str, Meta(max_length=40, description="A watch, such as watch3.")]
Seconds = Annotated[float, Meta(gt=0, le=86400 * 365)]


class CreateWatch(Params, frozen=True, kw_only=True):
    """Parameters of watch.create."""

    panes: Annotated[
        Selector,
        Meta(description="Which panes, those that come later among them: {ids, session, label, "
                         "owner, all}."),
    ]  # fmt: skip
    patterns: Annotated[
        list[Text | Expression],
        Meta(min_length=1, max_length=PATTERNS,
             description="Regular expressions, or {pattern, name, ...}."),
    ]  # fmt: skip
    actions: Annotated[
        list[Action],
        Meta(max_length=20, description="What to do at a match, in order: {do, ...}."),
    ] = []
    name: Name | None = None
    screen: Annotated[
        bool, Meta(description="Look at the rendered screen, as of full-screen programs.")
    ] = False
    fire: Annotated[Fire, Meta(description="End with the first match, or act on every one.")] = (
        "every"
    )
    debounce: (
        Annotated[
            Seconds,
            Meta(description="Matches of a pattern in a pane within so many seconds are one."),
        ]
        | None
    ) = None
    after: Annotated[Seconds, Meta(description="Seconds from a match to its actions.")] | None = (
        None
    )
    ttl: Annotated[Seconds, Meta(description="Seconds after which the watch ends.")] | None = None


@method(
    "watch.create",
    needs="read",
    mutates=True,
    errors=(
        BadValue, BadPattern, BadKey, PaneNotFound, AmbiguousName, SessionNotFound,
        ActionUnavailable, TooManyPatterns, TooManyWatches, ScopeMissing,
    ),
    cli=Cli(columns=COLUMNS),
)  # fmt: skip
async def create(watches: Watches, params: CreateWatch, call: Call) -> Watch:
    """Look for patterns in what panes write from now on, and act on what is found.

    A match is told as ``watch.matched`` before anything is done about it, and what
    was done as ``watch.acted``. Watches outlive the daemon.
    """
    terms = Terms(
        panes=params.panes, chosen=watches.chosen(params.panes),
        patterns=tuple(map(Expression.of, params.patterns)), actions=tuple(params.actions),
        screen=params.screen, fire=params.fire, debounce=params.debounce, after=params.after,
    )  # fmt: skip
    rights = Rights.of(call.principal)
    return watches.show(await watches.create(rights, terms, params.ttl, params.name))


class OneWatch(Params, frozen=True, kw_only=True):
    """Names a watch."""

    watch: WatchName


@method("watch.list", cli=Cli(columns=COLUMNS))
def list_(watches: Watches, _: Empty) -> list[Watch]:
    """List the watches, with those that have ended and are not deleted."""
    return [watches.show(watch) for watch in watches.listed()]


@method("watch.get", errors=(WatchNotFound, NotOwner), cli=Cli(forms=(("watch",),)))
def get(watches: Watches, params: OneWatch) -> Watch:
    """Show a watch."""
    return watches.show(watches.get(params.watch))


@method(
    "watch.pause",
    mutates=True,
    errors=(WatchNotFound, WatchStopped, NotOwner),
    cli=Cli(forms=(("watch",),)),
)
async def pause(watches: Watches, params: OneWatch) -> Watch:
    """Stop looking until the watch is resumed."""
    watch = watches.get(params.watch)
    await watches.pause(watch)
    return watches.show(watch)


@method(
    "watch.resume",
    mutates=True,
    errors=(WatchNotFound, WatchStopped, NotOwner),
    cli=Cli(forms=(("watch",),)),
)
async def resume(watches: Watches, params: OneWatch) -> Watch:
    """Look again, at what is written from now on."""
    watch = watches.get(params.watch)
    await watches.resume(watch)
    return watches.show(watch)


class DeletedWatch(Result, frozen=True, kw_only=True):
    """A watch that is no more."""

    watch: str


@method(
    "watch.delete", mutates=True, errors=(WatchNotFound, NotOwner), cli=Cli(forms=(("watch",),))
)
async def delete(watches: Watches, params: OneWatch) -> DeletedWatch:
    """End a watch and forget it, with its history."""
    watch = watches.get(params.watch)
    await watches.delete(watch)
    return DeletedWatch(watch=params.watch)


class WatchHistory(OneWatch, frozen=True, kw_only=True):
    """Parameters of watch.history."""

    limit: Annotated[int, Meta(ge=1, le=HISTORY)] = 50


@method(
    "watch.history",
    errors=(WatchNotFound, NotOwner),
    cli=Cli(forms=(("watch",),), columns=("at", "pane", "pattern", "match", "acts")),
)
async def history(watches: Watches, params: WatchHistory) -> list[Firing]:
    """List the last matches of a watch and what was done about each, oldest first."""
    return await watches.history(watches.get(params.watch), params.limit)
