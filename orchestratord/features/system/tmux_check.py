"""Checks of the tmux server itself, through libtmux on our link.

Used by ``doctor``, which imports this when it is first asked; each check blocks
its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestratord.features.system.model import Check
from orchestratord.tmux.libtmux_ import LinkedServer, unknown_formats
from orchestratord.tmux.link import Link, Server
from orchestratord.tmux.setting import HOOK_INDEX, HOOKS, OPTIONS

_INPUT = "#{s/[^ -~]/?/:@orch_id} #{pane_input_off} #{pane_synchronized}"


def checks(link: Link, server: Server) -> list[tuple[str, Callable[[], Check]]]:
    """Return the checks by name, to be made in threads. Called on the loop."""
    linked = LinkedServer(link)
    return [
        ("tmux formats", lambda: formats(server)),
        ("tmux options", lambda: _compared("tmux options", changed_options(linked))),
        ("tmux hooks", lambda: _compared("tmux hooks", lost_hooks(linked))),
        ("tmux input", lambda: input_(linked)),
    ]


def formats(server: Server) -> Check:
    """See whether this tmux tells everything that we ask it for."""
    lacking = unknown_formats(server.tier)
    if not lacking:
        return Check(
            check="tmux formats", verdict="ok", detail=f"{server.version} has all that is used"
        )
    return Check(
        check="tmux formats",
        verdict="warn",
        detail=f"{server.version} does not tell {', '.join(lacking)}",
        remedy="install a newer tmux",
    )


def changed_options(linked: LinkedServer) -> Iterator[str]:
    """Say which options of the server are not as the link set them."""
    for scope, name, wanted in OPTIONS:
        shown = linked.cmd("show-options", f"{scope}v", name)
        found = "\n".join(shown.stdout)
        if shown.returncode == 0 and found != wanted:  # else this version has no such option
            yield f"{name} is {found!r}, not {wanted!r}"


def lost_hooks(linked: LinkedServer) -> Iterator[str]:
    """Say which of our hooks are gone."""
    for hook in HOOKS:
        name = f"{hook}[{HOOK_INDEX}]"
        if not any("wait-for" in line for line in linked.cmd("show-hooks", "-g", name).stdout):
            yield f"{name} is not set"


def input_(linked: LinkedServer) -> Check:
    """See whether what people type into panes goes there, and only there."""
    listed = linked.cmd("list-panes", "-a", "-F", _INPUT).stdout
    rows = sorted({line for line in listed if line.startswith("p")})
    copied = [row.split()[0] for row in rows if row.endswith("1")]
    off = [row.split()[0] for row in rows if row.split()[1:2] == ["1"]]
    found, remedies = [], []
    if copied:
        found.append(f"{', '.join(copied)}: what a person types is copied to others of the window")
        remedies.append("set-option -w synchronize-panes off")
    if off:
        found.append(f"{', '.join(off)}: the input is switched off")
        remedies.append("select-pane -e")
    if not found:
        return Check(check="tmux input", verdict="ok", detail="every pane gets its own")
    return Check(
        check="tmux input",
        verdict="warn",
        detail="; ".join(found),
        remedy=f"in tmux, if it was not meant: {', '.join(remedies)}",
    )


def _compared(name: str, differing: Iterator[str]) -> Check:
    found = list(differing)
    if not found:
        return Check(check=name, verdict="ok", detail="as they were set")
    return Check(
        check=name,
        verdict="warn",
        detail="; ".join(found),
        remedy="somebody changed them; they are set again within seconds",
    )
