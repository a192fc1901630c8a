import os
import pwd
from pathlib import Path

import pytest
from orchctl import wire

from orchestratord import config
from orchestratord.config import BadSetting, UnknownSetting, UnreadableFile, load

HOME = {"HOME": "/home/ada"}


def written(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "c.toml").write_text(text)
    return {"config": str(tmp_path / "c.toml")}


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    flags = written(tmp_path, "max_calls = 1\nbackups = 1\nretention_days = 1.5\n")
    environ = HOME | {"ORCHESTRATORD_MAX_CALLS": "2", "ORCHESTRATORD_BACKUPS": "2"}
    found = load(flags | {"max_calls": "3"}, environ)
    assert (found.settings.max_calls, found.origins["max_calls"]) == (3, "flag")
    assert (found.settings.backups, found.origins["backups"]) == (2, "environment")
    assert (found.settings.retention_days, found.origins["retention_days"]) == (1.5, "file")
    assert (found.settings.log_level, found.origins["log_level"]) == ("info", "default")


def test_default_places_are_those_of_the_contract() -> None:
    environ = HOME | {
        "XDG_RUNTIME_DIR": "/run/user/7",
        "XDG_STATE_HOME": "/s",
        "XDG_CONFIG_HOME": "/c",
    }
    found = load({}, environ).settings
    assert found.socket == Path("/run/user/7/orchestratord/orchestratord.sock")
    assert found.tmux_socket == Path("/run/user/7/orchestratord/orchestratord-tmux/tmux.sock")
    assert found.state_dir == Path("/s/orchestratord")
    assert found.config == Path("/c/orchestratord/config.toml")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_RUNTIME_DIR": "/run/user/7"},
        {"XDG_RUNTIME_DIR": "relative"},
        {"XDG_STATE_HOME": "/s"},
        {"XDG_STATE_HOME": "relative"},
        {"ORCHESTRATORD_STATE_DIR": "/mine"},
        {"ORCHESTRATORD_SOCKET": "/mine/x.sock"},
        {"ORCHESTRATORD_SOCKET": "", "XDG_RUNTIME_DIR": ""},
    ],
)
def test_the_client_looks_for_the_socket_where_the_daemon_makes_it(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.startswith(("XDG_", "ORCHESTRATORD_")):
            monkeypatch.delenv(name)
    for name, value in (HOME | environ).items():
        monkeypatch.setenv(name, value)
    assert wire.socket_path() == str(load({}, os.environ).settings.socket)


def test_the_file_cannot_hide_the_socket_from_the_client(tmp_path: Path) -> None:
    flags = written(tmp_path, 'state_dir = "/elsewhere"\n')
    found = load(flags, HOME).settings
    assert found.state_dir == Path("/elsewhere")
    assert found.socket == load({}, HOME).settings.socket


def test_without_home_the_user_database_says_where_files_are() -> None:
    found = load({}, {}).settings
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert found.state_dir == home / ".local/state/orchestratord"


def test_the_tmux_socket_follows_the_socket_that_was_chosen() -> None:
    first = load({"socket": "/x/a.sock"}, HOME).settings.tmux_socket
    second = load({"socket": "/x/b.sock"}, HOME).settings.tmux_socket
    assert (first, second) == (Path("/x/a-tmux/tmux.sock"), Path("/x/b-tmux/tmux.sock"))


@pytest.mark.parametrize(
    ("flags", "environ", "key", "origin"),
    [
        ({"retention_days": "0"}, {}, "retention_days", "--retention-days"),
        ({"retention_days": "nan"}, {}, "retention_days", "--retention-days"),
        ({"retention_days": "inf"}, {}, "retention_days", "--retention-days"),
        ({"log_level": "loud"}, {}, "log_level", "--log-level"),
        ({"socket": ""}, {}, "socket", "--socket"),
        ({"tmux_socket": "/" + "a" * 107}, {}, "tmux_socket", "--tmux-socket"),
        ({}, {"ORCHESTRATORD_MAX_CALLS": "many"}, "max_calls", "ORCHESTRATORD_MAX_CALLS"),
        ({}, {"ORCHESTRATORD_UIDS": "0,x"}, "uids", "ORCHESTRATORD_UIDS"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_value_and_origin(
    flags: dict[str, str], environ: dict[str, str], key: str, origin: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        load(flags, HOME | environ)
    given = [*flags.values(), *environ.values()][0]
    assert (caught.value.details["key"], caught.value.details["origin"]) == (key, origin)
    assert caught.value.details["value"] == given
    assert given in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("line", ["max_calls = '3'", "uids = 3", "tmux = 3", "backups = 1.5"])
def test_a_value_of_another_type_in_the_file_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(written(tmp_path, line), HOME)
    assert caught.value.details["origin"] == "the file"


@pytest.mark.parametrize("key", ["retention_dayz", "config", "store"])
def test_an_unknown_key_in_the_file_is_refused_by_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(UnknownSetting) as caught:
        load(written(tmp_path, f"{key} = 1\n"), HOME)
    assert caught.value.details["key"] == key


def test_a_file_that_is_named_must_be_there_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        load({"config": str(tmp_path / "none.toml")}, HOME)
    with pytest.raises(UnreadableFile):
        load(written(tmp_path, "max_calls = \n"), HOME)
    with pytest.raises(UnreadableFile):
        load({"config": str(tmp_path)}, HOME)


def test_a_list_is_read_from_text_and_from_the_file(tmp_path: Path) -> None:
    assert load({"uids": "5"}, HOME).settings.uids == (5,)
    assert load({"uids": "5,6"}, HOME).settings.uids == (5, 6)
    assert load(written(tmp_path, "uids = [5, 6]\n"), HOME).settings.uids == (5, 6)


def test_a_reload_takes_over_only_what_can_change_while_running() -> None:
    old = load({}, HOME)
    newer = load({"log_level": "debug", "max_calls": "7"}, HOME)
    assert old.changed(newer) == ["log_level", "max_calls"]
    now = old.reloaded(newer)
    assert (now.settings.log_level, now.origins["log_level"]) == ("debug", "flag")
    assert (now.settings.max_calls, now.origins["max_calls"]) == (1024, "default")


def test_the_help_names_every_setting_with_its_flag_and_variable() -> None:
    said = config.parser().format_help().replace("\n", "").replace(" ", "")
    for setting in config.table().values():
        assert f"{setting.flag}VALUE" in said
        assert setting.variable in said
        assert setting.description.replace(" ", "") in said
