"""Checks of the daemon's surroundings, each with a verdict and what helps.

Nothing is changed. What blocks runs in worker threads; a check that cannot be
made is a failed one, and stops no other.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestratord.config import Settings, home
from orchestratord.errors import Fault
from orchestratord.features.system.model import Check
from orchestratord.store import backup
from orchestratord.store.db import Store
from orchestratord.tmux.link import Link, State

FEW_FILES = 4096
LITTLE_SPACE = 512 << 20
NO_SPACE = 64 << 20
"""Below that SQLite's log may not fit beside a busy day of events."""
FEW_INSTANCES = 16
CLOCK_SLACK = timedelta(seconds=5)
UNITS = ("orchestratord.socket", "orchestratord.service", "orchestratord-tmux.service")


async def examine(settings: Settings, store: Store, link: Link) -> list[Check]:
    """Return every check, in a fixed order."""
    blocking: list[tuple[str, Callable[[], Check]]] = [
        ("state directory", lambda: directory("state directory", settings.state_dir)),
        ("socket directory", lambda: directory("socket directory", settings.socket.parent)),
        ("tmux directory", lambda: directory("tmux directory", settings.tmux_socket.parent)),
        ("socket", lambda: listening(settings.socket)),
        ("disk space", lambda: space(settings.state_dir)),
        ("store file", lambda: integrity(Path(store.statistics().path))),
        ("file descriptors", descriptors),
        ("inotify", inotify),
        ("systemd", units),
    ]
    checks = [connection(link)]
    if link.server is not None and checks[0].verdict == "ok":
        # imports libtmux, which a daemon that nobody doctors never does
        from orchestratord.features.system import tmux_check

        looks = tmux_check.checks(link, link.server)
        checks += [await _guarded(name, asyncio.to_thread(look)) for name, look in looks]
    checks += [writable(store), await clock(store)]
    for name, look in blocking:
        checks.append(await _guarded(name, asyncio.to_thread(look)))
    return checks


async def _guarded(name: str, check: Awaitable[Check]) -> Check:
    try:
        return await check
    except (OSError, sqlite3.Error, Fault) as error:
        return Check(check=name, verdict="fail", detail=str(error))


def connection(link: Link) -> Check:
    """Look at the connection to tmux."""
    if link.server is None or link.state is not State.CONNECTED:
        detail = f"not connected: {link.trouble or 'connecting'}"
        remedy = "it is tried again every second; see that tmux can be started"
        return Check(check="tmux", verdict="fail", detail=detail, remedy=remedy)
    detail = f"{link.server.version}, pid {link.server.process.pid}, at {link.socket}"
    return Check(check="tmux", verdict="ok", detail=detail)


def writable(store: Store) -> Check:
    """Say whether changes can be written."""
    found = store.statistics()
    if found.mode == "ok":
        detail = f"{found.bytes >> 10} KiB, {found.head - found.oldest + 1} events"
        return Check(check="store", verdict="ok", detail=detail)
    detail = f"{found.mode}: {found.reason}"
    return Check(check="store", verdict="fail", detail=detail, remedy="see disk space below")


def integrity(database: Path) -> Check:
    """Have SQLite look through the file."""
    with backup.reading(database) as connection:
        backup.check(connection, thorough=False)
    return Check(check="store file", verdict="ok", detail=f"{database} is in order")


async def clock(store: Store) -> Check:
    """See whether the clock went back behind the newest event."""
    journal = store.journal
    newest = await journal.after(max(journal.head - 1, journal.oldest - 1), 1)
    ahead = datetime.fromisoformat(newest[0].at) - datetime.now(UTC) if newest else timedelta(0)
    if ahead > CLOCK_SLACK:
        detail = f"the newest event is {ahead.total_seconds():.0f} s ahead of the clock"
        return Check(check="clock", verdict="warn", detail=detail, remedy="set the clock right")
    return Check(check="clock", verdict="ok", detail="not behind the newest event")


def directory(name: str, path: Path) -> Check:
    """See whether a directory is ours alone."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return Check(check=name, verdict="fail", detail=f"{path} is no directory of ours")
    if found.st_mode & 0o077:
        return Check(
            check=name,
            verdict="fail",
            detail=f"{path} is open to others",
            remedy=f"chmod 700 {path}",
        )
    return Check(check=name, verdict="ok", detail=str(path))


def listening(path: Path) -> Check:
    """See whether callers still find the socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Check(
            check="socket", verdict="fail", detail=f"{path} is gone", remedy="restart the daemon"
        )
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        return Check(check="socket", verdict="fail", detail=f"{path} is no socket of ours")
    return Check(check="socket", verdict="ok", detail=str(path))


def space(path: Path) -> Check:
    """See how much the disk of the state directory has left."""
    free = shutil.disk_usage(path).free
    detail = f"{free >> 20} MiB are free at {path}"
    if free >= LITTLE_SPACE:
        return Check(check="disk space", verdict="ok", detail=detail)
    return Check(
        check="disk space",
        verdict="fail" if free < NO_SPACE else "warn",
        detail=detail,
        remedy="free some space",
    )


def descriptors() -> Check:
    """See how many files the process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FEW_FILES:
        return Check(
            check="file descriptors",
            verdict="warn",
            detail=f"{soft} (hard limit {hard})",
            remedy="raise the hard limit (ulimit -Hn, LimitNOFILE=)",
        )
    return Check(check="file descriptors", verdict="ok", detail=str(soft))


def inotify() -> Check:
    """See how many inotify instances the user may have."""
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if most < FEW_INSTANCES:
        remedy = "sysctl fs.inotify.max_user_instances=128"
        return Check(check="inotify", verdict="warn", detail=f"{most} instances", remedy=remedy)
    return Check(check="inotify", verdict="ok", detail=f"{most} instances")


def units() -> Check:
    """See which systemd units are installed; none is needed."""
    places = (
        Path(os.environ.get("XDG_CONFIG_HOME") or home(os.environ) / ".config") / "systemd/user",
        Path("/etc/systemd/user"),
        Path("/usr/lib/systemd/user"),
        Path("/etc/systemd/system"),
    )
    found = [unit for unit in UNITS if any((place / unit).exists() for place in places)]
    if found and len(found) < len(UNITS):
        missing = ", ".join(sorted(set(UNITS) - set(found)))
        remedy = "orchctl systemd install"
        return Check(check="systemd", verdict="warn", detail=f"{missing} missing", remedy=remedy)
    detail = f"{len(found)} units are installed" if found else "no units; none is needed"
    return Check(check="systemd", verdict="ok", detail=detail)
