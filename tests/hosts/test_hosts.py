"""orchctl --host and contexts, through a real sshd on the loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place
from orchctl_run import CLIENT, SCRIPT, Orchctl
from remote import Sshd


def masters(place: Place) -> list[Path]:
    """Return the control sockets of the connections that are kept."""
    return sorted((place.directory / "here" / "state" / "run" / "ssh").glob("*.ctl"))


async def master(sshd: Sshd, control: Path) -> int:
    """Return the pid of a connection that is kept, as ssh tells it."""
    process = await asyncio.create_subprocess_exec(
        "ssh", "-F", str(sshd.config), "-S", str(control), "-O", "check", "x",
        stdin=subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    return int(said.decode().partition("pid=")[2].partition(")")[0])


def logins(sshd: Sshd) -> int:
    return sshd.log.read_bytes().count(b"Accepted publickey")


async def test_commands_reach_the_other_hosts_daemon_over_one_connection(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    created = await orchctl("--host", sshd.url, "session-create", "far", "--cwd", "/")
    assert created.status == 0, created.err
    assert created.json["name"] == "far"
    pane = created.json["pane"]["id"]
    done = await orchctl("--host", sshd.url, "pane-exec", pane, "echo over there; (exit 3)")
    assert (done.status, done.json["output"]) == (3, "over there\n")
    assert [s["name"] for s in await daemon.call("session.list")] == ["far"]
    missing = await orchctl("--host", sshd.url, "pane-get", "p99")
    assert (missing.status, "p99" in missing.err) == (3, True)
    assert logins(sshd) == 1
    (control,) = masters(place)
    socket = control.with_suffix(".sock")
    assert (control.parent.stat().st_mode & 0o777, socket.stat().st_mode & 0o777) == (0o700, 0o600)


async def test_many_commands_at_once_make_one_connection(
    daemon: Daemon, sshd: Sshd, orchctl: Orchctl
) -> None:
    done = await asyncio.gather(*(orchctl("--host", sshd.url, "daemon-ping") for _ in range(8)))
    assert {one.json["pid"] for one in done} == {daemon.process.pid}
    assert logins(sshd) == 1


async def test_a_daemon_that_restarts_and_a_connection_that_broke_are_made_good(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    assert (await orchctl("--host", sshd.url, "daemon-ping")).status == 0
    await daemon.kill()
    gone = await orchctl("--host", sshd.url, "daemon-ping")
    assert gone.status == 69
    assert f"orchctl --host {sshd.url} up" in gone.err
    second = await place.start()
    found = await orchctl("--host", sshd.url, "daemon-ping")
    assert found.json["pid"] == second.process.pid
    os.kill(await master(sshd, *masters(place)), signal.SIGKILL)  # its sockets stay behind
    found = await orchctl("--host", sshd.url, "daemon-ping")
    assert found.json["pid"] == second.process.pid


async def test_a_socket_can_be_named_in_the_url(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    found = await orchctl("--host", f"{sshd.url}{place.socket}", "daemon-ping")
    assert found.json["pid"] == daemon.process.pid
    wrong = await orchctl("--host", f"{sshd.url}{place.directory}/no.sock", "daemon-ping")
    assert wrong.status == 69


async def test_what_is_about_processes_runs_there(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    status = await orchctl("--host", sshd.url, "status")
    assert status.json["pid"] == daemon.process.pid
    shown = await orchctl("status", "--text", f"--host={sshd.url}")
    assert str(daemon.process.pid) in shown.out and not shown.out.startswith("{")
    assert (await orchctl("--host", sshd.url, "down")).json == {"stopped": True}
    await asyncio.wait_for(daemon.process.wait(), 60)
    assert (await orchctl("--host", sshd.url, "status")).status == 1


async def test_streams_and_agents_go_through_it_too(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    await orchctl("--host", sshd.url, "session-create", "far")
    events = await orchctl("--host", sshd.url, "events", "--kinds", "session.created")
    assert "session.created" in events.out
    if not any((Path(folder) / "mcp" / "server").is_dir() for folder in sys.path):
        pytest.skip("the rest needs the extra mcp")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT),
        "--host", sshd.url, "mcp",
        env={
            "PATH": os.environ["PATH"], "HOME": str(place.directory / "here"),
            "PYTHONPATH": str(CLIENT),
            "ORCHESTRATORD_STATE_DIR": str(place.directory / "here" / "state"),
            "ORCHCTL_SSH": f"ssh -F {sshd.config}", "ORCHCTL_NO_AUTOSTART": "1",
        },
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None

    async def ask(method: str, **params: Any) -> Any:
        assert process.stdin is not None and process.stdout is not None
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        return json.loads(await process.stdout.readline())["result"]

    await ask(
        "initialize", protocolVersion="2025-11-25", capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )  # fmt: skip
    process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    listed = await ask("tools/call", name="list", arguments={"what": "sessions"})
    assert [row["session"] for row in listed["structuredContent"]["sessions"]] == ["far"]
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 60)


async def test_contexts_are_added_used_and_removed(
    daemon: Daemon, place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    program = str(place.directory / "bin" / "orchctl")
    assert (await orchctl("daemon-ping")).status == 69  # there is none on this host
    added = await orchctl("context", "add", "far", sshd.url, "--program", program)
    assert added.status == 0, added.err
    assert (await orchctl("--context", "far", "daemon-ping")).status == 0
    assert (await orchctl("context", "use", "far")).status == 0
    assert (await orchctl("daemon-ping")).json["pid"] == daemon.process.pid
    assert (await orchctl("context", "list")).json == [
        {"name": "default", "current": False, "url": "", "program": ""},
        {"name": "far", "current": True, "url": sshd.url, "program": program},
    ]
    for away in (
        {"ORCHCTL_CONTEXT": "default"}, {"ORCH_PANE": "p1"},
        {"ORCHESTRATORD_SOCKET": str(place.directory / "no.sock")},
    ):  # fmt: skip
        assert (await orchctl("daemon-ping", env=away)).status == 69
    assert (await orchctl("daemon-ping", env={"ORCHCTL_HOST": sshd.url})).status == 0
    assert (await orchctl("context", "add", "far", sshd.url)).status == 4
    assert (await orchctl("context", "remove", "far")).status == 0
    assert len((await orchctl("context", "list")).json) == 1
    assert (await orchctl("daemon-ping")).status == 69
    assert len(masters(place)) == 1  # the other is ORCHCTL_HOST's


@pytest.mark.parametrize(
    "words",
    [
        ("context", "add", "x", "http://host"), ("context", "add", "../x", "ssh://host"),
        ("context", "add", "default", "ssh://host"), ("context", "add", "x"),
        ("context", "use"), ("context", "jump", "x"),
        ("--host", "ssh://-oProxyCommand=x", "daemon-ping"), ("--host", "ssh://", "daemon-ping"),
        ("--host", "ssh://a b", "daemon-ping"), ("--host", "ssh://u@h:99999", "daemon-ping"),
        ("--host", "ssh://-x@h", "daemon-ping"), ("--host", "ssh://h/a:b", "daemon-ping"),
        ("--host", "ssh://h;id", "daemon-ping"), ("--host", "h", "daemon-ping"),
        ("--host", "ssh://h", "--socket", "/x", "daemon-ping"),
    ],
    ids=" ".join,
)  # fmt: skip
async def test_what_names_no_host_is_refused_before_ssh_sees_it(
    orchctl: Orchctl, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = await orchctl(*words, env={"ORCHCTL_SSH": f"touch {tmp_path}/called"})
    assert done.status == 2, done.err
    assert not (tmp_path / "called").exists()


async def test_a_context_that_is_not_there_is_not_found(orchctl: Orchctl) -> None:
    for words in (("context", "use", "no"), ("--context", "no", "daemon-ping")):
        assert (await orchctl(*words)).status == 3


async def test_a_host_that_cannot_be_reached_says_what_ssh_said(
    place: Place, sshd: Sshd, orchctl: Orchctl
) -> None:
    await sshd.stop()
    done = await orchctl("--host", sshd.url, "daemon-ping")
    assert done.status == 69
    assert "Connection refused" in done.err


@pytest.mark.parametrize("sshd", ["no"], indirect=True)
async def test_an_sshd_that_forwards_no_sockets_is_said(
    daemon: Daemon, sshd: Sshd, orchctl: Orchctl
) -> None:
    done = await orchctl("--host", sshd.url, "daemon-ping")
    assert done.status == 69
