"""A message as it is kept, and the mailboxes in memory. No I/O.

Fields may be added with a default, never renamed: old rows must still load. What was
acknowledged or has expired keeps its number, so that others can come after it, and
loses its text.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestratord.features.agents.fault import MailboxFull, MessageNotFound
from orchestratord.features.agents.model import Message, MessageState, Priority
from orchestratord.store.db import Statement

MOST = 1000
"""Messages in one mailbox that were not acknowledged."""

MOST_BYTES = 32 << 20
"""Of all texts together; they are kept in memory."""

REMEMBERED = 10_000
"""Settled messages whose number is still known; the oldest go first."""

_RANK = {"high": 0, "normal": 1, "low": 2}
_SAVE = "INSERT OR REPLACE INTO messages (id, recipient, record) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM messages WHERE id = ?"


class Letter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message. ``expires_at`` is a Unix time; ``settled`` says how it ended.

    ``delivered`` says that it was typed into its recipient's pane.
    """

    number: int
    sender: str
    to: str
    text: str
    at: str
    priority: Priority = "normal"
    expires_at: float | None = None
    reply_to: int | None = None
    after: tuple[int, ...] = ()
    settled: MessageState | None = None
    delivered: bool = False

    @property
    def id(self) -> str:
        """What it is called on the wire."""
        return f"m{self.number}"

    @property
    def size(self) -> int:
        """Bytes of its text."""
        return len(self.text.encode())

    def settle(self, how: MessageState) -> None:
        """End it; the text is not needed any more."""
        self.settled, self.text = how, ""


def save(letter: Letter) -> Statement:
    """Return the statement that writes a message as it is now."""
    return Statement(_SAVE, (letter.number, letter.to, msgspec.json.encode(letter).decode()))


def forget(letter: Letter) -> Statement:
    """Return the statement that deletes a message."""
    return Statement(_FORGET, (letter.number,))


class Mailboxes:
    """Every message that is known, by its number and by whom it is for."""

    def __init__(self) -> None:
        self._letters: dict[int, Letter] = {}
        self._boxes: dict[str, dict[int, Letter]] = {}
        self._bytes = 0

    def put(self, letter: Letter) -> None:
        """Know a message."""
        self._letters[letter.number] = letter
        if letter.settled is None:
            self._boxes.setdefault(letter.to, {})[letter.number] = letter
            self._bytes += letter.size

    def settle(self, letter: Letter, how: MessageState) -> None:
        """End a message, which makes those that come after it ready."""
        if letter.settled is None:
            self._bytes -= letter.size
            self._boxes[letter.to].pop(letter.number)
            letter.settle(how)

    def take_back(self, letter: Letter) -> None:
        """Know a message no longer that came to nothing."""
        del self._letters[letter.number]
        self._boxes[letter.to].pop(letter.number)
        self._bytes -= letter.size

    def check_room(self, to: Iterable[str], size: int) -> None:
        """Raise ``MailboxFull`` unless a text of that size fits into each of those mailboxes."""
        wanted = [*to]
        for owner in wanted:
            if len(self._boxes.get(owner, ())) >= MOST:
                raise MailboxFull(to=owner, limit=MOST, what="messages")
        if self._bytes + size * len(wanted) > MOST_BYTES:
            raise MailboxFull(to="everybody", limit=MOST_BYTES, what="bytes")

    def get(self, message: str) -> Letter:
        """Return the message of that id, also one that is settled.

        Raises:
            MessageNotFound: there is none.
        """
        digits = message.removeprefix("m")
        found = self._letters.get(int(digits)) if digits.isdecimal() and digits.isascii() else None
        if found is None or found.id != message:
            raise MessageNotFound(message=message[:40])
        return found

    def ready(self, letter: Letter) -> bool:
        """Whether everything that a message comes after is settled."""
        known = (self._letters.get(number) for number in letter.after)
        return all(before is None or before.settled is not None for before in known)

    def unread(self, owner: str, since: int = 0) -> list[Letter]:
        """Return what somebody has not acknowledged and may read, the most urgent first."""
        box = self._boxes.get(owner, {})
        found = [x for x in box.values() if x.number > since and self.ready(x)]
        return sorted(found, key=lambda x: (_RANK[x.priority], x.number))

    def undelivered(self, owner: str | None = None) -> list[Letter]:
        """Return what can be read and was not typed anywhere, of one recipient or of all."""
        owners = [*self._boxes] if owner is None else [owner]
        return [x for o in owners for x in self.unread(o) if not x.delivered]

    def all_of(self, owner: str) -> list[Letter]:
        """Return every message to somebody, the settled ones too, oldest first."""
        return [letter for letter in self._letters.values() if letter.to == owner]

    def open(self) -> list[Letter]:
        """Return what is not settled."""
        return [letter for box in self._boxes.values() for letter in box.values()]

    def forget_oldest(self) -> list[Letter]:
        """Forget settled messages beyond those that are remembered; return them."""
        settled = [letter for letter in self._letters.values() if letter.settled is not None]
        old = settled[: max(0, len(settled) - REMEMBERED)]
        for letter in old:
            del self._letters[letter.number]
        return old

    def show(self, letter: Letter) -> Message:
        """Return a message as the wire has it."""
        state = letter.settled or ("unread" if self.ready(letter) else "waiting")
        return Message(
            message=letter.id, sender=letter.sender, to=letter.to, text=letter.text,
            state=state, priority=letter.priority, at=letter.at,
            reply_to=f"m{letter.reply_to}" if letter.reply_to is not None else None,
            after=[f"m{number}" for number in letter.after], delivered=letter.delivered,
        )  # fmt: skip
