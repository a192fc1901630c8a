"""The command ``orchctl``: finds the command, makes its call, shows the answer.

A command of the daemon's table is one call. Those in ``programs`` are more
than one call, or none, and their modules are imported only when asked for.
"""

import os
import sys
import time

from orchctl import wire
from orchctl.arguments import Words, parameters, similar, synopsis
from orchctl.wire import PATIENCE, Link, Lost, RpcError, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as _Socket
    from collections.abc import Callable
    from typing import Any

    from orchctl.arguments import Entry
    from orchctl.hosts import Host


class Invocation:
    """One run of ``orchctl``: its global flags, its connection, its way of showing things."""

    def __init__(self, options: "dict[str, Any]") -> None:
        self.options = options
        self._link: Link | None = None
        self._path = ""
        self._host: Host | None = None
        self._looked = False

    @property
    def json(self) -> bool:
        """Say whether the result is to be shown as JSON."""
        if self.options.get("json"):
            return True
        return not (self.options.get("text") or self.quiet or os.isatty(1))

    @property
    def quiet(self) -> bool:
        """Say whether only what a script needs is to be shown."""
        return bool(self.options.get("quiet"))

    @property
    def autostart(self) -> bool:
        """Say whether a daemon that is not running is to be started."""
        return bool(self.options.get("autostart", not os.environ.get("ORCHCTL_NO_AUTOSTART")))

    @property
    def socket(self) -> str:
        """Return the path of the daemon's socket."""
        if not self._path:
            if (host := self.host) is not None:
                self._path = host.path
            else:
                path = self.options.get("socket") or wire.socket_path()
                self._path = os.path.abspath(path)  # noqa: PTH100 (pathlib: +6 ms)
        return self._path

    @property
    def host(self) -> "Host | None":
        """Return the host whose daemon is meant, None if it is this one."""
        if not self._looked:
            self._looked = True
            if _elsewhere(self.options):
                from orchctl.contexts import chosen
                from orchctl.hosts import Host

                url, program = chosen(self.options)
                self._host = Host(url, program) if url else None
        return self._host

    def link(self, expected: bool = False) -> Link:
        """Return the connection, made (and the daemon started) when there is none.

        ``expected`` says that a daemon ran a moment ago and may be restarting.
        """
        if self._link is None:
            self._link = Link(self.connect(expected))
        return self._link

    def drop(self) -> None:
        """Close the connection, if there is one; the next call makes another."""
        if self._link:
            self._link.close()
            self._link = None

    def connect(self, expected: bool = False) -> "_Socket":
        """Return a new connection to the daemon, which is started when there is none."""
        if (host := self.host) is not None:
            return host.connect(self.autostart)
        path = self.socket
        try:
            return wire.connect(path)
        except PermissionError:
            raise RpcError("PermissionDenied", 403, f"you may not connect to {path}") from None
        except OSError as error:
            if self.autostart and path != wire.SYSTEM_SOCKET:
                from orchctl.autostart import start

                return start(path, chosen="socket" in self.options)
            if expected or not isinstance(error, FileNotFoundError):
                try:
                    return wire.connect(path, PATIENCE)
                except OSError as last:
                    error = last
            reason = error.strerror or str(error)
            raise wire.unavailable(
                f"no daemon answers at {path}: {reason}", "orchctl up starts one"
            ) from None

    def call(
        self,
        method: str,
        params: "dict[str, Any] | None" = None,
        *,
        deadline: float | None = 30.0,
        mutates: bool = False,
    ) -> bytes:
        """Call a method and return its result as JSON bytes.

        Waits a little longer than the daemon's own ``deadline``. A call whose
        connection is lost is made again while that is safe: it changes
        nothing, or an idempotency key makes it act once.
        """
        params = dict(params or {})
        if key := self.options.get("idempotency_key"):
            params["idempotency_key"] = key
        began = time.monotonic()
        while True:
            link = self.link(expected=time.monotonic() > began)
            try:
                number = link.send(method, wire.encode(params))
                return link.answer(number, self._patience(params, deadline), self._progress(method))
            except Lost as lost:
                self.drop()
                if mutates and not key:
                    lost.data["hint"] = f"whether {method} took effect is not known"
                    raise
                if time.monotonic() - began > PATIENCE:
                    raise
            finally:
                self._clear_progress()

    def _patience(self, params: "dict[str, Any]", deadline: float | None) -> float | None:
        limit = self.options.get("timeout")
        if isinstance(limit, (int, float)):
            return limit
        own = params.get("timeout")
        if isinstance(own, (int, float)):
            return own + PATIENCE
        return None if deadline is None else deadline + PATIENCE

    def _progress(self, method: str) -> "Callable[[float], None] | None":
        if self.quiet or not os.isatty(2):
            return None
        self._shown = False

        def show(seconds: float) -> None:
            self._shown = True
            os.write(2, f"\r\x1b[K{method}: {seconds:.0f} s".encode())

        return show

    _shown = False

    def _clear_progress(self) -> None:
        if self._shown:
            self._shown = False
            os.write(2, b"\r\x1b[K")

    def show(self, result: bytes, columns: tuple[str, ...] = (), noun: str = "") -> None:
        """Write a result to standard output: JSON, or a table for people."""
        if self.json:
            out(result + b"\n")
            return
        from orchctl.render import render

        out(render(result, columns, noun, self.quiet).encode(errors="backslashreplace"))


def _elsewhere(options: "dict[str, Any]") -> bool:
    """Say whether the daemon that is meant may be another host's; cheap, for it seldom is."""
    environment = os.environ
    if "host" in options:
        if "socket" in options:
            raise usage("--host and --socket exclude each other", "write ssh://HOST/PATH/OF/SOCKET")
        return True
    if "socket" in options:
        return False
    if "context" in options or environment.get("ORCHCTL_HOST"):
        return True
    if environment.get("ORCHCTL_CONTEXT"):
        return True
    if environment.get("ORCHESTRATORD_SOCKET") or environment.get("ORCH_PANE"):
        return False
    try:
        os.stat(wire.home_path("XDG_CONFIG_HOME", ".config") + "/orchestratord/context")  # noqa: PTH116
    except (OSError, RpcError):
        return False
    return True


def out(data: bytes) -> None:
    """Write all of it to standard output."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def find(name: str) -> "tuple[str, Entry]":
    """Return a command's name and entry; ``noun.verb`` finds it too."""
    from orchctl.programs import PROGRAMS

    if name not in PROGRAMS and "." in name:
        name = name.replace(".", "-").replace("_", "-")
    if program := PROGRAMS.get(name):
        return name, program
    from orchctl.commands import ALIASES, COMMANDS

    name = ALIASES.get(name, name)
    if entry := COMMANDS.get(name):
        return name, entry
    hint = similar(name, [*PROGRAMS, *COMMANDS, *ALIASES])
    raise usage(f"there is no command {name}", hint or "orchctl help lists the commands")


def run(words: list[str]) -> int:
    """Do what a command line says and return the exit status."""
    options: dict[str, Any] = {}
    line = Words(words, options)
    name = line.command()
    if not name or options.get("help") or options.get("version"):
        return _about(name, options)
    name, entry = find(name)
    return run_command(name, entry, line)


def _about(name: str, options: "dict[str, Any]") -> int:
    from orchctl import manual

    if options.get("version"):
        out(f"orchctl {manual.version()}\n".encode())
    elif options.get("help"):
        out((manual.command(*find(name)) if name else manual.overview()).encode())
    else:
        raise usage(
            "no command was given", "orchctl help lists them, orchctl session-create dev begins"
        )
    return 0


def run_command(name: str, entry: "Entry", line: Words) -> int:
    """Run the command of an entry with the words that are left."""
    if ":" in entry[0]:
        from orchctl.programs import with_base

        entry = with_base(entry)
    invocation = Invocation(line.options)
    try:
        params = parameters(name, entry, line)
    except RpcError as error:
        if line.options.get("help"):
            return _about(name, line.options)
        error.data.setdefault("hint", synopsis(name, entry))
        raise
    if line.options.get("help") or line.options.get("version"):
        return _about(name, line.options)
    if "there" in entry[6] and (host := invocation.host) is not None:
        from orchctl.hosts import there

        return host.run(there(line.words, invocation.json), terminal=name == "attach")
    if ":" in entry[0]:
        module, function = entry[0].split(":")
        program = getattr(__import__("orchctl." + module, None, None, [function]), function)
        return int(program(invocation, params, entry) or 0)
    if "streams" in entry[6]:
        from orchctl.stream import follow

        return follow(invocation, params, entry)
    result = invocation.call(entry[0], params, deadline=entry[7], mutates="mutates" in entry[6])
    invocation.show(result, entry[5], entry[0].partition(".")[0])
    return 0


def report(error: RpcError, as_json: bool) -> int:
    """Say on standard error what went wrong, and return the exit status."""
    if as_json:
        line = wire.encode({"code": error.code, "message": error.message, "data": error.data})
    else:
        line = f"orchctl: {error.message}"
        if error.hint:
            line += f"\n  {error.hint}"
        if not line.replace("\n", "").isprintable():
            from orchctl.render import safe

            line = safe(line)
    os.write(2, (line + "\n").encode(errors="backslashreplace"))
    return error.exit_status


def main() -> None:
    """Run the command line and end the process, without taking the interpreter down first.

    That would cost another sixth of the whole, and every byte is written.
    """
    words = sys.argv[1:]
    try:
        status = run(words)
        if sys.stdout:
            sys.stdout.flush()
    except RpcError as error:
        before = words[: words.index("--")] if "--" in words else words
        status = report(error, "--json" in before)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141
    os._exit(status)
