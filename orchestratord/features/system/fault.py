"""What can be wrong with a call about the daemon itself."""

from __future__ import annotations

from orchestratord.errors import AlreadyExists, InvalidArgument


class UnknownEventKind(InvalidArgument):
    """No event has that kind."""

    template = "there is no kind of event {event!r}"
    hint = "rpc.discover lists every kind"


class BackupExists(AlreadyExists):
    """The path is taken; a copy replaces nothing."""

    template = "{path} exists, and a copy replaces nothing"


class NoSuchDirectory(InvalidArgument):
    """The directory for the copy does not exist."""

    template = "{directory} is not a directory"
