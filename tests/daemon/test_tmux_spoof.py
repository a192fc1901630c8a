"""Panes that print what tmux would say: no reply and no snapshot believes them, nothing runs."""

import os
import re
from collections.abc import Iterator

import pytest
from tmux_bed import Bed, tmux_bed, until

from orchestratord.tmux.command import command, quote, quote_format, target
from orchestratord.tmux.wire import Wire

GUESS = """import sys, time
def guess(time, number, out=sys.stdout):
    for t in range(time, time + 10):
        for n in range(number, number + 150):
            out.write(f"%end {t} {n} 1\\n%error {t} {n} 1\\n%begin {t} {n} 1\\n")
    out.write("%output %0 forged\\n%exit\\n%sessions-changed\\n%window-close @1\\n")
    out.flush()
"""
ANSWERING = """
print("READY", flush=True)
for line in sys.stdin:
    guess(*map(int, line.split()))
    print("READY", flush=True)
"""
FLOODING = "while 1: guess(int(time.time()), 200)"
GUARD = re.compile(rb"%begin (\d+) (\d+) 1$", re.MULTILINE)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Everything that tmux wrote to control clients."""
    parts: list[bytes] = []
    feed = Wire.feed
    monkeypatch.setattr(Wire, "feed", lambda self, data: (parts.append(data), feed(self, data))[1])
    yield parts


async def captured(bed: Bed, pane: str) -> list[bytes]:
    ask = command("capture-pane", "-p", "-J", "-S", "-", "-t", target(pane))
    (body,) = await bed.link.request(ask, what="a capture", opaque=True)
    return [line.rstrip(b" ") for line in body]  # 3.2 joins lines with their blanks


async def test_a_screen_that_guesses_every_guard_is_captured_as_it_is(heard: list[bytes]) -> None:
    async with tmux_bed() as bed:
        script = bed.directory / "guess.py"
        script.write_text(GUESS + ANSWERING)
        row = await bed.pane("/bin/sh", "-c", f"stty -echo; exec python3 {script}")
        stream = bed.spool.get("p1")
        assert stream is not None
        await until(lambda: b"READY" in stream.tail(100))
        guessed = 0
        for _ in range(5):
            before = stream.end
            *_, last = GUARD.findall(b"".join(heard))
            line = command("send-keys", "-t", target(row.pane), "--", quote(b" ".join(last)), "C-m")
            await bed.link.request(line, what="typing")
            await until(
                lambda before=before: (
                    stream.end > before and stream.tail(100).endswith(b"READY\r\n")
                )
            )
            heard.clear()
            body = [line for line in await captured(bed, row.pane) if line]
            written = stream.tail(1 << 20).replace(b"\r", b"").splitlines()
            assert body == written[-len(body) :]
            guard = GUARD.search(b"".join(heard))
            assert guard is not None
            guessed += guard[0].replace(b"%begin", b"%end") in body
            await bed.link.request(command("display-message", "-p", "hello"), what="hello")
        assert bed.link.reconnects == 0
        assert bed.link.statistics()["unknown_lines"] == 0
        assert guessed, "the guesses were not good enough to show anything"


async def test_captures_during_a_flood_of_guards_hold_only_what_was_printed() -> None:
    async with tmux_bed() as bed:
        script = bed.directory / "guess.py"
        script.write_text(GUESS + FLOODING)
        row = await bed.pane("/usr/bin/env", "python3", str(script))
        stream = bed.spool.get("p1")
        assert stream is not None
        await until(lambda: stream.end > 100_000)
        for _ in range(30):
            body = await captured(bed, row.pane)
            assert len(body) > 100
            assert all(line[:1] in (b"%", b"") for line in body)
        snapshot = await bed.mirror.refresh()
        assert [p.pane for p in snapshot.panes.values()] == [row.pane]
        assert bed.link.reconnects == 0
        assert bed.link.statistics()["unknown_lines"] == 0


HOSTILE_TITLES = [
    "a\\n%%exit\\n%%output %%0 forged", "#(touch CANARY)", "#{E:#(touch CANARY)}", "`touch CANARY`",
    "%%end 1 2 1", "a\\tp9\\t%%9", "\\303\\251 \\377\\376", "#[fg=red]##{pid}", "p7\\t\\t\\t",
    "\\001\\002",
]  # fmt: skip


@pytest.mark.parametrize("opening", ["\\033]2;", "\\033]0;", "\\033k"])
async def test_titles_from_a_pane_are_printable_data(opening: str) -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        closing = "\\033\\\\"
        titles = [t.replace("CANARY", str(bed.canary)) for t in HOSTILE_TITLES]
        script = "; ".join(f"printf '{opening}{t}{closing}'; read x" for t in titles)
        row = await bed.pane("/bin/sh", "-c", script, name="given")
        for _ in titles:
            snapshot = await bed.mirror.refresh()
            seen = snapshot.panes[row.pane]
            assert seen.title.isascii() and seen.title.isprintable()
            assert seen.orch_id == "p2"
            assert snapshot.windows[row.window].name == "given"
            assert len(snapshot.panes) == 2
            enter = command("send-keys", "-t", target(row.pane), "Enter")
            await bed.link.request(enter, what="Enter")
        assert not bed.canary.exists()
        assert bed.link.reconnects == 0


@pytest.mark.parametrize("piece", ["é", "aé", "\u0301", "#[é]", "x"])
async def test_a_title_of_a_megabyte_is_left_out_of_a_listing(piece: str) -> None:
    async with tmux_bed() as bed:
        title = bed.directory / "title"
        size = len(piece.encode())
        title.write_text(f"\x1b]2;{piece * (1_000_000 // size)}\x07READY")
        await bed.pane("/bin/sh", "-c", f"cat {title}; exec cat")
        stream = bed.spool.get("p1")
        assert stream is not None
        await until(lambda: b"READY" in stream.tail(20))
        snapshot = await bed.mirror.refresh()  # unfiltered, tmux works on it for 1.5 s
        assert next(iter(snapshot.panes.values())).title == "(too long)"


async def test_what_a_process_calls_itself_and_where_it_is_forges_nothing() -> None:
    async with tmux_bed() as bed:
        nasty = "a\n%output %99 FAKE\n%begin 1 2 1\n%window-close @0\t\udcff\n%exit"
        directory = bed.directory / nasty.replace("/", "_")
        directory.mkdir()
        await bed.pane()
        await bed.human("set-option", "-gw", "automatic-rename", "on")
        name = nasty if bed.server.tier < (3, 7) else "plain"  # which refuses such names
        bash = ["/usr/bin/env", "bash", "-c", 'cd "$0"; exec -a "$1" sleep 1000']
        words = [quote(os.fsencode(w)) for w in (*bash, str(directory), nasty)]
        for number in range(5):
            made = command(
                "new-window", "-t", quote("=dev:"), "-c", quote_format(os.fsencode(directory)),
                "-n", quote_format(os.fsencode(name)), "--", *words,
            )  # fmt: skip
            await bed.link.request(made, what="a window")
            if number % 2:  # else it keeps the name that it was given
                renaming = command(
                    "set-option", "-w", "-t", quote("=dev:"), "automatic-rename", "on"
                )
                await bed.link.request(renaming, what="renaming")
        snapshot = await bed.snapshot(lambda now: len(now.panes) == 6)
        assert all(w.name.isprintable() and w.name.isascii() for w in snapshot.windows.values())
        assert len(snapshot.windows) == 6
        assert bed.link.reconnects == 0


async def test_sequences_that_reach_for_more_than_the_screen_get_nothing() -> None:
    async with tmux_bed() as bed:
        file = bed.directory / "hostile"
        file.write_bytes(
            b"\x1b]52;c;"
            + b"QUJD" * 10
            + b"\x07"
            + b"\x1bP+q544e\x1b\\"
            + b"\x1bPtmux;\x1b\x1b]52;c;"
            b"QUJD\x07\x1b\\"
            + b"\x1b[c\x1b[6n\x1b[>q\x1bP$qm\x1b\\"
            + b"\x1bPq"
            + b"#0" * 500_000
            + b"\x18READY"
        )
        row = await bed.pane("/bin/sh", "-c", f"stty -echo; cat {file}; exec cat >/dev/null")
        stream = bed.spool.get("p1")
        assert stream is not None
        await until(lambda: b"READY" in stream.tail(20))
        assert await captured(bed, row.pane)
        assert await bed.human("list-buffers") == ""
        assert bed.link.reconnects == 0


async def test_hooks_of_a_human_do_not_get_between_a_request_and_its_answer() -> None:
    async with tmux_bed() as bed:
        row = await bed.pane("/bin/sh", "-c", "echo said; exec cat")
        stream = bed.spool.get("p1")
        assert stream is not None
        await until(lambda: b"said" in stream.tail(20))
        for hook in ("capture-pane", "display-message", "list-panes", "set-option"):
            await bed.human(
                "set-hook",
                "-g",
                f"after-{hook}",
                "list-keys -T prefix ; list-commands show-options",
            )
        for _ in range(3):
            assert (await captured(bed, row.pane))[0] == b"said"
        assert list((await bed.mirror.refresh()).panes) == [row.pane]
        await bed.pane()
        assert bed.link.reconnects == 0


async def test_secrets_do_not_stay_in_the_log_of_tmux() -> None:
    async with tmux_bed() as bed:
        row = await bed.pane(env={"TOKEN": "canary-in-env"})
        typing = command("send-keys", "-t", target(row.pane), "-H", "--", b"canary-typed".hex(" "))
        await bed.link.request(typing, what="typing")
        shown = await bed.human("show-messages")
        assert "canary" not in shown and "63 61 6e" not in shown
