"""The unit files: filled in for this machine, never another's, and clear where systemd is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from orchctl.unit import MARK, NAMES, Unit, templates, word
from orchctl.wire import RpcError
from orchctl_run import Orchctl


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with an awkward name that has programs as an installation has them."""
    directory = tmp_path / "a b"
    directory.mkdir()
    for name in ("orchestratord", "tmux"):
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


@pytest.fixture
def installed(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let those programs be the ones that this process finds."""
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    return programs


@pytest.mark.parametrize("user", [None, "alice"])
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_has_nothing_left_to_fill_in(installed: Path, name: str, user: str | None) -> None:
    text = Unit(name, user).text
    assert text.startswith(MARK)
    assert not [line for line in text.splitlines() if "@" in line.replace("@system-service", "")
                and "~@privileged" not in line]  # fmt: skip


def test_a_unit_names_this_installation_by_absolute_paths(installed: Path) -> None:
    daemon = Unit("orchestratord.service", None).text
    assert f'ExecStart="{installed}/orchestratord" --tmux "{installed}/tmux"' in daemon
    assert "Environment=LANG=de_DE.UTF-8\n" in Unit("orchestratord-tmux.service", None).text


def test_a_locale_that_cannot_show_every_character_is_not_passed_on(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "C")
    assert "Environment=LANG=C.UTF-8\n" in Unit("orchestratord-tmux.service", None).text


def test_only_the_systems_units_name_their_user(installed: Path) -> None:
    assert "User=alice\n" in Unit("orchestratord.service", "alice").text
    assert "User=" not in Unit("orchestratord.service", None).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/usr/bin/tmux", "/usr/bin/tmux"),
        ("/opt/a b", '"/opt/a b"'),
        ("/opt/100%$HOME", "/opt/100%%$$HOME"),
        ('/opt/"\\;', '"/opt/\\"\\\\;"'),
    ],
)
def test_a_path_stays_one_word_of_an_exec_line(text: str, shown: str) -> None:
    assert word(text) == shown


def test_a_path_that_would_begin_another_line_is_refused() -> None:
    with pytest.raises(RpcError, match="cannot stand in a unit"):
        word("/opt/a\nExecStartPre=/bin/evil")


def test_a_written_unit_is_ours_and_shows_no_difference(installed: Path) -> None:
    unit = Unit("orchestratord.socket", None)
    unit.refuse_foreign()
    unit.write()
    assert (unit.ours(), unit.found()) == (True, unit.text)
    assert unit.path.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in unit.path.parent.iterdir()] == [unit.name]


def test_a_difference_shows_what_was_and_what_is_to_be(installed: Path) -> None:
    unit = Unit("orchestratord.socket", None)
    diff = unit.diff(unit.text.replace("Backlog=2048", "Backlog=1"))
    assert "\n-Backlog=1\n+Backlog=2048\n" in diff


def test_a_file_of_another_is_neither_replaced_nor_taken_for_ours(installed: Path) -> None:
    unit = Unit("orchestratord.socket", None)
    unit.path.parent.mkdir(parents=True)
    unit.path.write_text("[Socket]\n")
    with pytest.raises(RpcError, match="was not written by orchctl"):
        unit.refuse_foreign()
    assert not unit.ours()


def test_a_link_in_a_units_place_is_refused_even_to_a_unit_of_ours(installed: Path) -> None:
    unit = Unit("orchestratord.socket", None)
    unit.write()
    unit.path.rename(unit.path.with_name("elsewhere"))
    unit.path.symlink_to("elsewhere")
    with pytest.raises(RpcError, match="was not written by orchctl"):
        unit.refuse_foreign()


def test_an_installation_that_no_unit_could_start_says_so(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installed / "orchestratord").unlink()
    with pytest.raises(RpcError, match="neither beside orchctl nor on PATH"):
        assert Unit("orchestratord.service", None).text


def test_every_unit_has_a_template_of_both_kinds() -> None:
    for kind in ("user", "system"):
        assert sorted(path.name for path in (templates() / kind).iterdir()) == sorted(NAMES)


async def test_print_shows_the_units_and_writes_nothing(
    orchctl: Orchctl, programs: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    path = f"{programs}:{os.environ['PATH']}"
    done = await orchctl(
        "systemd", "install", "--print", env={"PATH": path, "XDG_CONFIG_HOME": str(config)}
    )
    assert done.status == 0
    files = [line for line in done.out.splitlines() if line.startswith("# /")]
    assert files == [f"# {config}/systemd/user/{name}" for name in NAMES]
    assert not config.exists()


async def test_without_systemd_the_error_says_what_works(orchctl: Orchctl, programs: Path) -> None:
    for action in ("install", "status"):
        done = await orchctl("systemd", action, env={"PATH": str(programs)})
        assert (done.status, done.err) == (
            69,
            "orchctl: systemd does not run here\n  orchctl up starts the daemon without it\n",
        )


async def test_uninstalling_where_nothing_is_installed_is_no_error(orchctl: Orchctl) -> None:
    done = await orchctl("systemd", "uninstall")
    assert (done.status, done.json) == (0, {"removed": [], "notes": []})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--for", "root"), "--for goes with --system"),
        (("--system", "--user"), "choose --user or --system"),
        (("--system", "--for", "nobody-of-that-name"), "there is no user nobody-of-that-name"),
    ],
)
async def test_flags_that_contradict_are_usage_errors(
    orchctl: Orchctl, words: tuple[str, ...], error: str
) -> None:
    done = await orchctl("systemd", "status", *words)
    assert (done.status, error in done.err) == (2, True)
