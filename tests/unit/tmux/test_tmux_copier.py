"""Who writes a pane's file: breaks, marks, credit, strangers, and the space it may take."""

import asyncio
import os
import resource
import subprocess
from pathlib import Path

import pytest
from spool_place import Heard, Place, until

from orchestratord.tmux import inotify, stream
from orchestratord.tmux.stream import Cursor


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
