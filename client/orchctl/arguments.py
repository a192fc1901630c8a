"""From the words of a command line to a call's parameters, by the command's entry.

Knows the table's format and nothing of any single command. A word after ``--``
is never a flag: with a field that takes text or a list it is that field's.
"""

import os

from orchctl.wire import usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Entry: TypeAlias = tuple[Any, ...]

TEXTS = ("text", "command")
"""String fields that ``-`` fills from standard input and ``--NAME-file`` from a file."""

GLOBALS = {
    "socket": "string",
    "host": "string",
    "context": "string",
    "json": "boolean",
    "text": "boolean",
    "quiet": "boolean",
    "autostart": "boolean",
    "timeout": "number",
    "idempotency_key": "string",
    "help": "boolean",
    "version": "boolean",
}
"""The flags that every command takes; a field of the same name goes before."""


class Words:
    """Reads words against typed fields; ``options`` and ``values`` are what it has found."""

    def __init__(self, words: list[str], options: "dict[str, Any]") -> None:
        self.words = words
        self._at = 0
        self._types: dict[str, str] = {}
        self.options = options
        self.values: dict[str, Any] = {}
        self.positional: list[str] = []
        self.rest: list[str] | None = None

    def command(self) -> str:
        """Read global flags up to the first other word and return that, or nothing."""
        while self._at < len(self.words):
            word = self._next()
            if not _is_flag(word):
                return word
            self._flag(word)
        return ""

    def read(self, types: dict[str, str]) -> None:
        """Read all remaining words; ``types`` are the command's fields."""
        self._types = types
        while self._at < len(self.words):
            word = self._next()
            if word == "--":
                self.rest = self.words[self._at :]
                return
            if _is_flag(word):
                self._flag(word)
            else:
                self.positional.append(word)

    def _next(self) -> str:
        self._at += 1
        return self.words[self._at - 1]

    def _flag(self, word: str) -> None:
        name, given, text = ("help", "", "") if word == "-h" else word[2:].partition("=")
        key = name.replace("-", "_")
        if key[-5:] == "_file" and key not in self._types and key[:-5] in self._types:
            path = text if given else self._value(word)
            self.values[key[:-5]] = read_text(path)
            return
        negative = key.startswith("no_")
        if negative and self._boolean(key[3:]):
            self._target(key[3:])[key[3:]] = False
            return
        key, kind = self._kind(key, word)
        target = self._target(key)
        if kind == "boolean" and not given:
            target[key] = True
            return
        if not given:
            text = self._value(word)
            if text == "-" and key in TEXTS:
                text = read_text("-")
        if kind == "map":
            target.setdefault(key, {}).update([pair(key, text)])
        elif kind.startswith("array:"):
            target.setdefault(key, []).append(convert(kind[6:], text, key))
        else:
            target[key] = convert(kind, text, key)

    def _value(self, word: str) -> str:
        if self._at >= len(self.words):
            raise usage(f"{word} needs a value")
        return self._next()

    def _boolean(self, key: str) -> bool:
        return (self._types.get(key) or GLOBALS.get(key)) == "boolean"

    def _target(self, key: str) -> "dict[str, Any]":
        return self.values if key in self._types else self.options

    def _kind(self, key: str, word: str) -> tuple[str, str]:
        """Find a flag's field; the singular names a list's or a map's field too."""
        if kind := self._types.get(key):
            return key, kind
        if (kind := self._types.get(key + "s", "")) == "map" or kind.startswith("array:"):
            return key + "s", kind
        if kind := GLOBALS.get(key, ""):
            return key, kind
        flag = word.partition("=")[0]
        raise usage(
            f"there is no flag {flag} here",
            similar(flag, ["--" + n.replace("_", "-") for n in (*self._types, *GLOBALS)])
            or "put -- before words that are not flags of orchctl",
        )


def parameters(name: str, entry: "Entry", words: Words) -> "dict[str, Any]":
    """Return the parameters that the words give to a command, complete and typed.

    Raises the usage error (exit status 2) when they do not fit.
    """
    types = {field[0]: field[1] for field in entry[4]}
    words.read(types)
    values = words.values
    form, given = _form(name, entry, words, types)
    session = ""
    for field, text in zip(form, given, strict=True):
        key = field.removesuffix("...")
        if key not in types:
            session = str(text)
        elif isinstance(text, list) and types[key] == "map":
            values[key] = dict(pair(key, word) for word in text)
        elif isinstance(text, list):
            kind = types[key].removeprefix("array:")
            values[key] = [convert(kind, word, key) for word in text]
        elif types[key] == "map":
            values[key] = dict([pair(key, text)])
        else:
            text = read_text("-") if text == "-" and key in TEXTS else text
            values[key] = convert(types[key], text, key)
    if session:
        values["pane"] = within(session, values["pane"])
    if missing := [field[0] for field in entry[4] if field[2] and field[0] not in values]:
        raise usage(f"{name} needs {' and '.join(missing)}", synopsis(name, entry))
    if types.get("cwd") == "string" and "cwd" in values:
        values["cwd"] = os.path.abspath(values["cwd"])  # noqa: PTH100 (pathlib: +6 ms)
    return values


def _form(
    name: str, entry: "Entry", words: Words, types: dict[str, str]
) -> tuple[tuple[str, ...], list[str | list[str]]]:
    """Choose the form by the number of words, and group the words by its names."""
    given: list[str | list[str]] = list(words.positional)
    named = [left for form in entry[3] if (left := _without(form, words.values)) is not None]
    if words.rest is not None:
        for form in named:
            last = form[-1].removesuffix("...") if form else ""
            if len(form) == len(given) + 1 and (form[-1] != last or last in TEXTS):
                listed = types[last] != "string"
                return form, [*given, words.rest if listed else joined(last, words.rest)]
        given += words.rest
    for form in named:
        if len(form) == len(given) and not (form and form[-1].endswith("...")):
            return form, given
    for form in named:
        if form and form[-1].endswith("...") and len(given) >= len(form):
            fixed = len(form) - 1
            return form, [*given[:fixed], [str(word) for word in given[fixed:]]]
    if not given:
        return (), []
    for form in entry[3]:
        if len(form) == len(given) and (twice := [word for word in form if word in words.values]):
            raise usage(f"{twice[0]} is given twice", synopsis(name, entry))
    shortest = min(map(len, named), default=0)
    problem = "too few words" if len(given) < shortest else "too many words"
    raise usage(f"{problem} for {name}", synopsis(name, entry))


def _without(form: tuple[str, ...], values: "dict[str, Any]") -> tuple[str, ...] | None:
    """Return a form without what flags gave; None if a session is left without its pane."""
    left = tuple(word for word in form if word.removesuffix("...") not in values)
    if "session" in left and "pane" in form and "pane" not in left:
        return None
    return left


def synopsis(name: str, entry: "Entry") -> str:
    """Return how a command is typed, on one line."""
    return "usage: " + "  or  ".join(typed(name, entry))


def typed(name: str, entry: "Entry") -> "list[str]":
    """Return each form in which a command is typed."""
    forms = []
    for form in entry[3]:
        shown = [
            word[:-3].upper() + "..." if word.endswith("...") else word.upper() for word in form
        ]
        forms.append(" ".join(["orchctl", name, *shown]))
    return forms


def within(session: str, pane: str) -> str:
    """Return the reference of a pane in a session; an id already says it all."""
    if pane[:1] in ("p", "%") and pane[1:].isdigit():
        return pane
    return session + "/" + pane


def convert(kind: str, text: str, name: str) -> "Any":
    """Return a word as a value of that type."""
    if kind == "string":
        return text
    if kind == "integer":
        if text.removeprefix("-").isdigit() and text.isascii():
            return int(text)
        raise usage(f"{name} must be a whole number, not {text}")
    if kind == "number":
        try:
            value = float(text)
            finite = value - value == 0
        except ValueError:
            finite = False
        if not finite:
            raise usage(f"{name} must be a number, not {text}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if kind == "boolean":
        if text in ("true", "false"):
            return text == "true"
        raise usage(f"{name} must be true or false, not {text}")
    if kind == "map" or kind.startswith("array:"):
        raise usage(f"{name} is a list; give it by its flag")
    return from_json(text, name)


def from_json(text: str, name: str) -> "Any":
    """Return a value given as JSON, as ``@FILE``, or as ``-`` for standard input."""
    import json

    if text == "-" or text.startswith("@"):
        text = read_text(text.removeprefix("@"))
    try:
        return json.loads(text)
    except ValueError as error:
        raise usage(f"{name} is not JSON: {error}") from None


def pair(name: str, text: str) -> tuple[str, str]:
    """Split KEY=VALUE; a name of the environment may stand alone and passes its value."""
    key, given, value = text.partition("=")
    if not given and name == "env":
        if key not in os.environ:
            raise usage(f"the variable {key} is not set", "write NAME=VALUE to give it a value")
        value = os.environ[key]
    elif not given:
        raise usage(f"{name} takes KEY=VALUE, not {text}")
    return key, value


def read_text(path: str) -> str:
    """Return a file's text exactly; ``-`` is standard input."""
    try:
        descriptor = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        chunks = []
        while chunk := os.read(descriptor, 1 << 16):
            chunks.append(chunk)
    except OSError as error:
        raise usage(f"{path}: {error.strerror}") from None
    if descriptor:
        os.close(descriptor)
    try:
        return b"".join(chunks).decode()
    except UnicodeDecodeError:
        raise usage(f"{'standard input' if path == '-' else path} is not UTF-8") from None


def joined(name: str, words: list[str]) -> str:
    """Return words as one text. A single one stands as it is; a command's are quoted."""
    if len(words) == 1 or name != "command":
        return " ".join(words)
    import shlex

    return shlex.join(words)


def similar(word: str, known: list[str]) -> str:
    """Return a question that names what may have been meant, or nothing."""
    import difflib

    near = difflib.get_close_matches(word, known, 3, 0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _is_flag(word: str) -> bool:
    return word == "-h" or (word.startswith("--") and len(word) > 2)
