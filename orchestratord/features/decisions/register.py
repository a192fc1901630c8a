"""All decisions that are known, in memory: which are open, due, or to be forgotten.

Loaded from the store at start and changed by the service alone, after each
commit. Holds frozen snapshots. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

import msgspec

from orchestratord.features.decisions.fault import DecisionNotFound
from orchestratord.features.decisions.model import Decision, Listed, State
from orchestratord.rpc.principal import allow, visible
from orchestratord.store.db import Statement

MOST_OPEN = 1000
"""Open decisions: more than people and models answer in the time that decisions are given."""

REMEMBERED = 1000
"""Ended decisions whose record stays; the oldest go first."""

_SAVE = "INSERT OR REPLACE INTO decisions (id, record) VALUES (?, ?)"
_FORGET = "DELETE FROM decisions WHERE id = ?"


def save(decision: Decision) -> Statement:
    """Return the statement that writes a decision as it is."""
    return Statement(_SAVE, (decision.id, msgspec.json.encode(decision).decode()))


def forget(decision: Decision) -> Statement:
    """Return the statement that deletes a decision."""
    return Statement(_FORGET, (decision.id,))


class Register:
    """The decisions by id; ``ended`` is in the order of their ends."""

    def __init__(self) -> None:
        self.open: dict[str, Decision] = {}
        self.ended: dict[str, Decision] = {}
        self._listed: dict[str, Listed] = {}

    def load(self, records: Iterable[str]) -> None:
        """Take the records of the store."""
        known = [msgspec.json.decode(record, type=Decision) for record in records]
        for decision in sorted(known, key=lambda d: (d.ended_at or "", d.asked_at)):
            self.put(decision)

    def put(self, decision: Decision) -> None:
        """Know a decision as it is now."""
        if decision.state == "open":
            self.open[decision.id] = decision
        else:
            self.open.pop(decision.id, None)
            self.ended[decision.id] = decision
        fields = {name: getattr(decision, name) for name in Listed.__struct_fields__}
        self._listed[decision.id] = Listed(**fields)

    def forget(self, decisions: Iterable[Decision]) -> None:
        """Know these no longer."""
        for decision in decisions:
            self.ended.pop(decision.id, None)
            self._listed.pop(decision.id, None)

    def forgettable(self) -> list[Decision]:
        """Return the ended decisions beyond those that are remembered when one more ends."""
        beyond = len(self.ended) + 1 - REMEMBERED
        return list(self.ended.values())[: max(0, beyond)]

    def get(self, decision: str) -> Decision:
        """Return the decision with that id, open or ended; raises if it may not be touched."""
        found = self.open.get(decision) or self.ended.get(decision)
        if found is None:
            raise DecisionNotFound(decision=decision)
        allow(found.asked_by, decision)
        return found

    def select(
        self, state: State | None, session: str | None, label: str | None, limit: int
    ) -> list[Listed]:
        """Return the first that fit: open ones by their deadline, ended ones from the last.

        ``label`` is ``KEY`` or ``KEY=VALUE``. Without a state, all of them.
        """
        waiting = sorted(self.open.values(), key=lambda d: d.expires_at)
        key, equals, value = (label or "").partition("=")
        fitting = (
            d
            for d in [*waiting, *reversed(self.ended.values())]
            if visible(d.asked_by)
            and state in (None, d.state)
            and session in (None, d.session)
            and (label is None or (key in d.labels and (not equals or d.labels[key] == value)))
        )
        return [self._listed[d.id] for d in islice(fitting, limit)]

    def due(self, now: str) -> list[Decision]:
        """Return the open decisions whose deadline is reached."""
        return [d for d in self.open.values() if d.expires_at <= now]

    def seconds_to_next(self, now: datetime) -> float:
        """Return how long it is until the first deadline; there must be one."""
        first = min(d.expires_at for d in self.open.values())
        return max(0.0, (datetime.fromisoformat(first) - now).total_seconds())
