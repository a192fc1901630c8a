"""Words to parameters, and values to JSON, without a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchctl.arguments import Words, parameters
from orchctl.commands import COMMANDS
from orchctl.programs import PROGRAMS, with_base
from orchctl.wire import RpcError, encode
from orchctl_run import CLIENT

SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

FORMS = (("pane", "command"), ("session", "pane", "command"))
EXEC = (
    "pane.exec",
    "",
    "",
    FORMS,
    (("pane", "string", True, "{}"), ("command", "string", True, "{}")),
    (),
    "",
    30.0,
)


def parse(entry: Any, *words: str) -> dict[str, Any]:
    return parameters("it", entry, Words(list(words), {}))


@given(VALUES)
def test_the_small_encoder_is_exact(value: Any) -> None:
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    ("words", "pane", "command"),
    [
        (("build", "ls -l"), "build", "ls -l"),
        (("dev", "build", "ls -l"), "dev/build", "ls -l"),
        (("dev", "p17", "ls"), "p17", "ls"),
        (("dev", "%5", "ls"), "%5", "ls"),
        (("build", "--", "ls", "-l", "a b"), "build", "ls -l 'a b'"),
        (("build", "--", "echo a; echo b"), "build", "echo a; echo b"),
        (("dev", "build", "--", "ls", "--all"), "dev/build", "ls --all"),
        (("--command=-", "build"), "build", "-"),
        (("dev", "build", "--command", "x"), "dev/build", "x"),
    ],
)
def test_the_number_of_words_and_the_double_dash_choose_the_form(
    words: tuple[str, ...], pane: str, command: str
) -> None:
    assert parse(EXEC, *words) == {"pane": pane, "command": command}


def test_a_pane_by_flag_does_not_turn_a_lone_word_into_a_session() -> None:
    entry = (*EXEC[:3], (("pane",), ("session", "pane")), EXEC[4][:1], *EXEC[5:])
    with pytest.raises(RpcError, match="pane is given twice"):
        parse(entry, "dev", "--pane", "p2")


def test_a_list_takes_the_remaining_words_and_those_after_the_double_dash() -> None:
    keys = COMMANDS["pane-keys"]
    assert parse(keys, "p1", "C-c", "Up")["keys"] == ["C-c", "Up"]
    assert parse(keys, "p1", "--", "-R", "--x")["keys"] == ["-R", "--x"]
    assert parse(keys, "p1", "--key", "a", "--keys", "b")["keys"] == ["a", "b"]


def test_a_field_goes_before_a_global_flag_of_its_name() -> None:
    words = Words(["p1", "--text", "hello", "--json"], {})
    assert parameters("pane-send", COMMANDS["pane-send"], words)["text"] == "hello"
    assert words.options == {"json": True}


@pytest.mark.parametrize("name", [*COMMANDS, *PROGRAMS])
def test_every_entry_of_the_tables_is_well_formed(name: str) -> None:
    entry = with_base({**COMMANDS, **PROGRAMS}[name])
    method, summary, _, forms, fields, columns, _, deadline = entry[:8]
    types = {field[0]: field[1] for field in fields}
    assert len(types) == len(fields)
    assert "." in method or ":" in method
    assert summary.endswith(".") or name.startswith("__")
    for _, kind, required, schema in fields:
        plain = kind.removeprefix("array:")
        assert plain in ("string", "integer", "number", "boolean", "map", "json")
        assert isinstance(required, bool)
        assert "$ref" not in json.dumps(json.loads(schema))
    for form in forms:
        names = [word.removesuffix("...") for word in form]
        assert all(word in types or (word == "session" and "pane" in names) for word in names)
    assert all(isinstance(column, str) for column in columns)
    assert deadline is None or deadline > 0


def test_a_plain_command_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from orchctl import cli, programs, commands\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(CLIENT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    needed = {"_socket", *(f"orchctl.{name}" for name in ("arguments", "cli", "commands"))}
    needed |= {"orchctl", "orchctl.programs", "orchctl.wire"}
    assert (
        set(done.stdout.split())
        - {"os", "os.path", "posixpath", "genericpath", "stat", "_stat", "_collections_abc"}
        == needed
    )
