"""A call's parameters: decoded strictly, refused in words.

Takes the raw ``params`` of a request, gives the method's Struct, and the
idempotency key and the token that came along. What does not fit is ``InvalidArgument`` with
code -32602, a sentence, and ``field``. A wrong value is repeated only when it
is short, at the top level, and broke a stated rule (a choice, a bound, a
pattern); never that of a field whose schema says ``writeOnly``.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import Raw

from orchestratord.errors import InvalidArgument
from orchestratord.rpc.schema import Schema, fields

KEY = "idempotency_key"
KEY_LENGTH = 128
TOKEN = "token"
TOKEN_LENGTH = 128
_KEY, _TOKEN = f'"{KEY}"'.encode(), f'"{TOKEN}"'.encode()
_SHOWN = 80
"""The longest piece of a caller's input that an error repeats."""

_PLACE = re.compile(r" - at (`key` in )?`\$\.?(.*)`\Z", re.S)
_MISSING = re.compile(r"Object missing required field `(.*?)`", re.S)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`", re.S)
_EXPECTED = re.compile(r"Expected `(.*?)`(?:, got `(.*?)`)?(.*)", re.S)
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class InvalidParams(InvalidArgument):
    """The parameters do not fit the method; nothing was done."""

    code = -32602

    @property
    def kind(self) -> str:
        return "InvalidArgument"


class Given(msgspec.Struct, frozen=True, gc=False):
    """What a request gave. ``raw`` is what is left without key and token."""

    params: msgspec.Struct
    key: str | None
    token: str | None
    raw: Raw


class Reader:
    """Decodes the parameters of one method."""

    def __init__(self, method: str, params: type[msgspec.Struct], keyed: bool) -> None:
        self._method = method
        self._decoder = msgspec.json.Decoder(params)
        self._params = params
        self._keyed = keyed

    def read(self, raw: Raw) -> Given:
        """Return what was given, or raise ``InvalidParams``."""
        try:
            try:
                return Given(self._decoder.decode(raw), None, None, raw)
            except msgspec.ValidationError as error:
                return self._read_with_reserved(bytes(raw), error)
        except RecursionError:
            raise InvalidParams(reason="params are nested too deeply", field="params") from None

    def _read_with_reserved(self, data: bytes, error: msgspec.ValidationError) -> Given:
        """Take out what is no parameter of the method, which is why it was refused, or refuse."""
        rest, key, token = data, None, None
        if _TOKEN in data:
            token, rest = _take(TOKEN, TOKEN_LENGTH, rest)
        if self._keyed and _KEY in data:
            key, rest = _take(KEY, KEY_LENGTH, rest)
        if rest is data:
            raise self._refusal(data, str(error)) from None
        try:
            return Given(self._decoder.decode(rest), key, token, Raw(rest))
        except msgspec.ValidationError as remaining:
            raise self._refusal(rest, str(remaining)) from None

    def _refusal(self, raw: bytes, message: str) -> InvalidParams:
        place = _PLACE.search(message)
        path = place[2] if place else ""
        if place:
            message = message[: place.start()]
        if missing := _MISSING.match(message):
            field = _join(path, missing[1])
            return InvalidParams(reason=f"{field} is required", field=field)
        if unknown := _UNKNOWN.match(message):
            field = _join(path, _cut(unknown[1]))
            reason = f"{field} is not a parameter of {self._method}"
            if not path:
                reason += f", which takes {', '.join(fields(self._params)) or 'none'}"
            return InvalidParams(reason=reason, field=field)
        field = path.replace("[...]", "") or "params"
        subject = f"a value of {field}" if path.endswith("[...]") else field
        if place and place[1]:
            subject = f"a key of {field}"
        known = fields(self._params).get(path)
        schema = known.schema if known else {}
        if message.startswith("Invalid value"):  # of the field that tells Structs apart
            outer = fields(self._params).get(re.split(r"[.\[]", path)[0])
            tags = _tags(outer.schema, path.rpartition(".")[2]) if outer else []
            schema, message = {"enum": tags}, "Invalid enum value"
        rule, constraint = _rule(message, schema)
        reason = f"{subject} must be {rule}"
        if constraint and not schema.get("writeOnly") and (value := _value(raw, path)):
            reason += f", not {value}"
        return InvalidParams(reason=reason, field=field)


def params_hash(params: msgspec.Struct) -> str:
    """Return what tells two calls' parameters apart, defaults filled in."""
    return hashlib.sha256(msgspec.json.encode(params, order="deterministic")).hexdigest()


def _take(name: str, longest: int, data: bytes) -> tuple[str | None, bytes]:
    """Take a string that is no parameter of the method out of the parameters, if it is there."""
    try:
        members = msgspec.json.decode(data, type=dict[str, Raw])
    except msgspec.ValidationError:  # no object: who decodes it says so
        return None, data
    found = members.pop(name, None)
    if found is None:
        return None, data
    try:
        value = msgspec.json.decode(found, type=str | None)
    except msgspec.ValidationError:
        raise InvalidParams(reason=f"{name} must be a string", field=name) from None
    if value is not None and not 1 <= len(value) <= longest:
        reason = f"{name} must have 1 to {longest} characters, not {len(value)}"
        raise InvalidParams(reason=reason, field=name)
    return value, msgspec.json.encode(members)


def _tags(schema: object, name: str) -> list[str]:
    """Return the values that a field may have anywhere in a schema."""
    if isinstance(schema, list):
        return [tag for part in schema for tag in _tags(part, name)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("properties", {}).get(name, {}).get("enum", [])
    return [*own, *(tag for part in schema.values() for tag in _tags(part, name))]


def _rule(message: str, schema: Schema) -> tuple[str, bool]:
    """Say what was expected, and whether the value broke a rule rather than the type."""
    if message.startswith("Invalid enum value"):
        choices = schema.get("enum")
        return (f"one of {', '.join(map(str, choices))}" if choices else "a known choice"), True
    expected = _EXPECTED.match(message)
    if not expected:
        return "within the range of numbers", False
    kinds, got, bound = expected.groups()
    words = " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))
    if got:
        return f"{words}, not {_WORDS.get(got, got)}", False
    if bound.startswith(" matching regex"):
        described = schema.get("description")
        return (f"well formed ({described.rstrip('.')})" if described else words + bound), True
    return words + bound, not bound.startswith(" of length")


def _value(raw: bytes, field: str) -> str | None:
    try:
        found = bytes(msgspec.json.decode(raw, type=dict[str, Raw])[field])
    except (msgspec.ValidationError, KeyError):  # below the top level
        return None
    return found.decode() if len(found) <= _SHOWN else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
