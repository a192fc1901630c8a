"""The settings: each stated once, with what it means, its type, bounds and default.

A value comes from a flag, else the environment, else the TOML file, else the
default; ``Configuration`` says which. Flags, variables, ``--help`` and
``daemon.config`` are all read from ``Settings``. Does no I/O but reading the
file and the user database. The client computes the default socket by the same
rule, from the environment alone.
"""

from __future__ import annotations

import argparse
import os
import pwd
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from orchestratord.errors import InvalidArgument

Origin = Literal["default", "file", "environment", "flag"]

PREFIX = "ORCHESTRATORD_"
MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (``sun_path`` on Linux, without its final NUL)."""
RELOADS = {"reloads": True}


class BadSetting(InvalidArgument):
    """A setting has a value that it cannot have."""

    template = "{key} cannot be {value!r} (from {origin}): {reason}"


class UnknownSetting(InvalidArgument):
    """The configuration file has a key that is no setting."""

    template = "{key} in {file} is no setting"
    hint = "orchestratord --help lists every setting"


class UnreadableFile(InvalidArgument):
    """The configuration file is missing though it was named, cannot be read, or is not TOML."""

    template = "the configuration file {file} cannot be used: {reason}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon runs by. Those marked as reloading change while it runs."""

    socket: Annotated[Path, Meta(description="Where callers connect.")]
    state_dir: Annotated[Path, Meta(description="The directory of the store and of panes' output.")]
    tmux_socket: Annotated[
        Path, Meta(description="The private tmux server's socket, in a directory of its own.")
    ]
    config: Annotated[Path, Meta(description="The configuration file (TOML).")]
    tmux: Annotated[
        str, Meta(description="The tmux program, a name on PATH or a path.", min_length=1)
    ] = "tmux"
    tmux_server: Annotated[
        Literal["start", "await"],
        Meta(description="Where no tmux server runs: start one, or leave that to a supervisor."),
    ] = "start"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important log lines that are written.", extra=RELOADS),
    ] = "info"
    retention_days: Annotated[
        float, Meta(description="Days that events are kept.", gt=0, le=36500, extra=RELOADS)
    ] = 30.0
    retention_events: Annotated[
        int, Meta(description="Events kept at most.", ge=1000, le=1_000_000_000, extra=RELOADS)
    ] = 1_000_000
    ended_output_bytes: Annotated[
        int,
        Meta(
            description="Bytes on disk of all ended panes' output; the oldest goes first.",
            ge=1 << 20,
            le=1 << 40,
        ),
    ] = 256 << 20
    retention_bytes: Annotated[
        int,
        Meta(
            description="Bytes of the store beyond which the oldest events go.",
            ge=1 << 20,
            le=1 << 40,
            extra=RELOADS,
        ),
    ] = 512 << 20
    backup_every: Annotated[
        float,
        Meta(
            description="Seconds between two copies of a store that has changed; 0 for none.",
            ge=0,
            le=31_536_000,
            extra=RELOADS,
        ),
    ] = 3600.0
    backups: Annotated[
        int, Meta(description="Copies of the store that are kept.", ge=1, le=1000, extra=RELOADS)
    ] = 2
    store_bytes: Annotated[
        int,
        Meta(
            description="Bytes of the store beyond which changes are refused; 0 for no bound.",
            ge=0,
            le=1 << 44,
        ),
    ] = 0
    uids: Annotated[
        tuple[Annotated[int, Meta(ge=0, lt=1 << 32)], ...],
        Meta(description="Users who may connect, by number.", min_length=1),
    ] = (os.geteuid(),)
    max_frame: Annotated[
        int, Meta(description="Bytes of a request or an answer.", ge=1 << 16, le=1 << 26)
    ] = 4 << 20
    max_connections: Annotated[
        int,
        Meta(
            description="Connections at a time; 0 for three quarters of the file descriptors.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    max_calls: Annotated[
        int, Meta(description="Calls in flight on a connection.", ge=1, le=1_000_000)
    ] = 1024
    max_subscriptions: Annotated[
        int, Meta(description="Streams on a connection.", ge=1, le=100_000)
    ] = 64
    max_unsent: Annotated[
        int,
        Meta(
            description="Bytes that a connection may leave unread before it is cut off.",
            ge=1 << 20,
            le=1 << 32,
        ),
    ] = 16 << 20


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What ``Settings`` says about one of its fields."""

    key: str
    type: Any
    description: str
    bounds: str
    many: bool
    reloads: bool

    @property
    def flag(self) -> str:
        return f"--{self.key.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper()


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The values in effect, where each came from, and what each would be by default."""

    settings: Settings
    origins: Mapping[str, Origin]
    defaults: Mapping[str, Any]

    def changed(self, newer: Configuration) -> list[str]:
        """Return the settings in which a newer configuration differs."""
        return [key for key in table() if self.value(key) != newer.value(key)]

    def value(self, key: str) -> Any:
        return getattr(self.settings, key)

    def reloaded(self, newer: Configuration) -> Configuration:
        """Return this configuration with what can change while the daemon runs as in the newer."""
        keys = [key for key, setting in table().items() if setting.reloads]
        values = {key: newer.value(key) for key in keys}
        return msgspec.structs.replace(
            self,
            settings=msgspec.structs.replace(self.settings, **values),
            origins={**self.origins, **{key: newer.origins[key] for key in keys}},
        )


@cache
def table() -> Mapping[str, Setting]:
    """Return every setting by its key, in the order of ``Settings``."""
    hints = get_type_hints(Settings, include_extras=True)
    return {key: _setting(key, hints[key]) for key in Settings.__struct_fields__}


def parser() -> argparse.ArgumentParser:
    """Return a parser with a flag for each setting; values stay text."""
    made = argparse.ArgumentParser(
        prog="orchestratord",
        description="Own a private tmux server and serve it over a Unix socket.",
        epilog="Each setting is also a key of the configuration file, without the dashes in front"
        " and with _ for -. A flag beats the environment, which beats the file.",
        allow_abbrev=False,
    )
    defaults = default_values(os.environ)
    for setting in table().values():
        default = _shown(defaults[setting.key])
        facts = [setting.bounds, f"default {default}", setting.variable]
        facts += ["reloads"] if setting.reloads else []
        about = f"{setting.description} [{', '.join(filter(None, facts))}]"
        made.add_argument(
            setting.flag, dest=setting.key, metavar="VALUE", help=about.replace("%", "%%")
        )
    return made


def load(flags: Mapping[str, str], environ: Mapping[str, str]) -> Configuration:
    """Return the configuration in effect.

    Raises `BadSetting`, `UnknownSetting` or `UnreadableFile`.
    """
    given: dict[str, tuple[Any, Origin]] = {}
    for setting in table().values():
        if text := environ.get(setting.variable):
            given[setting.key] = text, "environment"
        if setting.key in flags:
            given[setting.key] = flags[setting.key], "flag"
    defaults = default_values(environ)
    values = dict(defaults)
    origins: dict[str, Origin] = dict.fromkeys(defaults, "default")
    named = given.get("config")
    file = Path(defaults["config"] if named is None else _read("config", *named))
    for key, value in _from_file(file, must_exist=named is not None).items():
        given.setdefault(key, (value, "file"))
    for key, (value, origin) in given.items():
        values[key], origins[key] = _read(key, value, origin), origin
    if "tmux_socket" not in given:
        values["tmux_socket"] = beside(values["socket"])
    for key in ("socket", "tmux_socket"):
        _check_length(key, values[key], origins[key])
    return Configuration(settings=Settings(**values), origins=origins, defaults=defaults)


def default_values(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return each setting's default for that environment."""
    state_dir = _base("XDG_STATE_HOME", ".local/state", environ) / "orchestratord"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        socket_dir = Path(runtime) / "orchestratord"
    else:
        # by the environment alone, because the client knows neither our flags nor our file
        socket_dir = Path(environ.get(f"{PREFIX}STATE_DIR") or state_dir).absolute() / "run"
    socket = socket_dir / "orchestratord.sock"
    stated = {
        field.name: field.default
        for field in msgspec.structs.fields(Settings)
        if field.default is not msgspec.NODEFAULT
    }
    return {
        "socket": socket,
        "state_dir": state_dir,
        "tmux_socket": beside(socket),
        "config": _base("XDG_CONFIG_HOME", ".config", environ) / "orchestratord" / "config.toml",
        **stated,
    }


def beside(socket: Path) -> Path:
    """Return the tmux socket that belongs to a socket: near it, in a directory of its own."""
    return socket.with_name(f"{socket.stem}-tmux") / "tmux.sock"


def home(environ: Mapping[str, str]) -> Path:
    """Return the user's home directory, from the user database if ``HOME`` does not say."""
    if (named := environ.get("HOME", "")).startswith("/"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/")


def _base(variable: str, below_home: str, environ: Mapping[str, str]) -> Path:
    # the XDG specification has relative values ignored
    named = environ.get(variable, "")
    return Path(named) if named.startswith("/") else home(environ) / below_home


def _from_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise UnreadableFile(file=str(file), reason="there is none") from None
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(file=str(file), reason=reason) from None
    for key in found:
        if key not in table() or key == "config":
            raise UnknownSetting(key=key, file=str(file))
    return found


def _read(key: str, value: Any, origin: Origin) -> Any:
    """Return the value as the setting's type; text from a flag or a variable is read as one."""
    kind = table()[key].type
    text = origin != "file"
    read = value.split(",") if text and table()[key].many else value
    try:
        return msgspec.convert(read, kind, strict=not text, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise BadSetting(
            key=key, value=value, origin=_place(key, origin), reason=_complaint(str(error))
        ) from None


def _path(kind: type, value: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("it must be a path")
    return Path(value).expanduser().absolute()


def _check_length(key: str, path: Path, origin: Origin) -> None:
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        reason = f"a socket's path has at most {MAX_SOCKET_PATH} bytes, this one {length}"
        raise BadSetting(key=key, value=str(path), origin=_place(key, origin), reason=reason)


def _place(key: str, origin: Origin) -> str:
    """Say where a value came from, so that a person finds it."""
    setting = table()[key]
    places = {"flag": setting.flag, "environment": setting.variable, "file": "the file"}
    return places.get(origin, "the default")


def _complaint(message: str) -> str:
    reason = message.partition(" - at ")[0].replace("`", "")
    return reason[:1].lower() + reason[1:]


def _setting(key: str, kind: Any) -> Setting:
    (meta,) = kind.__metadata__
    bounds = [f"{word} {value}" for word, value in _limits(meta) if value is not None]
    if get_origin(kind.__origin__) is Literal:
        bounds = [" | ".join(get_args(kind.__origin__))]
    return Setting(
        key=key,
        type=kind,
        description=meta.description,
        bounds=" and ".join(bounds),
        many=get_origin(kind.__origin__) is tuple,
        reloads=bool(meta.extra and meta.extra.get("reloads")),
    )


def _limits(meta: Meta) -> Sequence[tuple[str, int | float | None]]:
    return ("above", meta.gt), ("at least", meta.ge), ("below", meta.lt), ("at most", meta.le)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
