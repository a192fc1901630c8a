"""The only place that writes a tmux command line.

A line is built from words: literals of ours, ids that were checked, and
arguments of anybody's, which are quoted so that tmux's lexer sees nothing but
one word. Callers cannot hand over text that is already a line. Formats are
constants of this package; none is ever built from data.

The quoting follows cmd-parse.y (3.2a to 3.7): inside double quotes every byte
outside a small safe set is written as an octal escape, so the line is printable
ASCII whatever the argument holds. Arguments that tmux expands as a format also
have ``#`` doubled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NewType

from orchestratord.errors import InvalidArgument

MAX_LINE = 1 << 18
"""Bytes. Longer lines arrive, but cost tmux memory and super-linear time (1 MiB: 60 ms)."""

_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,@+-")
_QUOTED = [bytes((c,)) if c in _SAFE else b"\\%03o" % c for c in range(256)]
_TARGET = re.compile(r"[%@$][0-9]{1,9}\Z", re.ASCII)
_EXPANDED = re.compile(rb"#+(?![#\[])")
_OWN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z", re.ASCII)

Word = NewType("Word", bytes)
"""One word of a command line, safe to be joined with spaces."""


class UnquotableText(InvalidArgument):
    """An argument holds a NUL or a lone surrogate, which no process argument can carry."""

    template = "{what} holds {problem}"


def quote(argument: str | bytes) -> Word:
    """Return the argument as one word that tmux takes literally.

    Raises:
        UnquotableText: it holds NUL, or is text that UTF-8 cannot encode.
    """
    raw = _encode(argument)
    if b"\0" in raw:
        raise UnquotableText(what="the text", problem="a NUL byte")
    return Word(b'"%s"' % b"".join([_QUOTED[c] for c in raw]))


def quote_format(argument: str | bytes) -> Word:
    """Quote an argument that tmux expands as a format, so that it expands to itself.

    A run of ``#`` before a ``[`` begins a style, which tmux leaves as it is.
    """
    return quote(_EXPANDED.sub(rb"\g<0>\g<0>", _encode(argument)))


def quote_timed_format(argument: str | bytes) -> Word:
    """Quote an argument that tmux expands as a time and then as a format (``pipe-pane``)."""
    return quote_format(_encode(argument).replace(b"%", b"%%"))


def _encode(argument: str | bytes) -> bytes:
    try:
        return argument.encode() if isinstance(argument, str) else argument
    except UnicodeEncodeError:
        raise UnquotableText(what="the text", problem="a lone surrogate") from None


def target(tmux_id: str) -> Word:
    """Return a ``%5``, ``@3`` or ``$1`` as a target; anything else is a defect of ours."""
    if not _TARGET.match(tmux_id):
        raise ValueError(f"not a tmux id: {tmux_id!r}")
    return quote(tmux_id)


def exact_session(name: str, suffix: str = "") -> Word:
    """Return a session's name as an exact-match target (``=name`` never matches a prefix)."""
    if not _OWN_NAME.match(name):
        raise ValueError(f"not a name of ours: {name!r}")
    return quote(f"={name}{suffix}")


def command(*words: str | bytes) -> bytes:
    """Join words into one command. A ``str`` is a literal of the calling module's own code."""
    return b" ".join(w.encode("ascii") if isinstance(w, str) else w for w in words)


def sequence(commands: Iterable[bytes]) -> bytes:
    """Join commands into one line, which tmux runs without returning to its event loop."""
    line = b" ; ".join(commands)
    if len(line) > MAX_LINE:
        raise LineTooLong(size=len(line), limit=MAX_LINE)
    return line


class LineTooLong(InvalidArgument):
    """The arguments together are longer than one tmux command line may be."""

    template = "the command needs {size} bytes, a tmux command line takes {limit}"


def close_pane(pane: str, pid: int) -> bytes:
    """Return the command that closes a pane, unless it was respawned since it had that pid."""
    where = target(pane)
    same = quote(f"#{{==:#{{pane_pid}},{pid:d}}}")
    return command("if-shell", "-F", "-t", where, same, quote(f"kill-pane -t {pane}"))
