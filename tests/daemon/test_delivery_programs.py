"""Deliveries to programs of every kind: line readers, REPLs, editors, pagers, secret prompts."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from pathlib import Path

import pytest
from delivering import fate, screen
from living import Daemon, Place, until
from terminals import (
    becomes,
    end_of,
    history,
    kind,
    pane,
    reader,
    session,
    shell,
    tmux,
    writes,
)

from orchestratord.features.panes.keyboard import terminal

RECORDER = """
import os, sys, tty
tty.setraw(0)
os.write(1, b"\\x1b[?2004h" if sys.argv[2] == "on" else b"\\x1b[?2004h\\x1b[?2004l")
os.write(1, b"ready\\r\\n")
with open(sys.argv[1], "wb", buffering=0) as out:
    while data := os.read(0, 65536):
        out.write(data)
"""
"""Writes what it gets to a file, byte for byte, with bracketed pastes on or off."""


async def recorder(daemon: Daemon, file: Path, brackets: str) -> dict[str, object]:
    made = await pane(daemon, sys.executable, "-c", RECORDER, str(file), brackets)
    await writes(daemon, made["id"], "ready")
    return made


async def test_a_line_reader_has_read_the_line(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon, "cat")
    for text in ("hello", "", "  two words ", "é漢字 #{x} $(y)"):
        sent = await daemon.call("pane.send", pane=made["id"], text=text, confirm=True)
        assert (sent["state"], sent["evidence"], sent["enters"]) == ("confirmed", "read", 1)
    got = await becomes(
        lambda: daemon.call("pane.read", pane=made["id"]),
        lambda answer: answer["text"].count("$(y)\n") == 2,
    )
    lines = got["text"].splitlines()
    assert [lines.count(line) for line in ("hello", "  two words ")] == [2, 2]


async def test_a_line_typed_ahead_is_submitted_and_nobody_claims_that_it_was_read(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await shell(daemon, "echo up; while [ ! -e gate ]; do :; done; read -r x; echo got:$x")
    await writes(daemon, made["id"], "up")
    sent = await daemon.call("pane.send", pane=made["id"], text="ahead", confirm=True, timeout=0.5)
    assert fate(sent) == ("unknown", "echo", None, "unread", 1)
    cwd = Path((await daemon.call("pane.get", pane=made["id"]))["cwd"])
    (cwd / "gate").touch()
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "got:ahead"


async def test_a_repl_takes_a_line(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon, sys.executable, "-q", "-i", "-c", "print('up')")
    await becomes(lambda: screen(daemon, made["id"]), lambda shown: shown.endswith(">>>"))
    for number in range(3):
        text = f"print({number} + 40)"
        sent = await daemon.call("pane.send", pane=made["id"], text=text, confirm=True)
        assert (sent["state"], sent["enters"]) == ("confirmed", 1)
        await writes(daemon, made["id"], f"\n{number + 40}\n")


@pytest.mark.skipif(not shutil.which("vim"), reason="not installed")
async def test_an_editor_gets_the_text_once(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    file = place.directory / "edited"
    made = await pane(daemon, "vim", "-u", "NONE", "-N", "-n", str(file))
    await becomes(lambda: screen(daemon, made["id"]), lambda shown: "~" in shown)
    await daemon.call("pane.keys", pane=made["id"], keys=["i"])
    await becomes(lambda: screen(daemon, made["id"]), lambda shown: "INSERT" in shown)
    sent = await daemon.call("pane.send", pane=made["id"], text="one line of it", confirm=True)
    assert (sent["state"], sent["enters"]) in (("unknown", 1), ("confirmed", 1))
    await daemon.call("pane.send", pane=made["id"], text="two\n\tthree", submit=True)
    await daemon.call("pane.keys", pane=made["id"], keys=["Escape"])
    await becomes(lambda: screen(daemon, made["id"]), lambda shown: "INSERT" not in shown)
    await daemon.call("pane.send", pane=made["id"], text=":wq", submit=True)
    assert (await end_of(daemon, made["id"]))["status"] == 0
    assert file.read_text() == "one line of it\ntwo\n\tthree\n\n"


@pytest.mark.skipif(not shutil.which("less"), reason="not installed")
async def test_a_pager_takes_a_search(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    file = place.directory / "paged"
    file.write_text("".join(f"line {n}\n" for n in range(500)))
    made = await pane(daemon, "less", str(file))
    await becomes(lambda: screen(daemon, made["id"]), lambda shown: "line 1\n" in shown)
    sent = await daemon.call("pane.send", pane=made["id"], text="/line 321", confirm=True)
    assert (sent["state"], sent["enters"]) == ("confirmed", 1)
    assert (await screen(daemon, made["id"])).startswith("line 321\n")


@pytest.mark.parametrize("how", ["submit", "confirm", "queue", "paste"])
async def test_a_secret_prompt_takes_no_text_whatever_was_asked_for(
    daemon: Daemon, place: Place, how: str
) -> None:
    await session(daemon)
    made = await pane(daemon, "bash", "-c", "echo ask; read -rs x; echo; echo len ${#x}")
    await becomes(
        lambda: daemon.call("pane.capture", pane=made["id"]), lambda c: "ask" in c["text"]
    )
    await until(lambda: _asks(made, place))
    secret = "hunter2-swordfish"
    call = daemon.call("pane.send", pane=made["id"], text=secret, **{how: True})
    assert await kind(call) == "SecretPrompt"
    await daemon.call("pane.keys", pane=made["id"], keys=["x", "Enter"])
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "len 1"
    told = [e for e in await history(daemon) if e["kind"] == "delivery.refused"]
    assert told[-1]["data"]["reason"] == "secret"
    await daemon.end()
    files = [file for file in place.directory.rglob("*") if file.is_file()]
    assert not [file for file in files if secret.encode() in file.read_bytes()]


def _asks(made: dict[str, str], place: Place) -> bool:
    tty = tmux(place, "display-message", "-p", "-t", made["tmux_id"], "#{pane_tty}").strip()
    mode = terminal(tty)
    return mode is not None and mode.canonical and not mode.echo


@pytest.mark.parametrize("brackets", ["on", "off"])
async def test_a_paste_arrives_byte_for_byte_in_brackets_if_the_program_wants_them(
    daemon: Daemon, place: Place, brackets: str
) -> None:
    await session(daemon)
    file = place.directory / "got"
    made = await recorder(daemon, file, brackets)
    text = "".join(map(chr, range(256))).replace("\x9b", "") + "\r\n\n é漢字 \\ #{x} #(id) %H ~"
    sent = await daemon.call("pane.send", pane=made["id"], text=text, paste=True)
    assert fate(sent) == ("pasted", None, None, None, 0)
    bare = text.encode()
    wanted = b"\x1b[200~" + bare + b"\x1b[201~" if brackets == "on" else bare
    await until(lambda: file.stat().st_size >= len(wanted))
    assert file.read_bytes() == wanted
    assert tmux(place, "list-buffers") == ""
    assert not list((place.directory / "tmux" / "paste").iterdir())


async def test_several_lines_are_pasted_and_enter_is_no_part_of_it(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    file = place.directory / "got"
    made = await recorder(daemon, file, "on")
    await daemon.call("pane.send", pane=made["id"], text="a\nb\n", submit=True)
    await daemon.call("pane.send", pane=made["id"], text="c", submit=True)
    await daemon.call("pane.send", pane=made["id"], text="d\ne", submit=True, paste=False)
    wanted = b"\x1b[200~a\nb\n\x1b[201~\rc\rd\ne\r"
    await until(lambda: file.stat().st_size >= len(wanted))
    assert file.read_bytes() == wanted


async def test_a_paste_of_a_mebibyte_holds_up_nobody(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    file = place.directory / "got"
    made = await recorder(daemon, file, "on")
    other = await reader(daemon, place.directory / "other")
    text = random.Random(5).randbytes(520_000).hex()[: (1 << 20) - 1] + "\n"
    await daemon.call("pane.send", pane=made["id"], text=text, paste=True)
    await daemon.call("pane.send", pane=other["id"], text="quick")
    await until(lambda: (place.directory / "other").read_text() == "quick")
    wanted = b"\x1b[200~" + text.encode() + b"\x1b[201~"
    await until(lambda: file.stat().st_size >= len(wanted))
    assert file.read_bytes() == wanted


async def test_a_line_that_the_kernel_would_cut_is_refused_before_enter(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo up; exec wc -c")
    await writes(daemon, made["id"], "up")
    call = daemon.call("pane.send", pane=made["id"], text="x" * 4096, submit=True)
    assert await kind(call) == "LineTooLong"
    sent = await daemon.call("pane.send", pane=made["id"], text="x" * 4094, submit=True)
    assert sent["state"] == "submitted"
    await daemon.call("pane.keys", pane=made["id"], keys=["C-d"])
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "4095"


@pytest.mark.parametrize("mode", ["copy-mode", "clock-mode"])
async def test_a_text_and_its_enter_arrive_while_a_person_looks_at_the_history(
    daemon: Daemon, place: Place, mode: str
) -> None:
    await session(daemon)
    file = place.directory / "got"
    made = await recorder(daemon, file, "on")
    for text in ("q/abc", "two\nlines"):
        tmux(place, mode, "-t", str(made["tmux_id"]))
        sent = await daemon.call("pane.send", pane=made["id"], text=text, submit=True)
        assert sent["state"] == "submitted"
    wanted = b"q/abc\r\x1b[200~two\nlines\x1b[201~\r"
    await until(lambda: file.stat().st_size >= len(wanted))
    assert file.read_bytes() == wanted


async def test_a_person_who_enters_copy_mode_before_the_enter_does_not_eat_it(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await shell(daemon, "stty raw -echo; echo up; sleep 1; stty sane; cat")
    await writes(daemon, made["id"], "up")
    call = daemon.call("pane.send", pane=made["id"], text="hello", submit=True, timeout=30)
    sending = asyncio.ensure_future(call)
    await becomes(lambda: history(daemon, "delivery.pasted"), bool)
    tmux(place, "copy-mode", "-t", made["tmux_id"])
    assert (await sending)["state"] == "submitted"
    await writes(daemon, made["id"], "hello\n")
