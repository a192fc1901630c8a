"""What is generated from the table: the OpenRPC document, commands, the reference page."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, field
from rpc_serving import Bench, Nope, table

from orchestratord.model import Empty, Labels, PaneRef, Params, Result
from orchestratord.rpc.method import Cli, Table, method
from orchestratord.rpc.openrpc import openrpc
from orchestratord.rpc.surfaces import commands_module, reference, stale, write


class Action(Params, frozen=True):
    do: Literal["emit", "kill"]
    then: "list[Action]" = field(default_factory=list)


class Everything(Params, frozen=True):
    pane: PaneRef
    labels: Labels = field(default_factory=dict)
    lines: Annotated[int, Meta(ge=1, le=9, description="How many.")] | None = None
    ratio: float = 0.5
    keep: bool = False
    mode: Literal["a", "b"] | None = None
    keys: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    since: str | int | None = None


class Thing(Result, frozen=True):
    id: str


@method(
    "thing.do_it",
    mutates=True,
    needs="admin",
    errors=(Nope,),
    cli=Cli(forms=(("pane", "keys..."),), columns=("id",), aliases=("do",)),
)
async def do_it(bench: Bench, params: Everything) -> Thing:
    """Do "it" | don't.

    With a backslash \\ and a 'quote'.
    """
    return Thing(id=params.pane)


@method("thing.tail")
async def tail(bench: Bench, params: Empty) -> AsyncIterator[Thing]:
    """Follow things."""
    yield Thing(id="p1")


class Other(Result, frozen=True):
    """Another answer."""

    name: str


@method("thing.ways")
async def ways(bench: Bench, params: Empty) -> Thing | Other:
    """Answer in one of two ways."""
    return Thing(id="p1")


def things() -> Table:
    module = ModuleType("things")
    module.do_it, module.tail = do_it, tail  # type: ignore[attr-defined]
    return Table.collect([module])


def literals(source: str) -> dict[str, Any]:
    return {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.value is not None
    }


def test_a_command_is_a_tuple_of_constants() -> None:
    made = literals(commands_module(things()))
    entry = made["COMMANDS"]["thing-do-it"]
    assert entry[0] == "thing.do_it"
    assert entry[1:4] == (
        'Do "it" | don\'t.',
        "With a backslash \\ and a 'quote'.",
        (("pane", "keys..."),),
    )
    assert [(name, word, required) for name, word, required, _ in entry[4]] == [
        ("pane", "string", True),
        ("labels", "map", False),
        ("lines", "integer", False),
        ("ratio", "number", False),
        ("keep", "boolean", False),
        ("mode", "string", False),
        ("keys", "array:string", False),
        ("actions", "json", False),
        ("since", "json", False),
    ]
    assert entry[5:] == (("id",), "mutates admin", 30.0)
    assert made["COMMANDS"]["thing-tail"][6:] == ("streams", None)
    assert made["ALIASES"] == {"do": "thing-do-it"}
    assert made["EXIT_STATUS"][404] == 3
    assert made["EXIT_STATUS"][-32602] == 2


def test_a_fields_schema_is_complete_in_itself() -> None:
    entry = literals(commands_module(things()))["COMMANDS"]["thing-do-it"]
    schemas = {name: json.loads(schema) for name, _, _, schema in entry[4]}
    assert "$ref" not in entry[4][7][3]
    assert schemas["lines"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "How many.",
    }
    assert schemas["mode"] == {"enum": ["a", "b"]}
    assert schemas["ratio"] == {"type": "number", "default": 0.5}
    assert schemas["actions"]["items"]["properties"]["do"]["enum"] == ["emit", "kill"]


def test_two_commands_of_one_name_are_refused() -> None:
    @method("thing.other", cli=Cli(aliases=("thing-tail",)))
    def other(bench: Bench, params: Empty) -> Thing:
        """Clash."""
        return Thing(id="")

    module = ModuleType("clash")
    module.other, module.tail = other, tail  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="thing-tail"):
        commands_module(Table.collect([module]))


def test_generated_code_is_as_ruff_would_write_it(tmp_path: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists() and shutil.which("ruff") is None:
        pytest.skip("ruff is not installed")
    made = tmp_path / "commands.py"
    made.write_text(commands_module(things()))
    config = Path(__file__).parents[3] / "pyproject.toml"
    for command in (["format", "--check"], ["check"]):
        checked = subprocess.run(
            [
                str(ruff if ruff.exists() else "ruff"),
                *command,
                "--no-cache",
                "--config",
                str(config),
                str(made),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_reference_names_every_method_field_and_error() -> None:
    page = reference(things())
    for expected in ("### thing.do_it", "`orchctl thing-do-it PANE KEYS...`", "`lines`", "`Nope`"):
        assert expected in page
    assert "How many. (minimum `1`, maximum `9`)" in page


def test_stale_files_are_found_written_and_then_fresh(tmp_path: Path) -> None:
    assert len(stale(things(), tmp_path)) == 2
    written = write(things(), tmp_path)
    assert all(path.is_file() for path in written)
    assert stale(things(), tmp_path) == []
    written[0].write_text("edited")
    assert stale(things(), tmp_path) == [written[0]]
    assert write(table(), tmp_path) == written


def test_the_document_has_what_openrpc_asks_for() -> None:
    document = openrpc(things(), version="1.2")
    assert document["openrpc"].startswith("1.3")
    found = {entry["name"]: entry for entry in document["methods"]}
    do_it = found["thing.do_it"]
    assert do_it["paramStructure"] == "by-name"
    assert [param["name"] for param in do_it["params"]][-2:] == ["idempotency_key", "token"]
    lines = next(param for param in do_it["params"] if param["name"] == "lines")
    assert (lines["required"], lines["schema"]["default"]) == (False, None)
    assert do_it["errors"] == [
        {
            "code": 412,
            "message": "The test asked for it.",
            "data": {"kind": "Nope", "family": "FailedPrecondition", "retryable": False, "exit": 5},
        },
        {
            "code": 403,
            "message": "The caller's scopes do not allow this; ``needs`` names one that would.",
            "data": {
                "kind": "ScopeMissing",
                "family": "PermissionDenied",
                "retryable": False,
                "exit": 77,
            },
        },
    ]
    assert do_it["x-needs"] == "admin"
    assert found["thing.tail"]["x-stream"] is True
    assert found["thing.tail"]["x-item"] == {"$ref": "#/components/schemas/Thing"}
    assert document["components"]["errors"]["NotFound"]["code"] == 404


def test_every_reference_in_the_document_leads_somewhere() -> None:
    text = json.dumps(openrpc(things()))
    document = json.loads(text)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            inner = [found for item in value.values() for found in references(item)]
            return inner + ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        return (
            [found for item in value for found in references(item)]
            if isinstance(value, list)
            else []
        )

    for reference_ in references(document):
        found = document
        for part in reference_.removeprefix("#/").split("/"):
            found = found[part]


def test_a_method_that_answers_in_two_ways_is_described_with_both() -> None:
    module = ModuleType("ways")
    module.ways = ways  # type: ignore[attr-defined]
    (described,) = [
        m for m in openrpc(Table.collect([module]))["methods"] if m["name"] == "thing.ways"
    ]
    assert described["result"]["schema"] == {
        "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Thing", "Other")]
    }


def test_equal_tables_give_equal_bytes() -> None:
    backwards = Table(reversed(things().items()))
    assert commands_module(things()) == commands_module(backwards)
    assert reference(things()) == reference(backwards)
    assert json.dumps(openrpc(things())) == json.dumps(openrpc(backwards))
