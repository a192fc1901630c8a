"""Quoting for shells, for the files that they source. Pure."""

from __future__ import annotations


def sh_quote(text: str) -> str:
    """Return one word for bash, zsh and POSIX sh; anything but NUL is kept as it is."""
    return "'" + text.replace("'", "'\\''") + "'"


def fish_quote(text: str) -> str:
    """Return one word for fish, where a backslash counts inside of single quotes, too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
