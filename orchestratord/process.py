"""What concerns the whole process: its limits, and what it hands down of its environment.

Called once at the start; not for a process that others share.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import sys
from collections.abc import Mapping

from orchestratord.config import home

MOST_FILES = 65_536
"""Enough for a thousand callers and panes; panes inherit it, and some programs loop over all."""
SWITCH_SECONDS = 0.0005
"""A loop that never idles lets the store's thread run only this often (Python: 5 ms)."""

_LOGIN = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ")
_LOGIN_PREFIXES = ("LC_", "XDG_")


def prepare() -> None:
    """Set what concerns the whole process; not for a process that others share."""
    sys.setswitchinterval(SWITCH_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def login_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what panes get of the daemon's environment: what a login sets, nothing else."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _LOGIN or name.startswith(_LOGIN_PREFIXES)
    }
    kept.setdefault("PATH", os.defpath)
    kept.setdefault("HOME", str(home(environ)))
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(os.getuid())
        for name, value in (
            ("USER", user.pw_name), ("LOGNAME", user.pw_name), ("SHELL", user.pw_shell)
        ):  # fmt: skip
            kept.setdefault(name, value)
    return kept
