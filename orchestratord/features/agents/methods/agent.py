"""agent.*, pane.give: who agents are, and whose the panes are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, structs

from orchestratord.features.agents.fault import AgentEnded, AgentExists, AgentNotFound
from orchestratord.features.agents.model import (
    Agent,
    AgentState,
    Heartbeat,
    NewAgent,
    OnDeath,
    RetiredAgent,
    WhoAmI,
)
from orchestratord.features.agents.record import AgentRecord
from orchestratord.features.agents.service import Agents
from orchestratord.features.panes.fault import BadValue
from orchestratord.features.panes.methods.pane import ABOUT_LIVING, OnePane
from orchestratord.features.panes.model import Pane
from orchestratord.model import Empty, Labels, Name, PaneRef, Params
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import BUNDLES, EVERYTHING, NotOwner, Principal, Scope

COLUMNS = ("agent", "state", "by", "scopes", "pane", "panes", "expires_in", "created_at")

AgentName = Annotated[str, Meta(max_length=80, description="An agent's name.")]
Grant = Annotated[
    str,
    Meta(
        pattern=f"^({'|'.join([*BUNDLES, *(s.replace('.', '[.]') for s in sorted(EVERYTHING))])})$",
        description="A scope, or a bundle: observe sees everything, operate also works with its "
        "own panes, admin is everything",
    ),
]


class RegisterAgent(Params, frozen=True, kw_only=True):
    """Parameters of agent.register."""

    name: Name
    scopes: (
        Annotated[
            list[Grant],
            Meta(max_length=20, description="Scopes or bundles that the caller has; else operate."),
        ]
        | None
    ) = None
    ttl: (
        Annotated[
            float,
            Meta(gt=0, le=2_592_000, description="Seconds in which it must send a heartbeat."),
        ]
        | None
    ) = None
    on_death: Annotated[
        OnDeath,
        Meta(description="What becomes of its panes: kept, killed, or its registrar's."),
    ] = "keep"
    pane: (
        Annotated[
            PaneRef,
            Meta(description="The pane that it runs in: processes there are it, without a token."),
        ]
        | None
    ) = None
    deliver: Annotated[
        bool,
        Meta(description="Type its messages into its pane while a program there is idle."),
    ] = False
    labels: Labels = {}


@method(
    "agent.register",
    needs="create",
    mutates=True,
    errors=(AgentExists, QuotaExceeded, BadValue, *ABOUT_LIVING),
    cli=Cli(forms=(("name",), ("name", "scopes..."))),
)
async def register(agents: Agents, params: RegisterAgent, call: Call) -> NewAgent:
    """Register an agent; the answer has its token, which nobody can ask for again.

    A caller gives no more than it has. An agent that registers again under the name of
    one that has ended has that one's panes and messages.
    """
    pane = agents.pane(params.pane) if params.pane is not None else None
    if params.deliver and pane is None:
        raise BadValue(field="deliver", reason="name the pane that it runs in")
    scopes: set[Scope] = set()
    for grant in ["operate"] if params.scopes is None else params.scopes:
        scopes |= BUNDLES.get(grant, {grant})  # type: ignore[arg-type]  # the pattern says so
    agent, token = await agents.register(
        call.principal, params.name, scopes=scopes, ttl=params.ttl, on_death=params.on_death,
        pane=pane, deliver=params.deliver, labels=params.labels,
    )  # fmt: skip
    return NewAgent(**structs.asdict(agents.show(agent)), token=token)


class ListAgents(Params, frozen=True, kw_only=True):
    """Parameters of agent.list."""

    state: Annotated[AgentState, Meta(description="Only agents in this state.")] | None = None


@method("agent.list", cli=Cli(columns=COLUMNS))
def list_(agents: Agents, params: ListAgents, call: Call) -> list[Agent]:
    """List agents, also those that have ended lately."""
    return [
        agents.show(agent)
        for agent in agents.roll.all()
        if params.state in (None, agent.state) and _sees(call.principal, agent)
    ]


def _sees(principal: Principal, agent: AgentRecord) -> bool:
    return principal.has("read:all") or principal.owner in (agent.owner, agent.by)


class OneAgent(Params, frozen=True, kw_only=True):
    """Names an agent."""

    agent: AgentName


@method("agent.get", errors=(AgentNotFound,), cli=Cli(forms=(("agent",),)))
def get(agents: Agents, params: OneAgent, call: Call) -> Agent:
    """Show an agent, also one that has ended."""
    agent = agents.roll.get(params.agent)
    if not _sees(call.principal, agent):
        owner = call.principal.owner
        raise NotOwner(thing=agent.owner, owner=agent.by, who=owner, needs="read:all")
    return agents.show(agent)


@method("agent.whoami", needs="nothing")
def whoami(agents: Agents, params: Empty, call: Call) -> WhoAmI:
    """Tell who the caller is, what it may do, and how that was recognised."""
    who = call.principal
    known = agents.roll.find(who.agent) if who.agent is not None else None
    return WhoAmI(
        uid=who.uid, pid=who.pid, pane=who.pane, agent=who.agent, owner=who.owner,
        scopes=sorted(who.scopes), how=who.how, state=known.state if known else None,
    )  # fmt: skip


class BeatHeart(Params, frozen=True, kw_only=True):
    """Parameters of agent.heartbeat."""

    agent: Annotated[AgentName | None, Meta(description="Default: the agent that calls.")] = None


@method(
    "agent.heartbeat",
    needs="nothing",
    errors=(AgentNotFound, AgentEnded, NotOwner),
    cli=Cli(forms=((), ("agent",))),
)
def heartbeat(agents: Agents, params: BeatHeart, call: Call) -> Heartbeat:
    """Say that an agent lives; its ttl begins anew."""
    shown = agents.show(agents.heartbeat(call.principal, params.agent))
    return Heartbeat(agent=shown.agent, expires_in=shown.expires_in)


class RetireAgent(OneAgent, frozen=True, kw_only=True):
    """Parameters of agent.retire."""

    panes: (
        Annotated[
            OnDeath,
            Meta(description="What becomes of its panes; default: as it was registered."),
        ]
        | None
    ) = None


@method(
    "agent.retire",
    needs="nothing",
    mutates=True,
    errors=(AgentNotFound, AgentEnded, NotOwner),
    cli=Cli(forms=(("agent",),)),
    deadline=90,
)
async def retire(agents: Agents, params: RetireAgent, call: Call) -> RetiredAgent:
    """End an agent: its token and its leases are worth nothing from now on.

    An agent may retire itself, and those that it registered.
    """
    did, panes = await agents.retire(call.principal, params.agent, params.panes)
    return RetiredAgent(agent=params.agent, panes=panes, did=did)


class GivePane(OnePane, frozen=True, kw_only=True):
    """Parameters of pane.give."""

    to: Annotated[
        str,
        Meta(
            pattern=r"^((agent:)?[A-Za-z][A-Za-z0-9_-]{0,63}|uid:[0-9]{1,10})$(?!\n)",
            description="An agent's name, or uid:NUMBER.",
        ),
    ]


@method(
    "pane.give",
    mutates=True,
    errors=(*ABOUT_LIVING, AgentNotFound, AgentEnded),
    cli=Cli(forms=(("pane", "to"), ("session", "pane", "to"))),
)
async def give(agents: Agents, params: GivePane, call: Call) -> Pane:
    """Let a pane belong to somebody else; what runs in it has that one's rights."""
    pane = agents.pane(params.pane, params.session)
    await agents.give(call.principal, pane, params.to)
    return agents.shown(pane)
