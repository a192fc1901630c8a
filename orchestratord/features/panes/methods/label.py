"""pane.label_*: what panes are selected by."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.panes.fault import BadValue
from orchestratord.features.panes.methods.pane import ABOUT_ONE, ONE_PANE, OnePane
from orchestratord.features.panes.service import Panes
from orchestratord.model import Labels, Result
from orchestratord.rpc.method import Cli, method


class PaneLabels(Result, frozen=True, kw_only=True):
    """A pane's labels."""

    pane: str
    labels: dict[str, str]


class SetLabels(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.label_set."""

    labels: Labels


@method(
    "pane.label_set",
    mutates=True,
    errors=(*ABOUT_ONE, BadValue),
    cli=Cli(forms=(("pane", "labels..."),)),
)
async def label_set(panes: Panes, params: SetLabels) -> PaneLabels:
    """Set labels of a pane; others stay."""
    pane = panes.registry.pane(params.pane, params.session)
    await panes.act(panes.arrangement.label(pane, params.labels, ()))
    return PaneLabels(pane=pane.id, labels=pane.labels)


@method("pane.label_get", errors=ABOUT_ONE, cli=Cli(forms=ONE_PANE))
def label_get(panes: Panes, params: OnePane) -> PaneLabels:
    """Show a pane's labels."""
    pane = panes.registry.pane(params.pane, params.session)
    return PaneLabels(pane=pane.id, labels=pane.labels)


class UnsetLabels(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.label_unset."""

    labels: Annotated[list[str], Meta(min_length=1, description="The keys to remove.")]


@method(
    "pane.label_unset",
    mutates=True,
    errors=ABOUT_ONE,
    cli=Cli(forms=(("pane", "labels..."),)),
)
async def label_unset(panes: Panes, params: UnsetLabels) -> PaneLabels:
    """Remove labels of a pane; what it does not have is no error."""
    pane = panes.registry.pane(params.pane, params.session)
    await panes.act(panes.arrangement.label(pane, {}, params.labels))
    return PaneLabels(pane=pane.id, labels=pane.labels)
