"""What tmux says about itself: each format beside the class that it fills.

Fields are separated by tabs. Text that a pane, a human or a file name controls
goes through ``#{s/[^ -~]/?/:…}``, so no field can hold a tab or a newline; the
working directory and command of a process are read from /proc instead. Titles and
names are not asked for when they are long, because tmux needs quadratic time to
filter them: a title of 1 MB, which any program can set, costs 1.5 s a listing. A
line that does not fit is a defect and raises, it is never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from orchestratord.tmux.command import Word, quote
from orchestratord.tmux.keys import SYNCHRONIZED


def _format(*fields: str) -> Word:
    return quote("\t".join(fields))


def _plain(field: str) -> str:
    return "#{s/[^ -~]/?/:" + field + "}"


def _bounded(field: str) -> str:
    return "#{?#{e|<:#{n:" + field + "},1000}," + _plain(field) + ",(too long)}"


def _text(raw: bytes) -> str:
    """Read filtered text; tmux's filter passes bytes that are no UTF-8."""
    return raw.decode("ascii", "replace").replace("\ufffd", "?")


def _number(text: bytes) -> int | None:
    return int(text) if text else None


_VERSION = re.compile(r"\b([0-9]{1,3})\.([0-9]{1,3})")


class UnreadableReply(Exception):
    """tmux printed a line that does not fit the format it was given."""


@dataclass(frozen=True, slots=True)
class PaneRow:
    """A pane as tmux lists it. ``orch_id`` is our stamp, empty on foreign panes.

    What is typed into a ``synchronized`` one reaches the others of its window, but not from us.
    """

    pane: str
    window: str
    session: str
    pid: int
    dead: bool
    status: int | None
    signal: int | None
    width: int
    height: int
    active: bool
    in_mode: bool
    synchronized: bool
    piped: bool
    cursor_x: int
    cursor_y: int
    tty: str
    orch_id: str
    title: str

    FORMAT = _format(
        "#{pane_id}", "#{window_id}", "#{session_id}", "#{pane_pid}", "#{pane_dead}",
        "#{pane_dead_status}", "#{pane_dead_signal}", "#{pane_width}", "#{pane_height}",
        "#{pane_active}", "#{pane_in_mode}", SYNCHRONIZED, "#{pane_pipe}", "#{cursor_x}",
        "#{cursor_y}", "#{pane_tty}", _plain("@orch_id"), _bounded("pane_title"),
    )  # fmt: skip

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line of ``FORMAT``."""
        try:
            (
                pane, window, session, pid, dead, status, signal, width, height,
                active, in_mode, synchronized, piped, x, y, tty, orch_id, title,
            ) = line.split(b"\t")  # fmt: skip
            return cls(
                pane=pane.decode("ascii"),
                window=window.decode("ascii"),
                session=session.decode("ascii"),
                pid=int(pid or b"0"),
                dead=dead == b"1",
                status=_number(status),
                signal=_number(signal),
                width=int(width),
                height=int(height),
                active=active == b"1",
                in_mode=in_mode not in (b"", b"0"),
                synchronized=synchronized == b"1",
                piped=piped == b"1",
                cursor_x=int(x or b"0"),
                cursor_y=int(y or b"0"),
                tty=tty.decode("ascii"),
                orch_id=_text(orch_id),
                title=_text(title),
            )
        except ValueError as error:
            raise UnreadableReply(f"a pane line of {len(line)} bytes: {error}") from None

    @property
    def ended_unexplained(self) -> bool:
        """Dead, but tmux has not collected the status yet (it lost a SIGCHLD)."""
        return self.dead and self.status is None and self.signal is None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window in a session; one linked into two sessions is listed twice."""

    window: str
    session: str
    index: int
    active: bool
    width: int
    height: int
    zoomed: bool
    orch_id: str
    name: str
    layout: str

    FORMAT = _format(
        "#{window_id}", "#{session_id}", "#{window_index}", "#{window_active}", "#{window_width}",
        "#{window_height}", "#{window_zoomed_flag}", _plain("@orch_window"),
        _bounded("window_name"), "#{window_layout}",
    )  # fmt: skip

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line of ``FORMAT``."""
        try:
            window, session, index, active, width, height, zoomed, orch_id, name, layout = _text(
                line
            ).split("\t")
            return cls(
                window, session, int(index), active == "1", int(width), int(height),
                zoomed == "1", orch_id, name, layout,
            )  # fmt: skip
        except ValueError as error:
            raise UnreadableReply(f"a window line of {len(line)} bytes: {error}") from None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as tmux lists it."""

    session: str
    attached: int
    orch_id: str
    name: str

    FORMAT = _format(
        "#{session_id}", "#{session_attached}", _plain("@orch_session"), _bounded("session_name")
    )

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line of ``FORMAT``."""
        try:
            session, attached, orch_id, name = _text(line).split("\t")
            return cls(session, int(attached or "0"), orch_id, name)
        except ValueError as error:
            raise UnreadableReply(f"a session line of {len(line)} bytes: {error}") from None


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as tmux lists it. ``activity`` is a Unix time, ``pane`` what it would type into."""

    activity: int
    control: bool
    readonly: bool
    pane: str

    FORMAT = _format(
        "#{client_activity}", "#{client_control_mode}", "#{client_readonly}", "#{pane_id}"
    )

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line of ``FORMAT``."""
        try:
            activity, control, readonly, pane = line.decode("ascii").split("\t")
            return cls(int(activity or "0"), control == "1", readonly == "1", pane)
        except ValueError as error:
            raise UnreadableReply(f"a client line of {len(line)} bytes: {error}") from None


@dataclass(frozen=True, slots=True)
class ServerRow:
    """Which server answered."""

    pid: int
    start_time: int
    version: str
    uuid: str

    FORMAT = _format("#{pid}", "#{start_time}", _plain("version"), _plain("@orch_server"))

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line of ``FORMAT``."""
        try:
            pid, start_time, version, uuid = line.decode("ascii").split("\t")
            return cls(int(pid), int(start_time), version, uuid)
        except ValueError as error:
            raise UnreadableReply(f"a server line of {len(line)} bytes: {error}") from None

    @property
    def tier(self) -> tuple[int, int]:
        """The version as numbers."""
        return tier_of(self.version)


def tier_of(version: str) -> tuple[int, int]:
    """Return a version as numbers: ``3.3a`` is (3, 3), ``next-3.8`` is (3, 8).

    One that says nothing, like ``master``, counts as the oldest that works.
    """
    found = _VERSION.search(version)
    return (int(found[1]), int(found[2])) if found else (3, 2)
