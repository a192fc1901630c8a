"""``orchctl context``: names for daemons on other hosts, and which is meant if none is named.

A context is a file with its URL on the first line, and on the second the ``orchctl`` to run
there if it is not ``orchctl``. The file ``context`` names the current one. In a pane of ours
no context is current: what runs there means the daemon that it belongs to.
"""

import os

from orchctl import wire
from orchctl.wire import RpcError, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchctl.cli import Invocation

LOCAL = "default"
"""The name of the context that is none: the daemon of this host."""


def directory() -> str:
    """Return where contexts are kept."""
    return wire.home_path("XDG_CONFIG_HOME", ".config") + "/orchestratord"


def chosen(options: "dict[str, Any]") -> tuple[str, str]:
    """Return the URL and the program of the host that is meant, empty for this one.

    ``--host``, ``--socket``, ``--context``, ``ORCHCTL_HOST``, ``ORCHCTL_CONTEXT`` and
    ``ORCHESTRATORD_SOCKET`` go before the current context, in this order.
    """
    environment = os.environ
    if url := options.get("host"):
        return url, "orchctl"
    if "socket" in options:
        return "", ""
    if name := options.get("context"):
        return find(name)
    if url := environment.get("ORCHCTL_HOST"):
        return url, "orchctl"
    if name := environment.get("ORCHCTL_CONTEXT"):
        return find(name)
    if environment.get("ORCHESTRATORD_SOCKET") or environment.get("ORCH_PANE"):
        return "", ""
    return find(name) if (name := current()) else ("", "")


def current() -> str:
    """Return the name of the current context, empty if it is this host."""
    try:
        return _read(directory() + "/context").strip()
    except RpcError:
        return ""  # there is no home either


def find(name: str) -> tuple[str, str]:
    """Return a context's URL and program. Raises NotFound."""
    if name == LOCAL:
        return "", ""
    text = _read(f"{directory()}/contexts/{name}") if _fits(name) else ""
    if not text:
        raise RpcError(
            "NotFound", 404, f"there is no context {name}", {"hint": "orchctl context list"}
        )
    url, _, program = text.partition("\n")
    return url, program.strip() or "orchctl"


def main(invocation: "Invocation", params: "dict[str, Any]", entry: "Any") -> int:
    """Do what ``orchctl context ACTION`` says."""
    action, name = params["action"], params.get("name", "")
    if action == "list":
        return _list(invocation)
    if action not in ("add", "use", "remove"):
        raise usage(f"context has no action {action}", "add, use, list, remove")
    if not name:
        raise usage(f"context {action} needs a name")
    if action == "add":
        return _add(name, params.get("url", ""), params.get("program", ""))
    if "url" in params or "program" in params:
        raise usage(f"context {action} takes only a name")
    if action == "use":
        return _use(name)
    return _remove(name)


def _add(name: str, url: str, program: str) -> int:
    from orchctl.hosts import parse

    if not _fits(name) or name == LOCAL:
        raise usage(f"{name} cannot be a context's name", "letters, digits, _ and -; not default")
    if not url:
        raise usage("context add needs a URL", "ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET]")
    parse(url)
    if "\n" in program:
        raise usage("the program's name has more than one line")
    folder = directory() + "/contexts"
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(f"{folder}/{name}", flags, 0o600)
    except FileExistsError:
        raise RpcError(
            "AlreadyExists", 409, f"there is a context {name}",
            {"hint": f"orchctl context remove {name} comes first"},
        ) from None  # fmt: skip
    os.write(descriptor, f"{url}\n{program}\n".encode())
    os.close(descriptor)
    return 0


def _use(name: str) -> int:
    find(name)
    os.makedirs(directory(), mode=0o700, exist_ok=True)  # noqa: PTH103
    path = directory() + "/context"
    if name == LOCAL:
        _unlink(path)
        return 0
    fresh = f"{path}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(descriptor, name.encode() + b"\n")
    os.close(descriptor)
    os.replace(fresh, path)  # noqa: PTH105
    return 0


def _remove(name: str) -> int:
    from orchctl.hosts import Host

    url, program = find(name)
    if name == LOCAL:
        raise usage(f"{LOCAL} is always there")
    Host(url, program).close()
    if current() == name:
        _use(LOCAL)
    _unlink(f"{directory()}/contexts/{name}")
    return 0


def _list(invocation: "Invocation") -> int:
    folder = directory() + "/contexts"
    names = sorted(filter(_fits, os.listdir(folder))) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208
    now = current() or LOCAL
    rows: list[dict[str, Any]] = [
        {"name": LOCAL, "current": now == LOCAL, "url": "", "program": ""}
    ]
    for name in names:
        url, program = find(name)
        rows.append({"name": name, "current": now == name, "url": url, "program": program})
    invocation.show(wire.encode(rows).encode(), ("name", "current", "url", "program"))
    return 0


def _fits(name: str) -> bool:
    return name.isascii() and name.replace("-", "a").replace("_", "a").isalnum() and len(name) < 65


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 8192).decode(errors="replace")
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    try:  # noqa: SIM105 (contextlib costs a fast command a millisecond)
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        pass
