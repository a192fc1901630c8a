"""Why a command is not executed."""

from __future__ import annotations

from orchestratord.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


class PaneBusy(FailedPrecondition):
    """The shell does not wait for a command: it runs one, starts, or a human has begun to type.

    ``reason`` is ``busy``, ``starting``, ``draft``, ``queue`` (others wait already) or
    ``silent`` (it did not react).
    """

    retryable = True
    template = "pane {pane} takes no command now: {reason}"
    hint = "queue: true waits for its turn; pane.wait with prompt: true tells when it is there"


class IntegrationLost(FailedPrecondition):
    """What has the terminal is no shell that we know the prompts of."""

    template = "no shell integration in pane {pane}: {reason}"
    hint = "give until, idle or sentinel, and the text is typed and its end taken from that"


class ExecNotFound(NotFound):
    """No exec has that id, or it ended so long ago that it is forgotten."""

    template = "no exec {exec!r}"


class BadCommand(InvalidArgument):
    """The command cannot be given to a shell."""

    template = "command: {reason}"


class QueueFull(ResourceExhausted):
    """Too many commands wait for one pane."""

    template = "{limit} commands wait for pane {pane} already"
