"""The method table: one entry from which everything else is generated.

A feature writes a params Struct and a function decorated with ``@method``.
Dispatch, validation, ``rpc.discover``, the client's commands, help, completion
and the reference page all read the entry made here. A method's first parameter
is the service it belongs to (found by type), the second its parameters, and an
optional third the ``Call``. The docstring's first line is its summary.

A plain function answers at once, from memory: it is the cheapest and may not
take longer than a millisecond. A coroutine runs beside the connection's other
calls. One that returns an ``AsyncIterator`` streams: an async generator, or a
coroutine that first checks its parameters (what it raises is then the answer).
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from orchestratord.errors import Fault
from orchestratord.rpc.principal import (
    Need,
    NotOwner,
    Peer,
    Principal,
    Scope,
    ScopeMissing,
    WouldEndCaller,
)
from orchestratord.rpc.receipts import Ids, Ticket

__all__ = ["Call", "Cli", "Method", "Peer", "Table", "method"]

METHOD_NAME = re.compile(r"[a-z]+\.[a-z_]+\Z")
DEFAULT_DEADLINE = 30.0
"""Seconds after which a call ends that names no time of its own."""


RESERVED = ("idempotency_key", "token")
"""Parameters that any method may be given; none may have a field of that name."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a method may know of the call it serves. A ticket says that it has a key."""

    peer: Peer
    principal: Principal
    request: str
    ticket: Ticket | None = None


class Cli(msgspec.Struct, frozen=True, kw_only=True):
    """How the command of a method is typed and shown.

    ``forms`` are the accepted orders of positional words, tried by their
    number; a last name ending in ``...`` takes all that remain. ``columns``
    are the fields that a table shows, in order.
    """

    forms: tuple[tuple[str, ...], ...] = ((),)
    columns: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """How a key is answered by a method that writes the ticket down with what it does.

    ``resolved`` gets the service and an open ticket, and returns when it is on
    record what that call did; if nothing is, it did nothing. ``answer`` gets the
    service and the ids on record, and returns the result, or raises a
    ``NotFound`` if what was made is gone.
    """

    resolved: Callable[[Any, Ticket], Awaitable[None]]
    answer: Callable[[Any, Ids], Any]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the table.

    ``needs`` is what the caller must be allowed to do, ``conditions`` are fields
    that need a scope of their own when they are given ("": whatever is given).
    """

    name: str
    summary: str
    description: str
    service: type
    params: type[msgspec.Struct]
    result: Any
    streams: bool
    mutates: bool
    needs: Need
    conditions: tuple[tuple[str, Scope], ...]
    errors: tuple[type[Fault], ...]
    cli: Cli
    deadline: float | None
    handler: Callable[..., Any]
    awaits: bool
    wants_call: bool
    again: Again | None

    @property
    def admin(self) -> bool:
        """Whether it is for who runs the daemon."""
        return self.needs == "admin"


Handler = TypeVar("Handler", bound=Callable[..., Any])


def method(
    name: str,
    *,
    mutates: bool = False,
    needs: Need | None = None,
    also: Scope | None = None,
    errors: tuple[type[Fault], ...] = (),
    cli: Cli | None = None,
    deadline: float | None = DEFAULT_DEADLINE,
    again: Again | None = None,
) -> Callable[[Handler], Handler]:
    """Make a function a method of the table.

    ``mutates`` lets callers send an ``idempotency_key``. ``needs`` says what the
    caller must be allowed to do to what is touched; absent: what the verb says
    (create, kill), else input for what mutates and read for what does not. ``also``
    is a scope that it needs beside that, a field's ``Meta(extra={"needs": SCOPE})``
    one that giving the field needs. ``deadline`` is in
    seconds; a params field called ``timeout`` overrides it for one call. None
    means that the method ends by itself (streams, and what answers after its
    timeout). ``again`` says how a retry is answered after a restart; without it,
    by the noun's ``get`` if that has the same result, and not at all if the call
    was cut off.
    """
    if not METHOD_NAME.match(name):
        raise ValueError(f"a method is called noun.verb, not {name!r}")

    def register(handler: Handler) -> Handler:
        hints = typing.get_type_hints(handler, include_extras=True)
        parameters = list(inspect.signature(handler).parameters)
        result = hints["return"]
        streams = typing.get_origin(result) is AsyncIterator
        if streams:
            (result,) = typing.get_args(result)
        text = inspect.getdoc(handler) or ""
        need = needs or _need_of(name, mutates)
        summary, _, description = text.partition("\n")
        entry = Method(
            name=name,
            summary=summary,
            description=description.strip(),
            service=hints[parameters[0]],
            params=hints[parameters[1]],
            result=result,
            streams=streams,
            mutates=mutates,
            needs=need,
            conditions=_conditions(name, hints[parameters[1]], also),
            errors=(*errors, *(e for e in _refusals(need) if e not in errors)),
            cli=cli or Cli(),
            deadline=None if streams else deadline,
            handler=handler,
            awaits=inspect.iscoroutinefunction(handler),
            wants_call=len(parameters) > 2,
            again=again,
        )
        handler.__method__ = entry  # type: ignore[attr-defined]
        return handler

    return register


def _need_of(name: str, mutates: bool) -> Need:
    match name.partition(".")[2]:
        case "create":
            return "create"
        case "kill":
            return "kill"
        case _:
            return "input" if mutates else "read"


def _refusals(need: Need) -> tuple[type[Fault], ...]:
    """Return the errors of a caller that may not do what it needs."""
    match need:
        case "nothing":
            return ()
        case "admin":
            return (ScopeMissing,)
        case "kill":
            return ScopeMissing, NotOwner, WouldEndCaller
        case _:
            return ScopeMissing, NotOwner


def _conditions(
    name: str, params: type[msgspec.Struct], also: Scope | None
) -> tuple[tuple[str, Scope], ...]:
    """Return the fields whose ``Meta`` names a scope; no field stands for every call."""
    hints = typing.get_type_hints(params, include_extras=True)
    if not params.__struct_config__.forbid_unknown_fields:
        raise ValueError(f"{name}: {params.__name__} must forbid unknown fields, as Params does")
    if taken := hints.keys() & set(RESERVED):
        raise ValueError(f"{name}: {min(taken)} is taken out of every method's parameters")
    found = tuple(
        (field, meta.extra["needs"])
        for field, hint in hints.items()
        for meta in getattr(hint, "__metadata__", ())
        if isinstance(meta, msgspec.Meta) and meta.extra and "needs" in meta.extra
    )
    return found if also is None else (("", also), *found)


class Table(dict[str, Method]):
    """The methods of a daemon by their names."""

    @classmethod
    def collect(cls, modules: Iterable[ModuleType]) -> Table:
        """Gather every decorated function of those modules; names are unique."""
        table = cls()
        for module in modules:
            for value in vars(module).values():
                entry = getattr(value, "__method__", None)
                if entry is None:
                    continue
                if entry.name in table:
                    raise ValueError(f"two methods are called {entry.name}")
                table[entry.name] = entry
        return table
