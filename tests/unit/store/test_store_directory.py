import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestratord.store.directory import StateDirectory, StateDirLocked, StateDirUnsafe
from orchestratord.store.mark import EVENT, Mark


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        StateDirectory.claim(tmp_path / "a" / "state").release(clean=True)
    finally:
        os.umask(before)
    path = tmp_path / "a" / "state"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "store.lock").stat().st_mode) == 0o600


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    owner = StateDirectory.claim(tmp_path / "state")
    try:
        with pytest.raises(StateDirLocked, match=f"process {os.getpid()} owns"):
            StateDirectory.claim(tmp_path / "state")
    finally:
        owner.release(clean=True)
    StateDirectory.claim(tmp_path / "state").release(clean=True)


def test_of_many_owners_at_once_exactly_one_wins(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from orchestratord.store.directory import StateDirectory, StateDirLocked\n"
        "sys.stdin.readline()\n"
        "try: StateDirectory.claim(Path(sys.argv[1]))\n"
        "except StateDirLocked: print('lost', flush=True)\n"
        "else: print('won', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "state")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for rival in rivals:
        rival.stdin.write("go\n")
        rival.stdin.flush()
    verdicts = [rival.stdout.readline().strip() for rival in rivals]
    for rival in rivals:
        rival.communicate("end\n")
    assert sorted(verdicts) == ["lost"] * 7 + ["won"]


def test_a_kill_is_told_from_a_clean_stop(tmp_path: Path) -> None:
    first = StateDirectory.claim(tmp_path / "state")
    assert not first.unclean
    first.release(clean=True)
    second = StateDirectory.claim(tmp_path / "state")
    assert not second.unclean
    second.release(clean=False)
    third = StateDirectory.claim(tmp_path / "state")
    assert third.unclean
    third.release(clean=True)


def test_an_unsafe_directory_is_refused_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o750)
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name, reason in (("open", "mode 0750"), ("link", "symbolic"), ("file", "not a directory")):
        with pytest.raises(StateDirUnsafe, match=reason):
            StateDirectory.claim(tmp_path / name)
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 12345, 12345)
    with pytest.raises(StateDirUnsafe, match="uid 12345"):
        StateDirectory.claim(tmp_path / "state")


def test_marks_are_read_back_and_never_go_down(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    mark.reserve({EVENT: 10, "pane": 3})
    mark.note(EVENT, 10)
    mark.note("pane", 3)
    mark.note("pane", 2)
    again = Mark(tmp_path / "mark")  # as after a kill: the first was not closed
    assert (again.value(EVENT), again.value("pane")) == (10, 3)
    assert again.reserved(EVENT) >= 10 and again.reserved("pane") >= 3
    again.note("window", 1)
    again.close()
    mark.close()
    third = Mark(tmp_path / "mark")
    assert third.nouns == (EVENT, "pane", "window")
    third.close()


@pytest.mark.parametrize("spoil", [b"garbage", b"\x00" * 64, b"event 1 2\n"])
def test_what_cannot_be_read_of_the_marks_is_written_anew(tmp_path: Path, spoil: bytes) -> None:
    mark = Mark(tmp_path / "mark")
    mark.note(EVENT, 5)
    mark.close()
    with (tmp_path / "mark").open("ab") as file:
        file.write(spoil)
    mark = Mark(tmp_path / "mark")
    assert mark.value(EVENT) == 5
    mark.note("pane", 7)
    mark.close()
    mark = Mark(tmp_path / "mark")
    assert (mark.value(EVENT), mark.value("pane")) == (5, 7)
    mark.close()
