"""What goes into panes: text byte for byte, keys, signals."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place, until
from terminals import (
    becomes,
    end_of,
    head,
    kind,
    pane,
    reader,
    refused,
    session,
    settled,
    shell,
    tmux,
    told,
    writes,
)


async def test_every_character_arrives_as_it_was_sent(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    text = (
        "".join(map(chr, range(256))) + "\u2028é😀\ufeff\uffff\x1b[201~\x1b[200~\r\n#(id) ; #{x} %H"
    )
    text += "".join(map(chr, random.Random(7).sample(range(0x100, 0xD800), 500)))
    await daemon.call("pane.send", pane=made["id"], text=text)
    await until(lambda: file.exists() and len(file.read_bytes()) >= len(text.encode()))
    assert file.read_bytes() == text.encode()


async def test_a_mebibyte_arrives_whole(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    text = random.Random(3).randbytes(786_432).hex()[: 1 << 20]
    await daemon.call("pane.send", pane=made["id"], text=text)
    await until(lambda: file.stat().st_size >= len(text))
    assert file.read_text() == text
    too_long = daemon.call("pane.send", pane=made["id"], text=text + "x")
    assert await kind(too_long) == "InvalidArgument"


async def test_what_two_send_at_once_is_never_mixed(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    texts = [chr(ord("a") + n) * 30_000 for n in range(8)]
    _, errors = await settled([daemon.call("pane.send", pane=made["id"], text=t) for t in texts])
    assert errors == []
    await until(lambda: file.stat().st_size >= 240_000)
    assert file.read_text() == "".join(texts)


async def test_a_text_ends_with_the_program_that_it_was_for(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file, again = tmp_path / "input", tmp_path / "again"
    made = await reader(daemon, file)
    text = daemon.call("pane.send", pane=made["id"], text="x" * (1 << 20))
    sending = asyncio.ensure_future(settled([text]))
    await until(lambda: file.stat().st_size > 0)
    command = ["sh", "-c", f"stty raw -echo; echo ready; exec cat >{again}"]
    await daemon.call("pane.respawn", pane=made["id"], command=command)
    assert await sending == ([], ["StaleIncarnation"])
    await becomes(lambda: daemon.call("pane.read", pane=made["id"]), lambda r: "ready" in r["text"])
    await daemon.call("pane.send", pane=made["id"], text="only this", incarnation=2)
    await until(lambda: again.exists() and "this" in again.read_text())
    assert again.read_text() == "only this"


async def test_submit_presses_enter_after_the_text(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "read -r x; echo got:$x:")
    sent = await daemon.call("pane.send", pane=made["id"], text="a b", submit=True)
    assert sent["state"] == "submitted"
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "got:a b:"


async def test_a_line_that_the_kernel_would_cut_is_refused(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo up; exec wc -c")
    await writes(daemon, made["id"], "up")
    error = await refused(daemon.call("pane.send", pane=made["id"], text="x" * 4096))
    assert (error.kind, error.data["size"], error.data["limit"]) == ("LineTooLong", 4096, 4095)
    for _ in range(2):
        await daemon.call("pane.send", pane=made["id"], text="x" * 4095 + "\n")
    await daemon.call("pane.keys", pane=made["id"], keys=["C-d"])
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "8192"


async def test_a_secret_prompt_takes_no_text_and_the_secret_stays_out_of_the_error(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await pane(daemon, "bash", "-c", "stty -echo; echo ask; read -rs x; echo len ${#x}")
    await writes(daemon, made["id"], "ask")
    error = await refused(daemon.call("pane.send", pane=made["id"], text="hunter2"))
    assert error.kind == "SecretPrompt"
    assert "hunter2" not in str(error) + str(error.data)
    await daemon.call("pane.keys", pane=made["id"], keys=["x", "Enter"])
    assert (await end_of(daemon, made["id"]))["last_lines"][-1] == "len 1"


async def test_text_arrives_while_a_person_looks_at_the_history(
    daemon: Daemon, place: Place, tmp_path: Path
) -> None:
    await session(daemon)
    made = await reader(daemon, tmp_path / "input")
    tmux(place, "copy-mode", "-t", made["tmux_id"])
    await daemon.call("pane.send", pane=made["id"], text="q/abc")
    await until(lambda: (tmp_path / "input").read_text() == "q/abc")


async def test_keys_arrive_by_their_names(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    keys = [";", "a", "C-c", "Enter", "Up", "M-x", "Tab", "Escape", "#", "'", '"', "\\", "$", "{",
            "Space", "é", "-", "~", "C-d", "BSpace", "F1", ";"]  # fmt: skip
    pressed = await daemon.call("pane.keys", pane=made["id"], keys=keys)
    assert pressed == {"pane": made["id"], "keys": len(keys)}
    expected = b";a\x03\r\x1b[A\x1bx\t\x1b#'\"\\$" + b"{ \xc3\xa9-~\x04\x7f\x1bOP;"
    await until(lambda: len(file.read_bytes()) >= len(expected))
    assert file.read_bytes() == expected


@pytest.mark.parametrize(
    "bad", ["", "Entr", "C-", "C-C-", "ab", "-R", "-l", "-X", "\n", "\0", "C-\n", "F13", "0x41",
            "MouseDown1Pane", "x" * 33, "C-Entr", "\u202e", ";;"],
)  # fmt: skip
async def test_what_is_no_key_is_refused_and_nothing_is_pressed(
    daemon: Daemon, tmp_path: Path, bad: str
) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    error = await refused(daemon.call("pane.keys", pane=made["id"], keys=["a", bad, "b"]))
    assert error.kind in ("BadKey", "InvalidArgument")
    await daemon.call("pane.keys", pane=made["id"], keys=["z"])
    await until(lambda: file.exists() and file.read_text() == "z")


async def test_a_thousand_keys_arrive_in_order(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    keys = [chr(ord("a") + n % 26) for n in range(1000)]
    await daemon.call("pane.keys", pane=made["id"], keys=keys)
    await until(lambda: len(file.read_bytes()) >= 1000)
    assert file.read_text() == "".join(keys)


async def test_a_signal_reaches_the_program_in_the_foreground_only(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", shell="bash")
    await daemon.call("pane.send", pane=made["id"], text="sleep 1e4; echo status $?", submit=True)
    shown = await becomes(
        lambda: daemon.call("pane.get", pane=made["id"]),
        lambda p: p["foreground"] and p["foreground"]["command"] == "sleep",
    )
    sent = await daemon.call("pane.signal", pane=made["id"], signal="USR1")
    assert sent["pids"] == [shown["foreground"]["pid"]]
    await writes(daemon, made["id"], "status 138")
    for spelled in ("SIGTERM", "TERM", "15"):
        assert (await daemon.call("pane.signal", pane=made["id"], signal=spelled))[
            "signal"
        ] == "SIGTERM"
    assert (await daemon.call("pane.get", pane=made["id"]))["exit"] is None
    for bad in ("", "0", "65", "SIGFOO", "-9", "9.5", "KILL;id", "sigkill ", "٣"):
        call = daemon.call("pane.signal", pane=made["id"], signal=bad)
        assert await kind(call) == "BadSignal"


async def test_an_interrupt_ends_what_runs_and_leaves_the_shell(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", shell="bash")
    await daemon.call("pane.send", pane=made["id"], text="sleep 1e4; echo status $?", submit=True)
    await becomes(
        lambda: daemon.call("pane.get", pane=made["id"]),
        lambda p: p["foreground"] and p["foreground"]["command"] == "sleep",
    )
    assert (await daemon.call("pane.interrupt", pane=made["id"]))["signal"] == "SIGINT"
    await becomes(lambda: daemon.call("pane.get", pane=made["id"]), lambda p: p["state"] == "idle")
    await daemon.call("pane.send", pane=made["id"], text="echo still $((1+1))", submit=True)
    await writes(daemon, made["id"], "still 2")


async def test_an_ended_pane_takes_no_input(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "exit 0", keep=True)
    await end_of(daemon, made["id"])
    for method, more in (
        ("pane.send", {"text": "x"}), ("pane.keys", {"keys": ["x"]}),
        ("pane.signal", {"signal": "TERM"}), ("pane.interrupt", {}),
    ):  # fmt: skip
        assert await kind(daemon.call(method, pane=made["id"], **more)) == "PaneExited"


@pytest.mark.parametrize("scope", ["window", "pane"])
async def test_what_we_type_reaches_one_pane_though_a_person_synchronized_them(
    daemon: Daemon, place: Place, tmp_path: Path, scope: str
) -> None:
    await session(daemon)
    since = await head(daemon)
    one = await reader(daemon, tmp_path / "one")
    script = f": >{tmp_path}/two; stty raw -echo; echo ready; exec cat >>{tmp_path}/two"
    two = await shell(daemon, script, place="below", of=one["id"])
    await writes(daemon, two["id"], "ready")
    for tmux_id in (one["tmux_id"], two["tmux_id"]):
        tmux(place, "set-option", f"-{scope[0]}", "-t", tmux_id, "synchronize-panes", "on")
    await daemon.call("daemon.reconcile")
    await daemon.call("pane.send", pane=one["id"], text="x" * 10_000, submit=True)
    await daemon.call("pane.keys", pane=two["id"], keys=["y", "Up"])
    await until(lambda: (tmp_path / "one").stat().st_size >= 10_001)
    await until(lambda: (tmp_path / "two").stat().st_size >= 4)
    assert (tmp_path / "one").read_bytes() == b"x" * 10_000 + b"\r"
    assert (tmp_path / "two").read_text() == "y\x1b[A"
    # What the person types goes on to be copied.
    tmux(place, "send-keys", "-t", one["tmux_id"], "z")
    await until(lambda: (tmp_path / "one").read_bytes().endswith(b"\rz"))
    await until(lambda: (tmp_path / "two").read_text() == "y\x1b[Az")
    told_ = await told(daemon, since, "pane.synchronized", 2)
    assert {(e["pane"], e["data"]["on"]) for e in told_} == {(one["id"], True), (two["id"], True)}
    (check,) = [c for c in (await daemon.call("daemon.doctor"))["checks"]
                if c["check"] == "tmux input"]  # fmt: skip
    assert (check["verdict"], check["detail"].partition(":")[0]) == (
        "warn", f"{one['id']}, {two['id']}",
    )  # fmt: skip
    for tmux_id in (one["tmux_id"], two["tmux_id"]):
        tmux(place, "set-option", f"-u{scope[0]}", "-t", tmux_id, "synchronize-panes")
    await daemon.call("daemon.reconcile")
    assert len(await told(daemon, since, "pane.synchronized", 4)) == 4


async def test_a_pane_whose_input_a_person_switched_off_refuses_text_and_keys(
    daemon: Daemon, place: Place, tmp_path: Path
) -> None:
    await session(daemon)
    made = await reader(daemon, tmp_path / "input")
    tmux(place, "select-pane", "-d", "-t", made["tmux_id"])
    assert await kind(daemon.call("pane.send", pane=made["id"], text="x")) == "InputOff"
    assert await kind(daemon.call("pane.keys", pane=made["id"], keys=["x"])) == "InputOff"
    tmux(place, "select-pane", "-e", "-t", made["tmux_id"])
    await daemon.call("pane.send", pane=made["id"], text="y")
    await until(lambda: (tmp_path / "input").read_text() == "y")


async def test_keys_drive_copy_mode_where_a_person_is_in_it(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon)
    tmux(place, "copy-mode", "-t", made["tmux_id"])
    await daemon.call("pane.keys", pane=made["id"], keys=["q"])
    shown = tmux(place, "display-message", "-p", "-t", made["tmux_id"], "#{pane_in_mode}")
    assert shown == "0\n"


async def test_what_interrupts_a_pane_right_after_its_creation_is_not_lost(daemon: Daemon) -> None:
    await session(daemon)

    async def one(method: str, ends: str, **params: Any) -> None:
        made = await pane(daemon)
        await daemon.call(method, pane=made["id"], **params)
        ended = await end_of(daemon, made["id"])
        assert (ended["status"], ended["signal"]) == (None, ends)

    for _ in range(15):
        await asyncio.gather(
            one("pane.interrupt", "SIGINT"),
            one("pane.signal", "SIGQUIT", signal="QUIT"),
            one("pane.signal", "SIGUSR1", signal="USR1"),
            one("pane.keys", "SIGINT", keys=["C-c"]),
            one("pane.send", "SIGINT", text="x\x03"),
            one("pane.kill", "SIGHUP"),
        )


async def test_a_signal_for_a_shell_that_starts_reaches_somebody(daemon: Daemon) -> None:
    await session(daemon)
    for _ in range(15):
        made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
        assert (await daemon.call("pane.signal", pane=made["id"], signal="CONT"))["pids"]
        await daemon.call("pane.kill", pane=made["id"])
