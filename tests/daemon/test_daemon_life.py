"""The life of a daemon: who wins, how it stops, reloads and reports; what it hands down."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from living import PATIENCE, Daemon, Place, running_here, until
from orchctl.aio import Client, RpcError, connect
from terminals import refused

from orchestratord import __version__
from orchestratord.errors import PermissionDenied
from orchestratord.features.panes.service import Panes
from orchestratord.rpc.notify import Supervisor
from orchestratord.store.db import Store
from orchestratord.tmux.process import identify


async def test_a_stop_tells_subscribers_and_writes_the_last_event(place: Place) -> None:
    daemon = await place.start()
    tmux = (await daemon.connected())["tmux"]["pid"]
    reader, writer = await asyncio.open_unix_connection(str(place.socket))
    request = {"jsonrpc": "2.0", "id": 1, "method": "event.subscribe", "params": {}}
    writer.write(json.dumps(request).encode() + b"\n")
    assert b"subscription" in await reader.readline()
    assert await daemon.call("daemon.stop") == {"stopping": True, "tmux": False}
    ends = [json.loads(line) for line in (await reader.read()).splitlines()]
    assert ends[-1]["params"]["reason"] == "shutdown"
    writer.close()
    log = await daemon.log()
    assert daemon.process.returncode == 0
    assert not [line for line in log if line["level"] in ("warning", "error")]
    assert not place.socket.exists()
    os.kill(tmux, 0)  # it lives
    again = await place.start()
    events = (await again.call("event.list"))["events"]
    stopped = [e for e in events if e["kind"] == "daemon.stopped"]
    assert [e["data"]["reason"].split(" by ")[0] for e in stopped] == ["daemon.stop"]
    assert events[events.index(stopped[0]) + 1]["kind"] == "daemon.started"
    assert "recovered" not in events[events.index(stopped[0]) + 1]["data"]
    assert (await again.connected())["tmux"]["pid"] == tmux


async def test_a_stop_with_tmux_ends_every_pane_and_the_server(daemon: Daemon) -> None:
    tmux = identify((await daemon.connected())["tmux"]["pid"])
    session = await daemon.call("session.create", name="dev", command=["sleep", "1000"])
    await daemon.call("daemon.stop", tmux=True)
    await daemon.log()
    assert tmux is not None
    await until(lambda: not tmux.alive())
    again = await daemon.place.start()
    kinds = [event["kind"] for event in (await again.call("event.list"))["events"]]
    assert kinds.count("pane.killed") == 1 and "pane.lost" not in kinds
    found = await again.call("pane.get", pane=session["pane"]["id"])
    assert found["exit"] is not None


async def test_two_daemons_at_once_on_one_state_directory_one_wins(place: Place) -> None:
    for number in range(20):
        ones = await asyncio.gather(
            place.spawn(f"--socket={place.directory}/a{number}/d.sock"),
            place.spawn(f"--socket={place.directory}/b{number}/d.sock"),
        )
        ends = [asyncio.ensure_future(one.wait()) for one in ones]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        assert [end.done() for end in ends].count(True) == 1
        loser, winner = sorted(ones, key=lambda one: one.returncode is None)
        assert loser.returncode == 5
        assert (await place.last_words(loser))[-1]["kind"] == "StateDirLocked"
        letter = "ab"[ones.index(winner)]
        client = await connect(f"{place.directory}/{letter}{number}/d.sock", PATIENCE)
        assert (await client.call("daemon.ping"))["pid"] == winner.pid
        await client.close()
        winner.kill()
        await winner.wait()


async def test_of_ten_daemons_at_once_on_one_tmux_socket_one_wins(place: Place) -> None:
    def words(number: int) -> list[str]:
        here = place.directory
        return [f"--socket={here}/d{number}/d.sock", f"--state-dir={here}/state{number}"]

    ones = [await place.spawn(*words(number)) for number in range(10)]
    ends = [asyncio.create_task(one.wait()) for one in ones]
    while sum(end.done() for end in ends) < 9:
        await asyncio.wait(
            [end for end in ends if not end.done()], return_when=asyncio.FIRST_COMPLETED
        )
    losers = [one for one in ones if one.returncode is not None]
    assert [one.returncode for one in losers] == [5] * 9
    assert {(await place.last_words(one))[-1]["kind"] for one in losers} == {"SocketOwned"}
    (winner,) = (one for one in ones if one.returncode is None)
    winner.kill()
    await winner.wait()
    after = await place.spawn(*words(10))  # the lock went with the process, though tmux lives on
    client = await connect(f"{place.directory}/d10/d.sock", PATIENCE)
    assert (await client.call("daemon.ping"))["pid"] == after.pid
    await client.close()


async def test_two_daemons_on_one_socket_one_wins_and_keeps_it(place: Place) -> None:
    first = await place.start()
    second = await place.spawn(f"--state-dir={place.directory}/other")
    said = await place.last_words(second)
    assert (second.returncode, said[-1]["kind"]) == (4, "SocketInUse")
    assert (await first.call("daemon.ping"))["pid"] == first.process.pid


async def test_a_reload_changes_what_can_change_and_names_what_waits(place: Place) -> None:
    place.file.write_text("")
    daemon = await place.start()
    place.file.write_text('log_level = "debug"\nmax_calls = 77\n')
    answer = await daemon.call("daemon.reload")
    assert answer == {"changed": ["log_level"], "restart": ["max_calls"]}
    shown = {s["key"]: s for s in (await daemon.call("daemon.config"))["settings"]}
    assert (shown["log_level"]["value"], shown["log_level"]["origin"]) == ("debug", "file")
    assert (shown["max_calls"]["value"], shown["max_calls"]["origin"]) == (1024, "default")
    assert shown["socket"]["origin"] == "flag"
    place.file.write_text('log_level = "warning"\n')
    stream = daemon.client.subscribe("event.subscribe", kinds=["daemon.reloaded"], since=1)
    assert (await anext(stream))["data"] == {"changed": ["log_level"]}
    daemon.process.send_signal(signal.SIGHUP)
    assert (await anext(stream))["data"] == {"changed": ["log_level"]}
    await stream.aclose()
    shown = {s["key"]: s for s in (await daemon.call("daemon.config"))["settings"]}
    assert shown["log_level"]["value"] == "warning"


async def test_an_unusable_configuration_is_not_reloaded(place: Place) -> None:
    place.file.write_text("")
    daemon = await place.start()
    place.file.write_text("max_calls = 0\n")
    fault = await refused(daemon.call("daemon.reload"))
    assert (fault.kind, fault.data["key"]) == ("BadSetting", "max_calls")
    daemon.process.send_signal(signal.SIGHUP)
    assert (await daemon.call("daemon.ping"))["pid"] == daemon.process.pid
    log = await daemon.end()
    assert [line["reason"] for line in log if line["event"] == "not reloaded"]


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        (["--max-calls=0"], 2, "BadSetting"),
        (["--config=/nonexistent.toml"], 2, "UnreadableFile"),
        (["--state-dir=/proc/nope"], 5, "CannotStart"),
    ],
)
async def test_a_daemon_that_cannot_start_says_why_in_one_line(
    place: Place, words: list[str], status: int, kind: str
) -> None:
    process = await place.spawn(*words)
    said = await place.last_words(process)
    assert (process.returncode, said[-1]["kind"]) == (status, kind)
    assert said[-1]["reason"] and not any("traceback" in line for line in said)


async def test_check_looks_at_the_configuration_and_starts_nothing(place: Place) -> None:
    good = await place.spawn("--check")
    assert await good.wait() == 0
    bad = await place.spawn("--check", "--uids=x")
    assert await bad.wait() == 2
    assert not place.state.exists()


async def test_sigterm_under_load_ends_in_order(place: Place) -> None:
    daemon = await place.start()
    await daemon.connected()

    async def load(client: Client) -> int:
        calls = 0
        try:
            while True:
                await client.call("daemon.status")
                calls += 1
        except RpcError as error:
            assert error.kind in ("Stopping", "Unavailable"), error
        return calls

    clients = [await connect(str(place.socket)) for _ in range(8)]
    loads = [asyncio.create_task(load(client)) for client in clients]
    ends_itself = await connect(str(place.socket))
    session = await ends_itself.call("session.create", name="dev", command=["sleep", "1000"])
    waiting = asyncio.create_task(ends_itself.call("daemon.reconcile"))
    log = await daemon.end()
    assert daemon.process.returncode == 0
    assert not [line for line in log if line["level"] == "error"]
    assert all(await asyncio.gather(*loads))
    await asyncio.wait({waiting})
    waiting.exception()
    for client in (*clients, ends_itself):
        await client.close()
    again = await place.start()
    assert (await again.call("pane.get", pane=session["pane"]["id"]))["exit"] is None


async def test_a_stopped_tmux_does_not_keep_the_daemon_from_stopping(place: Place) -> None:
    daemon = await place.start()
    tmux = (await daemon.connected())["tmux"]["pid"]
    os.kill(tmux, signal.SIGSTOP)
    try:
        await daemon.end()
        assert daemon.process.returncode == 0
    finally:
        os.kill(tmux, signal.SIGCONT)


class Manager:
    """A service manager: hears what a daemon notifies."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self.heard: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.socket, self._hear)

    def _hear(self) -> None:
        self.heard += self.socket.recv(4096).decode().split("\n")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


async def test_the_manager_hears_ready_watchdog_and_stopping(place: Place) -> None:
    manager = Manager(place.directory)
    daemon = await place.start(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="200000")
    await until(lambda: manager.heard.count("WATCHDOG=1") >= 2)
    assert manager.heard[0] == "READY=1"
    await daemon.end()
    await until(lambda: "STOPPING=1" in manager.heard)
    manager.close()


async def test_the_watchdog_is_fed_while_tmux_hangs_but_not_while_the_store_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(place.directory)
    gate = asyncio.Event()
    gate.set()
    whole = Store.commit

    async def gated(store: Store, *args: Any, **options: Any) -> Any:
        await gate.wait()
        return await whole(store, *args, **options)

    monkeypatch.setattr(Store, "commit", gated)
    supervisor = Supervisor({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "2400000"})
    async with running_here(place, supervisor=supervisor) as client:
        while (status := await client.call("daemon.status"))["tmux"]["state"] != "connected":
            await asyncio.sleep(0.01)
        os.kill(status["tmux"]["pid"], signal.SIGSTOP)
        try:
            manager.heard.clear()
            await until(lambda: "WATCHDOG=1" in manager.heard)
        finally:
            os.kill(status["tmux"]["pid"], signal.SIGCONT)
        gate.clear()
        manager.heard.clear()
        with pytest.raises(AssertionError):
            await until(lambda: manager.heard.count("WATCHDOG=1") > 1, seconds=2.5)
        gate.set()
        await until(lambda: manager.heard.count("WATCHDOG=1") > 1)
    manager.close()


async def test_sockets_handed_over_are_served_and_left_in_place(place: Place) -> None:
    place.socket.parent.mkdir(mode=0o700)
    handed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    handed.bind(str(place.socket))
    handed.listen()
    async with running_here(place, sockets=[handed]) as client:
        assert (await client.call("daemon.ping"))["pid"] == os.getpid()
    assert place.socket.exists()
    handed.close()


async def test_a_start_that_fails_half_way_holds_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Panes) -> None:
        raise PermissionDenied(reason="the test")

    with monkeypatch.context() as patched:
        patched.setattr(Panes, "start", broken)
        with pytest.raises(PermissionDenied):
            async with running_here(place):
                raise AssertionError("it serves")
    assert not place.socket.exists()
    async with running_here(place) as client:
        assert (await client.call("daemon.ping"))["version"] == __version__


async def test_the_daemons_own_variables_do_not_reach_panes(place: Place) -> None:
    daemon = await place.start(SECRET_TOKEN="canary", LC_ALL="C.UTF-8", XDG_DATA_HOME="/d")
    tmux = (await daemon.connected())["tmux"]["pid"]
    names = {
        pair.partition(b"=")[0].decode()
        for pair in Path(f"/proc/{tmux}/environ").read_bytes().split(b"\0")
        if pair
    }
    assert {"HOME", "PATH", "SHELL", "USER", "LANG", "LC_ALL", "XDG_DATA_HOME"} <= names
    assert not {"SECRET_TOKEN", "PYTHONPATH", "NOTIFY_SOCKET", "ORCH_FAIL"} & names
