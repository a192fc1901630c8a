"""message.*: durable mailboxes between agents, and between agents and people."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orchestratord.features.agents.fault import (
    AgentNotFound,
    MailboxFull,
    MessageNotFound,
    NobodyThere,
)
from orchestratord.features.agents.messages import Messages
from orchestratord.features.agents.model import (
    AckedMessages,
    Mail,
    Message,
    Priority,
    SentMessage,
)
from orchestratord.features.agents.record import owner_name
from orchestratord.model import Params, Timeout
from orchestratord.rpc.meter import QuotaExceeded
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import Principal

COLUMNS = ("message", "sender", "text", "priority", "state", "at")
MONTH = 30 * 86400
LONGEST_TEXT = 65_536

MessageId = Annotated[str, Meta(max_length=40, description="A message, such as m7.")]
Whose = Annotated[
    str,
    Meta(
        pattern=r"^((agent:)?[A-Za-z][A-Za-z0-9_-]{0,63}|uid:[0-9]{1,10})$(?!\n)",
        description="Whose mailbox: an agent's name or uid:NUMBER; default: the caller's.",
    ),
]


class SendMessage(Params, frozen=True, kw_only=True):
    """Parameters of message.send."""

    to: Annotated[
        str,
        Meta(
            pattern=r"^((agent:)?[A-Za-z][A-Za-z0-9_-]{0,63}|uid:[0-9]{1,10}|label:[^\s=]{1,63}(=.{0,256})?)$(?!\n)",
            description="An agent's name, uid:NUMBER, or label:KEY or label:KEY=VALUE for every "
            "agent with that label but the caller",
        ),
    ]
    text: Annotated[
        str,
        Meta(
            min_length=1, max_length=LONGEST_TEXT,
            pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$(?!\n)",
            description="What to say: any text without control characters.",
        ),
    ]  # fmt: skip
    priority: Annotated[Priority, Meta(description="The more urgent are read first.")] = "normal"
    ttl: (
        Annotated[float, Meta(gt=0, le=MONTH, description="Seconds after which it expires unread.")]
        | None
    ) = None
    reply_to: Annotated[MessageId | None, Meta(description="The message that it answers.")] = None
    after: Annotated[
        list[MessageId],
        Meta(max_length=100, description="Messages that must be settled before it is shown."),
    ] = []


@method(
    "message.send",
    needs="read",
    mutates=True,
    errors=(AgentNotFound, NobodyThere, MessageNotFound, MailboxFull, QuotaExceeded),
    cli=Cli(forms=(("to", "text"),)),
)
async def send(messages: Messages, params: SendMessage, call: Call) -> SentMessage:
    """Put a message into a mailbox; it is on disk when this is answered."""
    sent = await messages.send(
        call.principal, params.to, params.text, priority=params.priority, ttl=params.ttl,
        reply_to=params.reply_to, after=params.after,
    )  # fmt: skip
    ids = [letter.id for letter in sent]
    return SentMessage(message=ids[0], messages=ids, to=[letter.to for letter in sent])


class ListMessages(Params, frozen=True, kw_only=True):
    """Parameters of message.list."""

    agent: Whose | None = None
    unread: Annotated[bool, Meta(description="Only what can be read now, the urgent first.")] = True
    since: Annotated[MessageId | None, Meta(description="Only messages after this one.")] = None


@method(
    "message.list",
    needs="nothing",
    errors=(MessageNotFound,),
    cli=Cli(forms=((), ("agent",)), columns=COLUMNS),
)
def list_(messages: Messages, params: ListMessages, call: Call) -> list[Message]:
    """List what is in the caller's mailbox; another's needs the scope admin."""
    owner = _mailbox(call.principal, params.agent)
    return messages.listed(owner, unread=params.unread, since=messages.number(params.since))


def _mailbox(principal: Principal, whose: str | None) -> str:
    owner = principal.owner
    if whose is not None:
        owner = whose if ":" in whose else owner_name(whose)
    if owner != principal.owner:
        principal.require("admin")
    return owner


class AckMessages(Params, frozen=True, kw_only=True):
    """Parameters of message.ack."""

    messages: Annotated[
        list[MessageId], Meta(min_length=1, max_length=1000, description="What was read.")
    ]


@method(
    "message.ack",
    needs="nothing",
    mutates=True,
    errors=(MessageNotFound,),
    cli=Cli(forms=(("messages...",),)),
)
async def ack(messages: Messages, params: AckMessages, call: Call) -> AckedMessages:
    """Acknowledge messages: they are shown no more, and what comes after them is."""
    return AckedMessages(acked=await messages.ack(call.principal, params.messages))


class AwaitMessages(Params, frozen=True, kw_only=True):
    """Parameters of message.wait."""

    timeout: Timeout = 60.0
    since: Annotated[MessageId | None, Meta(description="Only messages after this one.")] = None


@method(
    "message.wait",
    needs="nothing",
    errors=(MessageNotFound,),
    cli=Cli(forms=((), ("timeout",))),
)
async def wait(messages: Messages, params: AwaitMessages, call: Call) -> Mail:
    """Wait until there is something to read; at once if there is already."""
    since = messages.number(params.since)
    return await messages.wait(call.principal.owner, params.timeout, since)
