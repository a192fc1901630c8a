"""The link under every fault of tmux: calls end by their deadline, and it comes back by itself."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tmux_bed import empty_bed, gather, limit_files, pid_of, tmux_bed, until

from orchestratord.errors import TmuxRefused
from orchestratord.tmux import door
from orchestratord.tmux import server as server_module
from orchestratord.tmux.client import HUB, TmuxGone
from orchestratord.tmux.command import command, quote
from orchestratord.tmux.link import Link, State
from orchestratord.tmux.process import children, identify, read_stat
from orchestratord.tmux.server import ForeignServer

HELLO = command("display-message", "-p", "hello")


@pytest.fixture(params=["ours", "tmux"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose client is used: ours where tmux's own is not safe, or tmux's all the same."""
    if request.param == "tmux":
        monkeypatch.setattr(door, "NEWEST", (0, 0))
    return str(request.param)


@pytest.mark.parametrize("which", ["_client", "_waiter"])
async def test_a_lost_client_is_replaced(which: str, way: str) -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        for round in range(1, 4):
            client = getattr(bed.link, which)
            if pid_of(client) == os.getpid():
                client.kill("a test")
            else:
                os.kill(pid_of(client), signal.SIGKILL)
            await until(lambda round=round: bed.link.reconnects == round)
            assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]
        assert (await bed.link.connected()) == bed.server
        assert len((await bed.human("list-clients")).splitlines()) == 2
        assert [p.orch_id for p in (await bed.mirror.refresh()).panes.values()] == ["p1"]


async def test_no_connection_ends_a_server_that_is_in_use() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        await bed.human("split-window", "-d", "-t", "dev:0", "cat")
        script = 'i=0; while :; do i=$((1-i)); tmux -N -S "$0" select-pane -t dev:0.$i; done'
        human = await asyncio.create_subprocess_exec(
            "sh", "-c", script, str(bed.socket), stderr=subprocess.DEVNULL
        )
        try:
            for round in range(1, 61):  # with tmux's own client one of the first few is the last
                bed.link._client.kill("a test")  # type: ignore[union-attr]
                await until(lambda round=round: bed.link.reconnects == round)
                assert await bed.link.connected() == bed.server
        finally:
            human.kill()
            await human.wait()


async def test_no_client_of_ours_is_left_behind_by_many_reconnections(way: str) -> None:
    async with tmux_bed() as bed:
        for round in range(1, 11):
            bed.link._client.kill("a test")  # type: ignore[union-attr]
            await until(lambda round=round: bed.link.reconnects == round)
            await bed.link.connected()
        pids = await bed.human("list-clients", "-F", "#{client_pid}")
        assert sorted(map(int, pids.split())) == sorted(
            [pid_of(bed.link._client), pid_of(bed.link._waiter)]
        )


async def test_calls_end_by_their_deadline_while_the_server_is_stopped(way: str) -> None:
    async with tmux_bed() as bed:
        bed.server.process.send(signal.SIGSTOP)
        results = await gather(
            *(bed.link.request(HELLO, what="hello", deadline=0.5) for _ in range(5)),
            bed.link.request(HELLO, what="hello", deadline=1.5),
        )
        assert {type(r) for r in results} == {TmuxGone}
        bed.server.process.send(signal.SIGCONT)
        assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]
        assert bed.link.server == bed.server


async def test_nothing_is_doubled_after_a_stopped_server_goes_on() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        bed.server.process.send(signal.SIGSTOP)
        with pytest.raises(TmuxGone):
            await bed.link.request(
                command("set-option", "-s", "-a", "--", "@trace", "x"), what="a", deadline=0.3
            )
        bed.server.process.send(signal.SIGCONT)
        await bed.link.connected()
        shown = await bed.human("show-options", "-sqv", "@trace")
        assert shown in ("", "x")
        assert len((await bed.mirror.refresh()).panes) == 1
        assert (await bed.human("list-sessions", "-F", "#{session_name}")).split() == [HUB, "dev"]


async def test_a_killed_server_is_replaced_by_another_that_is_told_apart(way: str) -> None:
    async with tmux_bed() as bed:
        bed.server.process.send(signal.SIGKILL)
        await until(lambda: bed.link.server != bed.server)
        newer = await bed.link.connected()
        assert newer.uuid != bed.server.uuid
        assert (await bed.mirror.refresh()).server == newer.uuid
        with pytest.raises(TmuxGone):
            await bed.link.request(HELLO, what="hello", server=bed.server.uuid)


async def test_a_removed_socket_comes_back_with_the_same_server() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        bed.socket.unlink()
        bed.link._client.kill("a test")  # type: ignore[union-attr]
        await until(lambda: bed.link.reconnects == 1)
        assert await bed.link.connected() == bed.server
        assert bed.socket.is_socket()
        assert len((await bed.mirror.refresh()).panes) == 1


async def test_a_killed_or_renamed_session_of_ours_is_there_again() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        await bed.human("kill-session", "-t", f"={HUB}")
        await until(lambda: bed.link.reconnects == 1)
        await bed.link.connected()
        assert HUB in await bed.human("list-sessions", "-F", "#{session_name}")
        await bed.human("rename-session", "-t", f"={HUB}", "mine")
        assert [s.name for s in (await bed.mirror.refresh()).sessions.values()] == ["dev"]
        assert (await bed.human("list-sessions", "-F", "#{session_name}")).split() == [HUB, "dev"]
        await bed.pane()
        assert len((await bed.mirror.refresh()).panes) == 2


async def test_detached_clients_come_back(way: str) -> None:
    async with tmux_bed() as bed:
        await bed.human("detach-client", "-s", HUB)
        await until(lambda: bed.link.reconnects == 1)
        assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]


async def test_a_wedged_queue_is_given_up_for_a_new_client() -> None:
    async with tmux_bed() as bed:
        wedge = asyncio.create_task(bed.link.request(command("wait-for", "never"), what="a wedge"))
        behind = asyncio.create_task(bed.link.request(HELLO, what="hello"))
        results = await gather(wedge, behind)
        assert {type(r) for r in results} == {TmuxGone}
        assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]


async def test_a_foreign_server_is_refused_and_not_touched() -> None:
    async with empty_bed() as bed:
        bed.socket.parent.mkdir(mode=0o700)
        theirs = await asyncio.create_subprocess_exec(
            "tmux", "-S", str(bed.socket), "-f", "/dev/null", "new-session", "-d", "-s", "x", "cat"
        )
        assert await theirs.wait() == 0
        found = identify(server_module.listener(bed.socket) or 0)
        assert found is not None
        bed.seen.add(found)
        await bed.link.start()
        await until(lambda: bed.link.trouble is not None)
        assert "not our stamp" in (bed.link.trouble or "")
        with pytest.raises(TmuxGone, match="not our stamp"):
            await bed.link.request(HELLO, what="hello", deadline=0.3)
        assert await bed.human("list-sessions", "-F", "#{session_name}") == "x"
        assert await bed.human("show-options", "-s", "exit-empty") == "exit-empty on"


async def test_the_servers_of_users_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with empty_bed() as bed:
        monkeypatch.setenv("TMUX_TMPDIR", str(bed.directory))
        for base in (str(bed.directory), "/tmp"):
            theirs = Path(base) / f"tmux-{os.getuid()}" / "default"
            with pytest.raises(ForeignServer):
                await Link("tmux", theirs, bed.environment).start()
        open_to_all = bed.directory / "open"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        with pytest.raises(ForeignServer):
            await Link("tmux", open_to_all / "t.sock", bed.environment).start()


async def test_a_server_out_of_descriptors_refuses_and_recovers() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        limit_files(bed.server.process, 40)
        refused = None
        for _ in range(40):
            try:
                await bed.pane()
            except (TmuxRefused, TmuxGone) as problem:
                refused = problem
                break
        assert refused is not None
        assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]
        limit_files(bed.server.process, 1024)
        before = len((await bed.mirror.refresh()).panes)
        await bed.pane()
        assert len((await bed.mirror.refresh()).panes) == before + 1


async def test_what_somebody_changed_of_our_options_and_hooks_is_restored() -> None:
    async with tmux_bed() as bed:
        assert await bed.link.restore() == []
        await bed.human("set-hook", "-gu", "pane-died[7717]")
        await bed.human("set-option", "-s", "message-limit", "500")
        await bed.human("set-option", "-g", "update-environment[0]", "a\n%end 1 2 1")
        assert len(await bed.link.restore()) > 0
        assert await bed.link.restore() == []
        assert await bed.human("show-options", "-sv", "message-limit") == "0"
        await bed.human("set-hook", "-gu", "client-attached[7717]")
        await bed.human("set-option", "-gw", "allow-rename", "on")
        assert await bed.link.restore() == ["allow-rename", "client-attached[7717]"]
        await bed.human("set-hook", "-gu", "pane-died[7717]")
        bed.link._client.kill("a test")  # type: ignore[union-attr]
        await until(lambda: bed.link.reconnects == 1)
        await bed.link.connected()
        assert await bed.link.restore() == []


async def test_the_end_of_the_server_is_waited_for_and_no_other_follows(way: str) -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        await bed.link.end_server()
        assert not bed.server.process.alive()
        await until(lambda: server_module.listener(bed.socket) is None)  # 3.7: or its children
        with pytest.raises(TmuxGone):
            await bed.link.request(HELLO, what="hello", deadline=0.2)


@pytest.mark.parametrize(
    "moment",
    [
        lambda link: True,
        lambda link: link._client is not None,
        lambda link: link._waiter is not None,
        lambda link: link.state is State.CONNECTED,
    ],
    ids=["at once", "first client", "second client", "connected"],
)
async def test_stopping_while_it_connects_leaves_no_client(
    moment: Callable[[Link], bool], way: str
) -> None:
    if way == "tmux":
        pytest.skip("tmux 3.2 to 3.6 may die of this with a client of its own; hence the door")
    async with tmux_bed() as bed:
        other = Link("tmux", bed.socket, bed.environment, exclusive=False)
        await other.start()
        await until(lambda: moment(other))
        await other.stop()
        mine = {pid_of(bed.link._client), pid_of(bed.link._waiter), bed.server.process.pid}
        await until(lambda: not _clients_of_ours() - mine)
        while len((await bed.human("list-clients")).splitlines()) > 2:
            await bed.link.request(HELLO, what="hello")
        assert await bed.link.request(HELLO, what="hello") == [[b"hello"]]


async def test_a_missing_tmux_is_said_and_waited_for() -> None:
    async with empty_bed() as bed:
        link = Link("tmux-that-is-not-there", bed.socket, bed.environment)
        await link.start()
        await until(lambda: link.trouble)
        assert "not on the PATH" in (link.trouble or "")
        await link.stop()


@pytest.mark.parametrize(
    "script",
    ["exit 1", "cat", "yes", "printf '%%begin 1 1 1\\n%%end 1 1 1\\n'; cat",
     "printf '%%begin 1 1 0\\n%%end 1 1 0\\n'; while read -r l; do echo $l; done",
     "head -c 100000 /dev/urandom; exec cat"],
)  # fmt: skip
async def test_a_program_that_is_no_tmux_is_survived(script: str) -> None:
    async with empty_bed() as bed:
        stub = bed.directory / "stub"
        stub.write_text(f"#!/bin/sh\n{script}\n")
        stub.chmod(0o755)
        link = Link(str(stub), bed.socket, bed.environment)
        await link.start()
        with pytest.raises(TmuxGone):
            await link.request(HELLO, what="hello", deadline=0.3)
        assert link._task is not None and not link._task.done()
        await link.stop()


async def test_a_refusal_names_the_command_and_not_its_arguments() -> None:
    async with tmux_bed() as bed:
        line = command("set-option", "-t", quote("%99999"), "--", quote("@x"), quote("SECRET"))
        with pytest.raises(TmuxRefused) as refused:
            await bed.link.request(line, what="set-option")
        assert "SECRET" not in str(refused.value)


def _clients_of_ours() -> set[int]:
    found = (read_stat(pid) for pid in children(os.getpid()))
    named = ((stat, Path(f"/proc/{stat.pid}/comm")) for stat in found if stat is not None)
    return {stat.pid for stat, comm in named if comm.read_text().startswith("tmux")}
