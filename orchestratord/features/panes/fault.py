"""Why a call about sessions, windows and panes can be refused."""

from __future__ import annotations

from orchestratord.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)


class PaneNotFound(NotFound):
    """No pane answers to the reference."""

    template = "no pane {pane!r}"
    hint = "orchctl pane-list shows what there is"


class SessionNotFound(NotFound):
    """No session answers to the reference."""

    template = "no session {session!r}"
    hint = "orchctl session-list shows what there is"


class WindowNotFound(NotFound):
    """No window answers to the reference."""

    template = "no window {window!r}"


class AmbiguousName(InvalidArgument):
    """A name fits several panes; the error lists them."""

    template = "{name!r} may be any of {candidates}"
    hint = "use an id, or session/name"


class NameTaken(AlreadyExists):
    """The name belongs to another living thing."""

    template = "the name {name!r} is taken by {holder}"


class BadDirectory(InvalidArgument):
    """The working directory is not one."""

    template = "cannot work in {cwd!r}: {reason}"


class NoSuchProgram(InvalidArgument):
    """The program to run is not there."""

    template = "no program {program!r} on the pane's PATH"


class BadValue(InvalidArgument):
    """A parameter's value cannot be used; ``field`` names it."""

    template = "{field}: {reason}"


class BadPattern(InvalidArgument):
    """A regular expression is not one that RE2 takes."""

    template = "the pattern cannot be used: {reason}"
    hint = "look-behind, back-references and repeats over 1000 are not supported (RE2)"


class PaneExited(FailedPrecondition):
    """The pane has ended and the call needs a living one."""

    template = "pane {pane} has ended"


class StaleIncarnation(FailedPrecondition):
    """The pane was respawned since the caller looked at it."""

    template = "pane {pane} is in incarnation {now}, not {given}"


class PaneUnknown(Unavailable):
    """tmux does not answer at the moment, so the pane's state is not known."""

    template = "the state of pane {pane} is not known at the moment"


class BadCursor(InvalidArgument):
    """The text is no cursor of this pane."""

    template = "{cursor!r} is no cursor"


class NoRoom(FailedPrecondition):
    """The window has no room for the split that was asked for."""

    template = "no room to split {pane} to the {place}"


class LeaseHeld(FailedPrecondition):
    """Input to the pane is somebody else's at the moment; nothing was typed.

    ``holder`` is who has the lease, or ``attached``: a person at an attached client
    has been active on the pane's window, though not necessarily typing.
    """

    retryable = True
    template = "input to pane {pane} is held by {holder} for {seconds:g} s at most"
    hint = "name the --fence of your lease, or wait for one with lease-acquire --wait"


class StaleFence(FailedPrecondition):
    """The fence is not that of the lease that holds; whoever had it has lost it."""

    template = "fence {fence} is stale: input to pane {pane} is {state}"
