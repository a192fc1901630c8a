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

import msgspec

from orchestratord.clock import Clock, rfc3339
from orchestratord.errors import Fault, TmuxRefused
from orchestratord.events import Bus, Event, Fact
from orchestratord.features.panes.fault import PaneExited
from orchestratord.features.panes.keyboard import Keyboard, terminal
from orchestratord.features.panes.model import ShellLook
from orchestratord.features.panes.record import PaneRecord
from orchestratord.features.panes.search import compile_pattern
from orchestratord.features.panes.service import Panes
from orchestratord.features.panes.text import plain
from orchestratord.features.shell import reading
from orchestratord.features.shell.evidence import typed_text
from orchestratord.features.shell.fact import ExecFinished, ExecStarted, ExecTimedOut
from orchestratord.features.shell.fault import (
    BadCommand,
    ExecNotFound,
    IntegrationLost,
    PaneBusy,
)
from orchestratord.features.shell.integration import Integration, kind_of
from orchestratord.features.shell.model import Exec, ExecResult
from orchestratord.features.shell.run import MAX_COMMAND, REMEMBERED, Live, Run, Wanted
from orchestratord.features.shell.shell import Shell, new_nonce
from orchestratord.log import Log
from orchestratord.store.db import Statement, Store
from orchestratord.tmux.client import TmuxGone
from orchestratord.tmux.command import command as tmux_command
from orchestratord.tmux.command import quote, target
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor

log = Log("shell")

TAIL = 1 << 20
"""Bytes of kept output in which a later daemon looks for the last prompt."""

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
        self._store = store
        self._bus = bus
        self._environment = environment
        self._shells: dict[str, Shell] = {}
        self._taps: dict[str, Callable[[], None]] = {}
        self._lives: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unlisten: Callable[[], None] = lambda: None
        panes.creation.dress = self._dress
        panes.view.shell_of = self.look

    async def start(self) -> None:
        """Find the shells that live and the runs that had not ended."""
        self.integration.open()
        self.integration.clear_strangers(set(self.panes.registry.panes))
        self._unlisten = self._bus.listen(self._heard)
        stored: list[Run] = []
        for (text,) in await self._store.query("SELECT record FROM execs"):
            run = msgspec.json.decode(text, type=Run)
            stored.append(run)
        for run in sorted(stored, key=lambda run: int(run.id[1:])):
            self._lives[run.id] = live = Live(run)
            if run.state == "finished":
                live.done.set()
        for pane in self.panes.registry.live_panes():
            if pane.exit is None:
                self._attach(pane)
        for live in list(self._lives.values()):
            if live.run.state != "finished" and live.run.pane not in self._shells:
                self._orphaned(live)

    async def stop(self) -> None:
        """Stop following; a later daemon goes on."""
        self._unlisten()
        for tap in self._taps.values():
            tap()
        for live in self._lives.values():
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
        run = Run(
            id=f"e{self._store.next_id('exec')}", pane=pane.id, incarnation=pane.incarnation,
            nonce=new_nonce(), created_at=rfc3339(self.clock.now()), wanted=wanted, owner=owner,
            command=command,
        )  # fmt: skip
        live = Live(run)
        live.waits_for_turn = queue
        shell = self._shells.get(pane.id)
        problem = self._lost(pane, shell)
        if problem is None and shell is not None:
            shell.submit(live, queue)
            self._lives[run.id] = live
            if run.state == "queued":
                await self._store.commit([run.statement()])
            return live
        if not (wanted.until or wanted.idle or wanted.sentinel):
            raise IntegrationLost(pane=pane.id, reason=problem or "it runs no shell of ours")
        await self._type(pane, shell, live)
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
            seen = self.panes.view.pane(pane)
            cwd = seen.cwd
            if run.state != "finished":
                front = seen.foreground
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

    def live(self, exec_id: str) -> Live:
        """Return a run by its id.

        Raises:
            ExecNotFound: There is none.
        """
        found = self._lives.get(exec_id)
        if found is None:
            raise ExecNotFound(exec=exec_id)
        return found

    def lives(self) -> list[Live]:
        """Return every run that is known, oldest first."""
        return list(self._lives.values())

    async def cancel(self, live: Live, number: int | None) -> None:
        """End a run; signal its program first unless no number is given."""
        if live.run.ended_by is not None:
            return
        pane = self.panes.registry.panes.get(live.run.pane)
        if number is not None and live.run.state == "running" and pane is not None:
            self.keyboard.signal(pane, number, spare_shell=number != signal.SIGINT)
        shell = self._shells.get(live.run.pane)
        if shell is None:
            self._orphaned(live)
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
        lost = self._lost(pane, shell) is not None
        age = self.clock.monotonic() - prompt.since
        return ShellLook(
            state=prompt.state, integration="lost" if lost else "active",
            seconds=round(age, 3), exec=current.run.id if current else None,
            command=current.line if current else None, queued=len(shell.queue),
        )  # fmt: skip

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

    async def began(self, live: Live) -> None:
        """Store that a run is about to be typed."""
        await self._store.commit([live.run.statement()], sync=False)

    async def running(self, live: Live) -> None:
        """Store that the shell has begun a run, and tell it, unless it has ended already."""
        if live.untold:
            live.untold = False
            await self._store.record([live.run.statement()], [self._started(live)])

    async def timed_out(self, live: Live, then: str) -> None:
        """Tell that a run takes longer than was wanted."""
        fact = ExecTimedOut(**self._about(live), exec=live.run.id, then=then)
        await self._store.record([], [fact])

    async def finished(self, live: Live) -> None:
        """Store how a run ended, and tell it.

        Nobody waits for that with the answer: if we die before, the next daemon finds the
        same end in the pane's output.
        """
        run = live.run
        facts: list[Fact] = []
        if live.untold and run.started_at is not None:
            live.untold = False
            facts.append(self._started(live))
        if run.ended_by is not None:
            facts.append(
                ExecFinished(
                    **self._about(live), exec=run.id, ended_by=run.ended_by,
                    exit_code=run.exit_code, duration=run.duration or 0.0,
                )
            )  # fmt: skip
        await self._store.record([run.statement(), *self._forget_oldest()], facts)

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
        for live in self._unfinished(pane.id):
            begun = Cursor.parse(live.run.begin or live.run.typed or "")
            at = min(at, begun) if begun is not None and begun.epoch == at.epoch else at
            shell.resume(live)
        self._taps[pane.id] = self.spool.listen(pane.id, shell.hear, at)

    def _unfinished(self, pane_id: str) -> list[Live]:
        return [
            live for live in self._lives.values()
            if live.run.pane == pane_id and live.run.state != "finished"
        ]  # fmt: skip

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.pane is None:
                continue
            pane = self.panes.registry.panes.get(event.pane)
            if event.kind in _BORN and pane is not None:
                self._born(pane)
            elif event.kind in _ENDED:
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
        shell = self._shells.pop(pane_id, None)
        stream = self.spool.get(pane_id)
        while shell is not None and stream is not None and stream.pump():
            pass  # the last marks are among the last bytes
        if (tap := self._taps.pop(pane_id, None)) is not None:
            tap()
        status = pane.exit.status if pane is not None and pane.exit is not None else None
        if shell is not None:
            shell.over("pane_exit", status)
        self.integration.forget(pane_id)

    def _orphaned(self, live: Live) -> None:
        """End a run whose pane has ended, or lost its integration, while nobody looked."""
        run = live.run
        run.state, run.ended_by, run.command = "finished", "pane_exit", None
        pane = self.panes.registry.panes.get(run.pane)
        run.exit_code = pane.exit.status if pane and pane.exit else None
        run.ended_at = rfc3339(self.clock.now())
        live.done.set()
        live.answer("pane_exit")
        self.spawn(self.finished(live))

    def _lost(self, pane: PaneRecord, shell: Shell | None) -> str | None:
        """Say why the pane's prompts are not ours to see; None if they are."""
        if shell is None:
            return "it runs no shell that we started"
        if shell.current is not None or shell.prompt.state in ("idle", "draft"):
            return None
        return reading.nested(
            pane, terminal(pane.place.tty), lambda pid: self.integration.started(pane.id, pid)
        )

    async def _type(self, pane: PaneRecord, shell: Shell | None, live: Live) -> None:
        """Type a command at something that prints no marks of ours."""
        if shell is None:
            shell = self._shells.get(pane.id) or Shell(self, pane, "sh")
            self._watch_typed(pane, shell)
        if shell.current is not None:
            raise PaneBusy(pane=pane.id, reason="busy", exec=shell.current.run.id)
        run = live.run
        run.way = "typed"
        stream = self.spool.get(pane.id)
        if stream is None:
            raise PaneExited(pane=pane.id)
        stream.look()
        seen = self.panes.view.pane(pane).foreground
        text = typed_text(run, seen.command if seen else "")
        shell.follow(live, stream.cursor)
        run.started_at = rfc3339(self.clock.now())
        self._lives[run.id] = live
        try:
            await self.running(live)
            await self.keyboard.text(pane, text, submit=True)
        except Fault:
            shell.cancel(live)
            raise

    def _watch_typed(self, pane: PaneRecord, shell: Shell) -> None:
        stream = self.spool.get(pane.id)
        if stream is not None and pane.id not in self._shells:
            self._shells[pane.id] = shell
            self._taps[pane.id] = self.spool.listen(pane.id, shell.hear, stream.cursor)

    def _about(self, live: Live) -> dict[str, Any]:
        pane = self.panes.registry.panes.get(live.run.pane)
        return {"session": pane.session if pane else None, "pane": live.run.pane}

    def _started(self, live: Live) -> Fact:
        return ExecStarted(**self._about(live), exec=live.run.id, size=live.size)

    def _forget_oldest(self) -> list[Statement]:
        ended = [live for live in self._lives.values() if live.run.state == "finished"]
        old = ended[: max(0, len(ended) - REMEMBERED)]
        for live in old:
            del self._lives[live.run.id]
        return [live.run.forgotten() for live in old]


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
