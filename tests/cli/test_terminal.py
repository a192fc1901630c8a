"""What a person sees on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_daemon import FakeDaemon, Hang
from orchctl.render import age, block, cut, essence, render, safe, width
from terminal import on_a_terminal

PANES = [
    {
        "id": "p1",
        "name": "build",
        "session_name": "dev",
        "state": "running",
        "command": "make",
    },
    {
        "id": "p2",
        "name": "日本",
        "session_name": "dev",
        "state": "lost",
        "command": "e\u0301\x1b[2J",
    },
]


async def shown(env: dict[str, str], *words: str, columns: int = 80) -> tuple[int, str]:
    terminal = await on_a_terminal(*words, env=env, columns=columns)
    status = await terminal.end()
    return status, terminal.shown.decode().replace("\r\n", "\n")


async def test_a_list_is_a_table_whose_columns_are_straight(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.list"] = PANES
    assert await shown(environment | {"NO_COLOR": ""}, "pane-list") == (
        0,
        "ID  NAME   SESSION_NAME  STATE    COMMAND\n"
        "p1  build  dev           running  make\n"
        "p2  日本   dev           lost     e\u0301\\x1b[2J\n",
    )


async def test_a_terminal_with_colours_gets_them_sparingly(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.list"] = PANES[:1]
    _, text = await shown(environment | {"TERM": "xterm"}, "pane-list")
    assert text == (
        "\x1b[1mID\x1b[0m  \x1b[1mNAME\x1b[0m   \x1b[1mSESSION_NAME\x1b[0m  "
        "\x1b[1mSTATE\x1b[0m    \x1b[1mCOMMAND\x1b[0m\n"
        "p1  build  dev           \x1b[36mrunning\x1b[0m  make\n"
    )


async def test_a_narrow_terminal_cuts_the_widest_column(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.list"] = [PANES[0] | {"command": "x" * 200}]
    _, text = await shown(environment | {"NO_COLOR": "1"}, "pane-list", columns=60)
    assert max(map(width, text.splitlines())) == 60
    assert text.endswith("xxx~\n")


async def test_an_empty_list_says_so(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    daemon.answers["pane.list"] = []
    assert await shown(environment, "pane-list") == (0, "no panes\n")


async def test_one_object_is_aligned_fields_and_a_screen_is_text(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.get"] = {"id": "p1", "state": "idle", "labels": {"a": "b"}, "exit": None}
    daemon.answers["pane.capture"] = {"text": "$ ls\nöl\x1b]52;c;evil\x07", "cursor": "c"}
    plain = environment | {"NO_COLOR": "1"}
    assert await shown(plain, "pane-get", "p1") == (
        0,
        "id:     p1\nstate:  idle\nlabels: a=b\nexit:   -\n",
    )
    assert await shown(plain, "pane-capture", "p1") == (0, "$ ls\nöl\\x1b]52;c;evil\\x07\n")


async def test_json_is_passed_through_on_a_terminal_too(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.list"] = PANES
    _, text = await shown(environment, "--json", "pane-list")
    assert json.loads(text) == PANES


async def test_status_shows_the_daemon_at_a_glance(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["daemon.status"] = {
        "version": "0.1.0", "pid": 12, "uptime": 3725.0, "health": "ok",
        "tmux": {"version": "3.3a", "state": "present"}, "counts": {"panes": 3},
    }  # fmt: skip
    status, text = await shown(environment | {"NO_COLOR": "1"}, "status")
    assert status == 0
    assert text == (
        "orchestratord 0.1.0, is ok, pid 12, up 1h2m\n"
        "  tmux:   version=3.3a state=present\n"
        "  counts: panes=3\n"
    ).replace("0.1.0, is ok", "0.1.0 is ok")


async def test_a_long_call_shows_that_it_waits_and_ctrl_c_ends_it(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.kill"] = Hang()
    terminal = await on_a_terminal("pane-kill", "p1", env=environment)
    await terminal.until(rb"pane\.kill: \d+ s")
    terminal.type(b"\x03")
    assert await terminal.end() == 130
    assert terminal.shown.endswith(b"\r\x1b[K")


async def test_the_manual_page_is_shown_by_man(environment: dict[str, str]) -> None:
    _, text = await shown(environment | {"PAGER": "cat", "MANPAGER": "cat", "TERM": "dumb"}, "man")
    assert "pane-kill" in text
    assert "\\fB" not in text


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("👍", 2), ("", 0)]
)
def test_the_width_of_text_is_what_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width(text) == columns


def test_nothing_that_a_terminal_would_obey_is_left_in_text() -> None:
    hostile = "".join(
        map(chr, [*range(32), 127, *range(0x80, 0xA0), 0x202E, 0x2066, 0xFEFF, 0xD800])
    )
    made = safe(hostile)
    assert made.isascii()
    assert made.isprintable()
    assert block("\x1b[31mred\x1b[2J\x9b31m\x1b[") == "red\\x1b[2J\\x9b31m\\x1b[\n"


def test_cut_text_never_exceeds_its_columns() -> None:
    assert [cut("日本語", n) for n in (6, 5, 4, 3)] == ["日本語", "日本~", "日~", "日~"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (5, "5s"), (185, "3m5s"), (3599, "59m"), (3725, "1h2m"), (90000, "1d1h")],
)
def test_an_age_names_its_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"count": 3}, "3\n"),
        (None, ""),
        (True, "yes\n"),
        ({"killed": []}, "-\n"),
        ({"events": [], "next": 1}, "no events\n"),
        ([1, "a\n"], "1\na\\n\n"),
    ],
)
def test_small_results_are_shown_plainly(result: Any, text: str) -> None:
    assert render(json.dumps(result).encode(), ("seq",) if "events" in str(result) else ()) == text


def test_essence_of_a_nested_list_is_its_ids() -> None:
    assert essence({"panes": [{"id": "p1"}, {"id": "p2"}]}) == ["p1", "p2"]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[str]:
    """A tmux server of the test's own with a session called dev; yields its socket."""
    socket = str(tmp_path / "tmux.sock")
    command = ["tmux", "-S", socket, "-f", "/dev/null"]
    subprocess.run([*command, "new-session", "-d", "-s", "dev", "cat"], check=True)
    server = int(subprocess.check_output([*command, "display-message", "-p", "#{pid}"]))
    yield socket
    os.kill(server, signal.SIGTERM)


async def test_attach_fits_the_session_while_it_lasts_and_gives_its_size_back(
    daemon: FakeDaemon, environment: dict[str, str], tmux: str
) -> None:
    session = {"id": "s1", "name": "dev", "attached": 0}
    daemon.answers |= {
        "session.list": [session], "session.get": session, "session.fit": session,
        "daemon.status": {"tmux": {"socket": tmux}},
    }  # fmt: skip
    terminal = await on_a_terminal(
        "attach", env=environment | {"TERM": "xterm"}, columns=91, rows=31
    )
    await terminal.until(rb"\[dev\]")
    daemon.arrived.clear()
    terminal.resize(70, 20)
    await daemon.arrived.wait()
    detach = ("tmux", "-S", tmux, "detach-client", "-s", "=dev")
    await (await asyncio.create_subprocess_exec(*detach)).wait()
    assert await terminal.end() == 0
    fits = [params for method, params in daemon.requests if method == "session.fit"]
    assert fits[0] == {"session": "s1", "width": 91, "height": 31}
    assert {"session": "s1", "width": 70, "height": 20} in fits
    assert fits[-1] == {"session": "s1"}


async def test_attach_inside_tmux_is_refused_with_a_hint(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    status, text = await shown(environment | {"TMUX": "/x,1,0"}, "attach", "dev")
    assert status == 5
    assert text == (
        "orchctl: this terminal is inside tmux already\n"
        "  detach first, or begin with: TMUX= orchctl attach\n"
    )
    assert daemon.requests == []


async def test_attach_among_several_sessions_asks_which(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["session.list"] = [{"id": "s1", "name": "a"}, {"id": "s2", "name": "b"}]
    status, text = await shown(environment, "attach")
    assert (status, text.splitlines()[0]) == (2, "orchctl: there are 2 sessions: a, b")
