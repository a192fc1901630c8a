"""The daemon of another host, through OpenSSH: its socket is forwarded to one of ours.

``ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET]``. One connection to the host is made, kept for
``KEPT`` seconds after its last use, and shared by every command; a command costs a connection
through it, no process. Who may do what is OpenSSH's business: its configuration, keys, agent
and known hosts serve as they are. ``ORCHCTL_SSH`` is the command to use instead of ``ssh``.
"""

import fcntl
import os
import shlex
import subprocess
from _socket import socket
from zlib import crc32

from orchctl import wire
from orchctl.autostart import make_private
from orchctl.wire import Link, RpcError, unavailable, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from orchctl.cli import Invocation

KEPT = 600
"""Seconds for which an idle connection is kept."""

READY = 60.0
"""Seconds for ssh to do one thing; a person may have to type a password."""

_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


class Host:
    """A host as its URL names it, and where our end of its socket is. Raises the usage error."""

    def __init__(self, url: str, program: str = "orchctl") -> None:
        self.url = url
        self.program = program
        self.user, self.name, self.port, self.socket = parse(url)
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        base = runtime + "/orchestratord" if runtime.startswith("/") else wire.state_dir() + "/run"
        self.directory = base + "/ssh"
        tag = f"{crc32(f'{url} {program}'.encode()):08x}"
        self.path = f"{self.directory}/{tag}.sock"
        self._control = f"{self.directory}/{tag}.ctl"
        self._tag = tag

    def connect(self, autostart: bool) -> socket:
        """Return a connection to the daemon there, over a new way if there is none that works.

        The daemon is started there if that is wanted. Raises Unavailable with what ssh said.
        """
        if (made := self._try()) is not None:
            return made
        make_private(self._folder())
        lock = os.open(
            f"{self.directory}/{self._tag}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (made := self._try()) is not None:  # another command has made the way
                return made
            self._make_way(autostart)
        finally:
            os.close(lock)
        made = self._try()
        if made is None:
            raise unavailable(
                f"no daemon answers on {self.name}", f"orchctl --host {self.url} up starts one"
            )
        return made

    def run(self, words: list[str], terminal: bool) -> int:
        """Run an ``orchctl`` there, on this terminal if it needs one; return its exit status."""
        make_private(self._folder())
        command = [self.program, *words]
        flags = ["-t"] if terminal else []
        line = [*self._ssh(), *flags, *self._kept(), *self._where(), "--", shlex.join(command)]
        try:
            return subprocess.run(line, check=False).returncode
        except OSError as error:
            raise unavailable(f"cannot run {line[0]}: {error.strerror}") from None

    def close(self) -> None:
        """End the kept connection, if there is one."""
        self._ask(["-O", "exit"])
        _remove(self.path)

    def _try(self) -> socket | None:
        """Connect through the way that is there; it may lead to nobody, so somebody must answer."""
        try:
            made = wire.connect(self.path)
        except OSError:
            return None
        try:
            Link(made).call("daemon.ping", seconds=READY)
        except RpcError:
            made.close()
            return None
        return made

    def _make_way(self, autostart: bool) -> None:
        """Connect to the host, find the socket there, and forward it."""
        if self._ask(["-O", "check"]) != 0:
            _remove(self._control)  # of one that was killed: ssh would not take its place
            self._tell(["-f", "-N", "-M", *self._kept()], "cannot be reached")
        there = self.socket or self._find(autostart)
        forward = f"{self.path}:{there}"
        self._ask(["-O", "cancel", "-L", forward])
        _remove(self.path)
        self._tell(["-O", "forward", *_MASKED, "-L", forward], "forwards no socket")

    def _find(self, autostart: bool) -> str:
        words = [self.program, "socket", "--text", *(["--up"] if autostart else [])]
        found = self._tell([], "has no orchctl that works", shlex.join(words)).strip()
        if not _is_path(found):
            raise unavailable(f"{self.name} did not say where its daemon's socket is")
        return found

    def _tell(self, flags: list[str], problem: str, command: str = "") -> str:
        """Run ssh and return what it prints; raises Unavailable with its last word."""
        log = f"{self.directory}/{self._tag}.log"  # a file: what stays behind keeps pipes open
        line = [*self._ssh(), "-S", self._control, *flags, *self._where()]
        with open(log, "wb", opener=_private) as said:
            try:
                done = subprocess.run(
                    [*line, "--", command] if command else line, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if command else said, stderr=said, check=False,
                    timeout=READY,
                )  # fmt: skip
            except OSError as error:
                raise unavailable(f"cannot run {line[0]}: {error.strerror}") from None
            except subprocess.TimeoutExpired:
                raise unavailable(f"{self.name}: ssh was not done within {READY:g} s") from None
        if done.returncode:
            words = _last_line(log) or f"ssh ended with {done.returncode}"
            raise unavailable(f"{self.name} {problem}: {words}", f"try: ssh {self._shown()}")
        return (done.stdout or b"").decode(errors="replace")

    def _ask(self, flags: list[str]) -> int:
        line = [*self._ssh(), "-S", self._control, *flags, *self._where()]
        try:
            return subprocess.run(
                line, check=False, timeout=READY, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ).returncode  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return 1

    def _kept(self) -> list[str]:
        return [
            "-S", self._control, "-o", "ControlMaster=auto", "-o", f"ControlPersist={KEPT}",
            *_MASKED,
        ]  # fmt: skip

    def _ssh(self) -> list[str]:
        command = shlex.split(os.environ.get("ORCHCTL_SSH", "")) or ["ssh"]
        asks = [] if os.isatty(2) else ["-o", "BatchMode=yes"]
        return [*command, *asks, "-o", "ConnectTimeout=20"]

    def _where(self) -> list[str]:
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return [*port, *user, self.name]

    def _shown(self) -> str:
        return shlex.join(self._where())

    def _folder(self) -> "Path":
        from pathlib import Path

        return Path(self.directory)


_MASKED = ["-o", "StreamLocalBindMask=0177", "-o", "StreamLocalBindUnlink=yes"]


def parse(url: str) -> tuple[str, str, int | None, str]:
    """Return user, host, port and socket of a URL; raises the usage error.

    Nothing of it can be taken for a flag by ssh, or for a command by a shell.
    """
    scheme, found, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    name, colon, port = host.partition(":")
    fits = (
        scheme == "ssh" and found and _is_name(name) and (not at or _is_name(user))
        and (not colon or (port.isdigit() and port.isascii() and 0 < int(port) < 65536))
    )  # fmt: skip
    socket_path = slash + path if path else ""
    if not fits or (socket_path and not _is_path(socket_path)):
        raise usage(f"{url} names no host", "ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET]")
    return user, name, int(port) if colon else None, socket_path


def _is_name(text: str) -> bool:
    return bool(text) and text[0] not in "-." and all(c in _NAME for c in text)


def _is_path(text: str) -> bool:
    """Say whether ssh's -L takes the path; a colon would end it there."""
    return text.startswith("/") and text.isprintable() and ":" not in text and len(text) < 104


def _remove(path: str) -> None:
    try:  # noqa: SIM105 (contextlib costs a fast command a millisecond)
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        pass


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _last_line(path: str) -> str:
    with open(path, errors="replace") as file:  # noqa: PTH123
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else ""


def there(words: list[str], as_json: bool) -> list[str]:
    """Return a command line without what names the host, as it is typed on that host.

    Such commands are about the host's processes or files, so they run there; ssh has no
    terminal for them, so they are told how to show what they find.
    """
    kept = ["--json" if as_json else "--text"]
    skip = False
    for at, word in enumerate(words):
        if word == "--":
            return kept + words[at:]
        if skip or word in ("--host", "--context"):
            skip = not skip
        elif not word.startswith(("--host=", "--context=")):
            kept.append(word)
    return kept


def say_socket(invocation: "Invocation", params: "dict[str, Any]", entry: "Any") -> int:
    """Print where the daemon's socket is; with ``--up`` start it if it does not run."""
    from orchctl.cli import out

    if params.get("up"):
        invocation.options["autostart"] = True
        invocation.call("daemon.ping")
    path = invocation.socket
    if invocation.json:
        out(wire.encode({"socket": path}).encode() + b"\n")
    else:
        out(os.fsencode(path) + b"\n")
    return 0
