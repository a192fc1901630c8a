"""What callers see: records, the mirror and /proc turned into wire Structs.

The working directory and the foreground program come from /proc, never from
tmux, whose text a pane controls. They are kept for a second: one reading of 300
panes costs 11 ms. Reads only; writes nothing but its own cache.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from orchestratord.clock import Clock, rfc3339
from orchestratord.features.panes.access import seen, sees
from orchestratord.features.panes.keyboard import terminal
from orchestratord.features.panes.model import (
    Foreground,
    Pane,
    PaneState,
    Session,
    ShellLook,
    Window,
)
from orchestratord.features.panes.record import PaneRecord, SessionRecord, WindowRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.process import Stat, read_stat
from orchestratord.tmux.spool import Spool

FRESH = 1.0
"""Seconds for which what /proc said is shown again."""

LINE_EDITORS = ("bash", "zsh", "fish", "ksh", "mksh", "tcsh")
"""Shells that switch the terminal to raw mode at their prompt."""

AT_ONCE = 32
"""Panes of one listing that are read again before it is answered; the rest follow after it."""


class Look(NamedTuple):
    """What /proc said about a pane."""

    at: float
    as_of: str
    cwd: str | None
    foreground: Foreground | None
    shell: PaneState


class View:
    """Turns records into what goes on the wire."""

    def __init__(self, registry: Registry, mirror: Mirror, spool: Spool, clock: Clock) -> None:
        self._registry = registry
        self._mirror = mirror
        self._spool = spool
        self._clock = clock
        self.lease_of: Callable[[str], str | None] = lambda _: None
        self.shell_of: Callable[[PaneRecord], ShellLook | None] = lambda _: None
        self.connected: Callable[[], bool] = lambda: True
        self._looks: dict[str, Look] = {}
        self._prompted: set[str] = set()
        self._refreshing = False

    def now(self) -> str:
        """Return the time as the wire spells it."""
        return rfc3339(self._clock.now())

    def panes(self, records: list[PaneRecord]) -> list[Pane]:
        """Show the panes that may be seen; of many the details may be older than a second."""
        records = seen(records)
        now = self._clock.monotonic()
        stale = [p for p in records if p.exit is None and self._age(p, now) > FRESH]
        for pane in stale[:AT_ONCE]:
            self._look(pane, now)
        if len(stale) > AT_ONCE and not self._refreshing:
            self._refreshing = True
            asyncio.get_running_loop().call_soon(self._refresh, stale[AT_ONCE:])
        return [self._pane(p) for p in records]

    def pane(self, record: PaneRecord) -> Pane:
        """Show one pane as it is now."""
        if record.exit is None:
            self._look(record, self._clock.monotonic())
        return self._pane(record)

    def windows(self, records: list[WindowRecord]) -> list[Window]:
        """Show the windows that may be seen."""
        owners = {s.id: s.owner for s in self._registry.sessions.values()}
        inside = self._registry.in_window
        return [
            self.window(w) for w in records if sees(owners.get(w.session), partial(inside, w.id))
        ]

    def sessions(self, records: list[SessionRecord]) -> list[Session]:
        """Show the sessions that may be seen."""
        inside = self._registry.in_session
        return [self.session(s) for s in records if sees(s.owner, partial(inside, s.id))]

    def window(self, record: WindowRecord) -> Window:
        """Show a window."""
        row = self._mirror.snapshot.windows.get(record.tmux)
        return Window(
            id=record.id, tmux_id=record.tmux, name=record.name, session=record.session,
            index=row.index if row else 0, active=bool(row and row.active),
            panes=[p.id for p in self._registry.in_window(record.id)],
            width=row.width if row else 0, height=row.height if row else 0,
            zoomed=bool(row and row.zoomed), layout=row.layout if row else "",
        )  # fmt: skip

    def session(self, record: SessionRecord) -> Session:
        """Show a session."""
        row = self._mirror.snapshot.sessions.get(record.tmux)
        windows = [w for w in self._registry.windows.values() if w.session == record.id]
        return Session(
            id=record.id, tmux_id=record.tmux, name=record.name, created_at=record.created_at,
            windows=len(windows), panes=len(self._registry.in_session(record.id)),
            labels=record.labels, owner=record.owner, attached=row.attached if row else 0,
        )  # fmt: skip

    def state(self, pane: PaneRecord, shell: ShellLook | None) -> PaneState:
        """Say what a pane is doing: from its record, its shell's marks or /proc, never tmux.

        While tmux is not connected, ``unknown`` of a pane whose process is gone without
        anybody having seen how, and of a shell, whose output no longer comes; a program
        that /proc shows is ``running`` whatever tmux does.
        """
        if pane.exit is not None:
            return "lost" if pane.lost else "exited"
        if not self.connected() and (pane.is_shell or not pane.place.process.alive()):
            return "unknown"
        if not pane.is_shell:
            return "running"
        if shell is not None and shell.integration == "active":
            return "idle" if shell.state == "draft" else shell.state
        look = self._looks.get(pane.id)
        return look.shell if look else "starting"

    def labeled(self, labels: Mapping[str, str], wanted: str) -> bool:
        """Whether labels have ``KEY``, or ``KEY`` with ``VALUE`` if ``KEY=VALUE`` is wanted."""
        key, equals, value = wanted.partition("=")
        return key in labels and (not equals or labels[key] == value)

    def _pane(self, pane: PaneRecord) -> Pane:
        stream = self._spool.get(pane.id)
        look = self._looks.get(pane.id)
        last = stream.last_output if stream else None
        session = self._registry.sessions.get(pane.session)
        shell = self.shell_of(pane) if pane.exit is None else None
        return Pane(
            id=pane.id, tmux_id=pane.place.pane, name=pane.name, session=pane.session,
            session_name=session.name if session else "", window=pane.window,
            state=self.state(pane, shell), command=Path(pane.argv[0]).name, argv=pane.argv,
            pid=pane.place.process.pid, foreground=look.foreground if look else None,
            cwd=look.cwd if look and look.cwd else pane.cwd, exit=pane.exit, width=pane.width,
            height=pane.height, title=pane.title, labels=pane.labels, owner=pane.owner,
            lease=self.lease_of(pane.id), created_at=pane.created_at,
            last_output_at=rfc3339(datetime.fromtimestamp(last, UTC)) if last else None,
            cursor=str(stream.cursor) if stream else f"{pane.epoch}.0",
            shell_integration=shell.integration if shell else "none", shell=shell,
            incarnation=pane.incarnation, as_of=look.as_of if look else pane.created_at,
        )  # fmt: skip

    def _age(self, pane: PaneRecord, now: float) -> float:
        look = self._looks.get(pane.id)
        return now - look.at if look else FRESH * 2

    def _refresh(self, panes: list[PaneRecord]) -> None:
        """Read a batch, then give everybody else a turn."""
        now = self._clock.monotonic()
        for pane in panes[:AT_ONCE]:
            self._look(pane, now)
        if len(panes) > AT_ONCE:
            asyncio.get_running_loop().call_later(0.002, self._refresh, panes[AT_ONCE:])
        else:
            self._refreshing = False
            self._looks = {k: v for k, v in self._looks.items() if k in self._registry.panes}
            self._prompted &= self._looks.keys()

    def _look(self, pane: PaneRecord, now: float) -> None:
        """Read who has the terminal, and where it works."""
        pid = pane.program.pid if pane.program else pane.place.process.pid
        stat = read_stat(pid)
        group = stat.foreground if stat is not None and stat.foreground > 0 else pid
        # The holder's group is the program's too, until that makes one of its own.
        front = pid if group == pane.place.process.pid else group
        foreground = cwd = None
        try:
            if pane.program or not pane.held:  # else only the holder is there yet
                with open(f"/proc/{front}/comm", "rb") as file:  # noqa: PTH123
                    name = file.read(64).decode("utf-8", "replace").strip()
                foreground = Foreground(pid=front, command=visible(name))
                cwd = os.fsencode(os.readlink(f"/proc/{front}/cwd")).decode("utf-8", "replace")  # noqa: PTH115
        except OSError:
            pass  # it ended, or belongs to another user: the last that is known stays
        shell = self._shell_state(pane, stat, group) if pane.is_shell else "running"
        self._looks[pane.id] = Look(now, self.now(), cwd, foreground, shell)

    def _shell_state(self, pane: PaneRecord, stat: Stat | None, group: int) -> PaneState:
        """Say whether a shell is at its prompt, by evidence only.

        ``idle`` needs a shell that has the terminal, sleeps, and has switched it
        to raw mode, which line editors do at a prompt and at no other time. A
        shell without a line editor (dash) is ``running``.
        """
        if pane.program is None or stat is None or group == pane.place.process.pid:
            return "starting"
        if group != pane.program.pid:
            return "busy"
        mode = terminal(pane.place.tty)
        if mode is not None and not mode.canonical and stat.state == "S":
            self._prompted.add(pane.id)
            return "idle"
        if Path(pane.argv[0]).name not in LINE_EDITORS:
            return "running"
        return "busy" if pane.id in self._prompted else "starting"


def visible(text: str) -> str:
    """Return text of a program's choosing with control characters shown as ``?``."""
    return "".join(c if c.isprintable() else "?" for c in text)
