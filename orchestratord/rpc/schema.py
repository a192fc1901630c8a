"""What a params Struct says about itself, as JSON Schema, field by field.

The one reading of the Structs that error sentences and the generated files
share. Pure functions.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import msgspec

Schema = dict[str, Any]


class Field(NamedTuple):
    """A field: its self-contained schema, and whether it must be given."""

    schema: Schema
    required: bool


@cache
def fields(params: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the fields by their names on the wire, in the order of the Struct.

    References are resolved, and an optional field (``X | None``) shows the schema
    of ``X``; a default of null is left out.
    """
    (root,), definitions = msgspec.json.schema_components([params], ref_template="{name}")
    whole = definitions[root["$ref"]]["properties"]
    return {
        field.encode_name: Field(
            _plain(inline(whole[field.encode_name], definitions)), field.required
        )
        for field in msgspec.structs.fields(params)
    }


def inline(schema: Any, definitions: dict[str, Any], within: tuple[str, ...] = ()) -> Any:
    """Return the schema with its references replaced by what they name.

    A type that contains itself is cut there, to a schema that allows anything.
    """
    if isinstance(schema, list):
        return [inline(item, definitions, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(name := schema.get("$ref"), str):
        if name in within:
            return {}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        found: Schema = inline(definitions[name], definitions, (*within, name))
        return found | rest
    return {key: inline(value, definitions, within) for key, value in schema.items()}


def _plain(schema: Schema) -> Schema:
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        only: Schema = options[0]
        return only | {key: value for key, value in schema.items() if key != "anyOf"}
    if None in schema.get("enum", ()):
        return schema | {"enum": [choice for choice in schema["enum"] if choice is not None]}
    return schema
