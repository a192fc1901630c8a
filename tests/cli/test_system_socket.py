"""Whose socket is taken: the one that is named, the user's own, the system's for this user."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon
from orchctl import doctor, life, wire
from orchctl.aio import connect
from orchctl.cli import Invocation
from orchctl.wire import RpcError


@pytest.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The system's socket, with a daemon behind it, and a user who has none yet."""
    path = str(tmp_path / "system.sock")
    monkeypatch.setattr(wire, "SYSTEM_SOCKET", path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("ORCHESTRATORD_SOCKET", raising=False)
    (tmp_path / "orchestratord").mkdir()
    fake = FakeDaemon(path)
    await fake.start()
    yield path
    await fake.stop()


def own(runtime: Path) -> Path:
    return runtime / "orchestratord" / "orchestratord.sock"


@pytest.mark.parametrize("stale", [False, True])
async def test_where_nobody_answers_at_the_users_own_the_systems_is_taken(
    system: str, tmp_path: Path, stale: bool
) -> None:
    if stale:  # what a daemon leaves that was killed
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(own(tmp_path)))
    caller = Invocation({})
    assert b'"pid":12' in await asyncio.to_thread(caller.call, "daemon.ping")
    caller.drop()
    assert caller.socket == system
    async with await connect() as client:
        assert client.path == system


async def test_a_daemon_of_the_users_own_comes_before_the_systems(
    system: str, tmp_path: Path
) -> None:
    mine = FakeDaemon(str(own(tmp_path)))
    await mine.start()
    caller = Invocation({})
    await asyncio.to_thread(caller.call, "daemon.ping")
    caller.drop()
    assert (caller.socket, mine.requests) == (mine.path, [("daemon.ping", {})])
    await mine.stop()


async def test_a_socket_that_was_named_is_taken_whoever_answers(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Invocation({"socket": "/elsewhere"}).socket == "/elsewhere"
    monkeypatch.setenv("ORCHESTRATORD_SOCKET", "/elsewhere")
    assert wire.socket_path() == "/elsewhere"


async def test_the_systems_socket_of_another_user_is_left_alone(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire.os, "geteuid", lambda: 54321)
    assert wire.socket_path() == str(own(tmp_path))


async def test_a_socket_of_the_systems_at_which_nobody_listens_is_not_taken(
    system: str, tmp_path: Path
) -> None:
    Path(system).unlink()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(system)
    assert wire.socket_path() == str(own(tmp_path))


async def test_a_caller_without_a_home_is_served_by_the_system(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert wire.socket_path() == system


async def test_the_systems_daemon_is_not_taken_down_by_its_user(system: str) -> None:
    with pytest.raises(RpcError, match="run by the system's units") as refused:
        life.down(Invocation({}), {}, None)
    assert "systemctl stop orchestratord.socket" in refused.value.hint


async def test_the_doctor_says_that_the_systems_units_serve(system: str) -> None:
    caller = Invocation({})
    assert doctor.socket_directory(caller)["verdict"] == "ok"
    assert "serve you" in doctor.systemd(caller)["detail"]
