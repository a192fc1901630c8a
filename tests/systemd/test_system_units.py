"""The system's units, under a real systemd: what they promise of panes, callers and hardening."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bed import INSTALLED, until
from host import Host

KILLS = int(os.environ.get("KILLS", "20"))
"""How often the daemon is killed under a caller's eyes; 100 and more by hand."""

SOCKET = "/run/orchestratord/orchestratord.sock"
CALLER = Path(__file__).with_name("caller.py")


def test_the_first_call_starts_the_daemon_through_the_socket(system: Host) -> None:
    assert (system.daemon(), system.show("ActiveState", "orchestratord.socket")) == ("0", "active")
    assert str(system.orchctl("daemon-ping")["pid"]) == system.daemon()
    until(lambda: system.orchctl("status")["health"] == "ok", "tmux to be connected")
    assert system.orchctl("status")["socket"] == SOCKET


def test_only_the_user_whom_they_serve_is_led_to_the_systems_units(system: Host) -> None:
    assert system.orchctl("status")["socket"] == SOCKET
    bed = system.bed
    asked = bed.run("orchctl", "--json", "status", check=False)  # root could connect to it
    assert (asked.returncode, json.loads(asked.stdout)["running"]) == (1, False)
    down = bed.run("orchctl", "down", user=system.user, check=False)
    assert (down.returncode, "systemctl stop orchestratord.socket" in down.stderr) == (5, True)
    own = {"HOME": "/tmp/own"}
    bed.run("install", "-d", "-o", system.user, "/tmp/own")
    started = json.loads(bed.run("orchctl", "--json", "--no-autostart", "status", user=system.user,
                                 env=own).stdout)  # fmt: skip
    assert started["socket"] == SOCKET


def test_systemctl_start_orchestratord_serves_callers(system: Host) -> None:
    system.systemctl("start", "orchestratord")
    pid = system.daemon()
    assert pid != "0"
    assert str(system.orchctl("daemon-ping")["pid"]) == pid


def test_systemctl_reload_reads_the_configuration_again(system: Host) -> None:
    system.systemctl("start", "orchestratord")
    pid = system.daemon()
    system.systemctl("reload", "orchestratord")
    until(
        lambda: bool(system.orchctl("event-list", "--kinds", "daemon.reloaded")["events"]),
        "the event",
    )
    assert system.daemon() == pid


def test_only_the_user_reaches_the_daemon(system: Host) -> None:
    system.bed.run("useradd", "mallory")
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect({SOCKET!r})"
    done = system.bed.run("python3", "-c", probe, user="mallory", check=False)
    assert "PermissionError" in done.stderr


def restart(host: Host) -> None:
    host.systemctl("restart", "orchestratord")


def kill(host: Host) -> None:
    host.wait_for_another(host.kill_daemon())


def stop_and_start(host: Host) -> None:
    host.systemctl("stop", "orchestratord")
    assert host.daemon() == "0"
    host.systemctl("start", "orchestratord")


def stop_everything_but_tmux(host: Host) -> None:
    host.systemctl("stop", "orchestratord.socket", "orchestratord")
    assert not host.bed.file(SOCKET).exists()
    host.systemctl("start", "orchestratord")


def starve_the_watchdog(host: Host) -> None:
    host.wait_for_another(host.signal("STOP"))
    assert "Watchdog timeout" in host.bed.journal("orchestratord")


def reinstall(host: Host) -> None:
    unit = host.bed.file("/etc/systemd/system/orchestratord.service")
    unit.write_text(unit.read_text().replace("WatchdogSec=10", "WatchdogSec=77"))
    host.bed.run("orchctl", "systemd", "install", "--system")
    assert "WatchdogSec=10\n" in unit.read_text()


ENDS = [restart, kill, stop_and_start, stop_everything_but_tmux, starve_the_watchdog, reinstall]


@pytest.mark.parametrize("end", ENDS)
def test_no_end_of_the_daemon_ends_a_pane(system: Host, end: Callable[[Host], None]) -> None:
    if end is starve_the_watchdog:
        drop_in = system.bed.file("/etc/systemd/system/orchestratord.service.d/impatient.conf")
        drop_in.parent.mkdir()
        drop_in.write_text("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
        system.systemctl("daemon-reload")
    pane = system.pane("sh", "-c", "while read line; do echo got $line; done")
    system.pane()
    before, daemon = system.processes(), system.daemon()
    end(system)
    assert system.daemon() not in ("0", daemon)
    assert system.processes() == before
    system.orchctl("pane-send", pane["id"], "it lives", "--submit")
    until(
        lambda: "got it lives" in system.orchctl("pane-capture", pane["id"])["text"],
        "the program's answer",
    )


def test_kills_under_a_callers_eyes_cost_it_nothing(
    system: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    system.systemctl("start", "orchestratord")
    pane = system.pane("cat")
    argv = system.bed.argv(f"{INSTALLED}/bin/python", str(CALLER), SOCKET, user=system.user)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as caller:
        for _ in range(KILLS):
            system.wait_for_another(system.kill_daemon())
        report, _ = caller.communicate("", timeout=120)
    found = json.loads(report)
    with capsys.disabled():
        print(f"\n{KILLS} kills: {found}")
    assert (found["refused"], found["errors"]) == (0, [])
    assert found["daemons"] > 1
    assert system.show("NRestarts") == str(KILLS)
    assert system.processes() == {pane["id"]: pane["pid"]}


@pytest.mark.parametrize(
    ("script", "status", "signal"),
    [("echo last words; exit 7", 7, None), ("echo last words; kill -KILL $$", None, "SIGKILL")],
)
def test_a_hardened_daemon_sees_how_a_pane_ends(
    system: Host, script: str, status: int | None, signal: str | None
) -> None:
    pane = system.pane("sh", "-c", script)
    end = system.ended(pane["id"])["exit"]
    assert (end["status"], end["signal"], end["last_lines"]) == (status, signal, ["last words"])


def test_an_end_while_the_daemon_is_down_is_reported_exactly(system: Host) -> None:
    wait = "until [ -e go ]; do sleep 0.02; done; echo last words; exit 42"
    pane = system.pane("sh", "-c", wait, cwd="/home/alice")
    program = system.orchctl("pane-get", pane["id"])["foreground"]["pid"]
    system.systemctl("stop", "orchestratord")
    system.bed.file("/home/alice/go").touch()
    state = system.bed.file(f"/proc/{program}/stat")
    until(lambda: ") Z " in state.read_text(), "the program's end")
    assert system.daemon() == "0"
    end = system.ended(pane["id"])["exit"]
    assert (end["status"], end["last_lines"]) == (42, ["last words"])


@pytest.mark.parametrize("cwd", ["/tmp", "/home/alice"])
def test_no_hardening_reaches_a_pane(system: Host, cwd: str) -> None:
    script = (
        'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status; touch alice.was-here; unshare -rn true'
    )
    pane = system.pane("sh", "-c", script, cwd=cwd)
    end = system.ended(pane["id"])["exit"]
    assert (end["status"], end["last_lines"]) == (0, ["NoNewPrivs:\t0", "Seccomp:\t0"])
    assert system.bed.file(f"{cwd}/alice.was-here").exists()


def test_the_foreground_and_its_directory_are_seen(system: Host) -> None:
    pane = system.pane("sleep", "1000", cwd="/tmp")
    found = system.orchctl("pane-get", pane["id"])
    assert (found["foreground"]["command"], found["cwd"]) == ("sleep", "/tmp")


def test_the_daemon_waits_for_tmux_and_never_starts_its_own(system: Host) -> None:
    system.systemctl("start", "orchestratord")
    system.systemctl("stop", "orchestratord-tmux")
    until(lambda: system.orchctl("status")["tmux"]["state"] != "connected", "the loss to be seen")
    ask = ("tmux", "-N", "-S", "/run/orchestratord-tmux/tmux.sock", "start-server")
    assert system.bed.run(*ask, user=system.user, check=False).returncode == 1
    system.systemctl("start", "orchestratord-tmux")
    pane = system.pane("cat")
    assert system.show("ControlGroup", "orchestratord-tmux") in _cgroup(system, pane["pid"])


def test_a_killed_tmux_server_comes_back(system: Host) -> None:
    old = system.pane("cat")
    system.signal("KILL", "orchestratord-tmux")
    until(
        # exited, if it was seen to end before tmux was seen to be gone
        lambda: system.orchctl("pane-get", old["id"])["state"] in ("lost", "exited"),
        "the loss to be seen",
    )
    pane = system.pane("cat")
    assert system.show("ControlGroup", "orchestratord-tmux") in _cgroup(system, pane["pid"])


def test_the_units_are_correct_and_the_daemon_is_little_exposed(
    system: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    units = [f"orchestratord{rest}" for rest in (".socket", ".service", "-tmux.service")]
    assert system.bed.run("systemd-analyze", "verify", *units).stderr == ""
    said = system.bed.run("systemd-analyze", "security", "--no-pager", "orchestratord").stdout
    found = re.search(r"exposure level for orchestratord.service: ([0-9.]+)", said)
    assert found is not None
    with capsys.disabled():
        print(f"\nexposure: {found[1]}")
    assert float(found[1]) <= 2.0


def test_installing_again_changes_nothing_and_for_another_is_refused(system: Host) -> None:
    again = system.bed.run("orchctl", "systemd", "install", "--system").stdout
    assert {unit["change"] for unit in json.loads(again)["units"]} == {"unchanged"}
    other = ("orchctl", "systemd", "install", "--system", "--for", "root")
    done = system.bed.run(*other, check=False)
    assert (done.returncode, "serves alice, not root" in done.stderr) == (5, True)


def test_uninstalling_leaves_nothing_behind_and_asks_before_it_ends_panes(system: Host) -> None:
    system.pane("cat")
    uninstall = ("orchctl", "systemd", "uninstall", "--system")
    done = system.bed.run(*uninstall, check=False)
    assert (done.returncode, "ends every pane" in done.stderr) == (2, True)
    assert system.daemon() != "0"
    system.bed.run(*uninstall, "--yes")
    assert not list(system.bed.file("/etc/systemd/system").rglob("orchestratord*"))
    assert system.bed.run("pgrep", "-u", "alice", check=False).stdout == ""


def test_uninstalling_can_keep_the_panes(system: Host) -> None:
    pane = system.pane("cat")
    system.bed.run("orchctl", "systemd", "uninstall", "--system", "--keep-panes")
    assert system.bed.file(f"/proc/{pane['pid']}").exists()
    system.bed.run("orchctl", "systemd", "install", "--system", "--for", "alice")
    assert system.processes() == {pane["id"]: pane["pid"]}


def _cgroup(host: Host, pid: int) -> str:
    return host.bed.run("cat", f"/proc/{pid}/cgroup").stdout
