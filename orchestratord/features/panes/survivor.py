"""Who came out of a pane and is not reached by a kill of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestratord.tmux.process import Process, Stat, children, identify


class Survivor(msgspec.Struct, frozen=True):
    """A process that came out of a pane and was not killed with it.

    It left the pane's process session, or has rights that the daemon does not have.
    """

    pid: int
    command: str

    @classmethod
    def of(cls, process: Process) -> Survivor:
        """Return what is told of a process."""
        return cls(process.pid, _command_of(process.pid))


def escaped(members: Mapping[int, Stat]) -> dict[int, Process]:
    """Return the descendants of a session's processes that have left the session."""
    out: dict[int, Process] = {}
    families = list(members)
    while families:
        for child in children(families.pop()):
            if child in members or child in out:
                continue
            if (process := identify(child)) is not None:
                out[child] = process
                families.append(child)
    return out


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:  # noqa: PTH123
            return file.read(64).decode("utf-8", "replace").strip()
    except OSError:
        return ""
