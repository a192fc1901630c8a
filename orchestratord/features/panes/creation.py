"""How panes come into being: intent, act, result, in that order.

The intent is on disk before tmux is asked; the act stamps the pane in the same
line; the result and its facts are one synced commit. Whatever moment the daemon
dies at, the next one finds the stamp, or nothing. A creation that was begun is
finished even when its caller goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.events import Fact
from orchestratord.features.panes import placement, site
from orchestratord.features.panes.access import maker
from orchestratord.features.panes.fact import (
    PaneCreated,
    PaneRespawned,
    SessionCreated,
    WindowCreated,
)
from orchestratord.features.panes.fault import (
    NameTaken,
    NoRoom,
    PaneExited,
    SessionNotFound,
)
from orchestratord.features.panes.intent import Intents, failpoint
from orchestratord.features.panes.program import (
    Wish,
    below_shell,
    check_command,
    check_environment,
    gains_rights,
    resolve,
)
from orchestratord.features.panes.record import (
    Intent,
    PaneRecord,
    Place,
    SessionRecord,
    WindowRecord,
)
from orchestratord.features.panes.registry import Registry, save
from orchestratord.features.panes.turn import Turns
from orchestratord.log import Log
from orchestratord.store.db import Statement, Store
from orchestratord.tmux import birth
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.link import Link
from orchestratord.tmux.mirror import Mirror
from orchestratord.tmux.process import Process, identify
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.spool import Spool

log = Log("panes.creation")

Dress = Callable[[PaneRecord, Mapping[str, str]], tuple[Sequence[str], Mapping[str, str]]]
"""How a shell is started: from its record and environment to the argv and environment used."""

DEFAULT_SIZE = (200, 50)
NOWHERE = Process(0, 0)


class Outcome(NamedTuple):
    """What is to be written of a creation, in one commit."""

    statements: list[Statement]
    facts: list[Fact]


class Creation:
    """Makes panes, windows and sessions. Its state is what is being made right now.

    ``on_born`` is called with each pane that was made, ``undo`` with one whose
    making could not be written down: it is ended before its caller hears why.
    """

    def __init__(
        self, registry: Registry, link: Link, mirror: Mirror, spool: Spool, store: Store,
        clock: Clock, environment: Mapping[str, str], intents: Intents,
    ) -> None:  # fmt: skip
        self.born: dict[str, int] = {}
        self.on_born: Callable[[PaneRecord], None] = lambda _: None
        self.dress: Dress = lambda pane, env: (pane.argv, env)
        self.undo: Callable[[Intent], Awaitable[None]] = _leave
        self._registry = registry
        self._link = link
        self._mirror = mirror
        self._spool = spool
        self._store = store
        self._clock = clock
        self._environment = environment
        self._intents = intents
        self.splitting: set[str] = set()
        self._sessions: dict[str, asyncio.Event] = {}
        self._turns = Turns()

    async def settled(self, name: str) -> None:
        """Wait while a session of that name is being made; the registry says whether it was."""
        while (made := self._sessions.get(name)) is not None:
            await made.wait()

    async def session(self, name: str, wish: Wish) -> tuple[SessionRecord, PaneRecord]:
        """Make a session with its first pane."""
        number = self._store.next_id
        session_id, pane_id = f"s{number('session')}", f"p{number('pane')}"
        with contextlib.ExitStack() as reserved:
            reserved.callback(self._registry.claim(wish.owner, pane_id))
            reserved.callback(self._registry.reserve(name, None, session_id))
            made = self._sessions[name] = asyncio.Event()
            reserved.callback(made.set)
            reserved.callback(self._sessions.pop, name)
            server = await self._link.connected()
            width, height = wish.size or DEFAULT_SIZE
            session = SessionRecord(
                id=session_id, name=name, tmux="", server=server.uuid,
                created_at=rfc3339(self._clock.now()), owner=wish.owner, labels=wish.labels,
                width=width, height=height,
            )  # fmt: skip
            window = WindowRecord(
                id=f"w{number('window')}", session=session.id, tmux="", server=server.uuid,
                name=wish.name or name,
            )  # fmt: skip
            pane = self._draft(wish, session, window, pane_id)
            intent = Intent(pane=pane, window=window, session=session, ticket=wish.ticket)

            def commands(born: birth.Birth) -> list[bytes]:
                return birth.new_session(
                    born, session=session.id, window=window.id, name=name,
                    window_name=window.name, size=(width, height),
                )  # fmt: skip

            await (await self._carry_out(intent, wish.program.env, commands))
        failpoint("create.after_result")
        return session, pane

    async def pane(self, session: SessionRecord, wish: Wish) -> PaneRecord:
        """Make a pane in a session, by splitting one or in a window of its own."""
        number = f"p{self._store.next_id('pane')}"
        with contextlib.ExitStack() as reserved:
            reserved.callback(self._registry.claim(wish.owner, number))
            if wish.name is not None:
                reserved.callback(self._registry.reserve(wish.name, session.id, number))
            if wish.place == "window":
                pane, writing = await self._in_new_window(session, wish, number)
            else:
                async with self._turns.of(session.id):  # each is placed in view of the one before
                    pane, writing = await self._where_there_is_room(session, wish, number)
            await writing
            failpoint("create.after_result")
            return pane

    async def respawn(
        self, pane: PaneRecord, argv: Sequence[str] | None, env: Mapping[str, str]
    ) -> PaneRecord:
        """Run a program in a pane again, in a new epoch and incarnation."""
        check_environment(env)
        newer = msgspec.structs.replace(pane, epoch=pane.epoch + 1)
        if argv is not None:
            check_command(argv, pane.cwd, env, self._environment)
            newer.argv, newer.is_shell = list(argv), False
        lines = birth.respawn(self._birth(newer, env), of=pane.place.pane)
        self._spool.expect(pane.id, newer.epoch, fresh=True)
        pane.incarnation += 1  # before it is so, that nothing is typed to the one after it
        try:
            bodies = await self._link.request(*lines, what="respawn-pane", server=pane.place.server)
        except TmuxRefused:
            pane.incarnation -= 1
            self._spool.expect(pane.id, pane.epoch)
            raise PaneExited(pane=pane.id) from None
        row = PaneRow.parse(bodies[-1][-1])
        pane.argv, pane.is_shell, pane.epoch = newer.argv, newer.is_shell, newer.epoch
        pane.environment_names = sorted({*pane.environment_names, *env})
        self._settle_in(pane, row)
        pane.exit, pane.lost, pane.held = None, False, True
        self.on_born(pane)
        await self._store.commit(
            [save(pane)],
            [PaneRespawned(
                session=pane.session, pane=pane.id, incarnation=pane.incarnation, pid=row.pid
            )],
        )  # fmt: skip
        return pane

    # Deciding

    async def _where_there_is_room(
        self, session: SessionRecord, wish: Wish, number: str
    ) -> tuple[PaneRecord, Awaitable[object]]:
        if self._registry.sizes_stale and wish.place == "auto":
            await self._mirror.refresh()
        split = site.choose(self._registry, session, wish)
        if split is not None:
            self.splitting.add(split.pane)
            try:
                return await self._split(session, wish, split, number)
            except (NoRoom, PaneExited):
                if wish.place != "auto":
                    raise
            finally:
                self.splitting.discard(split.pane)
        return await self._in_new_window(session, wish, number)

    def _draft(
        self, wish: Wish, session: SessionRecord, window: WindowRecord, number: str = ""
    ) -> PaneRecord:
        argv, cwd = resolve(wish.program, self._environment)
        expires = None if wish.ttl is None else self._clock.now().timestamp() + wish.ttl
        return PaneRecord(
            id=number or f"p{self._store.next_id('pane')}",
            session=session.id,
            window=window.id,
            place=Place(session.server, "", "", NOWHERE),
            argv=argv,
            is_shell=wish.program.command is None,
            cwd=cwd,
            created_at=rfc3339(self._clock.now()),
            owner=wish.owner,
            made_in=maker(),
            name=wish.name,
            labels=dict(wish.labels),
            keep=wish.keep,
            expires_at=expires,
            environment_names=sorted(wish.program.env),
        )

    # Acting

    async def _split(
        self, session: SessionRecord, wish: Wish, split: placement.Split, number: str
    ) -> tuple[PaneRecord, Awaitable[object]]:
        parent = self._registry.panes[split.pane]
        pane = self._draft(wish, session, self._registry.windows[parent.window], number)

        def commands(made: birth.Birth) -> list[bytes]:
            return birth.split(made, of=parent.place.pane, direction=split.direction)

        try:
            intent = Intent(pane=pane, ticket=wish.ticket)
            writing = await self._carry_out(intent, wish.program.env, commands)
        except TmuxRefused as refused:
            if "no space" in refused.details["reason"]:
                raise NoRoom(pane=parent.id, place=split.direction) from None
            if "can't find" in refused.details["reason"]:
                raise PaneExited(pane=parent.id) from None
            raise
        left = placement.halve(site.room(parent), split.direction)
        parent.width, parent.height = left.width, left.height
        return pane, writing

    async def _in_new_window(
        self, session: SessionRecord, wish: Wish, number: str
    ) -> tuple[PaneRecord, Awaitable[object]]:
        program = (wish.program.command or ("shell",))[0]
        window = WindowRecord(
            id=f"w{self._store.next_id('window')}", session=session.id, tmux="",
            server=session.server, name=wish.window_name or wish.name or Path(program).name,
        )  # fmt: skip
        pane = self._draft(wish, session, window, number)
        size = wish.size or (session.width, session.height)

        def commands(made: birth.Birth) -> list[bytes]:
            return birth.new_window(
                made, window=window.id, name=window.name, session=session.tmux, size=size
            )

        try:
            intent = Intent(pane=pane, window=window, ticket=wish.ticket)
            writing = await self._carry_out(intent, wish.program.env, commands)
        except TmuxRefused as refused:
            if "can't find" in refused.details["reason"]:
                raise SessionNotFound(session=session.name) from None
            raise
        return pane, writing

    async def _carry_out(
        self,
        intent: Intent,
        env: Mapping[str, str],
        commands: Callable[[birth.Birth], list[bytes]],
    ) -> Awaitable[object]:
        """Make what an intent says; what is returned is to be awaited at once."""
        pane = intent.pane
        lines = commands(self._birth(pane, env))  # refuses what cannot be quoted, before anything
        self._intents.under_way.add(pane.id)
        try:
            await self._intents.begin(intent)
            failpoint("create.after_intent")
            self._spool.expect(pane.id, pane.epoch, fresh=True)
            try:
                bodies = await self._link.request(
                    *lines, what=f"the creation of {pane.id}", server=pane.place.server
                )
            except TmuxGone:
                await self._intents.give_up(intent, self._mirror.sent)
                raise
            except TmuxRefused as refused:
                self._spool.forget(pane.id)
                await self._intents.nothing_came(intent)
                if intent.session and "duplicate session" in refused.details["reason"]:
                    raise NameTaken(name=intent.session.name, holder="someone outside") from None
                raise
            failpoint("create.after_act")
            row = PaneRow.parse([body[0] for body in bodies if body][-1])
            return self._write(intent, self.confirm(intent, row, ()))
        finally:
            self._intents.under_way.discard(pane.id)

    async def _write(self, intent: Intent, outcome: Outcome) -> None:
        """Return when a creation is on disk; if that takes nothing, undo it and raise why."""
        try:
            refusal = await self._store.record_or_owe(*outcome)
        except Fault as lost:
            refusal = lost
        if refusal is not None:
            await self.undo(intent)
            raise refusal

    def confirm(self, intent: Intent, row: PaneRow, facts: Sequence[Fact]) -> Outcome:
        """Know what came of a creation, and return what is to be written at once."""
        pane, window, session = intent.pane, intent.window, intent.session
        self.born[pane.id] = self._mirror.sent
        told = list(facts)
        if session is not None:
            session.tmux = row.session
            self._registry.sessions[session.id] = session
            told.append(SessionCreated(session=session.id, name=session.name))
        if window is not None:
            window.tmux = row.window
            self._registry.windows[window.id] = window
            told.append(WindowCreated(session=window.session, window=window.id, name=window.name))
        self._settle_in(pane, row)
        self._registry.add(pane)
        self.on_born(pane)
        told.append(
            PaneCreated(
                session=pane.session, pane=pane.id, name=pane.name, window=pane.window,
                tmux_id=row.pane, pid=row.pid,
            )
        )  # fmt: skip
        records = [r for r in (session, window, pane) if r is not None]
        return Outcome([*self._intents.fulfilled(intent), *map(save, records)], told)

    def _settle_in(self, pane: PaneRecord, row: PaneRow) -> None:
        process = identify(row.pid) or Process(row.pid, 0)
        server = self._link.server.uuid if self._link.server else pane.place.server
        pane.place = Place(server, row.pane, row.tty, process)
        pane.program = None
        pane.width, pane.height, pane.title = row.width, row.height, row.title

    def _birth(self, pane: PaneRecord, env: Mapping[str, str]) -> birth.Birth:
        argv: Sequence[str] = pane.argv
        if pane.is_shell:
            argv, env = self.dress(pane, env)
        if gains_rights(argv, env.get("PATH", self._environment.get("PATH"))):
            argv = below_shell(argv)
        argv = birth.held(argv, self._spool.note(pane.id, pane.epoch))
        return birth.Birth(
            pane=pane.id,
            argv=argv,
            cwd=pane.cwd,
            environment=env,
            pipe=self._spool.pipe(pane.id, pane.epoch),
        )


async def _leave(_: Intent) -> None:
    return None
