"""Why a call about waits and watches can be refused."""

from __future__ import annotations

from orchestratord.errors import FailedPrecondition, NotFound, ResourceExhausted


class WaitNotFound(NotFound):
    """No wait has that id, or it ended so long ago that its result is forgotten."""

    template = "no wait {wait!r}"
    hint = "orchctl wait-list shows what there is"


class NoPrompt(FailedPrecondition):
    """The pane's shell does not tell when it is at its prompt."""

    template = "pane {pane} does not tell when its shell is at the prompt"
    hint = "wait for a pattern or for idle instead"


class TooManyPatterns(ResourceExhausted):
    """An owner has as many patterns in waits and watches as one may have."""

    template = "{owner} would have {count} patterns, at most {limit} are allowed"
    hint = "cancel waits or delete watches that are not needed any more"


class TooManyWaits(ResourceExhausted):
    """An owner has as many waits as one may have."""

    template = "{owner} has {limit} waits already"


class WatchNotFound(NotFound):
    """No watch has that id."""

    template = "no watch {watch!r}"
    hint = "orchctl watch-list shows what there is"


class WatchStopped(FailedPrecondition):
    """The watch has ended, and does not go on."""

    template = "{watch} has ended: {reason}"
    hint = "create it again"


class ActionUnavailable(FailedPrecondition):
    """This daemon has nobody who can carry out the action."""

    template = "nobody here can carry out {action}"


class TooManyWatches(ResourceExhausted):
    """An owner has as many watches as one may have."""

    template = "{owner} has {limit} watches already"
    hint = "delete those that are not needed any more"
