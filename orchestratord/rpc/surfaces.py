"""What is generated from the method table: the client's commands, the reference page.

Pure functions but for ``write`` and ``stale``, which compare with the checked-in
files. Equal tables give equal bytes, in the form that ``ruff format`` leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestratord import events
from orchestratord.errors import Fault
from orchestratord.rpc.builtin import complete
from orchestratord.rpc.method import Method, Table
from orchestratord.rpc.openrpc import FAMILIES, PROTOCOL, family, first_line
from orchestratord.rpc.schema import Schema, fields

_WIDTH = 100
_SCALARS = ("string", "integer", "number", "boolean")

_COMMANDS_HEAD = '''\
"""The daemon's methods as commands. Generated from its method table; do not edit.

``COMMANDS[name]`` is a tuple of constants, which costs nothing until it is
looked up (Python marshals the literal):

    0 method       "pane.kill"
    1 summary      one sentence
    2 description  the rest, "" if none
    3 forms        accepted orders of positional words; a last name that ends
                   in "..." takes all that remain. "session" before "pane",
                   where the method has no such field, makes SESSION/PANE
    4 fields       (name, type, required, schema) each. Types: "string",
                   "integer", "number", "boolean", "map" (string to string),
                   "array:" and one of the first four, else "json". The schema
                   is the field's JSON Schema as text, self-contained (no $ref),
                   with its description, bounds and default
    5 columns      what a table shows of the result, in order
    6 flags        some of "mutates", "streams", "admin", separated by spaces
    7 deadline     seconds until the daemon ends the call, or None

``ALIASES`` maps other names of commands to their names, ``EXIT_STATUS`` an
error's code to the status that a command exits with.
"""

# ruff: noqa: E501
'''
_REFERENCE_HEAD = """\
<!-- Generated from the daemon's method table; do not edit. -->

# Reference

JSON-RPC 2.0 over a Unix socket, one JSON value a line. Parameters are one JSON object.
A method that mutates also takes `idempotency_key` (1 to 128 characters): the same key
within 24 hours gives the first answer, and acts once.

Any method takes `token`, an agent's; without it the caller is whoever the connection was
recognised as (`agent.whoami` tells). What a method needs: `read`, `input` and `kill` are
`read:own`, `input:own` and `kill:own` for what the caller owns, `read:all`, `input:any` and
`kill:any` for what others own; `create` and `admin` are scopes of that name. A user's own
programs have every scope.
"""


def commands_module(table: Table) -> str:
    """Return the source of ``orchctl/commands.py``: literals, nothing to import."""
    table = complete(table)
    commands = {_command(entry): _entry(entry) for entry in table.values()}
    aliases = {
        alias: _command(entry) for entry in table.values() for alias in sorted(entry.cli.aliases)
    }
    if clash := commands.keys() & aliases.keys():
        raise ValueError(f"a command and an alias are both called {', '.join(sorted(clash))}")
    return "\n".join(
        (
            _COMMANDS_HEAD,
            f"COMMANDS: dict[str, tuple[object, ...]] = {_literal(commands)}",
            "",
            f"ALIASES: dict[str, str] = {_literal(aliases)}",
            "",
            f"EXIT_STATUS: dict[int, int] = {_literal(_exit_statuses())}",
            "",
        )
    )


def reference(table: Table) -> str:
    """Return the reference page, in Markdown."""
    table = complete(table)
    parts = [_REFERENCE_HEAD]
    for noun, entries in groupby(table.values(), lambda entry: entry.name.partition(".")[0]):
        parts.append(f"## {noun}\n")
        parts += [_section(entry) for entry in entries]
    parts.append(_errors_section(table))
    parts.append(_events_section())
    return "\n".join(parts)


SURFACES: dict[str, Callable[[Table], str]] = {
    "client/orchctl/commands.py": commands_module,
    "orchestratord/REFERENCE.md": reference,
}
"""Each generated file, from the repository's root, and what makes it."""


def write(table: Table, root: Path) -> list[Path]:
    """Write the files that are stale; return them."""
    changed = stale(table, root)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SURFACES[path.relative_to(root).as_posix()](table), encoding="utf-8")
    return changed


def stale(table: Table, root: Path) -> list[Path]:
    """Return the generated files that are missing or differ from what the table gives."""
    return [
        root / name
        for name, make in SURFACES.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != make(table)
    ]


def type_word(schema: Schema) -> str:
    """Return the word by which a command line reads a value of that schema."""
    kind = schema.get("type")
    if kind in _SCALARS:
        return str(kind)
    if "enum" in schema and all(isinstance(choice, str) for choice in schema["enum"]):
        return "string"
    if kind == "array" and (item := type_word(schema.get("items", {}))) in _SCALARS:
        return f"array:{item}"
    if {option.get("type") for option in schema.get("anyOf", ())} == {"string", "object"}:
        return "string"  # the short spelling
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict) and values.get("type") == "string":
        return "map"
    return "json"


def _command(entry: Method) -> str:
    return entry.name.replace(".", "-").replace("_", "-")


def _entry(entry: Method) -> tuple[object, ...]:
    flags = [flag for flag in ("mutates", "streams", "admin") if getattr(entry, flag)]
    return (
        entry.name,
        entry.summary,
        entry.description,
        entry.cli.forms,
        tuple(
            (name, type_word(field.schema), field.required, _compact(field.schema))
            for name, field in fields(entry.params).items()
        ),
        entry.cli.columns,
        " ".join(flags),
        entry.deadline,
    )


def _exit_statuses() -> dict[int, int]:
    return {fault.code: fault.exit_status for fault in (*PROTOCOL, *FAMILIES)}


def _compact(schema: Any) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _literal(value: object, indent: int = 0, lead: int = 0) -> str:
    """Return a literal as ruff writes it: on one line if it fits, else one item a line."""
    flat = _flat_literal(value)
    if not isinstance(value, (tuple, dict)) or not value:
        return flat
    if isinstance(value, tuple) and indent + lead + len(flat) < _WIDTH:
        return flat
    pad = " " * (indent + 4)
    if isinstance(value, dict):
        items = [
            f"{pad}{_flat_literal(key)}: {_literal(item, indent + 4, len(_flat_literal(key)) + 2)},"
            for key, item in value.items()
        ]
        return "\n".join(("{", *items, " " * indent + "}"))
    items = [f"{pad}{_literal(item, indent + 4)}," for item in value]
    return "\n".join(("(", *items, " " * indent + ")"))


def _flat_literal(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, tuple):
        inner = ", ".join(map(_flat_literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _quoted(text: str) -> str:
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, "\\" + quote)
    return f"{quote}{escaped}{quote}"


def _section(entry: Method) -> str:
    lines = [f"### {entry.name}\n", f"{entry.summary}\n"]
    if entry.description:
        lines.append(f"{entry.description}\n")
    forms = (" ".join((_command(entry), *map(str.upper, form))) for form in entry.cli.forms)
    lines.append("Command: " + " or ".join(f"`orchctl {form}`" for form in forms) + "\n")
    if known := fields(entry.params):
        lines += ["| parameter | type | | |", "|---|---|---|---|"]
        for name, field in known.items():
            lines.append(
                f"| `{name}` | {_cell(type_word(field.schema))} "
                f"| {'required' if field.required else _bounds(field.schema, 'default')} "
                f"| {_cell(_described(field.schema))} |"
            )
        lines.append("")
    facts = [word for word in ("mutates", "streams") if getattr(entry, word)]
    facts.append(f"needs {entry.needs}")
    facts += [f"{scope} for {field}" if field else scope for field, scope in entry.conditions]
    facts.append(f"ends within {entry.deadline:g} s" if entry.deadline else "ends by itself")
    lines.append(f"{', '.join(facts)[:1].upper()}{', '.join(facts)[1:]}.")
    if entry.errors:
        lines.append("Errors: " + ", ".join(f"`{fault.__name__}`" for fault in entry.errors) + ".")
    return "\n".join(lines) + "\n"


def _described(schema: Schema) -> str:
    rules = _bounds(
        schema, "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"
    )
    return " ".join(filter(None, (schema.get("description", ""), rules and f"({rules})")))


def _bounds(schema: Schema, *rules: str) -> str:
    return ", ".join(f"{rule} `{_compact(schema[rule])}`" for rule in rules if rule in schema)


def _errors_section(table: Table) -> str:
    kinds: set[type[Fault]] = {fault for entry in table.values() for fault in entry.errors}
    named = [*PROTOCOL, *FAMILIES]
    named += sorted(kinds - set(named), key=lambda fault: (fault.code, fault.__name__))
    lines = [
        "## Errors\n",
        "| kind | family | code | exit | retry | when |",
        "|---|---|---|---|---|---|",
    ]
    for fault in named:
        retry = "yes" if fault.retryable else "no"
        lines.append(
            f"| `{fault.__name__}` | {family(fault).__name__} | {fault.code} "
            f"| {fault.exit_status} | {retry} | {_cell(first_line(fault))} |"
        )
    return "\n".join(lines) + "\n"


def _events_section() -> str:
    lines = ["## Events\n", "| kind | what happened |", "|---|---|"]
    lines += [
        f"| `{kind}` | {_cell(first_line(fact))} |" for kind, fact in sorted(events.FACTS.items())
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
