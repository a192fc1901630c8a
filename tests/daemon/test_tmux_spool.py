"""The output path through a real tmux: every byte once and in order, or a gap that is told."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tmux_bed import Bed, tmux_bed, until

from orchestratord.tmux import spool as spool_module
from orchestratord.tmux import stream as stream_module
from orchestratord.tmux.command import command, target
from orchestratord.tmux.process import Process, identify, read_stat
from orchestratord.tmux.reply import PaneRow
from orchestratord.tmux.stream import Cursor, Slice, Stream


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.data = b""
        self.gaps = 0

    def __call__(self, part: Slice) -> None:
        self.data += part.data
        self.gaps += part.gap


def lines(count: int, last: str = "") -> bytes:
    """Return what ``seq`` and an echo give on a terminal."""
    return b"".join(b"%d\r\n" % n for n in range(1, count + 1)) + (
        f"{last}\r\n".encode() if last else b""
    )


def stream_of(bed: Bed, pane: str) -> Stream:
    stream = bed.spool.get(pane)
    assert stream is not None
    return stream


async def gated(bed: Bed, script: str, *, held: bool = False) -> tuple[PaneRow, Path]:
    """Make a pane that runs a script once its gate has been opened by ``touch``."""
    gate = bed.directory / f"gate{bed.panes}"
    wait = f"until [ -e {gate} ]; do sleep 0.01; done; {script}"
    return await bed.pane("/bin/sh", "-c", wait, held=held), gate


async def ended(bed: Bed, pane: str) -> tuple[Process, int]:
    """Return a held program and its wait status, once it is a zombie."""
    await until(lambda: bed.spool.noted(pane, 1))
    pid = bed.spool.noted(pane, 1)
    assert pid is not None
    process = identify(pid)
    assert process is not None
    await until(lambda: (stat := read_stat(pid)) is not None and stat.state == "Z")
    stat = read_stat(pid)
    assert stat is not None
    return process, stat.status


async def test_a_flood_of_twenty_panes_is_heard_whole() -> None:
    async with tmux_bed() as bed:
        heard = {f"p{n}": Heard() for n in range(1, 21)}
        for pane, listener in heard.items():
            await gated(bed, f"seq 1 20000; echo end of {pane}; exec cat")
            bed.spool.listen(pane, listener, Cursor(1, 0))
        for gate in range(20):
            (bed.directory / f"gate{gate}").touch()
        await until(lambda: all(h.data.endswith(b"end of %b\r\n" % p.encode())
                                for p, h in heard.items()))  # fmt: skip
        for pane, listener in heard.items():
            assert listener.data == lines(20000, f"end of {pane}")
            assert listener.gaps == 0


async def test_held_panes_that_end_at_once_are_drained_to_the_last_byte() -> None:
    async with tmux_bed() as bed:
        heard = [Heard() for _ in range(24)]
        rows, gates = [], []
        for number, listener in enumerate(heard, 1):
            burst = [0, 1, 50, 3000, 20000][number % 5]
            row, gate = await gated(
                bed, f"seq 1 {burst}; printf LAST-{number}; exit {number}", held=True
            )
            bed.spool.listen(f"p{number}", listener, Cursor(1, 0))
            rows.append(row)
            gates.append(gate)
        for gate in gates:
            gate.touch()

        async def drained(number: int) -> bool:
            _, status = await ended(bed, f"p{number}")
            assert os.waitstatus_to_exitcode(status) == number
            return await bed.spool.drain(f"p{number}", rows[number - 1].tty)

        assert all(await asyncio.gather(*(drained(n) for n in range(1, 25))))
        for number, listener in enumerate(heard, 1):
            burst = [0, 1, 50, 3000, 20000][number % 5]
            wanted = lines(burst) + f"LAST-{number}".encode()
            assert listener.data == wanted and listener.gaps == 0
            assert stream_of(bed, f"p{number}").tail(1 << 20) == wanted
            bed.spool.finish(f"p{number}")
            followed = [part async for part in bed.spool.follow(f"p{number}", Cursor(1, 0))]
            assert b"".join(part.data for part in followed) == wanted


async def test_a_drain_that_is_not_answered_ends_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "SETTLE", 0.3)
    async with tmux_bed() as bed:
        row, gate = await gated(bed, "echo before; exec cat")
        heard = Heard()
        bed.spool.listen("p1", heard, Cursor(1, 0))
        gate.touch()
        await until(lambda: heard.data == b"before\r\n")
        bed.server.process.send(signal.SIGSTOP)
        assert not await bed.spool.drain("p1", row.tty)
        assert not await bed.spool.drain("p1", "/dev/pts/none")
        bed.server.process.send(signal.SIGCONT)
        await bed.link.connected()
        typing = command("send-keys", "-t", target(row.pane), "-H", "--", b"after\n".hex(" "))
        await bed.link.request(typing, what="typing")
        await until(lambda: heard.data.endswith(b"after\r\nafter\r\n"))


async def test_a_pane_that_tmux_calls_dead_settles() -> None:
    async with tmux_bed() as bed:
        row, gate = await gated(bed, "seq 1 5000; exit 3")
        process = identify(row.pid)
        assert process is not None
        gate.touch()
        await until(lambda: not process.alive())
        look = command("display-message", "-p", "-t", target(row.pane), "--", PaneRow.FORMAT)
        assert await bed.spool.settle("p1", lambda: bed.link.request(look, what="a look"))
        assert lines(5000).startswith(stream_of(bed, "p1").tail(1 << 20))


async def again_in_a_new_epoch(bed: Bed, row: PaneRow) -> list[int]:
    """Pipe a pane anew whenever its pipe has broken, as the panes feature does."""
    epochs = [1]

    def broken(pane: str) -> None:
        epochs.append(epochs[-1] + 1)
        bed.spool.expect(pane, epochs[-1], fresh=True)
        pipe = command("pipe-pane", "-O", "-t", target(row.pane), bed.spool.pipe(pane, epochs[-1]))
        tasks.add(asyncio.ensure_future(bed.link.request(pipe, what="a pipe")))

    tasks: set[asyncio.Future[object]] = set()
    bed.spool.on_broken = broken
    return epochs


async def type_until_heard(bed: Bed, row: PaneRow, heard: Heard, word: bytes) -> None:
    typing = command("send-keys", "-t", target(row.pane), "-H", "--", (word + b"\n").hex(" "))
    while word not in heard.data:
        await bed.link.request(typing, what="typing")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["killed", "removed", "unpiped by a human"])
async def test_a_lost_copier_is_a_gap_and_the_output_goes_on(how: str) -> None:
    async with tmux_bed() as bed:
        row, gate = await gated(bed, "echo before; exec cat")
        heard = Heard()
        bed.spool.listen("p1", heard, Cursor(1, 0))
        gate.touch()
        await until(lambda: heard.data == b"before\r\n")
        epochs = await again_in_a_new_epoch(bed, row)
        stream = stream_of(bed, "p1")
        if how == "killed":
            os.kill(stream.copier, signal.SIGKILL)
        elif how == "removed":
            (bed.spool.directory / f"p1.1.{stream.copier}").unlink()
        else:
            await bed.human("pipe-pane", "-t", row.pane)
        await type_until_heard(bed, row, heard, b"after")
        assert epochs == [1, 2] and heard.gaps == 1
        assert heard.data.startswith(b"before\r\n")
        assert stream_of(bed, "p1").epoch == 2


async def test_an_output_beyond_the_credit_costs_no_disk_and_stops_no_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "CREDIT", 64 << 10)
    monkeypatch.setattr(stream_module, "CREDIT", 64 << 10)
    async with tmux_bed() as bed:
        done = bed.directory / "done"
        row, gate = await gated(bed, f"seq 1 200000; touch {done}; exec cat")
        heard = Heard()
        bed.spool.listen("p1", heard, Cursor(1, 0))
        await until(lambda: bed.spool.get("p1") is not None and stream_of(bed, "p1").copier)
        file = bed.spool.directory / f"p1.1.{stream_of(bed, 'p1').copier}"
        bed.spool.stop()  # as if the daemon were away
        gate.touch()
        await until(done.exists)
        assert file.stat().st_size == 64 << 10
        bed.spool = spool_module.Spool(bed.spool.directory, bed.mirror._clock)
        bed.spool.start()
        epochs = await again_in_a_new_epoch(bed, row)
        bed.spool.expect("p1", 1)
        assert epochs == [1, 2]
        bed.spool.listen("p1", heard, Cursor(1, 0))
        await type_until_heard(bed, row, heard, b"after")
        assert heard.gaps == 1
        old = file.read_bytes()
        assert lines(200000).startswith(old)


async def test_output_written_while_no_daemon_runs_is_read_by_the_next() -> None:
    async with tmux_bed() as bed:
        done = bed.directory / "done"
        _, gate = await gated(bed, f"seq 1 30000; touch {done}; exec cat")
        heard = Heard()
        await until(lambda: stream_of(bed, "p1").copier)
        cursor = stream_of(bed, "p1").cursor
        await bed.stop()
        gate.touch()
        await until(done.exists)
        again = Bed(bed.directory)
        await again.start()
        again.spool.expect("p1", 1)
        again.spool.listen("p1", heard, cursor)
        await until(lambda: heard.data == lines(30000))
        assert heard.gaps == 0
        assert await again.link.connected() == bed.server
        await again.stop()
        bed.spool.start()


async def test_a_program_starts_only_when_its_holder_cannot_collect_it() -> None:
    async with tmux_bed() as bed:
        script = "read -r name </proc/$PPID/comm; trap; echo $name $0 $1; exit 7"
        await bed.pane("/bin/sh", "-c", script, "zero", "a b", held=True)
        await until(lambda: bed.spool.get("p1") is not None and stream_of(bed, "p1").end > 0)
        _, status = await ended(bed, "p1")
        assert os.waitstatus_to_exitcode(status) == 7
        assert stream_of(bed, "p1").tail(100) == b"sleep zero a b\r\n"


async def test_a_held_program_gets_the_signals_of_its_terminal() -> None:
    async with tmux_bed() as bed:
        row = await bed.pane("/bin/sh", "-c", "echo ready; exec sleep 1000", held=True)
        await until(lambda: b"ready" in stream_of(bed, "p1").tail(100))
        stop = command("send-keys", "-t", target(row.pane), "-H", "--", "03")
        await bed.link.request(stop, what="typing")
        _, status = await ended(bed, "p1")
        assert os.waitstatus_to_exitcode(status) == -signal.SIGINT
        assert identify(row.pid) is not None
