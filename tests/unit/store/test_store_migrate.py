import contextlib
import sqlite3
from pathlib import Path

import pytest
from store_notes import STEPS, NoteMade, insert

from orchestratord.store.migrate import (
    Migration,
    SchemaChanged,
    SchemaStepFailed,
    SchemaTooNew,
    collect,
)

MORE = Migration(9002, "more", "ALTER TABLE notes ADD COLUMN more TEXT;")


def package(root: Path, name: str, **files: str) -> str:
    (root / name).mkdir()
    (root / name / "__init__.py").touch()
    for file, text in files.items():
        (root / name / f"{file}.sql").write_text(text)
    return name


def test_steps_of_all_packages_are_collected_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    late = package(tmp_path, "step_late", **{"0030_c": "C", "0002_a": "A", "readme": "no"})
    early = package(tmp_path, "step_early", **{"0010_b": "B"})
    assert [step[:3] for step in collect([late, early])] == [
        (2, "a", "A"),
        (10, "b", "B"),
        (30, "c", "C"),
    ]
    twin = package(tmp_path, "step_twin", **{"0010_again": ""})
    with pytest.raises(ValueError, match="number 10"):
        collect([early, twin])


async def test_an_older_database_is_brought_up_and_keeps_its_data(
    open_store, tmp_path: Path
) -> None:
    old = await open_store()
    await old.commit([insert("kept")], [NoteMade()])
    await old.close()
    new = await open_store(migrations=(*STEPS, MORE))
    assert await new.query("SELECT text, more FROM notes") == [("kept", None)]
    assert new.statistics().schema == 9002
    assert (new.journal.head, new.journal.oldest) == (1, 1)
    (before,) = (tmp_path / "state" / "backups").iterdir()
    with (
        contextlib.closing(sqlite3.connect(before)) as copy,
        pytest.raises(sqlite3.OperationalError, match="no such column"),
    ):
        copy.execute("SELECT more FROM notes")


async def test_a_newer_database_is_refused_and_left_as_it_is(open_store) -> None:
    newer = await open_store(migrations=(*STEPS, MORE))
    await newer.commit([insert("kept")], [NoteMade()])
    await newer.close()
    with pytest.raises(SchemaTooNew) as refusal:
        await open_store()
    assert (refusal.value.details["found"], refusal.value.details["known"]) == (9002, 9001)
    again = await open_store(migrations=(*STEPS, MORE))
    assert await again.query("SELECT text FROM notes") == [("kept",)]
    assert again.journal.head == 1


async def test_an_edited_step_is_refused(open_store) -> None:
    await (await open_store()).close()
    edited = STEPS[1]._replace(sql=STEPS[1].sql + " -- edited")
    with pytest.raises(SchemaChanged, match="9001"):
        await open_store(migrations=(STEPS[0], edited))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE canary (id INTEGER); INSERT INTO nowhere VALUES (1);",
        "CREATE TABLE canary (id INTEGER REFERENCES notes (id)); INSERT INTO canary VALUES (77);",
    ],
)
async def test_a_step_that_fails_leaves_nothing_behind(open_store, sql: str) -> None:
    await (await open_store()).close()
    with pytest.raises(SchemaStepFailed, match="9002"):
        await open_store(migrations=(*STEPS, Migration(9002, "broken", sql)))
    store = await open_store()
    assert await store.query("SELECT 1 FROM sqlite_schema WHERE name = 'canary'") == []
