"""The shell feature put together: shells that are known, and the commands given to them.

State: a ``Shell`` for each shell pane with integration, and the runs, of which the
unfinished and the last thousand are stored. Starts after panes, whose hooks it fills: how
a shell is started, and what a pane's state is. A command that was begun is followed to
its end, whoever waits for it, also by a later daemon: its output and its marks are in the
pane's file.
"""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.events import Bus, Event
from orchestratord.features.panes.fault import PaneExited
from orchestratord.features.panes.hand import Hand
from orchestratord.features.panes.keyboard import Keyboard, terminal
from orchestratord.features.panes.model import ShellLook
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.search import compile_pattern
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.text import plain
from orchestratord.features.shell import reading
from orchestratord.features.shell.evidence import typed_text
from orchestratord.features.shell.fault import (
    BadCommand,
    IntegrationLost,
    PaneBusy,
)
from orchestratord.features.shell.host import Seen
from orchestratord.features.shell.integration import Integration, kind_of
from orchestratord.features.shell.ledger import Ledger
from orchestratord.features.shell.model import Exec, ExecResult
from orchestratord.features.shell.probe import probe
from orchestratord.features.shell.prompt import Moment
from orchestratord.features.shell.run import MAX_COMMAND, Live, Wanted
from orchestratord.features.shell.shell import Shell
from orchestratord.log import Log
from orchestratord.store.db import Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import command as tmux_command
from orchestratord.tmux.command import quote, target
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor

log = Log("shell")

TAIL = 1 << 20
"""Bytes of kept output in which a later daemon looks for the last prompt."""

LAST_TURNS = 8
"""Turns (of a MiB) of an ended pane's output that are read at once for its last marks."""

_BORN = {"pane.created", "pane.adopted", "pane.respawned"}
_ENDED = {"pane.exited", "pane.killed", "pane.lost"}
_WHERE = quote("#{cursor_x} #{pane_width}")


class Shells:
    """Every shell pane with integration, and every command."""

    def __init__(
        self, panes: Panes, store: Store, bus: Bus, clock: Clock, directory: Path,
        environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.panes = panes
        self.clock: Clock = clock
        self.integration: Integration = Integration(directory)
        self.keyboard: Keyboard = panes.keyboard
        self.spool: Spool = panes.spool
        self.ledger = Ledger(store, panes.registry, clock)
        self._store = store
        self._bus = bus
        self._environment = environment
        self._shells: dict[str, Shell] = {}
        self._followed: dict[str, Shell] = {}
        self._taps: dict[str, Callable[[], None]] = {}
        self._follow_taps: dict[str, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unlisten: Callable[[], None] = lambda: None
        panes.creation.dress = self._dress
        panes.view.shell_of = self.look

    async def start(self) -> None:
        """Find the shells that live and the runs that had not ended."""
        self.integration.open()
        self.integration.clear_strangers(set(self.panes.registry.panes))
        self._unlisten = self._bus.listen(self._heard)
        await self.ledger.load()
        for pane in self.panes.registry.live_panes():
            if pane.exit is None:
                self._attach(pane)
        for live in self.ledger.unfinished():
            known = self.panes.registry.panes.get(live.run.pane)
            if known is not None and known.exit is None and live.run.way == "typed":
                self._follow(known, Cursor.parse(live.run.begin or ""), live).resume(live)
            elif live.run.pane not in self._shells:
                self.spawn(self.ledger.finished(self.ledger.end_without_shell(live)))

    async def stop(self) -> None:
        """Stop following; a later daemon goes on."""
        self._unlisten()
        for tap in (*self._taps.values(), *self._follow_taps.values()):
            tap()
        for live in self.ledger.unfinished():
            live.let_go()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.4)
        for task in self._tasks:
            task.cancel()

    # Commands

    async def execute(
        self, pane: PaneRecord, command: str, wanted: Wanted, *, queue: bool, owner: str
    ) -> Live:
        """Give a command to a pane's shell; return once it is begun, or waits for its turn.

        Raises:
            PaneBusy, QueueFull, IntegrationLost, BadCommand, BadPattern.
        """
        _check(command)
        if wanted.until is not None:
            compile_pattern(wanted.until)
        if pane.exit is not None:
            raise PaneExited(pane=pane.id)
        live = self.ledger.make(pane.id, pane.incarnation, command, wanted, owner)
        run = live.run
        live.waits_for_turn = queue
        shell = self._shells.get(pane.id)
        problem = self._lost(shell)
        if problem is None and shell is not None:
            shell.submit(live, queue)
            self.ledger.add(live)
            if run.state == "queued":
                await self._store.commit([run.statement()])
            return live
        if not (wanted.until or wanted.idle or wanted.sentinel):
            raise IntegrationLost(pane=pane.id, reason=problem or "it runs no shell of ours")
        await self._type(pane, live)
        return live

    async def result(self, live: Live, *, raw: bool, limit: int) -> ExecResult:
        """Return what came of a run, as far as it is."""
        run = live.run
        pane = self.panes.registry.panes.get(run.pane)
        output, truncated = "", False
        if run.begin is not None and pane is not None:
            data, truncated = reading.between(self.spool.get(run.pane), run.begin, run.end, limit)
            output = base64.b64encode(data).decode() if raw else plain(data)
        front = cwd = waiting = None
        if pane is not None and pane.exit is None:
            cwd = reading.directory(pane)
            if run.state != "finished":
                front = self.panes.view.pane(pane).foreground
                waiting = reading.waits_for_input(front.pid) if front else None
        shown = self.show(live)
        by = run.ended_by or (live.answered.result() if live.answered.done() else None)
        known = {name: getattr(shown, name) for name in shown.__struct_fields__} | {"ended_by": by}
        return ExecResult(
            **known, output=output, truncated=truncated, foreground=front, waiting_input=waiting,
            cwd=cwd,
        )  # fmt: skip

    def show(self, live: Live) -> Exec:
        """Return a run as the wire has it."""
        stream = self.spool.get(live.run.pane)
        return live.shown(str(stream.cursor) if stream and live.run.begin else None)

    async def cancel(self, live: Live, number: int | None) -> None:
        """End a run; signal its program first unless no number is given."""
        if live.run.ended_by is not None:
            return
        pane = self.panes.registry.panes.get(live.run.pane)
        if number is not None and live.run.state == "running" and pane is not None:
            self.keyboard.signal(pane, number, spare_shell=number != signal.SIGINT)
        typed = live.run.way == "typed"
        shell = (self._followed if typed else self._shells).get(live.run.pane)
        if shell is None:
            self.spawn(self.ledger.finished(self.ledger.end_without_shell(live)))
        else:
            shell.cancel(live)
        await live.done.wait()

    # Shells

    def look(self, pane: PaneRecord) -> ShellLook | None:
        """Return what is known of a pane's shell; None if it has no integration."""
        shell = self._shells.get(pane.id)
        if shell is None:
            return None
        prompt, current = shell.prompt, shell.current
        lost = self._lost(shell) is not None
        age = self.clock.monotonic() - prompt.since
        return ShellLook(
            state=prompt.state, integration="lost" if lost else "active",
            seconds=round(age, 3), exec=current.run.id if current else None,
            command=current.line if current else None, queued=len(shell.queue),
        )  # fmt: skip

    def moment(self, pane: PaneRecord) -> Moment | None:
        """Return what a pane's shell is doing, by all that it has written; None without a shell.

        Not for listeners of output, who are read to here.
        """
        shell, stream = self._shells.get(pane.id), self.spool.get(pane.id)
        if shell is None or stream is None:
            return None
        stream.look()
        for _ in range(LAST_TURNS):
            if not stream.pump():
                break
        return shell.moment()

    async def probe(self, pane: PaneRecord, hand: Hand) -> None:
        """Have a shell say whether there is a draft, if its output cannot tell; see `moment`."""
        shell = self._shells.get(pane.id)
        if shell is not None:
            await probe(shell, hand)

    def at_prompt(self, pane_id: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener each time the pane's shell is at its prompt, at once if it is now.

        The returned function ends that.

        Raises:
            IntegrationLost: Nothing tells when the pane's shell is at its prompt.
        """
        shell = self._shells.get(pane_id)
        if shell is None:
            raise IntegrationLost(pane=pane_id, reason="it runs no shell of ours")
        listeners = shell.at_prompt
        listeners.append(listener)
        if shell.prompt.state == "idle" and shell.current is None:
            asyncio.get_running_loop().call_soon(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    # What shells ask of us

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for; a fault was told to whom it concerns."""

        async def guarded() -> None:
            try:
                await work
            except (Fault, TmuxGone, TmuxRefused, OSError) as problem:
                log.info("not done", reason=str(problem))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def column(self, pane: PaneRecord) -> tuple[int, int]:
        """Return where the cursor stands, and how wide the pane is."""
        ask = tmux_command("display-message", "-p", "-t", target(pane.place.pane), "--", _WHERE)
        try:
            bodies = await self.panes.link.request(
                ask, what="a look at a cursor", server=pane.place.server
            )
            column, width = map(int, bodies[0][0].split())
        except (TmuxRefused, ValueError):
            raise PaneExited(pane=pane.id) from None
        return column, width

    # Inside

    def _dress(
        self, pane: PaneRecord, env: Mapping[str, str]
    ) -> tuple[Sequence[str], Mapping[str, str]]:
        return self.integration.dress(pane.id, pane.argv, env, self._environment)

    def _attach(self, pane: PaneRecord) -> None:
        kind = kind_of(pane.argv) if pane.is_shell and pane.held else None
        stream = self.spool.get(pane.id)
        if kind is None or stream is None or not self.integration.has(pane.id):
            return
        shell = self._shells[pane.id] = Shell(self, pane, kind)
        at = Cursor(stream.epoch, max(stream.start, stream.end - TAIL))
        for live in self.ledger.unfinished(pane.id):
            if live.run.way == "typed":
                continue
            begun = Cursor.parse(live.run.begin or live.run.typed or "")
            at = min(at, begun) if begun is not None and begun.epoch == at.epoch else at
            shell.resume(live)
        self._taps[pane.id] = self.spool.listen(pane.id, shell.hear, at)

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.pane is None:
                continue
            pane = self.panes.registry.panes.get(event.pane)
            if event.kind in _BORN and pane is not None:
                self._born(pane)
            elif event.kind in _ENDED and (pane is None or pane.exit is not None):
                self._gone(event.pane, pane)

    def _born(self, pane: PaneRecord) -> None:
        shell = self._shells.get(pane.id)
        if shell is None:
            self._attach(pane)
        elif kind_of(pane.argv) != shell.kind or not pane.is_shell or not pane.held:
            self._gone(pane.id, pane)
        elif shell.incarnation != pane.incarnation:
            shell.respawned()

    def _gone(self, pane_id: str, pane: PaneRecord | None) -> None:
        gone = [self._shells.pop(pane_id, None), self._followed.pop(pane_id, None)]
        shells = [shell for shell in gone if shell is not None]
        stream = self.spool.get(pane_id)
        for _ in range(LAST_TURNS if shells else 0):
            if stream is None or not stream.pump():  # the last marks are among the last bytes
                break
        for taps in (self._taps, self._follow_taps):
            if (tap := taps.pop(pane_id, None)) is not None:
                tap()
        status = pane.exit.status if pane is not None and pane.exit is not None else None
        for shell in shells:
            shell.over("pane_exit", status)
        self.integration.forget(pane_id)

    def lost(self, shell: Seen) -> str | None:
        """Say why a shell's prompts are not ours to see; None if they are.

        Also while an exec of ours runs: it may have started the shell that waits.
        """
        pane, prompt = shell.pane, shell.prompt
        if prompt.unmarked:
            return "its start-up files keep our marks out"
        quiet = shell.quiet_for()
        if prompt.state in ("idle", "draft") or (shell.coming() and quiet < reading.QUIET):
            return None
        return reading.nested(
            pane,
            terminal(pane.place.tty),
            lambda pid: self.integration.started(pane.id, pid),
            quiet,
        )

    def _lost(self, shell: Shell | None) -> str | None:
        return "it runs no shell that we started" if shell is None else self.lost(shell)

    async def _type(self, pane: PaneRecord, live: Live) -> None:
        """Type a command at something that prints no marks of ours."""
        stream = self.spool.get(pane.id)
        if stream is None:
            raise PaneExited(pane=pane.id)
        stream.look()
        known = self._followed.get(pane.id)
        if known is not None and known.current is not None:
            raise PaneBusy(pane=pane.id, reason="busy", exec=known.current.run.id)
        shell = self._follow(pane, stream.cursor, live)
        run = live.run
        run.way = "typed"
        seen = self.panes.view.pane(pane).foreground
        text = typed_text(run, seen.command if seen else "")
        shell.follow(live, stream.cursor)
        run.started_at = rfc3339(self.clock.now())
        self.ledger.add(live)
        try:
            await self.ledger.running(live)
            await self.keyboard.text(pane, text, submit=True, by=run.typist)
        except Fault:
            shell.cancel(live)
            raise

    def _follow(self, pane: PaneRecord, at: Cursor | None, live: Live) -> Shell:
        """Follow what a pane prints until a command that is typed there has ended."""
        shell = self._followed[pane.id] = Shell(self, pane, kind_of(pane.argv) or "sh")
        if at is not None:
            self._follow_taps[pane.id] = self.spool.listen(pane.id, shell.hear, at)

        async def until_done() -> None:
            await live.done.wait()
            if self._followed.get(pane.id) is shell:
                del self._followed[pane.id]
                self._follow_taps.pop(pane.id, lambda: None)()

        self.spawn(until_done())
        return shell


def _check(command: str) -> None:
    if "\0" in command:
        raise BadCommand(reason="it holds a NUL byte")
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        raise BadCommand(reason="it holds half of a surrogate pair") from None
    if size > MAX_COMMAND:
        raise BadCommand(reason=f"it has {size} bytes, at most {MAX_COMMAND} do")
    if not command.strip():
        raise BadCommand(reason="it is empty")
