"""``orchctl advisor``: follows the daemon, has each open decision answered, and says so.

With a key Claude answers; without one a person at the terminal does. What
cannot be answered is left to its default, and said so.
"""

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchctl.advisor.asked import Asked, Wanted
from orchctl.advisor.budget import Budget
from orchctl.advisor.follow import AGAIN, Follower, passing
from orchctl.advisor.person import Person
from orchctl.advisor.prompt import Structure
from orchctl.advisor.report import Report
from orchctl.aio import Client, RpcError
from orchctl.cli import Invocation
from orchctl.wire import usage

if TYPE_CHECKING:
    from orchctl.advisor.claude import Claude

MODEL = "claude-sonnet-5-5"
MAX_TOKENS = 4096
"""A model's thinking counts too, of which a decision needs little."""

SECONDS = 60.0
AT_ONCE = 4
"""Decisions that are being asked about at a time."""


@dataclass(frozen=True)
class Settings:
    """What the flags say."""

    wanted: Wanted = field(default_factory=Wanted)
    base_url: str | None = None
    model: str = MODEL
    max_tokens: int = MAX_TOKENS
    effort: str | None = None
    structure: Structure = "schema"
    budget: int | None = None
    seconds: float = SECONDS
    dry: bool = False
    once: bool = False

    @classmethod
    def read(cls, params: dict[str, Any]) -> "Settings":
        """Take the flags of the command; raises the usage error."""
        structure = params.get("structure", "schema")
        if structure not in ("schema", "tool"):
            raise usage(f"there is no structure {structure}", "schema or tool")
        for name in ("max_tokens", "budget", "timeout"):
            if params.get(name, 1) <= 0:
                raise usage(f"{name} must be above 0")
        return cls(
            wanted=Wanted(params.get("session"), params.get("label")),
            base_url=params.get("base_url"),
            model=params.get("model", MODEL),
            max_tokens=params.get("max_tokens", MAX_TOKENS),
            effort=params.get("effort"),
            structure=structure,
            budget=params.get("budget"),
            seconds=params.get("timeout", SECONDS),
            dry=bool(params.get("dry_run")),
            once=bool(params.get("once")),
        )


def main(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Run until Ctrl-C, or with ``--once`` until what is open now is done.

    With ``--once`` the exit status is 1 if anything was left open.
    """
    settings = Settings.read(params)
    report = Report(invocation.json, invocation.quiet)
    key = read_key(params.get("key_file"), report)
    invocation.call("daemon.ping")  # starts a daemon, if that is wanted
    invocation.drop()
    return asyncio.run(advise(Client(invocation.socket), settings, key, report))


async def advise(client: Client, settings: Settings, key: str | None, report: Report) -> int:
    """Answer decisions; return the exit status. Cancelling it ends it in order."""
    async with client:
        if key is None:
            return await _by_person(client, settings, report)
        from orchctl.advisor.claude import Claude

        claude = Claude(
            key, base_url=settings.base_url, model=settings.model,
            max_tokens=settings.max_tokens, effort=settings.effort,
            structure=settings.structure, budget=Budget(settings.budget),
            seconds=settings.seconds,
        )  # fmt: skip
        try:
            return await _by_claude(client, settings, claude, report)
        finally:
            await claude.close()


async def _by_claude(client: Client, settings: Settings, claude: "Claude", report: Report) -> int:
    advisor = Advisor(client, claude, report, settings.dry)
    follower = Follower(client, settings.wanted, advisor, report.say)
    limit = "" if settings.budget is None else f", at most {settings.budget} tokens"
    report.say(f"{settings.model} answers{limit}")

    async def work() -> None:
        if not settings.once:
            await follower.run()
        await follower.take_stock()
        await advisor.idle()

    working = asyncio.create_task(work())
    try:
        await _first_of(working, advisor.failed)
    finally:
        working.cancel()
        await advisor.stop()
        await asyncio.gather(working, return_exceptions=True)
    return 1 if advisor.left else 0


async def _by_person(client: Client, settings: Settings, report: Report) -> int:
    interactive = os.isatty(0) and os.isatty(2)

    async def answer(asked: Asked, choice: str, reason: str) -> None:
        problem = None if settings.dry else await give(client, asked, choice, reason)
        if problem:
            report.say(problem)

    person = Person(report, answer, interactive)
    follower = Follower(client, settings.wanted, person, report.say)
    who = "a person answers here" if interactive else "decisions are only shown"
    report.say(f"no ANTHROPIC_API_KEY and no --key-file: {who}")
    if settings.once:
        await follower.take_stock()
    asking = asyncio.create_task(person.run(settings.once))
    following = asyncio.create_task(follower.run())
    try:
        await _first_of(asking, following)
    finally:
        for task in (asking, following):
            task.cancel()
        await asyncio.gather(asking, following, return_exceptions=True)
    return 0


async def _first_of(*futures: asyncio.Future[None]) -> None:
    """Return when one of them is done; raise what it raised."""
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()


class Advisor:
    """Has Claude answer what opens; a ``Listener`` of the follower.

    State: a task for each decision that is being answered. Nothing survives it:
    what is open when it starts is asked about. ``failed`` ends with what ended a
    task that should not have.
    """

    def __init__(self, client: Client, claude: "Claude", report: Report, dry: bool) -> None:
        self.left = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = client
        self._claude = claude
        self._report = report
        self._dry = dry
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._giving: set[str] = set()

    def opened(self, asked: Asked) -> None:
        task = asyncio.create_task(self._decide(asked), name=f"decision {asked.id}")
        self._tasks[asked.id] = task
        task.add_done_callback(lambda done: self._done(asked.id, done))

    def ended(self, decision: str, state: str) -> None:
        if decision in self._tasks and decision not in self._giving:  # else it was ourselves
            self._tasks[decision].cancel()
            self._report.ended(decision, state)

    async def idle(self) -> None:
        """Return once everything that was told is done."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def stop(self) -> None:
        """Give up what is under way; it stays open."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _decide(self, asked: Asked) -> None:
        async with self._slots:
            verdict = await self._claude.decide(asked)
        if verdict.choice is None:
            self._leave(asked, verdict.problem, verdict.tokens)
            return
        if not self._dry:
            self._giving.add(asked.id)
            problem = await give(self._client, asked, verdict.choice, verdict.reason)
            if problem:
                self._leave(asked, problem, verdict.tokens)
                return
        self._report.answered(asked, verdict, self._dry)

    def _done(self, decision: str, task: asyncio.Task[None]) -> None:
        del self._tasks[decision]
        self._giving.discard(decision)
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    def _leave(self, asked: Asked, problem: str, tokens: int) -> None:
        self.left += 1
        self._report.left(asked, problem, tokens)


async def give(client: Client, asked: Asked, choice: str, reason: str) -> str | None:
    """Answer a decision, over a restart of the daemon until the deadline; return the problem."""
    params = {"decision": asked.id, "choice": choice, "idempotency_key": secrets.token_hex(16)}
    if reason:
        params["reason"] = reason[:1000]
    while True:
        try:
            await client.call("decision.answer", **params)
            return None
        except RpcError as error:
            if not passing(error) or asked.seconds_left < 0:
                return f"{asked.id} was not answered: {error.message}"
        await asyncio.sleep(AGAIN)


def read_key(path: str | None, report: Report) -> str | None:
    """Return the key from the file, or from ``ANTHROPIC_API_KEY``, or None."""
    if path is None:
        return os.environ.get("ANTHROPIC_API_KEY", "").strip() or None
    try:
        mode = Path(path).stat().st_mode
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise usage(f"--key-file {path} cannot be read: {reason}") from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise usage(f"--key-file {path} holds no key")
    if mode & 0o077:
        report.say(f"{path} can be read by others; chmod 600 it")
    return key
