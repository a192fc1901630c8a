"""What a tool is: its description for a model, its schemas, and the coroutine that does it.

Knows neither the daemon nor the protocol. Arguments are checked here as far as a schema
can tell, so that a tool may rely on their types; the daemon checks the values.
"""

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from orchctl.mcp.reach import Reach
from orchctl.wire import RpcError, usage

MAX_OUTPUT = 4096
"""Bytes of output in an answer unless the caller asks for more."""

MOST_OUTPUT = 64 << 10

SLICE = 5.0
"""Seconds between two signs of life of a call that waits."""

UNWATCHED = 20.0
"""Seconds after which a call answers with how far it is, if its caller follows no progress.

Many clients give up on a silent call after 30 or 60.
"""

LONGEST = 3600

Json = dict[str, Any]
Progress = Callable[[float, float, str], Awaitable[None]]


@dataclass(frozen=True)
class Turn:
    """One call of a tool: what it works on, and whom it tells how far it is.

    ``watched`` says that the caller follows the progress; ``cwd`` is the caller's directory.
    ``taken_back`` tells of a cancelled call whether the caller asked for that (or has left).
    """

    daemon: Reach
    progress: Progress
    watched: bool
    cwd: str
    taken_back: Callable[[], Awaitable[bool]]

    async def call(self, method: str, /, **params: Any) -> Any:
        """Call a method of the daemon."""
        return await self.daemon.call(method, **params)


@dataclass(frozen=True)
class Tool:
    """A tool. ``needs`` are the methods without which it is not offered."""

    name: str
    title: str
    description: str
    fields: Json
    run: Callable[[Turn, Json], Awaitable[Json]]
    answer: Json
    required: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    reads: bool = False
    destroys: bool = False
    idempotent: bool = False

    def definition(self) -> Json:
        """Return the tool as ``tools/list`` shows it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _object(self.fields, self.required, closed=True),
            "outputSchema": _object(self.answer, self.answered, closed=False),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.reads,
                "destructiveHint": self.destroys,
                "idempotentHint": self.idempotent or self.reads,
                "openWorldHint": not self.reads,
            },
        }

    def check(self, given: Json) -> None:
        """Raise InvalidArgument for arguments that the schema does not allow."""
        if unknown := [name for name in given if name not in self.fields]:
            raise usage(
                f"{self.name} takes no {unknown[0]}", f"it takes {', '.join(self.fields) or '-'}"
            )
        if missing := [name for name in self.required if name not in given]:
            raise usage(f"{self.name} needs {' and '.join(missing)}")
        for name, value in given.items():
            check_value(name, value, self.fields[name])


def _object(properties: Json, required: tuple[str, ...], closed: bool) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def check_value(name: str, value: Any, schema: Json) -> None:
    """Raise InvalidArgument for a value that its schema does not allow."""
    wanted = schema.get("type")
    if wanted:
        fits = isinstance(value, _TYPES[wanted])
        if not fits or (isinstance(value, bool) and wanted in ("integer", "number")):
            article = "an" if wanted[0] in "aio" else "a"
            raise usage(f"{name} must be {article} {wanted}")
    if "enum" in schema and value not in schema["enum"]:
        raise usage(f"{name} must be one of {', '.join(schema['enum'])}")
    if "minimum" in schema and not value >= schema["minimum"]:
        raise usage(f"{name} must be at least {schema['minimum']}")
    if "maximum" in schema and not value <= schema["maximum"]:
        raise usage(f"{name} must be at most {schema['maximum']}")
    if isinstance(value, list) and "items" in schema:
        for item in value:
            check_value(f"each of {name}", item, schema["items"])


def compact(**values: Any) -> Json:
    """Return the values without those that say nothing: None, empty lists and objects."""
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def refusal(error: RpcError) -> Json:
    """Return an error as a model reads it: what, why, what helps, and the details."""
    details = {name: value for name, value in error.data.items() if value not in (None, "")}
    return {"kind": error.kind, "message": error.message} | details


def visible(text: str) -> str:
    """Return text with every character that hides or reorders shown as an escape.

    What a program prints may be made to look different to a person than to a model.
    Newline and tab stay.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    shown = []
    hidden = True
    for character in text:
        if character in _SELECTORS and not hidden:  # text or emoji: once, behind what it selects
            shown.append(character)
            hidden = True
            continue
        hidden = _hidden(character)
        shown.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(shown)


_SELECTORS = "\ufe0e\ufe0f"
_FORMATS = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def _hidden(character: str) -> bool:
    if character in "\n\t":
        return False
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0000" <= character <= "\U000e0fff":
        return True
    return unicodedata.category(character) in _FORMATS


def last_bytes(text: str, limit: int) -> tuple[str, bool]:
    """Return the end of a text within so many bytes, whole lines if there are any, and if cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text, False
    kept = data[len(data) - limit :].decode("utf-8", "ignore")
    newline = kept.find("\n")
    return (kept[newline + 1 :] if 0 <= newline < len(kept) - 1 else kept), True
