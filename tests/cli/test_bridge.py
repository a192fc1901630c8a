"""Every line of the original bridge, as typed, becomes the right calls and exit status."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import pytest
from fake_daemon import Failure, FakeDaemon, Hang, Script, Stream
from orchctl_run import SCRIPT, Orchctl

PANE = {"id": "p1", "name": "build", "state": "idle", "cursor": "c1"}
ANSWERS: dict[str, Any] = {
    "session.create": {"id": "s1"},
    "session.list": [],
    "session.kill": {"killed": []},
    "pane.create": PANE,
    "pane.kill": {"exit": None},
    "pane.capture": {"text": "$ ", "cursor": "c0"},
    "pane.get": PANE,
    "pane.list": [PANE],
    "pane.find": [PANE],
    "pane.count": {"count": 1},
    "pane.search": [{"number": 3, "line": "done", "match": "o"}],
    "pane.has_pattern": {"matched": True},
    "pane.label_set": {"labels": {"k": "v"}},
    "pane.label_get": {"labels": {"k": "v"}},
    "pane.wait": {"outcome": None, "wait": "wait7"},
    "wait.get": {"outcome": "matched", "pane": "p1", "cursor": "c2"},
    "pane.exec": {"exec": "e1"},
    "exec.wait": {"exec": "e1", "exit_code": 0, "ended_by": "exit_code", "output": "hi\n"},
    "daemon.reconcile": {"changes": []},
}
IN_DEV = {"session": "dev", "pane": "build"}
IN_DEV_RUN = {"session": "dev", "pane": "build", "command": "ls"}
SEARCH = {"pane": "dev/build", "pattern": "o|k"}


@pytest.mark.parametrize(
    ("line", "requests"),
    [
        ("session-create dev", [("session.create", {"name": "dev"})]),
        ("session-list", [("session.list", {})]),
        ("session-kill dev", [("session.kill", {"session": "dev"})]),
        ("pane-create dev", [("pane.create", {"session": "dev"})]),
        ("pane-create dev build", [("pane.create", {"session": "dev", "name": "build"})]),
        (
            "pane-create-with-layout dev build",
            [("pane.create", {"session": "dev", "name": "build", "layout": "tiled"})],
        ),
        (
            "pane-create-with-layout dev build even-vertical",
            [("pane.create", {"session": "dev", "name": "build", "layout": "even-vertical"})],
        ),
        ("pane-kill dev build", [("pane.kill", IN_DEV)]),
        ("pane-kill p1", [("pane.kill", {"pane": "p1"})]),
        ("pane-capture dev build", [("pane.capture", IN_DEV)]),
        ("pane-capture dev build 20", [("pane.capture", IN_DEV | {"lines": 20})]),
        ("pane-watch dev build o|k", [("pane.search", SEARCH)]),
        ("pane-watch dev build o|k 9", [("pane.search", SEARCH | {"lines": 9})]),
        ("pane-has-pattern dev build o|k", [("pane.has_pattern", IN_DEV | {"pattern": "o|k"})]),
        ("pane-has-pattern build o|k", [("pane.has_pattern", SEARCH | {"pane": "build"})]),
        ("pane-status dev build", [("pane.get", {"pane": "dev/build"})]),
        ("pane-list-json dev", [("pane.list", {"session": "dev"})]),
        ("pane-list-detailed dev", [("pane.list", {"session": "dev"})]),
        ("state-sync dev", [("daemon.reconcile", {})]),
        (
            "pane-metadata-set dev build k v",
            [("pane.label_set", {"pane": "dev/build", "labels": {"k": "v"}})],
        ),
        ("pane-metadata-get dev build k", [("pane.label_get", {"pane": "dev/build"})]),
        (
            "pane-watch-timeout dev build o|k 5",
            [("pane.get", {"pane": "dev/build"}), ("pane.search", SEARCH)],
        ),
        (
            "pane-wait dev build 7",
            [
                (
                    "pane.wait",
                    {"pane": "dev/build", "timeout": 7, "detach": True}
                    | {"prompt": True, "exit": True},
                ),
                ("wait.get", {"wait": "wait7", "block": 20}),
            ],
        ),
        (
            "pane-exec dev build ls",
            [
                ("pane.exec", IN_DEV_RUN | {"wait": False}),
                ("exec.wait", {"exec": "e1", "timeout": 86400}),
            ],
        ),
        (
            "pane-exec-timeout dev build 4 ls",
            [
                ("pane.exec", IN_DEV_RUN | {"timeout": 4, "wait": False}),
                ("exec.wait", {"exec": "e1", "timeout": 19}),
            ],
        ),
    ],
)
async def test_a_line_of_the_bridge_works_as_typed(
    daemon: FakeDaemon, orchctl: Orchctl, line: str, requests: list[tuple[str, Any]]
) -> None:
    daemon.answers |= ANSWERS
    done = await orchctl(*line.split())
    assert (done.status, done.err) == (0, "")
    assert daemon.requests == requests


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"exit_code": 0, "ended_by": "exit_code"}, 0),
        ({"exit_code": 3, "ended_by": "exit_code"}, 3),
        ({"exit_code": None, "ended_by": "timeout"}, 124),
        ({"exit_code": None, "ended_by": "pattern"}, 0),
        ({"exit_code": None, "ended_by": "pane_exit"}, 125),
        ({"exit_code": None, "ended_by": "cancelled"}, 130),
    ],
)
async def test_pane_exec_exits_as_the_command_did(
    daemon: FakeDaemon, orchctl: Orchctl, result: dict[str, Any], status: int
) -> None:
    daemon.answers |= {"pane.exec": {"exec": "e1"}, "exec.wait": result | {"output": ""}}
    done = await orchctl("pane-exec", "build", "false")
    assert (done.status, done.json) == (status, result | {"output": ""})


async def test_pane_exec_exits_with_125_when_running_it_failed(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.exec"] = Failure("PaneBusy", 412, "build is busy")
    done = await orchctl("pane-exec", "build", "ls")
    assert (done.status, done.err) == (125, "orchctl: build is busy\n")


async def test_a_daemon_without_the_method_says_so_itself(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    done = await orchctl("pane-exec", "build", "ls")
    assert (done.status, done.err) == (3, "orchctl: there is no method 'pane.exec'\n")


@pytest.mark.parametrize(
    ("state", "status", "out"),
    [
        ("running", 0, "true\n"),
        ("busy", 0, "true\n"),
        ("idle", 1, "false\n"),
        ("exited", 1, "false\n"),
        ("unknown", 69, ""),
        ("lost", 69, ""),
    ],
)
async def test_is_running_answers_yes_no_or_not_known(
    daemon: FakeDaemon, orchctl: Orchctl, state: str, status: int, out: str
) -> None:
    daemon.answers["pane.get"] = PANE | {"state": state}
    done = await orchctl("pane-is-running", "dev", "build")
    assert (done.status, done.out) == (status, out)


async def test_has_pattern_answers_no_with_exit_1(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.has_pattern"] = {"matched": False}
    done = await orchctl("--quiet", "pane-has-pattern", "build", "x")
    assert (done.status, done.out, done.err) == (1, "", "")


async def test_watch_timeout_waits_from_the_cursor_that_it_took_before_it_looked(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers |= {"pane.get": PANE, "pane.search": []}
    daemon.answers["pane.wait"] = {"outcome": "timed_out", "pane": "p1"}
    done = await orchctl("pane-watch-timeout", "dev", "build", "ok", "2")
    assert done.status == 1
    assert [method for method, _ in daemon.requests] == ["pane.get", "pane.search", "pane.wait"]
    assert daemon.requests[2][1] == {
        "pane": "dev/build", "patterns": ["ok"], "since": "c1", "timeout": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"outcome": "matched"}, 0),
        ({"outcome": "exited", "condition": "exit"}, 0),
        ({"outcome": "exited", "condition": None}, 1),
        ({"outcome": "stopped"}, 1),
        ({"outcome": "timed_out"}, 124),
        ({"outcome": "cancelled"}, 130),
    ],
)
async def test_pane_wait_asks_again_until_there_is_a_result_and_exits_by_it(
    daemon: FakeDaemon, orchctl: Orchctl, result: dict[str, Any], status: int
) -> None:
    daemon.answers |= {"pane.wait": ANSWERS["pane.wait"]}
    daemon.answers["wait.get"] = Script([{"outcome": None}, {"outcome": None}, result])
    done = await orchctl("pane-wait", "build", "--pattern", "ok", "--stop", "bad")
    assert done.status == status
    assert daemon.requests == [
        ("pane.wait", {"pane": "build", "patterns": ["ok"], "stop": ["bad"], "timeout": 86400,
                       "detach": True}),
        *[("wait.get", {"wait": "wait7", "block": 20})] * 3,
    ]  # fmt: skip


async def test_pane_wait_waits_for_the_end_where_there_is_no_prompt(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    refusal = Failure("NoPrompt", 412, "none")
    daemon.answers |= {"pane.wait": Script([refusal, ANSWERS["pane.wait"]])}
    daemon.answers["wait.get"] = {"outcome": "exited", "condition": "exit"}
    assert (await orchctl("pane-wait", "build")).status == 0
    assert daemon.requests[1] == (
        "pane.wait", {"pane": "build", "timeout": 86400, "detach": True, "exit": True}
    )  # fmt: skip


async def test_ctrl_c_leaves_the_wait_and_says_how_to_rejoin(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers |= {"pane.wait": ANSWERS["pane.wait"], "wait.get": Hang()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "pane-wait", "build", stderr=asyncio.subprocess.PIPE,
        env=environment,
    )  # fmt: skip
    while len(daemon.requests) < 2:
        daemon.arrived.clear()
        await daemon.arrived.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().strip() == (
        "orchctl: stopped waiting; what runs goes on. Rejoin: orchctl wait-get wait7 3600"
    )


async def test_a_missing_label_is_exit_3(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.label_get"] = {"labels": {}}
    done = await orchctl("pane-metadata-get", "dev", "build", "k")
    assert (done.status, done.err) == (3, "orchctl: dev/build has no label k\n")


async def test_pane_tail_shows_the_screen_and_goes_on_from_its_cursor(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.capture"] = {"text": "one\ntwo", "cursor": "c5"}
    daemon.answers["pane.tail"] = Stream([{"text": "three\n", "cursor": "c6"}])
    done = await orchctl("--text", "pane-tail", "dev", "build", "2")
    assert done.out == "one\ntwo\nthree\n"
    assert daemon.requests == [
        ("pane.capture", {"pane": "dev/build", "lines": 2}),
        ("pane.tail", {"pane": "dev/build", "since": "c5"}),
    ]


async def test_pane_stream_runs_the_filter_of_the_caller(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    items = [{"text": "ok\nERR", "cursor": "1"}, {"text": "OR x\n", "cursor": "2"}]
    daemon.answers["pane.tail"] = Stream(items)
    done = await orchctl("pane-stream", "dev", "build", "grep ERROR | tr x y")
    assert done.out == "ERROR y\n"


async def test_ctrl_c_stops_the_waiting_and_says_how_to_rejoin(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers |= {"pane.exec": {"exec": "e9"}, "exec.wait": Hang()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "pane-exec", "build", "sleep 9",
        stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    while len(daemon.requests) < 2:
        daemon.arrived.clear()
        await daemon.arrived.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().strip() == (
        "orchctl: stopped waiting; what runs goes on. Rejoin: orchctl exec-wait e9"
    )
