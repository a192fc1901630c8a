"""Every method for every set of scopes, on one's own things and on others', one by one and batched.

What must come of each call follows from what its method says that it needs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from agents_bed import AgentClient, agent
from agents_matrix import CASES, Case, Things
from living import PATIENCE, Daemon

from orchestratord.catalogue import method_modules
from orchestratord.rpc.builtin import complete
from orchestratord.rpc.method import Method, Table
from orchestratord.rpc.principal import BUNDLES, EVERYTHING, Scope

DENIALS = ("ScopeMissing", "NotOwner")
TABLE = complete(Table.collect(method_modules()))
SETS: dict[str, frozenset[Scope]] = {
    **{scope.replace(":", "-").replace(".", "-"): frozenset({scope}) for scope in EVERYTHING},
    **BUNDLES,
    "none": frozenset(),
}
_PAIRS: dict[str, tuple[Scope, Scope]] = {
    "read": ("read:own", "read:all"),
    "input": ("input:own", "input:any"),
    "create": ("input:own", "input:any"),
    "kill": ("kill:own", "kill:any"),
}


def test_the_matrix_has_every_method_of_the_table() -> None:
    assert CASES.keys() == TABLE.keys()


class Cell(NamedTuple):
    """A call, and the kind by which it must be denied, None if it must not be."""

    method: str
    params: dict[str, Any]
    own: bool
    verdict: str | None


def expected(entry: Method, case: Case, scopes: frozenset[Scope], own: bool) -> str | None:
    """Say by which kind a call must be denied, None if it must not be."""
    own_scope, every = _PAIRS.get(entry.needs, ("admin", "admin"))
    first = {"create": {"create"}, "nothing": set()}.get(entry.needs, {own_scope, every})
    if first and not scopes & first:
        return "ScopeMissing"
    if any(not field and scope not in scopes for field, scope in entry.conditions):
        return "ScopeMissing"
    if not case.touches:
        return None
    if entry.needs in _PAIRS and every not in scopes:
        if not own:
            return "NotOwner"
        if own_scope not in scopes:
            return "ScopeMissing"
    if case.own_or_admin and not own and "admin" not in scopes:
        return "NotOwner"
    return None


async def things(daemon: Daemon, owner: AgentClient | None, other: str) -> Things:
    """Make one thing of each kind for an agent, or for the user."""
    name = owner.name if owner else other
    session = await daemon.call("session.create", name=f"S{name}", shell="sh")
    pane = session["pane"]["id"]
    run = await daemon.call("pane.exec", pane=pane, command="true", wait=False)
    if owner is not None:
        await daemon.call("pane.give", pane=pane, to=owner.name)
    sent = await daemon.call("pane.send", pane=pane, text="")
    ids = session["id"], session["pane"]["window"], pane, run["exec"], sent["delivery"]
    made = Things(*ids, *[None] * 3, name)
    if owner is not None and not {"read:own", "read:all"} & {*owner.record["scopes"]}:
        return made
    call = owner.call if owner is not None else daemon.call
    emit = {"patterns": [{"pattern": "never"}], "actions": [{"do": "emit"}]}
    asked = await call("decision.ask", question="Who?", options=["a", "b"])
    watch = await call("watch.create", panes={"ids": [pane]}, **emit)
    wait = await call("pane.wait", pane=pane, exit=True, timeout=600, detach=True)
    return made._replace(decision=asked["id"], watch=watch["id"], wait=wait["wait"])


async def kinds(
    client: AgentClient, calls: list[tuple[str, dict[str, Any]]], *, at_once: bool
) -> list[str | None]:
    """Return the kinds of the errors of many calls, sent as one batch or as requests."""
    reader, writer = await asyncio.open_unix_connection(client.client.path, limit=1 << 26)
    requests = [
        {"jsonrpc": "2.0", "id": number, "method": m, "params": {"token": client.token} | p}
        for number, (m, p) in enumerate(calls)
    ]
    try:
        if at_once:
            writer.write(json.dumps(requests).encode() + b"\n")
        else:
            writer.writelines(json.dumps(request).encode() + b"\n" for request in requests)
        answers: dict[int, Any] = {}
        async with asyncio.timeout(PATIENCE):
            while len(answers) < len(calls):
                line = json.loads(await reader.readline())
                for answer in line if isinstance(line, list) else [line]:
                    if "id" in answer:
                        answers[answer["id"]] = answer
    finally:
        writer.close()
    return [
        answers[n]["error"]["data"]["kind"] if "error" in answers[n] else None
        for n in range(len(calls))
    ]


def cells(scopes: frozenset[Scope], own: Things, others: Things) -> Iterator[Cell]:
    """Yield every method, on one's own things and on others', with what must come of it."""
    for method, case in CASES.items():
        for things_, is_own in ((own, True), (others, False)):
            params = case.params(things_)
            verdict = expected(TABLE[method], case, scopes, is_own)
            if None not in params.values() and not (case.deadly and verdict is None):
                yield Cell(method, params, is_own, verdict)


async def test_scopes_and_ownership_hold_on_every_method(daemon: Daemon) -> None:
    await daemon.call("session.create", name="taken", shell="sh")
    await agent(daemon, "taken")
    await agent(daemon, "other")
    others = await things(daemon, None, "other")
    wrong: list[str] = []
    for name, scopes in SETS.items():
        one = await agent(daemon, name, scopes=sorted(scopes))
        tried = [*cells(scopes, await things(daemon, one, ""), others)]
        calls = [(cell.method, cell.params) for cell in tried]
        for at_once in (True, False):
            for cell, kind in zip(tried, await kinds(one, calls, at_once=at_once), strict=True):
                if (kind if kind in DENIALS else None) != cell.verdict:
                    wrong.append(f"{name}: {cell} got {kind}")
    assert not wrong, "\n".join(wrong)
