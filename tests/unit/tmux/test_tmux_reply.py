"""Rows of listings: read exactly, or refused; never guessed at."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestratord.tmux import setting
from orchestratord.tmux.reply import PaneRow, ServerRow, SessionRow, UnreadableReply, WindowRow

PANE = b"%3\t@2\t$1\t4711\t0\t\t\t200\t50\t1\t0\t0\t1\t7\t8\t/dev/pts/3\tp17\ta title"
WINDOW = b"@2\t$1\t3\t1\t200\t50\t0\tw4\tname\tb25f,80x24,0,0,1"
SESSION = b"$1\t2\ts3\tdev"
SERVER = b"4711\t1700000000\t3.3a\tsome-uuid"
ROWS = [(PaneRow, PANE), (WindowRow, WINDOW), (SessionRow, SESSION), (ServerRow, SERVER)]


def test_a_pane_is_read_field_by_field() -> None:
    assert PaneRow.parse(PANE) == PaneRow(
        pane="%3", window="@2", session="$1", pid=4711, dead=False, status=None, signal=None,
        width=200, height=50, active=True, in_mode=False, synchronized=False, piped=True,
        cursor_x=7, cursor_y=8, tty="/dev/pts/3", orch_id="p17", title="a title",
    )  # fmt: skip


def test_window_session_and_server_are_read_field_by_field() -> None:
    assert WindowRow.parse(WINDOW) == WindowRow(
        "@2", "$1", 3, True, 200, 50, False, "w4", "name", "b25f,80x24,0,0,1"
    )
    assert SessionRow.parse(SESSION) == SessionRow("$1", 2, "s3", "dev")
    assert ServerRow.parse(SERVER) == ServerRow(4711, 1700000000, "3.3a", "some-uuid")


@pytest.mark.parametrize(
    ("status", "signal", "unexplained"),
    [(b"3", b"", False), (b"", b"9", False), (b"", b"", True), (b"0", b"", False)],
)
def test_an_end_without_status_and_signal_is_unexplained(
    status: bytes, signal: bytes, unexplained: bool
) -> None:
    fields = PANE.split(b"\t")
    fields[4:7] = [b"1", status, signal]
    assert PaneRow.parse(b"\t".join(fields)).ended_unexplained is unexplained


def test_what_an_older_tmux_leaves_empty_is_read_as_unknown() -> None:
    fields = PANE.split(b"\t")
    for at in (3, 4, 5, 6, 9, 10, 11, 12, 13):
        fields[at] = b""
    row = PaneRow.parse(b"\t".join(fields))
    assert (row.pid, row.dead, row.status, row.signal, row.in_mode) == (0, False, None, None, False)


@pytest.mark.parametrize(("row", "line"), ROWS)
def test_a_line_with_a_field_too_few_or_too_many_is_refused(
    row: type[PaneRow], line: bytes
) -> None:
    for wrong in (line + b"\tx", line.rpartition(b"\t")[0], b"", b"\t", line.replace(b"\t", b" ")):
        with pytest.raises(UnreadableReply):
            row.parse(wrong)


@given(st.sampled_from(ROWS), st.binary(max_size=200), st.integers(0, 250), st.integers(0, 40))
def test_a_damaged_line_is_read_or_refused_and_nothing_else(
    case: tuple[type[PaneRow], bytes], noise: bytes, at: int, cut: int
) -> None:
    row, line = case
    damaged = line[:at] + noise + line[at + cut :]
    try:
        found = row.parse(damaged)
    except UnreadableReply:
        return
    assert all(
        value.isascii() for value in msgspec.to_builtins(found).values() if type(value) is str
    )


@pytest.mark.parametrize(
    ("version", "tier"),
    [
        ("3.2", (3, 2)), ("3.2a", (3, 2)), ("3.3a", (3, 3)), ("3.7c", (3, 7)), ("3.10", (3, 10)),
        ("next-3.8", (3, 8)), ("openbsd-7.4", (7, 4)), ("3.1c", (3, 1)), ("2.9a", (2, 9)),
        ("4.0", (4, 0)), ("master", (3, 2)), ("", (3, 2)), ("3.4-rc", (3, 4)),
    ],
)  # fmt: skip
def test_a_version_is_compared_by_its_numbers(version: str, tier: tuple[int, int]) -> None:
    assert ServerRow(1, 1, version, "").tier == tier


def test_options_that_differ_are_named() -> None:
    wanted = [b"$0", *(b"%d" % n for n in range(len(setting._NAMES)))]
    shown = [*wanted]
    assert setting.differing(wanted, shown) == []
    shown[0] = b"$7"
    assert setting.differing(wanted, shown) == []
    shown[3] = b"changed"
    assert setting.differing(wanted, shown) == [setting._NAMES[2]]
    assert setting.differing(wanted, [*shown, b"a second line"]) != []
    assert setting.differing(wanted, []) != []
