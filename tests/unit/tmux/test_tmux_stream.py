"""One pane's output in a file: cursors, listeners in turns, readers. No tmux is needed."""

import asyncio
import os

import pytest
from spool_place import Heard, Place, until

from orchestratord.tmux.process import read_stat
from orchestratord.tmux.stream import Cursor, Slice


async def test_a_listener_hears_every_byte_once_and_in_order(place: Place) -> None:
    heard = Heard()
    place.spool.expect("p1", 1, fresh=True)
    place.spool.listen("p1", heard, Cursor(1, 0))
    copier = place.copier("p1")
    sent = b"".join(b"%d\n" % n for n in range(300_000))
    await asyncio.to_thread(copier.write, sent)
    await until(lambda: len(heard.data) >= len(sent))
    assert heard.data == sent and heard.gaps == 0
    ends = [part.next for part in heard.slices]
    assert ends == sorted(ends) and ends[-1] == Cursor(1, len(sent))


async def test_the_first_output_is_told_even_if_it_was_there_before_the_file_was_seen(
    place: Place,
) -> None:
    heard = Heard()
    place.spool.expect("p1", 1, fresh=True)
    place.spool.listen("p1", heard, Cursor(1, 0))
    copier = place.copier("p1")
    copier.write(b"hello")
    while not copier.file.exists() or copier.file.stat().st_size < 5:
        pass  # the loop is not given a chance to look before it is all there
    await until(lambda: heard.data == b"hello")
    assert place.grown == ["p1"]


async def test_a_reader_who_looks_first_takes_nothing_from_the_listeners(place: Place) -> None:
    heard = Heard()
    spooled = place.spool.expect("p1", 1, fresh=True)
    place.spool.listen("p1", heard, Cursor(1, 0))
    copier = place.copier("p1")
    copier.write(b"one")
    await until(lambda: heard.data == b"one")
    copier.write(b"two")
    while spooled.end < 6:
        spooled.look()
    await until(lambda: heard.data == b"onetwo")


async def test_a_listener_may_begin_anywhere_and_end_itself(place: Place) -> None:
    place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    copier.write(b"x" * 900_000)
    calls: list[Slice] = []

    def once(part: Slice) -> None:
        calls.append(part)
        silence()

    stream_ = place.spool.get("p1")
    assert stream_ is not None
    await until(lambda: stream_.end == 900_000)
    silence = lambda: None  # noqa: E731  (the listener may be called before it is known)
    silence = place.spool.listen("p1", once, stream_.cursor)
    copier.write(b"y" * 900_000)
    await until(lambda: stream_.end == 1_800_000)
    later = Heard()
    place.spool.listen("p1", later, Cursor(1, 1_799_990))
    await until(lambda: later.data == b"y" * 10)
    assert len(calls) == 1 and set(calls[0].data) == {ord("y")}


async def test_a_follower_at_its_own_pace_gets_everything_and_ends_with_the_pane(
    place: Place,
) -> None:
    place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")

    async def follow() -> bytes:
        out = b""
        async for part in place.spool.follow("p1", Cursor(1, 0)):
            assert not part.gap
            out += part.data
            for _ in range(20):
                await asyncio.sleep(0)
        return out

    following = asyncio.create_task(follow())
    sent = os.urandom(2_000_000)
    await asyncio.to_thread(copier.write, sent)
    stream_ = place.spool.get("p1")
    assert stream_ is not None
    await until(lambda: stream_.end == len(sent))
    place.spool.finish("p1")
    assert await following == sent


@pytest.mark.parametrize(
    ("since", "data", "gap"),
    [
        (Cursor(1, 0), b"0123456789", False),
        (Cursor(1, 4), b"456789", False),
        (Cursor(1, 10), b"", False),
        (Cursor(1, 11), b"", True),
        (Cursor(0, 3), b"0123456789", True),
        (Cursor(2, 0), b"", True),
    ],
)
async def test_a_read_begins_at_its_cursor_or_says_that_it_cannot(
    place: Place, since: Cursor, data: bytes, gap: bool
) -> None:
    stream_ = place.spool.expect("p1", 1, fresh=True)
    place.copier("p1").write(b"0123456789")
    await until(lambda: stream_.end == 10)
    assert stream_.read(since, 100) == Slice(data, Cursor(1, 10), gap)


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", ".1", "1.-1", "1.2.3", "a.b", "1." + "9" * 60]
)
def test_what_is_no_cursor_is_not_taken_for_one(text: str) -> None:
    assert Cursor.parse(text) is None


def test_a_cursor_reads_as_it_was_written() -> None:
    assert Cursor.parse(str(Cursor(3, 4711))) == Cursor(3, 4711)


async def test_cursors_and_times_outlive_the_daemon(place: Place) -> None:
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    copier.write(b"before ")
    await until(lambda: stream_.end == 7)
    cursor, timed = stream_.cursor, stream_.timed()
    place.spool.stop()
    copier.write(b"meanwhile ")
    await until(lambda: copier.file.stat().st_size == 17)
    place.begin()
    stream_ = place.spool.expect("p1", 1)
    assert stream_.end == 17 and stream_.copier_alive() and place.broken == []
    assert stream_.timed()[0][0] == timed[0][0]
    assert b"".join(data for _, data in stream_.timed()) == b"before meanwhile "
    assert abs((stream_.last_output or 0) - copier.file.stat().st_mtime) < 0.001
    heard = Heard()
    place.spool.listen("p1", heard, cursor)
    copier.write(b"after")
    await until(lambda: heard.data == b"meanwhile after")
    assert heard.gaps == 0


async def test_files_of_panes_that_nobody_knows_are_deleted(place: Place) -> None:
    place.spool.stop()
    for name in ("p1.1.77", "p1.1.pid", "p2.3.78", "p2.3.times", "stray"):
        (place.directory / name).write_bytes(b"x")
    place.begin()
    place.spool.clear_strangers({"p2"})
    assert sorted(f.name for f in place.directory.iterdir()) == ["p2.3.78", "p2.3.times"]
    place.spool.expect("p2", 3)
    place.spool.forget("p2")
    assert list(place.directory.iterdir()) == []
    assert place.spool.get("p2") is None


async def test_a_forgotten_pane_leaves_no_file_of_any_epoch(place: Place) -> None:
    for epoch in (1, 2):
        stream_ = place.spool.expect("p1", epoch, fresh=True)
        copier = place.copier("p1", epoch)
        copier.write(b"x")
        await until(lambda stream_=stream_: stream_.end == 1)
        place.spool.note("p1", epoch).write_text("1")
    place.copier("p12").write(b"x")
    await until(lambda: len(place.noted) == 2 and len(list(place.directory.iterdir())) == 6)
    place.spool.forget("p1")
    assert [f.name.partition(".")[0] for f in place.directory.iterdir()] == ["p12"]


async def test_a_directory_that_is_gone_does_not_stop_the_stopping(place: Place) -> None:
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    copier.write(b"x")
    await until(lambda: stream_.end == 1)
    for file in place.directory.iterdir():
        file.unlink()
    place.directory.rmdir()
    place.spool.stop()
    place.directory.mkdir()
    place.begin()
    assert read_stat(copier.pid) is not None


async def test_a_stream_that_is_not_open_yet_waits_and_reads_nothing(place: Place) -> None:
    stream_ = place.spool.expect("p1", 1, fresh=True)
    opening = asyncio.create_task(stream_.opened())
    await asyncio.sleep(0)
    assert not opening.done() and stream_.idle() and not stream_.copier_alive()
    assert stream_.read(Cursor(1, 0), 10) == Slice(b"", Cursor(1, 0), False)
    assert stream_.tail(10) == b"" and stream_.timed() == []
    place.copier("p1")
    await asyncio.wait_for(opening, 60)
