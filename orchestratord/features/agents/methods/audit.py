"""audit.*: what was changed, and what was denied, by whom."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.agents.audit import Audit
from orchestratord.features.agents.methods.agent import AgentName
from orchestratord.features.agents.model import AuditEntry, Verified
from orchestratord.model import Empty, Params
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import ScopeMissing

COLUMNS = ("seq", "at", "uid", "pid", "agent", "pane", "method", "thing", "result", "size")


class ListAudit(Params, frozen=True, kw_only=True):
    """Parameters of audit.list."""

    since: (
        Annotated[int, Meta(ge=0, description="Only entries after this number, from the oldest.")]
        | None
    ) = None
    agent: Annotated[AgentName | None, Meta(description="Only this agent's calls.")] = None
    method: Annotated[str, Meta(max_length=80, description="Only calls of this one.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=5000, description="Entries in the answer at most.")] = 200


@method("audit.list", cli=Cli(forms=((), ("agent",)), columns=COLUMNS))
async def list_(audit: Audit, params: ListAudit, call: Call) -> list[AuditEntry]:
    """List calls that changed something or were denied, the oldest first.

    An agent sees its own; those of others need the scope admin.
    """
    who = call.principal
    agent = params.agent
    if not who.has("admin"):
        if agent not in (None, who.agent):
            raise ScopeMissing(who=who.owner, needs="admin")
        agent = who.agent
    return await audit.entries(
        since=params.since, agent=agent, method=params.method, limit=params.limit
    )


@method("audit.verify", needs="admin", deadline=300)
async def verify(audit: Audit, params: Empty) -> Verified:
    """Follow the chain of hashes through all entries."""
    return await audit.verify()
