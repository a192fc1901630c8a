"""A daemon is started where none answers: once, detached, with little around it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from orchctl_run import Orchctl

FAKE = Path(__file__).with_name("fake_orchestratord.py")


@pytest.fixture(autouse=True)
def program(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Put a daemon's program beside an interpreter, and end whatever of it was started."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    script = place / "orchestratord"
    script.write_text(f"#!{sys.executable}\n" + FAKE.read_text())
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    environment |= {"ORCHCTL_NO_AUTOSTART": "", "TERM": "xterm", "SECRET": "canary"}
    environment["LC_TIME"] = "C"
    yield script
    for start in starts(tmp_path):
        assert start["session"]


def starts(home: Path) -> list[dict[str, Any]]:
    path = home / "starts"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_fifty_callers_that_wait_together_start_one_daemon(
    orchctl: Orchctl, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    callers = [asyncio.create_task(orchctl("daemon-ping")) for _ in range(50)]
    while holders(f"{tmp_path}/d.sock.start") < 50 or not starts(tmp_path):
        await asyncio.sleep(0.05)
    (tmp_path / "gate").write_text("")
    done = await asyncio.gather(*callers)
    assert [one.status for one in done] == [0] * 50
    assert len({one.json["pid"] for one in done}) == 1
    assert len(starts(tmp_path)) == 1
    assert (await orchctl("down")).status == 0


def holders(path: str) -> int:
    """Count the processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()) == path:
                found.add(link.parts[2])
    return len(found)


async def test_the_daemon_is_detached_and_gets_the_login_environment_only(
    orchctl: Orchctl, tmp_path: Path
) -> None:
    assert (await orchctl("up")).json["version"] == "0.1.0"
    (start,) = starts(tmp_path)
    assert start["cwd"] == "/"
    assert start["argv"] == []
    own = {"LC_CTYPE", "SHLVL", "PWD", "_"}
    assert set(start["env"]) - own == {
        "HOME", "PATH", "LC_ALL", "LC_TIME", "ORCHESTRATORD_SOCKET",
    }  # fmt: skip
    assert (
        tmp_path / ".local/state/orchestratord/orchestratord.log"
    ).stat().st_mode & 0o777 == 0o600
    assert (await orchctl("down")).json == {"stopped": True}
    assert (await orchctl("down")).json == {"stopped": False}


async def test_a_daemon_that_ends_as_it_starts_is_reported_with_its_last_words(
    orchctl: Orchctl, tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()
    done = await orchctl("daemon-ping")
    assert done.status == 69
    assert done.err == (
        "orchctl: the daemon ended as it started: orchestratord: the state directory is locked\n"
        f"  its log is {tmp_path}/.local/state/orchestratord/orchestratord.log\n"
    )


async def test_a_stale_socket_of_a_killed_daemon_is_no_obstacle(
    orchctl: Orchctl, tmp_path: Path
) -> None:
    pid = (await orchctl("daemon-ping")).json["pid"]
    os.kill(pid, 9)
    again = await orchctl("daemon-ping")
    assert (again.status, len(starts(tmp_path))) == (0, 2)
    assert again.json["pid"] != pid
    await orchctl("down")


async def test_a_socket_named_by_flag_is_handed_to_the_daemon(
    orchctl: Orchctl, tmp_path: Path
) -> None:
    path = str(tmp_path / "new" / "other.sock")
    assert (await orchctl("--socket", path, "daemon-ping")).status == 0
    assert [start["argv"] for start in starts(tmp_path)] == [["--socket", path]]
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert (await orchctl("--socket", path, "down")).status == 0


async def test_an_installed_user_unit_starts_the_daemon_instead(
    orchctl: Orchctl, tmp_path: Path, program: Path
) -> None:
    runtime = tmp_path / "run"
    (runtime / "systemd").mkdir(parents=True)
    (runtime / "systemd" / "private").touch()
    (runtime / "orchestratord").mkdir()
    units = tmp_path / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "orchestratord.socket").touch()
    socket = runtime / "orchestratord/orchestratord.sock"
    systemctl = program.with_name("systemctl")
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n'
        f"ORCHESTRATORD_SOCKET={socket} setsid {program} > /dev/null 2>&1 &\n"
    )
    systemctl.chmod(0o755)
    env = {
        "XDG_RUNTIME_DIR": str(runtime),
        "ORCHESTRATORD_SOCKET": "",
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    done = await orchctl("daemon-ping", env=env)
    assert done.status == 0
    assert (tmp_path / "said").read_text() == "--user start orchestratord.socket\n"
    assert len(starts(tmp_path)) == 1
    os.kill(done.json["pid"], signal.SIGTERM)


async def test_status_and_down_start_nothing(orchctl: Orchctl, tmp_path: Path) -> None:
    status = await orchctl("status")
    assert (status.status, status.json["running"]) == (1, False)
    assert (await orchctl("down")).json == {"stopped": False}
    assert (await orchctl("doctor")).status == 0
    assert starts(tmp_path) == []


def test_directories_made_for_a_daemon_are_private_with_their_missing_parents(
    tmp_path: Path,
) -> None:
    from orchctl import autostart

    autostart.make_private(tmp_path / "state" / "run")
    modes = [(tmp_path / part).stat().st_mode & 0o777 for part in ("state", "state/run")]
    assert modes == [0o700, 0o700]
