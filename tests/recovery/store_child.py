"""A process with a store, for tests that kill it, starve it or take its disk away.

``serve DIR``: one command a line on standard input, ``ID commit|lax|record|query
[TEXT]``; answers ``ID ok SEQ`` or ``ID Kind`` a line, as they come.

``storm DIR``: commits as fast as it can from many tasks, and writes one line
``SEQ TEXT PANE`` for each acknowledged change, until it is killed.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from orchestratord.clock import SystemClock
from orchestratord.errors import Fault
from orchestratord.events import Bus, Fact
from orchestratord.store.db import Retention, Statement, Store
from orchestratord.store.migrate import Migration, collect

STEPS = (
    *collect(["orchestratord.store"]),
    Migration(
        9001, "notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE) STRICT;"
    ),
)
COMMITTERS = 20


class NoteMade(Fact, frozen=True, kw_only=True):
    text: str = ""


def insert(text: str) -> Statement:
    return Statement("INSERT INTO notes (text) VALUES (?)", (text,))


def raise_it(error: Exception) -> None:
    raise error


async def open_store(directory: Path, **options: object) -> Store:
    settings = {"clock": SystemClock(), "bus": Bus(raise_it)} | options
    return await Store.open(directory, STEPS, **settings)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def serve(store: Store) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    say("0 ready")

    async def obey(number: str, verb: str, text: str) -> None:
        change = ([insert(text)], [NoteMade(text=text)])
        try:
            if verb == "query":
                answer = str(len(await store.query("SELECT text FROM notes")))
            elif verb == "record":
                answer = str((await store.record(*change))[0].seq)
            else:
                answer = str((await store.commit(*change, sync=verb == "commit"))[0].seq)
        except (Fault, sqlite3.Error) as error:
            say(f"{number} {type(error).__name__}")
        else:
            say(f"{number} ok {answer}")

    running = set()
    while line := await commands.readline():
        number, verb, text = line.decode().split(maxsplit=2)
        running.add(asyncio.create_task(obey(number, verb, text.strip())))
    await asyncio.gather(*running)
    await store.close()


async def storm(store: Store) -> None:
    tag = store.journal.head

    async def commit(worker: int) -> None:
        for n in range(10**9):
            text = f"{tag}-{worker}-{n}"
            if n % 7 == 3:  # a change that is refused uses no number
                bad = [insert(text), Statement("INSERT INTO nowhere VALUES (1)")]
                try:
                    await store.commit(bad, [NoteMade(text="refused")])
                except sqlite3.OperationalError:
                    continue
            pane = store.next_id("pane")
            events = await store.commit(
                [insert(text)], [NoteMade(text=text), NoteMade(text=text)], sync=n % 5 != 0
            )
            say(f"{events[0].seq} {text} {pane}")

    await asyncio.gather(*(commit(worker) for worker in range(COMMITTERS)))


async def main(mode: str, directory: str) -> None:
    small = Retention(events=2000, every=0.05, backup_every=0.2)
    if mode == "serve":
        await serve(await open_store(Path(directory), busy_timeout=0.3))
    else:
        await storm(await open_store(Path(directory), retention=small))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
