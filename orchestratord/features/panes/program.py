"""What a new pane runs, and the checks that can be made before anything is begun.

A check here spares a caller a pane that dies at once; the program may still fail
to start. Reads the file system, changes nothing.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from orchestratord.features.panes.fault import BadDirectory, BadValue, NoSuchProgram
from orchestratord.rpc.receipts import Ticket

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_OURS = ("TMUX", "TMUX_PANE", "ORCH_PANE")


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a new pane runs: an argv, or a shell if there is none."""

    command: tuple[str, ...] | None = None
    shell: str | None = None
    cwd: str | None = None
    env: Mapping[str, str] = {}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A pane that somebody wants; ``ticket`` names the call if that has an idempotency key."""

    program: Program
    owner: str
    name: str | None = None
    window_name: str | None = None
    labels: dict[str, str] = {}
    place: Literal["auto", "window", "right", "below"] = "auto"
    of: str | None = None
    keep: bool = False
    ttl: float | None = None
    size: tuple[int, int] | None = None
    ticket: Ticket | None = None


def resolve(program: Program, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the argv and the directory to run it in; ``environment`` is what panes get.

    Raises:
        BadDirectory, BadValue, NoSuchProgram: it could not run.
    """
    cwd = environment.get("HOME", "/") if program.cwd is None else program.cwd
    check_directory(cwd)
    check_environment(program.env)
    if program.command is None:
        return [_shell(program.shell, environment), "-l"], cwd
    check_command(program.command, cwd, program.env, environment)
    return list(program.command), cwd


def gains_rights(argv: Sequence[str], path: str | None) -> bool:
    """Whether a program runs with rights that we do not have (setuid, setgid, capabilities)."""
    found = shutil.which(argv[0], path=path)
    if found is None:
        return False
    try:
        if Path(found).stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        os.getxattr(found, "security.capability")
    except OSError:
        return False
    return True


def below_shell(argv: Sequence[str]) -> list[str]:
    """Return an argv that runs a program as a shell's child.

    The wait status of a program with other rights is hidden from us, that of the
    shell is not; a signal then shows as status 128 and its number.
    """
    return ["/bin/sh", "-c", '"$@"; exit', "sh", *argv]


def check_directory(cwd: str) -> None:
    """Refuse what is no directory that we may enter."""
    try:
        path = Path(cwd)
        if not path.is_absolute():
            reason = "it is not absolute"
        elif not path.is_dir():
            reason = "it is no directory"
        elif not os.access(path, os.X_OK):
            reason = "it may not be entered"
        else:
            return
    except OSError as problem:
        reason = problem.strerror or "no path"
    except ValueError:
        reason = "it is no path"
    raise BadDirectory(cwd=cwd[:200], reason=reason)


def check_environment(env: Mapping[str, str]) -> None:
    """Refuse names that no shell could use or that are not the caller's to set."""
    for name, value in env.items():
        if not _VARIABLE.match(name):
            raise BadValue(field="env", reason=f"{name[:50]!r} is no name of a variable")
        if name in _OURS:
            raise BadValue(field="env", reason=f"{name} is set by tmux or by us")
        if "\0" in value:
            raise BadValue(field="env", reason=f"the value of {name} holds a NUL byte")


def check_command(
    argv: Sequence[str], cwd: str, env: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    """Refuse an argv whose program is not there."""
    if any("\0" in word for word in argv):
        raise BadValue(field="command", reason="a word holds a NUL byte")
    if "=" in argv[0]:
        raise BadValue(field="command", reason="a program's name cannot hold =")
    program = os.path.join(cwd, argv[0]) if "/" in argv[0] else argv[0]  # noqa: PTH118
    if shutil.which(program, path=env.get("PATH", environment.get("PATH"))) is None:
        raise NoSuchProgram(program=argv[0][:200])


def _shell(wanted: str | None, environment: Mapping[str, str]) -> str:
    if wanted is None:
        wanted = environment.get("SHELL") or pwd.getpwuid(os.getuid()).pw_shell
        wanted = wanted if os.access(wanted, os.X_OK) else "/bin/sh"
    if "\0" in wanted:
        raise BadValue(field="shell", reason="it holds a NUL byte")
    found = shutil.which(wanted, path=environment.get("PATH"))
    if found is None:
        raise NoSuchProgram(program=wanted[:200])
    return found
