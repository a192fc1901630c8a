"""A table and a fact for tests of the store."""

from orchestratord.events import Fact
from orchestratord.store.db import Statement
from orchestratord.store.migrate import Migration, collect

STEPS = (
    *collect(["orchestratord.store"]),
    Migration(
        9001, "notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE) STRICT;"
    ),
)


class NoteMade(Fact, frozen=True, kw_only=True):
    text: str = ""


def insert(text: str) -> Statement:
    return Statement("INSERT INTO notes (text) VALUES (?)", (text,))


def failing_listener(error: Exception) -> None:
    raise error
