"""What a watch does when it matches, as a caller asks for it. Nothing is evaluated by us."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from orchestratord.features.panes.keyboard import MAX_TEXT
from orchestratord.model import (
    Argv,
    Grace,
    Labels,
    Name,
    PaneRef,
    Placement,
    SessionRef,
    ShellName,
)


class _Action(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    tag_field="do",
):  # fmt: skip
    """Base of the actions."""


class _InPane(_Action, frozen=True, kw_only=True):
    """Base of what is done to a pane: the one that matched, if no other is named."""

    pane: PaneRef | None = None


class Emit(_Action, frozen=True, kw_only=True, tag="emit"):
    """Tell an event, with a note."""

    note: Annotated[str, Meta(max_length=1000)] = ""


class Kill(_InPane, frozen=True, kw_only=True, tag="kill"):
    """End the pane and everything in its process session, unless another watch keeps it."""

    grace: Grace = 2.0


class Keep(_InPane, frozen=True, kw_only=True, tag="keep"):
    """Spare the pane from the kill actions of other watches, for as long as it lives."""


class Exec(_InPane, frozen=True, kw_only=True, tag="exec"):
    """Run a command in the pane's shell, when that is at its prompt."""

    command: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class Send(_InPane, frozen=True, kw_only=True, tag="send"):
    """Type a text."""

    text: Annotated[str, Meta(max_length=65536)]
    submit: Annotated[bool, Meta(description="Press Enter after it, as a step of its own.")] = False


class Keys(_InPane, frozen=True, kw_only=True, tag="keys"):
    """Press keys by their names."""

    keys: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=32)]],
        Meta(min_length=1, max_length=100),
    ]


class Respawn(_InPane, frozen=True, kw_only=True, tag="respawn"):
    """Run the pane's program again, or another one."""

    command: Argv | None = None


class Create(_Action, frozen=True, kw_only=True, tag="create"):
    """Open a pane, in the session of the one that matched if no other is named."""

    session: SessionRef | None = None
    name: Name | None = None
    command: Argv | None = None
    shell: ShellName | None = None
    cwd: str | None = None
    labels: Labels = {}
    place: Placement = "auto"


class Message(_Action, frozen=True, kw_only=True, tag="message"):
    """Send a message to an agent."""

    to: Annotated[str, Meta(min_length=1, max_length=200)]
    text: Annotated[str, Meta(min_length=1, max_length=65536)]


class Ask(_Action, frozen=True, kw_only=True, tag="ask"):
    """Open a decision about the pane, with the line that matched as its context."""

    question: Annotated[str, Meta(min_length=1, max_length=2000)]
    options: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=200)]],
        Meta(min_length=1, max_length=20),
    ]
    default: str | None = None
    deadline: Annotated[float, Meta(gt=0, le=604800, description="Seconds.")] = 3600


Action = Emit | Kill | Keep | Exec | Send | Keys | Respawn | Create | Message | Ask


def word(action: Action) -> str:
    """Return the word by which an action is called on the wire."""
    return str(action.__struct_config__.tag)
