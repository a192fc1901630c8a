"""Many clients, one process with the SDK: pumps and their host."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest
from mcp_extra import REASON

pytest.importorskip("mcp.client", reason=REASON)

from living import Daemon, Place, until
from orchctl_run import SCRIPT
from speaking import environment, speaking

PREVIOUS = "2025-11-25"


def peer(place: Place) -> int:
    """Return the pid of the host, by asking the kernel who listens."""
    (path,) = place.socket.parent.glob("mcp-*.sock")
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(path))
        return credentials(made)


def credentials(made: socket.socket) -> int:
    data = made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", data)[0])


async def test_clients_share_one_host_which_ends_when_they_are_gone(
    daemon: Daemon, place: Place
) -> None:
    async with speaking(place, PREVIOUS, "--shared") as one:
        host = peer(place)
        async with speaking(place, "2026-07-28", "--shared") as other:
            assert peer(place) == host
            opened = await one.call("open", session="dev", name="both")
            found = await other.call("find", name="both")
            assert [row["pane"] for row in found["panes"]] == [opened["pane"]]
        assert (await one.call("list"))["total"] == 1  # the other's end is no end of ours
    await until(lambda: not Path(f"/proc/{host}").exists())
    assert not list(place.socket.parent.glob("mcp-*.sock"))


async def test_many_clients_at_once_start_one_host(daemon: Daemon, place: Place) -> None:
    async def one(number: int) -> int:
        async with speaking(place, PREVIOUS, "--shared") as agent:
            await agent.call("open", session="dev", name=f"n{number}", command=["cat"])
            ready.append(number)
            await until(lambda: len(ready) == 8)
            return peer(place)

    ready: list[int] = []
    assert len(set(await asyncio.gather(*map(one, range(8))))) == 1
    assert len(await daemon.call("pane.list")) == 8


async def test_each_client_has_its_own_directory(daemon: Daemon, place: Place) -> None:
    for folder in ("a", "b"):
        (place.directory / folder).mkdir()
        cwd = place.directory / folder
        async with speaking(place, PREVIOUS, "--shared", cwd=cwd) as agent:
            assert (await agent.call("open", session=folder, command=["cat"]))["cwd"] == str(cwd)


async def test_the_daemon_sees_the_client_and_not_the_host(place: Place) -> None:
    seen: list[int] = []
    place.socket.parent.mkdir()

    def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(credentials(writer.get_extra_info("socket")))
        writer.close()

    server = await asyncio.start_unix_server(met, str(place.socket))
    async with server, speaking(place, PREVIOUS, "--shared") as agent:
        error = await agent.refused("status")  # it hangs up on everybody
        assert error["kind"] == "Unavailable"
        host = peer(place)
        assert seen and host not in seen
        assert b"mcp\0--shared" in Path(f"/proc/{seen[0]}/cmdline").read_bytes()


async def test_a_host_that_dies_ends_its_pumps(daemon: Daemon, place: Place) -> None:
    pump = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "mcp", "--shared", env=environment(place),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await until(lambda: list(place.socket.parent.glob("mcp-*.sock")))
    assert pump.stdin is not None
    pump.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    assert pump.stdout is not None
    await pump.stdout.readline()
    os.kill(peer(place), signal.SIGKILL)
    await asyncio.wait_for(pump.wait(), 60)
    async with speaking(place, PREVIOUS, "--shared") as agent:  # the next one starts another
        assert (await agent.call("status"))["health"] == "ok"


async def test_a_client_that_closes_its_input_ends_its_pump(daemon: Daemon, place: Place) -> None:
    pump = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "mcp", "--shared", env=environment(place),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert pump.stdin is not None
    pump.stdin.close()
    assert await asyncio.wait_for(pump.wait(), 60) == 0
