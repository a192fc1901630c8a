"""The errors that cross the wire, and the families they belong to.

A family carries the code, the exit status and whether a retry can help; a kind
is a subclass that says in its docstring when it is raised and builds its
sentence from the values that were wrong. Clients switch on the kind's name.
Engines and features define their own kinds beside the code that raises them.
Never put pane output, an environment value or a payload into an error.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Fault(Exception):
    """Base of everything a caller may be told.

    ``template`` is formatted with the keyword arguments, which also travel to
    the caller as ``error.data``. ``may_have_acted`` says that the call may have had
    an effect all the same; of any other fault a caller knows that nothing happened.
    """

    code: ClassVar[int] = -32603
    exit_status: ClassVar[int] = 70
    retryable: ClassVar[bool] = False
    may_have_acted: ClassVar[bool] = False
    template: ClassVar[str] = "{reason}"
    hint: ClassVar[str] = ""

    def __init__(self, **details: Any) -> None:
        self.details = details
        super().__init__(self.template.format(**details))

    @property
    def kind(self) -> str:
        """The name that clients switch on."""
        return type(self).__name__

    def data(self) -> dict[str, Any]:
        """What travels as ``error.data``."""
        out: dict[str, Any] = {"kind": self.kind, "retryable": self.retryable}
        if self.hint:
            out["hint"] = self.hint
        return out | self.details


class InvalidArgument(Fault):
    """A parameter has a value that can never be accepted."""

    code, exit_status = 400, 2


class PermissionDenied(Fault):
    """The caller may not do this."""

    code, exit_status = 403, 77


class NotFound(Fault):
    """The thing that was named does not exist."""

    code, exit_status = 404, 3


class AlreadyExists(Fault):
    """The thing to be made exists."""

    code, exit_status = 409, 4


class FailedPrecondition(Fault):
    """The thing exists, but its state does not allow this."""

    code, exit_status = 412, 5


class ResourceExhausted(Fault):
    """A limit is reached; later the same call may succeed."""

    code, exit_status, retryable = 429, 75, True


class Cancelled(Fault):
    """The caller cancelled the call, or its connection ended."""

    code, exit_status, may_have_acted = 499, 130, True
    template = "the call was cancelled"


class Internal(Fault):
    """A defect of ours. The log has the details under the request's id."""

    code, exit_status, may_have_acted = -32603, 70, True
    template = "an internal error ended the call; the daemon's log has it as {request}"


class TmuxRefused(Fault):
    """tmux answered a command of ours with an error."""

    code, exit_status = 502, 76
    template = "tmux refused {command}: {reason}"


class Unavailable(Fault):
    """A part that the call needs is not there at the moment."""

    code, exit_status, retryable = 503, 69, True


class DeadlineExceeded(Fault):
    """The call did not end in its time. What it began may still happen."""

    code, exit_status, retryable, may_have_acted = 504, 124, True, True
    template = "no result within {seconds:g} s"
