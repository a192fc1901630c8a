"""Pipes on the loop: all bytes, in order, whatever the other side's pace; each end told once."""

import asyncio
import os
from collections.abc import Callable

import pytest

from orchestratord.tmux.pipe import Pipes


class Ends:
    """Pipes and the other side of them."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = 0
        self.theirs_in, writing = os.pipe()
        reading, self.theirs_out = os.pipe()
        self.pipes = Pipes(reading, writing, self._received, self._ended)

    def _received(self, data: bytes) -> None:
        self.received += data

    def _ended(self) -> None:
        self.ended += 1


@pytest.fixture
async def ends() -> Ends:
    return Ends()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def test_more_than_a_pipe_holds_arrives_whole_and_then_the_end(ends: Ends) -> None:
    sent = os.urandom(1_000_000)
    for at in range(0, len(sent), 77_777):
        ends.pipes.write(sent[at : at + 77_777])
    ends.pipes.finish()
    assert not ends.pipes.writable
    ends.pipes.write(b"too late")

    def read_all() -> bytes:
        with os.fdopen(ends.theirs_in, "rb") as reader:
            return reader.read()

    assert await asyncio.to_thread(read_all) == sent
    os.close(ends.theirs_out)
    await until(lambda: ends.ended)


async def test_what_comes_is_handed_on_and_its_end_is_told_once(ends: Ends) -> None:
    os.write(ends.theirs_out, b"hello")
    await until(lambda: ends.received == b"hello")
    os.close(ends.theirs_out)
    await until(lambda: ends.ended)
    ends.pipes.close()
    ends.pipes.close()
    assert ends.ended == 1 and os.read(ends.theirs_in, 10) == b""
    os.close(ends.theirs_in)


async def test_a_reader_that_is_gone_is_no_error_to_the_writer(ends: Ends) -> None:
    ends.pipes.write(b"x" * 1_000_000)
    os.close(ends.theirs_in)
    await until(lambda: not ends.pipes.writable)
    ends.pipes.write(b"more")
    os.close(ends.theirs_out)
    await until(lambda: ends.ended)
    ends.pipes.close()


async def test_closed_pipes_say_nothing_more(ends: Ends) -> None:
    ends.pipes.write(b"x" * 1_000_000)
    os.write(ends.theirs_out, b"unread")
    ends.pipes.close()
    os.close(ends.theirs_out)
    await asyncio.sleep(0)
    assert (ends.received, ends.ended) == (b"", 0)
    os.close(ends.theirs_in)
