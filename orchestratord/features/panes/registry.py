"""All sessions, windows and panes that are known, and how they are named.

In memory only; loaded from the store at start and saved by whoever changes a
record, in the same commit as the fact that tells of it. Between reading a
record here and changing it nobody may await. Does no I/O. Whoever resolves a
reference is asked by ``access`` whether it may touch what that names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from orchestratord.events import Event
from orchestratord.features.panes.access import made, sees, touch, touch_all
from orchestratord.features.panes.fault import (
    AmbiguousName,
    NameTaken,
    PaneExited,
    PaneNotFound,
    SessionNotFound,
    StaleIncarnation,
    WindowNotFound,
)
from orchestratord.features.panes.record import PaneRecord, SessionRecord, WindowRecord
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.store.db import Statement

Record = PaneRecord | WindowRecord | SessionRecord

_NOUNS = {PaneRecord: "pane", WindowRecord: "window", SessionRecord: "session"}
_SAVE = "INSERT OR REPLACE INTO terminals (id, noun, ended, record) VALUES (?, ?, ?, ?)"
_FORGET = "DELETE FROM terminals WHERE id = ?"

PANES_OF_AGENT = 32
"""Panes that are in tmux and belong to one agent."""

REMEMBERED = 1000
"""Ended panes whose record and certificate stay; the oldest go first."""


def save(record: Record) -> Statement:
    """Return the statement that writes a record as it is now."""
    if isinstance(record, PaneRecord):
        ended = record.gone
    elif isinstance(record, WindowRecord):
        ended = record.ended
    else:
        ended = record.ended_at is not None
    text = msgspec.json.encode(record).decode()
    return Statement(_SAVE, (record.id, _NOUNS[type(record)], int(ended), text))


def forget(record: Record) -> Statement:
    """Return the statement that deletes a record."""
    return Statement(_FORGET, (record.id,))


class Registry:
    """The records by id. Ended panes are among them until they are forgotten.

    ``on_given`` is told when something has another owner.
    """

    def __init__(self) -> None:
        self.panes: dict[str, PaneRecord] = {}
        self.windows: dict[str, WindowRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.sizes_stale = False
        self.on_given: Callable[[], None] = lambda: None
        self._holders: dict[int, PaneRecord] = {}
        self._claims: dict[str, str] = {}
        self._reserved: dict[tuple[str | None, str], str] = {}

    def load(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take the rows of ``terminals``: noun, record."""
        for noun, text in rows:
            if noun == "pane":
                self.add(msgspec.json.decode(text, type=PaneRecord))
            elif noun == "window":
                window = msgspec.json.decode(text, type=WindowRecord)
                if not window.ended:
                    self.windows[window.id] = window
            else:
                session = msgspec.json.decode(text, type=SessionRecord)
                self.sessions[session.id] = session

    def add(self, pane: PaneRecord) -> None:
        """Know a pane."""
        made(pane)
        self.panes[pane.id] = pane

    def lives(self, pane: PaneRecord) -> None:
        """Note that a pane's process lives; it leads the session of all that run there."""
        self._holders[pane.place.process.pid] = pane

    def in_process_session(self, leader: int) -> PaneRecord | None:
        """Return the living pane whose process session that pid leads."""
        pane = self._holders.get(leader)
        if pane is None or pane.exit is not None or pane.place.process.pid != leader:
            return None
        return pane

    def gone(self, pane: PaneRecord) -> None:
        """Note that a pane is in tmux no longer."""
        pane.gone = True
        if self._holders.get(pane.place.process.pid) is pane:
            del self._holders[pane.place.process.pid]
        self.sizes_stale = True  # its neighbours have grown

    def forgettable(self) -> list[PaneRecord]:
        """Return the ended panes beyond those that are remembered."""
        ended = [p for p in self.panes.values() if p.gone]
        ended.sort(key=lambda p: p.exit.at if p.exit else "")
        return ended[: max(0, len(ended) - REMEMBERED)]

    # Names

    def reserve(self, name: str, session: str | None, holder: str) -> Callable[[], None]:
        """Hold a name while its bearer is being made; the returned function lets go.

        Raises:
            NameTaken: something alive or being made has it.
        """
        key = (session, name)
        taken = self._reserved.get(key)
        if taken is None:
            if session is None:
                taken = next((s.id for s in self.live_sessions() if s.name == name), None)
            else:
                taken = next((p.id for p in self.in_session(session) if p.name == name), None)
        if taken is not None:
            raise NameTaken(name=name, holder=taken)
        self._reserved[key] = holder
        return lambda: self._release(key)

    def _release(self, key: tuple[str | None, str]) -> None:
        self._reserved.pop(key, None)

    def claim(self, owner: str, pane: str) -> Callable[[], None]:
        """Count a pane that is about to be made for an owner; the returned function lets go.

        Raises:
            QuotaExceeded: an agent has as many as one may have.
        """
        if owner.startswith("agent:"):
            have = sum(p.owner == owner for p in self.live_panes())
            have += sum(o == owner and i not in self.panes for i, o in self._claims.items())
            if have >= PANES_OF_AGENT:
                raise QuotaExceeded(owner=owner, what="panes", limit=PANES_OF_AGENT)
        self._claims[pane] = owner
        return lambda: self._unclaim(pane)

    def _unclaim(self, pane: str) -> None:
        self._claims.pop(pane, None)

    def live_sessions(self) -> list[SessionRecord]:
        """Return the sessions that have not ended."""
        return [s for s in self.sessions.values() if s.ended_at is None]

    def live_panes(self) -> list[PaneRecord]:
        """Return the panes that are in tmux, running or kept."""
        return [p for p in self.panes.values() if not p.gone]

    def in_session(self, session: str) -> list[PaneRecord]:
        """Return a session's panes that are in tmux."""
        return [p for p in self.panes.values() if p.session == session and not p.gone]

    def in_window(self, window: str) -> list[PaneRecord]:
        """Return a window's panes that are in tmux."""
        return [p for p in self.panes.values() if p.window == window and not p.gone]

    def empty(self) -> tuple[list[WindowRecord], list[SessionRecord]]:
        """Return the windows and the living sessions in which nothing of ours is left."""
        windows = {p.window for p in self.panes.values() if not p.gone}
        sessions = {p.session for p in self.panes.values() if not p.gone}
        return (
            [w for w in self.windows.values() if w.id not in windows],
            [s for s in self.live_sessions() if s.id not in sessions],
        )

    def sees(self, event: Event) -> bool:
        """Whether whoever acts may see what happened: to its own things, or to nobody's.

        What happened to a pane that is forgotten is seen by those who may see everything.
        """
        if event.pane is not None:
            return sees(None, lambda: [p for p in (self.panes.get(event.pane or ""),) if p])
        if event.session is not None:
            session = self.sessions.get(event.session)
            owner = session.owner if session is not None else None
            return sees(owner, partial(self.in_session, event.session))
        return True

    # References

    def session(self, ref: str) -> SessionRecord:
        """Return the living session with that id or exact name."""
        found = self._session(ref)
        touch_all(found.id, found.owner, partial(self.in_session, found.id))
        return found

    def window(self, ref: str) -> WindowRecord:
        """Return the window with that id, ours or tmux's."""
        for window in self.windows.values():
            if ref in (window.id, window.tmux) and not window.ended:
                session = self.sessions.get(window.session)
                owner = session.owner if session else None
                touch_all(window.id, owner, partial(self.in_window, window.id))
                return window
        raise WindowNotFound(window=ref)

    def pane(self, ref: str, session: str | None = None) -> PaneRecord:
        """Return the pane that a reference names: ``p17``, ``%5``, ``name``, ``session/name``.

        A pane that ended is found by its id while it is remembered, and by its
        name as long as nothing living has that name.

        Raises:
            PaneNotFound: nothing fits.
            AmbiguousName: several living panes fit; never one of them by guess.
            ScopeMissing, NotOwner, WouldEndCaller: whoever acts may not touch it.
        """
        found = self._pane(ref, session)
        touch(found)
        return found

    def _session(self, ref: str) -> SessionRecord:
        found = self.sessions.get(ref)
        if found is None or found.ended_at is not None:
            found = next((s for s in self.live_sessions() if s.name == ref), None)
        if found is None:
            raise SessionNotFound(session=ref)
        return found

    def _pane(self, ref: str, session: str | None) -> PaneRecord:
        within = None if session is None else self._session(session).id
        if ref in self.panes:
            if within in (None, self.panes[ref].session):
                return self.panes[ref]
            raise PaneNotFound(pane=ref)
        if ref.startswith("%"):
            live = [p for p in self.panes.values() if p.place.pane == ref and not p.gone]
            if live and within in (None, live[0].session):
                return live[0]
            raise PaneNotFound(pane=ref)
        name = ref
        if within is None and "/" in ref:
            owner, _, name = ref.partition("/")
            within = self._session(owner).id
            if name in self.panes and self.panes[name].session == within:
                return self.panes[name]
        fits = [p for p in self.panes.values() if p.name == name and within in (None, p.session)]
        alive = [p for p in fits if not p.gone]
        if len(alive) > 1:
            names = {p.id: self.sessions[p.session].name for p in alive}
            raise AmbiguousName(
                name=ref, candidates=[f"{names[p.id]}/{name} ({p.id})" for p in alive]
            )
        if alive or fits:
            return (alive or fits)[-1]
        raise PaneNotFound(pane=ref)

    def living(
        self, ref: str, session: str | None = None, incarnation: int | None = None
    ) -> PaneRecord:
        """Return a pane whose program runs.

        Raises:
            PaneExited: it has ended.
            StaleIncarnation: it is not the incarnation that the caller saw.
        """
        pane = self.pane(ref, session)
        if pane.exit is not None:
            raise PaneExited(pane=pane.id)
        self.check_incarnation(pane, incarnation)
        return pane

    def check_incarnation(self, pane: PaneRecord, given: int | None) -> None:
        """Raise ``StaleIncarnation`` unless a pane is the incarnation that a caller saw."""
        if given not in (None, pane.incarnation):
            raise StaleIncarnation(pane=pane.id, now=pane.incarnation, given=given)
