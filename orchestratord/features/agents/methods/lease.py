"""lease.*: the exclusive right to type into a pane."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.agents.fault import LeaseNotFound
from orchestratord.features.agents.leases import LONGEST, Leases
from orchestratord.features.agents.model import Lease
from orchestratord.features.panes.fault import LeaseHeld
from orchestratord.features.panes.methods.pane import ABOUT_LIVING, ONE_PANE, OnePane
from orchestratord.model import PaneRef, Params
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import NotOwner

COLUMNS = ("lease", "pane", "holder", "fence", "seconds", "waiting")
LONGEST_WAIT = 600

Ttl = Annotated[
    float, Meta(gt=0, le=LONGEST, description="Seconds after which it ends unless it is renewed.")
]
LeaseId = Annotated[str, Meta(max_length=40, description="A lease, such as l7.")]


class AcquireLease(OnePane, frozen=True, kw_only=True):
    """Parameters of lease.acquire."""

    ttl: Ttl = 30.0
    wait: Annotated[
        float,
        Meta(ge=0, le=LONGEST_WAIT, description="Seconds to wait in line if another has it."),
    ] = 0.0


@method(
    "lease.acquire",
    mutates=True,
    errors=(*ABOUT_LIVING, LeaseHeld),
    cli=Cli(forms=(("pane",), ("pane", "ttl"))),
    deadline=LONGEST_WAIT + 10,
)
async def acquire(leases: Leases, params: AcquireLease, call: Call) -> Lease:
    """Take the exclusive right to type into a pane; those who wait get it in their order.

    An agent may type from then on. A user's programs cannot be told apart: they name the
    fence (pane.send --fence), which also refuses the input of one that has lost the lease.
    """
    pane = leases.pane(params.pane, params.session)
    lease = await leases.acquire(pane, call.principal, params.ttl, params.wait)
    return leases.show(lease)


class RenewLease(Params, frozen=True, kw_only=True):
    """Parameters of lease.renew."""

    lease: LeaseId
    ttl: Ttl | None = None


@method(
    "lease.renew",
    needs="nothing",
    mutates=True,
    errors=(LeaseNotFound, NotOwner),
    cli=Cli(forms=(("lease",), ("lease", "ttl"))),
)
async def renew(leases: Leases, params: RenewLease, call: Call) -> Lease:
    """Let a lease last for its ttl from now on."""
    return leases.show(await leases.renew(params.lease, call.principal, params.ttl))


class ReleaseLease(Params, frozen=True, kw_only=True):
    """Parameters of lease.release."""

    lease: LeaseId


@method(
    "lease.release",
    needs="nothing",
    mutates=True,
    errors=(LeaseNotFound, NotOwner),
    cli=Cli(forms=(("lease",),)),
)
async def release(leases: Leases, params: ReleaseLease, call: Call) -> Lease:
    """Give a lease back; whoever has waited longest gets one."""
    return leases.show(await leases.release(params.lease, call.principal))


class ListLeases(Params, frozen=True, kw_only=True):
    """Parameters of lease.list."""

    pane: PaneRef | None = None


@method("lease.list", errors=ABOUT_LIVING, cli=Cli(forms=((), ("pane",)), columns=COLUMNS))
def list_(leases: Leases, params: ListLeases) -> list[Lease]:
    """List the leases that hold."""
    pane = leases.pane(params.pane).id if params.pane is not None else None
    return [leases.show(lease) for lease in leases.listed() if pane in (None, lease.pane)]


@method(
    "lease.break",
    mutates=True,
    errors=(*ABOUT_LIVING, LeaseNotFound),
    cli=Cli(forms=ONE_PANE),
)
async def break_(leases: Leases, params: OnePane, call: Call) -> Lease:
    """Take a pane's lease from its holder, who is told by an event; for owners and admins."""
    pane = leases.pane(params.pane, params.session)
    return leases.show(await leases.break_(pane, call.principal))
