"""A call's parameters: decoded strictly, refused in words.

Takes the raw ``params`` of a request, gives the method's Struct and the
idempotency key that came along. What does not fit is ``InvalidArgument`` with
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


class Reader:
    """Decodes the parameters of one method."""

    def __init__(self, method: str, params: type[msgspec.Struct], keyed: bool) -> None:
        self._method = method
        self._decoder = msgspec.json.Decoder(params)
        self._params = params
        self._keyed = keyed

    def read(self, raw: Raw) -> tuple[msgspec.Struct, str | None]:
        """Return the parameters and the idempotency key, or raise ``InvalidParams``."""
        key = None
        if self._keyed and KEY.encode() in bytes(raw):
            key, raw = _take_key(raw)
        try:
            return self._decoder.decode(raw), key
        except msgspec.ValidationError as error:
            raise self._refusal(raw, str(error)) from None
        except RecursionError:
            raise InvalidParams(reason="params are nested too deeply", field="params") from None

    def _refusal(self, raw: Raw, message: str) -> InvalidParams:
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
        rule, constraint = _rule(message, schema)
        reason = f"{subject} must be {rule}"
        if constraint and not schema.get("writeOnly") and (value := _value(raw, path)):
            reason += f", not {value}"
        return InvalidParams(reason=reason, field=field)


def params_hash(params: msgspec.Struct) -> str:
    """Return what tells two calls' parameters apart, defaults filled in."""
    return hashlib.sha256(msgspec.json.encode(params, order="deterministic")).hexdigest()


def _take_key(raw: Raw) -> tuple[str | None, Raw]:
    try:
        members = msgspec.json.decode(raw, type=dict[str, Raw])
        found = members.pop(KEY, None)
        key = None if found is None else msgspec.json.decode(found, type=str | None)
    except msgspec.ValidationError:
        raise InvalidParams(reason=f"{KEY} must be a string", field=KEY) from None
    if key is not None and not 1 <= len(key) <= KEY_LENGTH:
        reason = f"{KEY} must have 1 to {KEY_LENGTH} characters, not {len(key)}"
        raise InvalidParams(reason=reason, field=KEY)
    return key, Raw(msgspec.json.encode(members))


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


def _value(raw: Raw, field: str) -> str | None:
    try:
        found = bytes(msgspec.json.decode(raw, type=dict[str, Raw])[field])
    except (msgspec.ValidationError, KeyError):  # below the top level
        return None
    return found.decode() if len(found) <= _SHOWN else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
