"""The table as an OpenRPC 1.3 document. A pure function of the method table."""

from __future__ import annotations

from types import UnionType
from typing import Any, get_args

import msgspec

from orchestratord import errors, events
from orchestratord.errors import Fault
from orchestratord.rpc import wire
from orchestratord.rpc.builtin import complete
from orchestratord.rpc.method import Method, Table
from orchestratord.rpc.params import KEY, KEY_LENGTH, TOKEN, TOKEN_LENGTH, InvalidParams
from orchestratord.rpc.schema import Schema

_REFERENCE = "#/components/schemas/{name}"
FAMILIES: tuple[type[Fault], ...] = (
    errors.InvalidArgument,
    errors.PermissionDenied,
    errors.NotFound,
    errors.AlreadyExists,
    errors.FailedPrecondition,
    errors.ResourceExhausted,
    errors.Cancelled,
    errors.TmuxRefused,
    errors.Unavailable,
    errors.DeadlineExceeded,
)
PROTOCOL: tuple[type[Fault], ...] = (
    wire.ParseError,
    wire.InvalidRequest,
    wire.MethodNotFound,
    InvalidParams,
    errors.Internal,
)
"""JSON-RPC's five standard errors."""


def openrpc(table: Table, *, title: str = "orchestratord", version: str = "0") -> dict[str, Any]:
    """Return the document; equal tables give equal documents, key for key."""
    table = complete(table)
    types: list[Any] = [entry.params for entry in table.values()]
    types += events.FACTS.values()
    for entry in table.values():
        types += _alternatives(entry.result)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    found = iter(schemas)
    params = [next(found) for _ in table]
    facts = {kind: next(found) for kind in events.FACTS}
    results = [_any_of([next(found) for _ in _alternatives(e.result)]) for e in table.values()]
    return {
        "openrpc": "1.3.2",
        "info": {"title": title, "version": version, "description": _PREFACE},
        "methods": [
            _method(entry, _resolve(shape, components), result)
            for entry, shape, result in zip(table.values(), params, results, strict=True)
        ],
        "components": {
            "schemas": components,
            "errors": {fault.__name__: _error(fault) for fault in (*PROTOCOL, *FAMILIES)},
        },
        "x-events": [
            {"name": kind, "description": first_line(fact), "schema": facts[kind]}
            for kind, fact in sorted(events.FACTS.items())
        ],
    }


def family(fault: type[Fault]) -> type[Fault]:
    """Return the family that a kind of error belongs to."""
    return next(
        (base for base in fault.__mro__ if base in FAMILIES or base is errors.Internal), Fault
    )


_PREFACE = (
    "JSON-RPC 2.0 over a Unix socket, one JSON value a line. Parameters are one object. "
    "Clients switch on error.data.kind."
)
_SUBSCRIPTION: Schema = {
    "type": "object",
    "properties": {"subscription": {"type": "string"}},
    "required": ["subscription"],
}
_KEY: dict[str, Any] = {
    "name": KEY,
    "description": "The same key within 24 h gives the first answer, and acts once.",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
}


_TOKEN: dict[str, Any] = {
    "name": TOKEN,
    "description": "Who calls: an agent's token. Absent: whoever the connection is known to be.",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": TOKEN_LENGTH, "writeOnly": True},
}


def _method(entry: Method, params: Schema, result: Schema) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": entry.name,
        "summary": entry.summary,
        "description": entry.description or entry.summary,
        "paramStructure": "by-name",
        "params": [
            _param(name, schema, name in params.get("required", ()))
            for name, schema in params.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [
            {"$ref": f"#/components/errors/{fault.__name__}"}
            if fault in FAMILIES
            else _error(fault)
            for fault in entry.errors
        ],
        "x-stream": entry.streams,
        "x-mutates": entry.mutates,
        "x-needs": entry.needs,
        "x-conditions": dict(entry.conditions),
        "x-deadline": entry.deadline,
    }
    if entry.mutates and not entry.streams:
        described["params"].append(_KEY)
    described["params"].append(_TOKEN)
    if entry.streams:
        described["result"] = {"name": "subscription", "schema": _SUBSCRIPTION}
        described["x-item"] = result
    return described


def _alternatives(result: Any) -> tuple[Any, ...]:
    """Return the Structs of which a method answers with one; msgspec describes them only singly."""
    return get_args(result) if isinstance(result, UnionType) else (result,)


def _any_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _param(name: str, schema: Schema, required: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if "description" in schema:
        found["description"] = schema["description"]
    return found | {"required": required, "schema": schema}


def _error(fault: type[Fault]) -> dict[str, Any]:
    return {
        "code": fault.code,
        "message": first_line(fault),
        "data": {
            "kind": "InvalidArgument" if fault is InvalidParams else fault.__name__,
            "family": family(fault).__name__,
            "retryable": fault.retryable,
            "exit": fault.exit_status,
        },
    }


def _resolve(schema: Schema, components: dict[str, Any]) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Schema = components.get(name, schema)
    return found


def first_line(described: type) -> str:
    """Return the sentence that says what a kind of error or event is."""
    return (described.__doc__ or described.__name__).strip().partition("\n")[0]
