"""What a params Struct says about itself, as JSON Schema, field by field.

The one reading of the Structs that error sentences, ``rpc.discover`` and the
generated files share. Pure functions.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

Schema = dict[str, Any]


@cache
def properties(params: type[msgspec.Struct]) -> dict[str, Schema]:
    """Return each field's schema by its name on the wire, in the order of the Struct.

    References are resolved and an optional field (``X | None``) shows the schema of
    ``X``; ``required`` tells whether the field must be given.
    """
    (root,), definitions = msgspec.json.schema_components([params], ref_template="{name}")
    whole = definitions[root["$ref"]]
    return {
        field.encode_name: _flat(whole["properties"][field.encode_name], definitions)
        | {"required": field.required}
        for field in msgspec.structs.fields(params)
    }


def _flat(schema: Schema, definitions: dict[str, Any]) -> Schema:
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return _flat(definitions[schema["$ref"]], definitions) | rest
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return _flat(options[0], definitions) | rest
    if isinstance(schema.get("enum"), list) and None in schema["enum"]:
        return schema | {"enum": [choice for choice in schema["enum"] if choice is not None]}
    return schema
