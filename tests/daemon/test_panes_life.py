"""Panes from birth to death certificate, through a whole daemon."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from living import Daemon, Place
from terminals import (
    FOREVER,
    becomes,
    end_of,
    head,
    history,
    kind,
    pane,
    refused,
    session,
    shell,
    stamped,
    tmux,
    told,
    writes,
)


async def test_a_session_is_born_with_one_pane_and_ends_with_its_last(
    daemon: Daemon, place: Place
) -> None:
    made = await session(daemon)
    assert (made["name"], made["windows"], made["panes"]) == ("dev", 1, 1)
    assert stamped(place) == [made["pane"]["id"]]
    killed = await daemon.call("pane.kill", pane=made["pane"]["id"])
    assert (killed["already"], killed["survivors"]) == (False, [])
    assert await daemon.call("session.list") == []
    assert await kind(daemon.call("session.get", session="dev")) == "SessionNotFound"
    again = await session(daemon)
    assert again["id"] != made["id"]


async def test_an_argv_arrives_as_it_was_given(daemon: Daemon) -> None:
    await session(daemon)
    words = ["a b", "", "'\"", "#{pid}", "$(id)", ";", "é", "-x", "line\nbreak", "\\", "%H"]
    made = await pane(daemon, "python3", "-c", "import sys;print(sys.argv[1:])", *words, keep=True)
    assert made["argv"][3:] == words
    await end_of(daemon, made["id"])
    shown = (await daemon.call("pane.read", pane=made["id"]))["text"]
    assert shown.strip() == repr(words)


async def test_without_an_argv_a_shell_runs(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", shell="bash")
    assert made["argv"] == ["/bin/bash", "-l"] or made["argv"][0].endswith("/bash")
    await daemon.call("pane.send", pane=made["id"], text="echo $((6*7))", submit=True)
    assert "42" in await writes(daemon, made["id"], "42")


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (["no-such-program"], "NoSuchProgram"),
        (["/"], "NoSuchProgram"),
        ([""], "NoSuchProgram"),
        (["a=b"], "BadValue"),
        (["true", "a\0b"], "BadValue"),
        (["tr\0ue"], "BadValue"),
        (["./nothing"], "NoSuchProgram"),
        (["x" * 5000], "NoSuchProgram"),
        ([], "InvalidArgument"),
    ],
)
async def test_a_program_that_cannot_run_is_refused_and_leaves_nothing(
    daemon: Daemon, place: Place, command: list[str], refusal: str
) -> None:
    await session(daemon)
    before = await head(daemon)
    error = await refused(daemon.call("pane.create", session="dev", command=command))
    assert error.kind == refusal
    assert len(stamped(place)) == 1
    assert await history(daemon, since=before) == []


async def test_a_program_may_be_named_relative_to_the_directory(
    daemon: Daemon, tmp_path: Path
) -> None:
    await session(daemon)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hello").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "bin" / "hello").chmod(0o755)
    for name in ("bin/hello", "./bin/hello"):
        made = await pane(daemon, name, cwd=str(tmp_path))
        assert (await end_of(daemon, made["id"]))["status"] == 9


@pytest.mark.parametrize("name", ["plain", "a b", "#(touch canary)", "#{pid}", "new\nline", "é;%H"])
async def test_a_pane_works_in_the_directory_that_was_asked_for(
    daemon: Daemon, tmp_path: Path, name: str
) -> None:
    await session(daemon)
    (tmp_path / name).mkdir()
    made = await pane(daemon, "sh", "-c", "touch here", cwd=str(tmp_path / name))
    assert (await end_of(daemon, made["id"]))["status"] == 0
    assert (tmp_path / name / "here").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


async def test_a_directory_that_is_none_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for cwd, reason in (
        ("relative/path", "it is not absolute"),
        (str(tmp_path / "missing"), "it is no directory"),
        (str(tmp_path / "file"), "it is no directory"),
        (str(tmp_path / "loop"), None),
        ("/" + "x" * 5000, None),
        ("/\0", None),
        ("", "it is not absolute"),
    ):
        error = await refused(daemon.call("pane.create", session="dev", command=FOREVER, cwd=cwd))
        assert error.kind == "BadDirectory", cwd
        assert reason in (None, error.data["reason"]), cwd
    assert await daemon.call("pane.count") == {"count": 1}


async def test_a_directory_that_is_no_utf_8_is_shown_and_refused_cleanly(
    daemon: Daemon, tmp_path: Path
) -> None:
    await session(daemon)
    odd = bytes(tmp_path) + b"/\xff"
    Path(odd.decode(errors="surrogateescape")).mkdir()
    made = await shell(daemon, "cd \"$(printf '\\377')\" && exec sleep 1000", cwd=str(tmp_path))
    shown = await becomes(
        lambda: daemon.call("pane.get", pane=made["id"]), lambda p: p["cwd"] != str(tmp_path)
    )
    assert shown["cwd"] == f"{tmp_path}/\N{REPLACEMENT CHARACTER}"
    refusal = await kind(daemon.call("pane.create", session="dev", cwd=shown["cwd"]))
    assert refusal == "BadDirectory"


async def test_values_of_the_environment_reach_the_program_and_nothing_else(
    daemon: Daemon, place: Place
) -> None:
    secret = "c4n4ry-value"
    made = await daemon.call(
        "session.create", name="dev", env={"SECRET": secret}, command=["sh", "-c", "exec sleep 1e5"]
    )
    check = ["sh", "-c", f'[ "$SECRET" = {secret[:3]}"{secret[3:]}" ]']
    for where in ("window", "right", "below"):
        other = await pane(daemon, *check, env={"SECRET": secret}, place=where)
        assert (await end_of(daemon, other["id"]))["status"] == 0
    assert (await end_of(daemon, (await pane(daemon, *check))["id"]))["status"] == 1
    shown = await becomes(
        lambda: daemon.call("pane.get", pane=made["pane"]["id"]), lambda p: p["foreground"]
    )
    first = Path(f"/proc/{shown['foreground']['pid']}/environ").read_bytes()
    assert f"SECRET={secret}".encode() in first
    told_ = [tmux(place, "show-environment", *where) for where in (["-g"], ["-t", "=dev:"])]
    told_ += [tmux(place, "show-messages"), tmux(place, "show-options", "-s")]
    await daemon.call("pane.kill", pane=made["pane"]["id"])
    log = await daemon.end()
    assert secret not in repr(log)
    assert not [text for text in told_ if secret in text]
    files = [f for f in place.directory.rglob("*") if f.is_file()]
    assert any(f.suffix == ".db" or "journal" in f.name or "db" in f.name for f in files)
    assert not [f for f in files if secret.encode() in f.read_bytes()]


@pytest.mark.parametrize("name", ["", "A=B", "A B", "1A", "A\0", "TMUX", "TMUX_PANE", "ORCH_PANE"])
async def test_names_of_variables_that_cannot_be_set_are_refused(daemon: Daemon, name: str) -> None:
    await session(daemon)
    error = await refused(
        daemon.call("pane.create", session="dev", command=FOREVER, env={name: "value-canary"})
    )
    assert error.kind == "BadValue"
    assert "value-canary" not in str(error.data)


async def test_a_kept_pane_shows_its_screen_after_its_end_until_it_is_killed(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await shell(daemon, "echo the end; exit 4", keep=True)
    ended = await end_of(daemon, made["id"])
    assert (ended["status"], ended["last_lines"]) == (4, ["the end"])
    assert (await daemon.call("pane.capture", pane=made["id"]))["text"] == "the end"
    assert made["id"] in stamped(place)
    await told(daemon, 0, "pane.exited")
    since = await head(daemon)
    killed = await daemon.call("pane.kill", pane=made["id"])
    assert (killed["already"], killed["exit"]) == (True, ended)
    assert made["id"] not in stamped(place)
    assert [e["kind"] for e in await history(daemon, since=since)] == [
        "pane.closed",
        "window.ended",
    ]


async def test_a_pane_ends_when_its_time_is_over(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon, ttl=0.2)
    assert (await end_of(daemon, made["id"]))["by"] == "ttl"


async def test_the_size_of_a_new_window_is_the_one_asked_for(daemon: Daemon, place: Place) -> None:
    made = await daemon.call(
        "session.create", name="dev", command=FOREVER, width=120, height=30, labels={"a": "b"}
    )
    other = await pane(daemon, width=90, height=20)
    assert (made["pane"]["width"], made["pane"]["height"]) == (120, 30)
    assert (other["width"], other["height"]) == (90, 20)
    listed = tmux(place, "list-panes", "-s", "-t", "=dev:", "-F", "#{pane_width}x#{pane_height}")
    assert listed.split() == ["120x30", "90x20"]
    assert [s["id"] for s in await daemon.call("session.list", label="a=b")] == [made["id"]]
    assert await daemon.call("session.list", label="a=c") == []


@pytest.mark.parametrize("status", [0, 1, 3, 126, 127, 128, 130, 137, 200, 255])
async def test_an_exit_status_is_told_exactly(daemon: Daemon, status: int) -> None:
    await session(daemon)
    made = await shell(daemon, f"echo last; exit {status}")
    ended = await end_of(daemon, made["id"])
    assert (ended["status"], ended["signal"], ended["by"]) == (status, None, None)
    assert ended["last_lines"] == ["last"]
    certificate = await daemon.call("pane.certificate", pane=made["id"])
    assert certificate["exit"] == ended


async def test_every_signal_is_told_by_its_name(daemon: Daemon) -> None:
    await session(daemon)
    code = (
        "import os, signal, sys; n = int(sys.argv[1])\n"
        "n == 9 or signal.signal(n, signal.SIG_DFL)\n"
        "os.kill(os.getpid(), n)"
    )
    made = {
        number: await pane(daemon, "python3", "-c", code, str(number)) for number in range(1, 16)
    }
    for number, one in made.items():
        ended = await end_of(daemon, one["id"])
        assert (ended["status"], ended["signal"]) == (None, signal.Signals(number).name)


async def test_a_living_pane_is_respawned_in_place(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo one; exec sleep 1e5", env={"A": "1", "B": "2"})
    await writes(daemon, made["id"], "one")
    old = (await daemon.call("pane.read", pane=made["id"]))["cursor"]
    since = await head(daemon)
    again = await daemon.call("pane.respawn", pane=made["id"], incarnation=1, env={"A": "3"})
    assert again["missing_env"] == ["B"]
    shown = again["pane"]
    assert (shown["id"], shown["tmux_id"], shown["incarnation"]) == (made["id"], made["tmux_id"], 2)
    assert shown["pid"] != made["pid"]
    await writes(daemon, made["id"], "one")
    got = await daemon.call("pane.read", pane=made["id"], since=old)
    assert (got["gap"], got["text"]) == (True, "one\n")
    for method, more in (
        ("pane.respawn", {}), ("pane.kill", {}), ("pane.send", {"text": "x"}),
        ("pane.keys", {"keys": ["x"]}), ("pane.signal", {"signal": "TERM"}),
    ):  # fmt: skip
        call = daemon.call(method, pane=made["id"], incarnation=1, **more)
        assert await kind(call) == "StaleIncarnation", method
    assert [e["kind"] for e in await history(daemon, since=since)] == ["pane.respawned"]
    await daemon.call("pane.kill", pane=made["id"], incarnation=2)


async def test_a_program_that_ends_at_once_after_a_respawn_is_told(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon, keep=True)
    for status in range(12):
        await daemon.call("pane.respawn", pane=made["id"], command=["sh", "-c", f"exit {status}"])
        assert (await end_of(daemon, made["id"]))["status"] == status


async def test_a_kept_pane_is_respawned_unless_it_was_meanwhile(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "exit 5", keep=True)
    await end_of(daemon, made["id"])
    stale = daemon.call("pane.respawn", pane=made["id"], incarnation=2)
    assert await kind(stale) == "StaleIncarnation"
    bad = daemon.call("pane.respawn", pane=made["id"], command=["no-such-program"])
    assert await kind(bad) == "NoSuchProgram"
    assert (await daemon.call("pane.get", pane=made["id"]))["argv"] == made["argv"]
    again = await daemon.call("pane.respawn", pane=made["id"], command=FOREVER)
    assert (again["pane"]["state"], again["pane"]["exit"]) == ("running", None)


async def test_a_pane_that_is_gone_cannot_be_respawned(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "exit 5")
    await told(daemon, 0, "window.ended")
    assert await kind(daemon.call("pane.respawn", pane=made["id"])) == "PaneExited"


async def test_what_a_respawn_replaces_does_not_close_the_pane(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await pane(daemon)
    for _ in range(10):
        await daemon.call("pane.respawn", pane=made["id"])
    assert made["id"] in stamped(place)
    shown = await daemon.call("pane.get", pane=made["id"])
    assert (shown["state"], shown["incarnation"]) == ("running", 11)
    ends = await history(daemon, "pane.exited", "pane.lost", "pane.killed")
    assert ends == []
