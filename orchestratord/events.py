"""Facts, events and the bus that carries them inside the daemon.

A fact is something that happened, as a typed Struct of the feature that owns
it. Once the journal has given it a number and a time it is an event. The bus
tells listeners that new events are on disk; it never holds any: whoever needs
every event reads the journal from the number it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

FACTS: dict[str, type[Fact]] = {}
"""Every kind of fact by its name on the wire, filled as the classes are made."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. ``PaneExited`` travels as ``pane.exited``."""

    kind: ClassVar[str] = ""

    session: str | None = None
    pane: str | None = None
    agent: str | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        noun, *verb = re.findall(r"[A-Z][a-z0-9]*", cls.__name__)
        cls.kind = f"{noun.lower()}.{'_'.join(verb).lower()}"
        FACTS[cls.kind] = cls

    def data(self) -> dict[str, Any]:
        """Return the fields beside the three that every event has."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        for common in ("session", "pane", "agent"):
            fields.pop(common, None)
        return fields


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact with its number and time. ``seq`` has no gaps and is never reused."""

    seq: int
    at: str
    kind: str
    session: str | None = None
    pane: str | None = None
    agent: str | None = None
    data: dict[str, Any] = {}


Listener = Callable[[Sequence[Event]], None]


class Bus:
    """Tells listeners, in the order of their numbers, which events are on disk.

    A listener must return at once and may not raise: an exception is a defect
    and goes to ``on_error``, the other listeners are told all the same.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._listeners: list[Listener] = []
        self._on_error = on_error

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, events: Sequence[Event]) -> None:
        """Tell everybody. Called by the journal alone, after the commit."""
        for listener in tuple(self._listeners):
            try:
                listener(events)
            except Exception as error:  # a listener's defect stops nobody else
                self._on_error(error)
