"""The user's own units, under a real systemd with a user manager that lingers."""

from __future__ import annotations

from host import Host


def test_the_first_call_starts_the_daemon_of_the_users_units(user: Host) -> None:
    user.orchctl("systemd", "install")
    assert user.daemon() == "0"
    assert str(user.orchctl("daemon-ping")["pid"]) == user.daemon()
    status = user.bed.file(f"/proc/{user.daemon()}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_the_users_panes_outlive_restart_and_kill(user: Host) -> None:
    user.orchctl("systemd", "install")
    user.pane()
    before = user.processes()
    user.systemctl("restart", "orchestratord")
    user.wait_for_another(user.kill_daemon())
    assert user.processes() == before
    assert user.ended(user.pane("sh", "-c", "exit 9")["id"])["exit"]["status"] == 9


def test_panes_go_along_from_a_daemon_without_systemd_and_back(user: Host) -> None:
    user.pane("cat")
    before = user.processes()
    said = user.orchctl("systemd", "install")
    assert "without systemd was stopped" in said["notes"][0]
    assert (user.processes(), user.daemon() != "0") == (before, True)
    user.orchctl("systemd", "uninstall", "--keep-panes")
    assert user.processes() == before


def test_down_goes_through_systemd_and_the_next_call_finds_the_panes(user: Host) -> None:
    user.orchctl("systemd", "install")
    user.pane("cat")
    before = user.processes()
    user.orchctl("down")
    assert user.show("ActiveState", "orchestratord.socket") == "inactive"
    assert user.processes() == before
    assert user.show("ActiveState", "orchestratord.socket") == "active"


def test_uninstall_ends_and_removes_everything_of_the_users(user: Host) -> None:
    user.orchctl("systemd", "install")
    pane = user.pane("cat")
    user.orchctl("uninstall", "--yes")
    home = user.bed.file("/home/bob")
    assert [path.name for path in home.rglob("*orchestratord*")] == []
    assert not user.bed.file(f"/proc/{pane['pid']}").exists()
    assert user.show("ActiveState", "orchestratord-tmux") == "inactive"


def test_the_users_units_are_correct(user: Host) -> None:
    user.orchctl("systemd", "install")
    units = [f"orchestratord{rest}" for rest in (".socket", ".service", "-tmux.service")]
    argv = ("systemd-analyze", "--user", "verify", *units)
    assert user.bed.run(*argv, user=user.user, env=user.env).stderr == ""
    rows = user.orchctl("systemd", "status")
    assert [row["file"] for row in rows] == ["current"] * 3
