"""The texts about the commands: help, one command's help, the manual page, the version.

All of it comes from the two tables; nothing here names a single command.
"""

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from orchctl.arguments import typed
from orchctl.cli import Invocation, find, out
from orchctl.commands import ALIASES, COMMANDS
from orchctl.programs import PROGRAMS, with_base
from orchctl.render import terminal_width

FIRST_STEPS = (
    ("orchctl session-create dev", "A session with a shell, p1; starts the daemon if none runs."),
    ("orchctl pane-exec dev/p1 'make test'", "A command in that shell: its output and exit code."),
    ("orchctl pane-create dev build -- make", "A program in a pane of its own, by name."),
    ("orchctl pane-list", "What runs; with --state exited, what has ended and how."),
    ("orchctl tail build", "What it prints, as it comes."),
    ("orchctl attach dev", "The very same panes in this terminal; C-b d leaves them."),
    ("orchctl down", "Stops the daemon; the panes live on, and the next command finds them."),
)

GLOBAL_FLAGS = (
    ("--socket PATH", "The daemon's socket; else ORCHESTRATORD_SOCKET, your own, the system's."),
    ("--host URL", "The daemon of another host: ssh://[USER@]HOST[:PORT]; else ORCHCTL_HOST."),
    ("--context NAME", "The daemon of a context; else ORCHCTL_CONTEXT or the current one."),
    ("--json", "JSON on standard output, and errors as JSON; the default when not a terminal."),
    ("--text", "What a terminal would show, also when there is none."),
    ("--quiet", "Only ids and values, for scripts."),
    ("--no-autostart", "Fail when no daemon runs instead of starting one."),
    ("--timeout SECONDS", "How long to wait for the answer."),
    ("--idempotency-key KEY", "Makes a repeated call act once and answer the same."),
    ("--help, --version", "Explain, without a daemon."),
)

EXIT_STATUSES = (
    ("0", "done"),
    ("1", "no: no match, not running"),
    ("2", "wrong arguments"),
    ("3", "not found"),
    ("4", "exists already"),
    ("5", "its state does not allow this"),
    ("69", "no daemon, or a part of it is not there"),
    ("70", "a defect of the daemon's"),
    ("75", "a limit is reached; try later"),
    ("76", "tmux refused"),
    ("77", "not permitted"),
    ("124", "not within its time"),
    ("125", "pane-exec could not run the command; else it exits as the command does"),
    ("130", "cancelled"),
)


def version() -> str:
    """Return the version of the installed distribution."""
    try:
        return metadata.version("orchestratord")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def entries() -> dict[str, Any]:
    """Return every command's entry by its name, sorted, hidden ones left out."""
    every = {**COMMANDS, **{name: with_base(entry) for name, entry in PROGRAMS.items()}}
    return {name: every[name] for name in sorted(every) if "hidden" not in every[name][6]}


def groups() -> dict[str, dict[str, Any]]:
    """Return the commands by their noun; those without one come first."""
    found: dict[str, dict[str, Any]] = {"orchctl": {}}
    for name, entry in entries().items():
        noun = name.partition("-")[0] if "-" in name else "orchctl"
        found.setdefault(noun, {})[name] = entry
    return found


def overview() -> str:
    """Return the help of orchctl as a whole."""
    lines = ["usage: orchctl [FLAGS] COMMAND [WORDS] [--field VALUE]", ""]
    lines += ["to begin with:", *(_item(line, text, 42) for line, text in FIRST_STEPS), ""]
    for noun, commands in groups().items():
        lines.append("commands:" if noun == "orchctl" else f"{noun}:")
        lines += [_item(name, entry[1], 26) for name, entry in commands.items()]
        lines.append("")
    lines += ["flags:", *(_item(flag, text, 26) for flag, text in GLOBAL_FLAGS), ""]
    lines += ["orchctl help COMMAND explains one, orchctl man is the whole manual."]
    return "\n".join(lines) + "\n"


def command(name: str, entry: Any) -> str:
    """Return the help of one command."""
    entry = with_base(entry)
    lines = [
        "usage: " + "\n   or: ".join(typed(name, entry)),
        "",
        *textwrap.wrap(entry[1], _columns()),
    ]
    for paragraph in filter(None, entry[2].split("\n\n")):
        lines += ["", *textwrap.wrap(paragraph, _columns())]
    if entry[4]:
        lines += ["", "fields:"]
        lines += [_item(flag, text, 24) for flag, text in field_texts(entry)]
    if aliases := [alias for alias, meant in ALIASES.items() if meant == name]:
        lines += ["", f"also: {', '.join(aliases)}"]
    lines += ["", "orchctl help lists the flags that every command takes."]
    return "\n".join(lines) + "\n"


def field_texts(entry: Any) -> Iterator[tuple[str, str]]:
    """Yield each field's flag and what is known of it."""
    for name, kind, required, schema in entry[4]:
        flag = "--" + name.replace("_", "-")
        if kind != "boolean":
            flag += " " + ("KEY=VALUE" if kind == "map" else kind.removeprefix("array:").upper())
        yield flag, field_text(json.loads(schema), kind, required)


def field_text(schema: dict[str, Any], kind: str, required: bool) -> str:
    """Return a field's description, choices, bounds and default as sentences."""
    parts = [schema["description"]] if schema.get("description") else []
    if choices := schema.get("enum"):
        parts.append(f"One of {', '.join(map(str, choices))}.")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        parts.append(f"{low} to {high}.")
    elif low is not None:
        parts.append(f"At least {low}.")
    if required:
        parts.append("Required.")
    elif schema.get("default") not in (None, False, "", [], {}):
        parts.append(f"Default {schema['default']}.")
    if kind == "map" or kind.startswith("array:"):
        parts.append("May be repeated.")
    return " ".join(parts)


def _item(head: str, text: str, column: int) -> str:
    head = "  " + head
    gap = " " * column
    first = head.ljust(column) if len(head) < column - 1 else head + "\n" + gap
    return first + ("\n" + gap).join(textwrap.wrap(text, max(_columns() - column, 20)))


def _columns() -> int:
    return min(terminal_width(), 96)


def help_(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Print the help of a command, or of all."""
    wanted = params.get("command")
    out((command(*find(wanted)) if wanted else overview()).encode())
    return 0


def man(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Show the manual page on a terminal, print its source elsewhere."""
    page = roff().encode()
    if os.isatty(1) and not invocation.options.get("json"):
        try:
            return subprocess.run(["man", "-l", "-"], input=page, check=False).returncode
        except FileNotFoundError:
            pass
    out(page)
    return 0


def roff() -> str:
    """Return the manual page's source."""
    lines = [
        '.TH ORCHCTL 1 "" "orchestratord" "User Commands"',
        ".SH NAME",
        r"orchctl \- terminals of a private tmux server, over a socket",
        ".SH SYNOPSIS",
        ".B orchctl",
        r"[\fIflags\fR] \fIcommand\fR [\fIwords\fR] [\-\-\fIfield\fR \fIvalue\fR]",
        ".SH FLAGS",
    ]
    for flag, text in GLOBAL_FLAGS:
        lines += [".TP", r"\fB" + _roff(flag) + r"\fR", _roff(text)]
    for noun, commands in groups().items():
        lines.append(f".SH {'COMMANDS' if noun == 'orchctl' else noun.upper()}")
        for name, entry in commands.items():
            lines.append(".SS " + _roff(name))
            for form in typed(name, entry):
                lines += [_roff(form), ".br"]
            lines += [_roff(entry[1])]
            lines += [_roff(line) for line in entry[2].splitlines() if line]
            for flag, text in field_texts(entry):
                lines += [".TP", r"\fB" + _roff(flag) + r"\fR", _roff(text) or r"\&"]
    lines.append(".SH EXIT STATUS")
    for code, text in EXIT_STATUSES:
        lines += [".TP", _roff(code), _roff(text)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + text if text[:1] in (".", "'") else text
