"""What a person sees on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_daemon import Failure, FakeDaemon, Hang, Stream
from orchctl.render import width
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
        "ID  NAME   SESSION  STATE    COMMAND\n"
        "p1  build  dev      running  make\n"
        "p2  日本   dev      lost     e\u0301\\x1b[2J\n",
    )


async def test_a_terminal_with_colours_gets_them_sparingly(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.list"] = PANES[:1]
    _, text = await shown(environment | {"TERM": "xterm"}, "pane-list")
    assert text == (
        "\x1b[1mID\x1b[0m  \x1b[1mNAME\x1b[0m   \x1b[1mSESSION\x1b[0m  "
        "\x1b[1mSTATE\x1b[0m    \x1b[1mCOMMAND\x1b[0m\n"
        "p1  build  dev      \x1b[36mrunning\x1b[0m  make\n"
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
        "id:     p1\nstate:  idle\nlabels: a=b\n",
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


async def test_a_long_value_goes_on_below_itself(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.get"] = {"id": "p1", "labels": {f"key{n}": "value" for n in range(6)}}
    _, text = await shown(environment | {"NO_COLOR": "1"}, "pane-get", "p1", columns=40)
    assert text == (
        "id:     p1\n"
        "labels: key0=value key1=value key2=value\n"
        "        key3=value key4=value key5=value\n"
    )


async def test_tail_shows_the_last_lines_and_goes_on_where_they_end(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.capture"] = {"text": "one\ntwo", "cursor": "c5"}
    daemon.answers["pane.tail"] = Stream([{"text": "three\n", "cursor": "c6"}])
    assert await shown(environment, "tail", "build") == (0, "one\ntwo\nthree\n")
    assert daemon.requests == [
        ("pane.capture", {"pane": "build", "lines": 10}),
        ("pane.tail", {"pane": "build", "since": "c5"}),
    ]


async def test_tail_of_a_pane_that_has_ended_shows_its_last_lines(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.capture"] = Failure("PaneExited", 412, "pane p1 has ended")
    daemon.answers["pane.get"] = {"exit": {"status": 0, "last_lines": ["a", "b", "c"]}}
    assert await shown(environment, "tail", "p1", "--lines", "2") == (0, "b\nc\n")


async def test_the_help_of_a_command_has_each_form_on_a_line(environment: dict[str, str]) -> None:
    _, text = await shown(environment, "help", "pane-kill")
    assert text.startswith(
        "usage: orchctl pane-kill PANE\n   or: orchctl pane-kill SESSION PANE\n\n"
    )


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
