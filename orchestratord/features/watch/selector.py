"""Which panes a watch looks at: those that there are, and those that come. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from orchestratord.features.panes.fault import BadValue
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.model import PaneRef, SessionRef


class Selector(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Panes that fit everything that is named here; ``all`` if nothing else is."""

    ids: Annotated[list[PaneRef], Meta(max_length=256, description="These panes.")] = []
    session: SessionRef | None = None
    label: Annotated[
        str, Meta(max_length=400, description="KEY, or KEY=VALUE: as it is at the moment.")
    ] | None = None  # fmt: skip
    owner: Annotated[str, Meta(max_length=200)] | None = None
    all: bool = False


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A selector whose references were resolved."""

    ids: tuple[str, ...] = ()
    session: str | None = None
    session_name: str | None = None
    label: str | None = None
    owner: str | None = None

    @classmethod
    def of(cls, selector: Selector, registry: Registry) -> Chosen:
        """Resolve what a caller named.

        A session is meant by its id, and later ones by its name.

        Raises:
            BadValue: nothing is named.
            PaneNotFound, AmbiguousName, SessionNotFound: a reference fits nothing, or several.
        """
        if selector == Selector():
            raise BadValue(field="panes", reason="name some panes, or all")
        session = registry.session(selector.session) if selector.session is not None else None
        return cls(
            ids=tuple(registry.pane(ref).id for ref in selector.ids),
            session=session.id if session else None,
            session_name=session.name if session else None,
            label=selector.label,
            owner=selector.owner,
        )

    def fits(self, pane: PaneRecord, registry: Registry) -> bool:
        """Whether a pane is meant."""
        if self.ids and pane.id not in self.ids:
            return False
        if self.session is not None and pane.session != self.session:
            home = registry.sessions.get(pane.session)
            if home is None or home.name != self.session_name:
                return False
        if self.label is not None:
            key, equals, value = self.label.partition("=")
            if key not in pane.labels or (equals and pane.labels[key] != value):
                return False
        return self.owner in (None, pane.owner)
