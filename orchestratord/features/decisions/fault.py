"""Why a call about decisions can be refused."""

from __future__ import annotations

from orchestratord.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)


class DecisionNotFound(NotFound):
    """No decision has that id, or it ended so long ago that it is forgotten."""

    template = "no decision {decision!r}"
    hint = "orchctl decision-list shows those that are open"


class DecisionEnded(FailedPrecondition):
    """The decision is not open any more; ``state`` says how it ended, ``choice`` with what."""

    template = "decision {decision} is {state}"


class NoSuchOption(InvalidArgument):
    """The choice is none of the decision's options."""

    template = "{choice!r} is no option of {decision}: {options}"


class BadOptions(InvalidArgument):
    """An option is given twice, or the default is none of them."""

    template = "options: {reason}"


class TooManyDecisions(ResourceExhausted):
    """As many decisions are open as may be."""

    template = "{limit} decisions are open, the most that may be"
    hint = "answer or cancel some"


class OwnDecision(PermissionDenied):
    """An agent, which is no admin, would answer what it has asked itself."""

    template = "decision {decision} was asked by {who}, who cannot answer it too"
