"""One pane's output in a file: cursors, gaps, listeners in turns, bounds. No tmux is needed."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestratord.clock import SystemClock
from orchestratord.tmux import inotify, stream
from orchestratord.tmux.process import read_stat
from orchestratord.tmux.spool import Spool
from orchestratord.tmux.stream import Cursor, Slice


class Copier:
    """A process that writes a pane's file, as the one behind tmux's pipe does."""

    def __init__(self, spool: Spool, pane: str, epoch: int = 1) -> None:
        prefix = spool.directory / f"{pane}.{epoch}."
        script = f"exec cat >>'{prefix}'$$"
        self.process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)
        self.file = Path(f"{prefix}{self.process.pid}")
        self.pid = self.process.pid

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Place:
    """A spool that is followed, its copiers, and what it told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.copiers: list[Copier] = []
        self.grown: list[str] = []
        self.broken: list[str] = []
        self.noted: list[tuple[str, int, int]] = []
        self.begin()

    def begin(self) -> None:
        """Start a new spool, as a new daemon does."""
        self.spool = Spool(self.directory, SystemClock())
        self.spool.on_grown = self.grown.append
        self.spool.on_broken = self.broken.append
        self.spool.on_noted = lambda *words: self.noted.append(words)
        self.spool.start()

    def copier(self, pane: str, epoch: int = 1) -> Copier:
        made = Copier(self.spool, pane, epoch)
        self.copiers.append(made)
        return made


@pytest.fixture
async def place(tmp_path: Path) -> "Iterator[Place]":  # type: ignore[misc]
    made = Place(tmp_path / "spool")
    yield made
    made.spool.stop()
    for copier in made.copiers:
        copier.end()


async def until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []

    def __call__(self, part: Slice) -> None:
        self.slices.append(part)

    @property
    def data(self) -> bytes:
        return b"".join(part.data for part in self.slices)

    @property
    def gaps(self) -> int:
        return sum(part.gap for part in self.slices)


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


@pytest.mark.parametrize("how", ["killed", "removed", "renamed"])
async def test_a_broken_pipe_is_told_once_what_came_before_is_heard_and_the_gap_shows(
    place: Place, how: str
) -> None:
    heard = Heard()
    place.spool.expect("p1", 1, fresh=True)
    place.spool.on_broken = lambda pane: (
        place.broken.append(pane), place.spool.expect(pane, 2, fresh=True), None
    )[2]  # fmt: skip
    place.spool.listen("p1", heard, Cursor(1, 0))
    copier = place.copier("p1")
    copier.write(b"before")
    await until(lambda: copier.file.exists() and copier.file.stat().st_size == 6)
    if how == "killed":
        copier.process.kill()
        copier.process.wait()
    elif how == "removed":
        copier.file.unlink()
    else:
        copier.file.rename(place.directory.parent / "elsewhere")
        copier.process.kill()
    await until(lambda: place.broken)
    if how == "killed":
        assert heard.data == b"before"
    place.copier("p1", 2).write(b"after")
    await until(lambda: heard.data.endswith(b"after"))
    assert place.broken == ["p1"] and heard.gaps == 1
    assert heard.slices[-1].next == Cursor(2, 5)


async def test_nobody_is_shown_any_part_of_a_mark(place: Place) -> None:
    heard = Heard()
    stream_ = place.spool.expect("p1", 1, fresh=True)
    place.spool.listen("p1", heard, Cursor(1, 0))
    copier = place.copier("p1")
    copier.write(b"before ")
    await until(lambda: heard.data == b"before ")
    there = stream_.await_mark(b"<mark>")
    size = 7
    for part in (b"last <ma", b"rk of another>", b"<", b"mark", b"> echo"):
        copier.write(part)
        size += len(part)
        await until(lambda size=size: there.done() or copier.file.stat().st_size == size)
        stream_.look()
    assert there.done()
    await until(lambda: heard.data == b"before last <mark of another>")
    assert stream_.cursor == Cursor(1, len(heard.data))
    copier.write(b"more of no interest")
    copier.end()
    await until(lambda: place.broken)
    assert stream_.cursor == Cursor(1, len(heard.data))


async def test_a_mark_that_never_comes_hides_nothing_for_good(place: Place) -> None:
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    copier.write(b"before ")
    await until(lambda: stream_.end == 7)
    stream_.await_mark(b"<mark>")
    copier.write(b"after")
    await until(lambda: copier.file.stat().st_size == 12)
    stream_.look()
    assert stream_.end == 7
    stream_.forgo_mark()
    stream_.look()
    assert stream_.tail(100) == b"before after"


async def test_a_stranger_with_the_pid_of_a_copier_is_left_alone(place: Place) -> None:
    stranger = subprocess.Popen(["sleep", "100"])
    try:
        before = resource.prlimit(stranger.pid, resource.RLIMIT_FSIZE)
        place.spool.stop()
        (place.directory / f"p1.1.{stranger.pid}").write_bytes(b"old output")
        place.begin()
        stream_ = place.spool.expect("p1", 1)
        assert stream_.read(Cursor(1, 0), 100).data == b"old output"
        assert place.broken == ["p1"] and not stream_.copier_alive() and stream_.idle()
        assert resource.prlimit(stranger.pid, resource.RLIMIT_FSIZE) == before
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_copier_gets_credit_while_somebody_watches(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CREDIT", 100_000)
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    for size in (1, 60_000, 120_000, 200_000):
        copier.write(b"x" * (size - stream_.end))
        await until(lambda size=size: stream_.end == size)
        soft, _ = resource.prlimit(copier.pid, resource.RLIMIT_FSIZE)
        assert size + 50_000 <= soft <= size + 100_000


async def test_the_oldest_bytes_are_freed_on_disk_and_show_as_a_gap(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP", 256 << 10)
    monkeypatch.setattr(stream, "PUNCH_STEP", 64 << 10)
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    for _ in range(64):
        want = stream_.end + (64 << 10)
        await asyncio.to_thread(copier.write, os.urandom(64 << 10))
        await until(lambda want=want: stream_.end == want)
    assert stream_.end == 4 << 20
    assert copier.file.stat().st_blocks * 512 <= (256 + 128) << 10
    found = stream_.read(Cursor(1, 0), 100)
    assert found.gap and found.next == Cursor(1, stream_.start + 100)
    assert (256 << 10) <= stream_.end - stream_.start <= (256 + 64) << 10
    kept = stream_.tail(1 << 20)
    place.spool.stop()
    place.begin()
    again = place.spool.expect("p1", 1)
    assert again.start == stream_.start and again.tail(1 << 20) == kept


async def test_a_slow_listener_keeps_its_bytes_until_the_credit_is_spent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP", 64 << 10)
    monkeypatch.setattr(stream, "PUNCH_STEP", 4 << 10)
    monkeypatch.setattr(stream, "CREDIT", 512 << 10)
    stream_ = place.spool.expect("p1", 1, fresh=True)
    copier = place.copier("p1")
    copier.write(b"x")
    await until(lambda: stream_.end == 1)
    stream_.taps.append(stream.Tap(lambda _: None, Cursor(1, 0)))
    monkeypatch.setattr(stream_, "pump", lambda: False)
    for want in range(128 << 10, 1025 << 10, 128 << 10):
        await asyncio.to_thread(copier.write, b"x" * (want - stream_.end))
        await until(lambda want=want: stream_.end == want)
        assert stream_.end - stream_.start <= 512 << 10
        assert (want > 512 << 10) or stream_.start == 0


async def test_a_lost_queue_of_changes_loses_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inotify.Inotify.read
    monkeypatch.setattr(inotify.Inotify, "read", lambda self: (real(self), None)[1])
    heard = [Heard() for _ in range(5)]
    copiers = []
    for number, listener in enumerate(heard, 1):
        place.spool.expect(f"p{number}", 1, fresh=True)
        place.spool.listen(f"p{number}", listener, Cursor(1, 0))
        copiers.append(place.copier(f"p{number}"))
        copiers[-1].write(b"to p%d" % number)
    await until(lambda: all(h.data == b"to p%d" % n for n, h in enumerate(heard, 1)))
    place.spool.note("p1", 1).write_text("4711\n")
    await until(lambda: ("p1", 1, 4711) in place.noted)
    copiers[1].end()
    await until(lambda: "p2" in place.broken)
    copiers[2].file.unlink()
    copiers[3].write(b"!")
    await until(lambda: "p3" in place.broken)
    assert set(place.broken) == {"p2", "p3"}


async def test_a_real_overflow_of_the_queue_is_seen_as_one(tmp_path: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip("the queue of this machine is too long to be filled in a test")
    watch = inotify.Inotify(tmp_path)
    with (
        (tmp_path / "a").open("wb", buffering=0) as a,
        (tmp_path / "b").open("wb", buffering=0) as b,
    ):
        for _ in range(most // 2 + 100):  # alternating, for equal events are merged
            a.write(b"x")
            b.write(b"x")
    overflowed = False
    while (changes := watch.read()) != {}:
        overflowed = overflowed or changes is None
    watch.close()
    assert overflowed


async def test_files_of_panes_that_nobody_knows_are_deleted(place: Place) -> None:
    for name in ("p1.1.77", "p1.1.pid", "p2.3.78", "p2.3.times", "stray"):
        (place.directory / name).write_bytes(b"x")
    place.spool.clear_strangers({"p2"})
    assert sorted(f.name for f in place.directory.iterdir()) == ["p2.3.78", "p2.3.times"]
    place.spool.expect("p2", 3)
    place.spool.forget("p2")
    assert list(place.directory.iterdir()) == []
    assert place.spool.get("p2") is None


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
