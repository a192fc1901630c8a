"""Uninstalling takes away what is ours and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchctl.life import remove_sockets, remove_state
from orchctl.wire import RpcError
from orchctl_run import Orchctl


def test_a_state_directory_is_removed_whole(tmp_path: Path) -> None:
    state = tmp_path / "orchestratord"
    (state / "deep").mkdir(parents=True)
    (state / "orchestratord.log").touch()
    remove_state(state)
    assert not state.exists()


def test_a_directory_that_is_not_a_state_directory_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "orchestratord.log").touch()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis").touch()
    link = tmp_path / "link"
    link.symlink_to(other)
    monkeypatch.setenv("HOME", str(home))
    for place in (home, tmp_path, other, link):
        with pytest.raises(RpcError, match="it was left"):
            remove_state(place)
    assert (home / "orchestratord.log").exists()
    assert (other / "thesis").exists()


def test_the_directory_of_sockets_goes_too_unless_something_else_is_in_it(tmp_path: Path) -> None:
    directory = tmp_path / "orchestratord"
    (directory / "orchestratord-tmux").mkdir(parents=True)
    (directory / "orchestratord.sock.lock").touch()
    (directory / "thesis").touch()
    remove_sockets(directory)
    assert (directory / "orchestratord.sock.lock").exists()
    (directory / "thesis").unlink()
    remove_sockets(directory)
    remove_sockets(directory)
    assert not directory.exists()


async def test_uninstall_without_a_terminal_wants_yes(orchctl: Orchctl) -> None:
    done = await orchctl("uninstall")
    assert (done.status, done.err) == (
        2,
        "orchctl: uninstall asks first\n  orchctl uninstall --yes does not\n",
    )
