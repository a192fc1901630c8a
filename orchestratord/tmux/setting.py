"""What we set on our server: the options and hooks that everything else relies on.

The link sets them at each connection and looks at them now and then, because a
human can change them at any time. Pure: it makes commands and compares replies.
"""

from __future__ import annotations

from orchestratord.tmux.client import HUB
from orchestratord.tmux.command import command, quote, target

WAKE = "orch_wake"
"""What hooks signal, and the second client waits for."""

HOOKS = ("window-layout-changed", "pane-died", "client-attached", "client-detached")
HOOK_INDEX = 7717
"""Our place in each hook's array, so that hooks of a human's are left alone."""

OPTIONS = (
    ("-s", "exit-empty", "off"),
    ("-s", "message-limit", "0"),  # else show-messages shows every payload
    ("-s", "set-clipboard", "off"),  # OSC 52 from a pane must not reach a human's clipboard
    ("-s", "escape-time", "20"),
    ("-g", "default-size", "200x50"),
    ("-g", "history-limit", "10000"),
    ("-g", "update-environment", ""),
    ("-gw", "allow-rename", "off"),
    ("-gw", "automatic-rename", "off"),
    ("-gwq", "allow-passthrough", "off"),  # since 3.3
)

_NAMES = (
    "the name of our session",
    *(option for _, option, _ in OPTIONS),
    *(f"{hook}[{HOOK_INDEX}]" for hook in HOOKS),
)
_FORMAT = quote("\n".join(["#{session_id}", "#{session_name}", *(f"#{{{n}}}" for n in _NAMES[1:])]))

SHOW = command("display-message", "-p", _FORMAT)
"""Sent by a client of the hub, whose session this shows, whatever it is called now."""


def apply() -> list[bytes]:
    """Return the commands that set everything."""
    wake = quote(f"wait-for -S {WAKE}")
    return [
        *(command("set-option", where, "--", name, quote(v)) for where, name, v in OPTIONS),
        *(command("set-hook", "-g", "--", f"{hook}[{HOOK_INDEX}]", wake) for hook in HOOKS),
    ]


def rename(shown: list[bytes]) -> bytes:
    """Return the command that gives our session, as it was shown, its name."""
    return command("rename-session", "-t", target(shown[0].decode("ascii")), "--", HUB)


def differing(wanted: list[bytes], shown: list[bytes]) -> list[str]:
    """Return the names of what is not as it was right after it had been set."""
    if len(shown) != len(wanted):
        return ["an option with a newline in it"]
    return [name for name, a, b in zip(_NAMES, wanted[1:], shown[1:], strict=True) if a != b]
