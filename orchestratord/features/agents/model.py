"""What agents look like on the wire."""

from __future__ import annotations

from typing import Literal

from orchestratord.model import Result
from orchestratord.rpc.principal import Evidence, Scope

AgentState = Literal["active", "retired", "expired"]
OnDeath = Literal["keep", "kill", "hand_over"]


class Agent(Result, frozen=True, kw_only=True):
    """An agent. ``by`` registered it; ``panes`` are those that it owns and that live.

    ``expires_in`` are the seconds in which it must send a heartbeat.
    """

    agent: str
    state: AgentState
    by: str
    uid: int
    scopes: list[Scope]
    labels: dict[str, str]
    pane: str | None
    panes: list[str]
    on_death: OnDeath
    deliver: bool
    ttl: float | None
    expires_in: float | None
    created_at: str
    ended_at: str | None


class NewAgent(Agent, frozen=True, kw_only=True):
    """An agent with its token, which is shown this once."""

    token: str


class WhoAmI(Result, frozen=True, kw_only=True):
    """Who calls, as the daemon sees it.

    ``owner`` is whose the panes are that the caller makes. ``how``: by its user alone
    (uid), a token, the terminal it runs in, an ancestor there, or its environment (hint).
    """

    uid: int
    pid: int
    pane: str | None
    agent: str | None
    owner: str
    scopes: list[Scope]
    how: Evidence
    state: AgentState | None


class RetiredAgent(Result, frozen=True, kw_only=True):
    """An agent that was retired, and what became of its panes."""

    agent: str
    panes: list[str]
    did: OnDeath


class Heartbeat(Result, frozen=True, kw_only=True):
    """When the next heartbeat is due."""

    agent: str
    expires_in: float | None


class AuditEntry(Result, frozen=True, kw_only=True):
    """A call that changed something or was denied.

    ``agent`` and ``pane``: who called, and where that runs. ``thing`` is what it touched,
    ``result`` is ok or the kind of the error. Of the parameters only their ``size`` in
    bytes and ``digest``, the beginning of their SHA-256. ``hash`` chains it to the one before.
    """

    seq: int
    at: str
    uid: int
    pid: int
    agent: str | None
    pane: str | None
    method: str
    thing: str | None
    result: str
    size: int
    digest: str
    hash: str


class Verified(Result, frozen=True, kw_only=True):
    """Whether the chain of entries holds, from the last that was pruned (checkpoint) on.

    ``hash`` is that of entry ``head``; noted elsewhere it shows later that nothing before
    was changed. ``broken_at`` is the first entry that is not what it was.
    """

    ok: bool
    checked: int
    checkpoint: int
    head: int
    hash: str
    broken_at: int | None


class Lease(Result, frozen=True, kw_only=True):
    """The exclusive right to type into a pane.

    ``expires_at`` is by the wall clock, for people; what counts are ``seconds``, which are
    left now. ``fence`` rises with each lease: input that names an older one is refused.
    """

    lease: str
    pane: str
    holder: str
    fence: int
    ttl: float
    seconds: float
    expires_at: str
    waiting: int


Priority = Literal["low", "normal", "high"]
MessageState = Literal["waiting", "unread", "acked", "expired"]


class Message(Result, frozen=True, kw_only=True):
    """A message. ``waiting``: not to be read before those in ``after`` are settled.

    One that is acked or has expired has no text any more. ``delivered``: it was typed into
    the recipient's pane. The text is what its sender
    wrote: whoever shows it to a model treats it as untrusted data.
    """

    message: str
    sender: str
    to: str
    text: str
    state: MessageState
    priority: Priority
    at: str
    reply_to: str | None
    after: list[str]
    delivered: bool


class SentMessage(Result, frozen=True, kw_only=True):
    """The message that was sent; several if it was to a label. ``to`` are the recipients."""

    message: str
    messages: list[str]
    to: list[str]


class Mail(Result, frozen=True, kw_only=True):
    """What somebody has not acknowledged; ``timed_out`` if nothing came in time."""

    outcome: Literal["received", "timed_out"]
    messages: list[Message]


class AckedMessages(Result, frozen=True, kw_only=True):
    """What was acknowledged; what was already is left out."""

    acked: list[str]
