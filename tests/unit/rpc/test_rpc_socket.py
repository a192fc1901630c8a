"""Making the listening socket, taking it over, and telling the service manager."""

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rpc_serving import until

from orchestratord.clock import ManualClock
from orchestratord.rpc.notify import Supervisor
from orchestratord.rpc.socket import (
    ActivationBroken,
    SocketInUse,
    SocketPathTooLong,
    SocketUnsafe,
    activated,
    listen,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "private" / "rpc.sock"


def left_behind(path: Path) -> None:
    """Leave a socket file that nobody listens on."""
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))


def test_the_socket_and_its_directory_are_for_the_owner_only(place: Path) -> None:
    before = os.umask(0)
    try:
        listener = listen(place)
    finally:
        assert os.umask(before) == 0
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    listener.close()
    assert not place.exists()
    listener.close()


def test_a_dead_socket_is_replaced(place: Path) -> None:
    left_behind(place)
    listener = listen(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(place))
    listener.close()


def test_a_live_daemon_is_never_displaced(place: Path) -> None:
    first = listen(place)
    with pytest.raises(SocketInUse):
        listen(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(place))
    first.close()


def test_a_live_socket_without_our_lock_is_not_displaced_either(place: Path) -> None:
    place.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as foreign:
        foreign.bind(str(place))
        foreign.listen(0)
        for _ in range(2):  # the first question fills the backlog
            with pytest.raises(SocketInUse):
                listen(place)
    assert place.exists()


def test_a_dead_socket_stays_while_another_holds_the_lock(place: Path) -> None:
    left_behind(place)
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SocketInUse):
            listen(place)
    assert place.exists()


def test_closing_leaves_a_socket_that_is_not_ours(place: Path) -> None:
    listener = listen(place)
    place.unlink()
    place.write_text("somebody else's")
    listener.close()
    assert place.read_text() == "somebody else's"


def test_what_is_no_socket_is_not_removed(place: Path) -> None:
    place.parent.mkdir(mode=0o700)
    place.write_text("precious")
    with pytest.raises(SocketUnsafe):
        listen(place)
    assert place.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_can_enter_is_refused(place: Path, mode: int) -> None:
    place.parent.mkdir()
    place.parent.chmod(mode)
    with pytest.raises(SocketUnsafe, match=f"{mode:04o}"):
        listen(place)


def test_a_linked_directory_and_an_open_parent_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(SocketUnsafe, match="link"):
        listen(tmp_path / "link" / "rpc.sock")
    tmp_path.chmod(0o777)
    with pytest.raises(SocketUnsafe, match="rename"):
        listen(real / "rpc.sock")
    tmp_path.chmod(0o1777)
    listen(real / "rpc.sock").close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(place: Path) -> None:
    place.parent.mkdir(mode=0o700)
    os.chown(place.parent, 12345, 12345)
    with pytest.raises(SocketUnsafe, match="12345"):
        listen(place)


def test_a_path_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(SocketPathTooLong) as caught:
        listen(tmp_path / ("x" * 200))
    assert caught.value.details["length"] > 200


def test_of_many_that_start_at_once_one_listens(place: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from orchestratord.rpc.socket import SocketInUse, listen\n"
        "try: made = listen(Path(sys.argv[1]))\n"
        "except SocketInUse: sys.exit(4)\n"
        "print('listening', flush=True); sys.stdin.read()\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        for _ in range(8)
    ]
    said = [process.stdout.readline() for process in started if process.stdout]
    codes = [process.communicate()[0] or process.wait() for process in started]
    assert sorted(said) == [b""] * 7 + [b"listening\n"]
    assert sorted(codes) == [0] + [4] * 7


@pytest.fixture
def handed_over() -> Iterator[int]:
    """Put a listening socket where systemd would, and what was there back afterwards."""
    kept = os.dup(3) if Path("/proc/self/fd/3").exists() else None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind("")
        made.listen()
        os.dup2(made.fileno(), 3)
        yield 3
    if kept is None:
        os.close(3)
    else:
        os.dup2(kept, 3)
        os.close(kept)


def test_a_handed_over_socket_is_used_and_the_variables_forgotten(handed_over: int) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "A": "b"}
    (found,) = activated(environ)
    assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert not found.get_inheritable()
    assert environ == {"A": "b"}
    assert found.detach() == handed_over


def test_what_was_handed_to_another_process_is_not_taken() -> None:
    assert activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []
    assert activated({}) == []


def test_a_handed_over_descriptor_that_does_not_listen_is_named(handed_over: int) -> None:
    reading, writing = os.pipe()
    os.dup2(reading, 3)
    os.close(reading)
    os.close(writing)
    with pytest.raises(ActivationBroken, match="descriptor 3"):
        activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        said = []
        while True:
            try:
                said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_the_service_manager_is_told_of_each_state(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "4000000", "A": "b"}
    supervisor = Supervisor(environ)
    assert environ == {"A": "b"}
    assert supervisor.period == 4.0
    supervisor.ready("serving")
    supervisor.status("busy")
    supervisor.reloading()
    supervisor.stopping()
    ready, status, reloading, stopping = manager.told()
    assert (ready, status) == ("READY=1\nSTATUS=serving", "STATUS=busy")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert stopping == "STOPPING=1"


def test_without_a_service_manager_nothing_happens(tmp_path: Path) -> None:
    Supervisor({}).ready()
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert Supervisor({"WATCHDOG_USEC": "1000000"}).period is None
    assert (
        Supervisor({"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}).period is None
    )


async def test_the_watchdog_is_fed_at_half_its_period_while_the_check_succeeds(
    manager: Manager,
) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "4000000"})
    clock = ManualClock()
    checks: asyncio.Queue[bool] = asyncio.Queue()
    watching = asyncio.create_task(supervisor.watch(clock, checks.get))
    fed = []
    for healthy in (True, False, True):
        checks.put_nowait(healthy)
        await until(lambda: checks.empty() and clock._sleepers)
        fed.append(manager.told())
        clock.advance(2.0)
    assert fed == [["WATCHDOG=1"], [], ["WATCHDOG=1"]]
    watching.cancel()
