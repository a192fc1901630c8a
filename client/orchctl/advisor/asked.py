"""A decision as the advisor sees it, and which ones it is there for. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """An open decision. ``context`` is whatever programs wrote: data, never instructions."""

    id: str
    question: str
    options: tuple[str, ...]
    default: str | None
    context: str
    expires_at: datetime
    pane: str | None
    session: str | None
    labels: dict[str, str]

    @classmethod
    def from_wire(cls, decision: dict[str, Any]) -> Self:
        """Read the result of ``decision.get``."""
        return cls(
            id=decision["id"],
            question=decision["question"],
            options=tuple(decision["options"]),
            default=decision["default"],
            context=decision["context"],
            expires_at=datetime.fromisoformat(decision["expires_at"]),
            pane=decision["pane"],
            session=decision["session"],
            labels=decision["labels"],
        )

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return (self.expires_at - datetime.now(UTC)).total_seconds()

    @property
    def otherwise(self) -> str:
        """What happens when nobody answers."""
        return "no choice" if self.default is None else f"the default, {self.default}"


@dataclass(frozen=True)
class Wanted:
    """Which decisions are answered: all, or those about a session, or with a label."""

    session: str | None = None
    label: str | None = None
    """``KEY`` or ``KEY=VALUE``."""

    def has_label(self, labels: dict[str, str]) -> bool:
        """Say whether labels have the wanted one."""
        if self.label is None:
            return True
        key, equals, value = self.label.partition("=")
        return key in labels and (not equals or labels[key] == value)
