"""Raw output to lines, without a pane."""

import sys
import tracemalloc
import unicodedata

import pytest

from orchestratord.features.panes.row import LONGEST_LINE
from orchestratord.features.panes.text import Plain, last_lines, plain, unfinished, visible

ESC = "\x1b"


def test_lines_come_when_they_end_and_the_rest_is_pending() -> None:
    text = Plain()
    assert text.feed(b"one\r\ntw") == "one\n"
    assert text.pending == "tw"
    assert text.feed(b"o\r") == ""
    assert text.feed(b"\n\n$ ") == "two\n\n"
    assert text.pending == "$ "
    assert text.finish() == "$ "
    assert text.pending == ""


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (b"50%\r60%\r100%\n", "100%\n"),
        (b"abc\b\b\bxyz", "xyz"),
        (b"abcdefgh\b\b\b\b\b\bX\n", "abXdefgh\n"),
        (b"abc\b \b\n", "ab\n"),
        (b"working...\r          \rdone\n", "done\n"),
        (b"working...\r\x1b[Kdone \n", "done \n"),
        (b"a trailing blank stays \r\n", "a trailing blank stays \n"),
        (b"hello\r\x1b[2Kbye\n", "bye\n"),
        (b"hello\x1b[2D\x1b[1K\n", "    o\n"),
        (b"hello\x1b[2D\x1b[1Kp\n", "   po\n"),
        (b"\x1b[10GOK\x1b[5Gno\n", "    no   OK\n"),
        (b"a\x1b[3Cb\x1b[2`c\n", "ac  b\n"),
        (b"abcdef\x1b[3G\x1b[2P\n", "abef\n"),
        (b"abef\x1b[3G\x1b[2@cd\n", "abcdef\n"),
        (b"abcdef\x1b[2G\x1b[3X\n", "a   ef\n"),
        (b"\x1b[999;999Hx\n", " " * 998 + "x\n"),
        (b"\x1b[99999Cx\n", " " * 999 + "x\n"),
        (b"ab\tc\rX\n", "Xb\tc\n"),
        (b"ab\tc\r\tX\n", "ab\tX\n"),
        (b"ab\tc\x1b[5GX\n", "ab  X   c\n"),
    ],
)
def test_a_line_reads_as_it_stood_when_it_ended(printed: bytes, read: str) -> None:
    assert plain(printed) == read


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        ("漢字\b\bx\n", "漢x\n"),
        ("漢字\rx\n", "x 字\n"),
        ("é█e\u0301!\b\bx\n", "é█x!\n"),
        ("e\u0301a\be\n", "e\u0301e\n"),
        ("👍🏽\u200d\b\b\b\bok  \n", "ok\n"),
    ],
)
def test_moves_count_columns_not_characters(printed: str, read: str) -> None:
    assert plain(printed.encode()) == read


@pytest.mark.parametrize(
    "move", ["[A", "[2B", "[E", "[F", "[H", "[5;1H", "[2;1f", "[3d", "D", "E", "M"]
)
def test_a_move_to_another_row_ends_a_line_that_shows_something(move: str) -> None:
    assert plain(f"above{ESC}{move}\rbelow\n".encode()) == "above\nbelow\n"
    assert plain(f"  {ESC}{move}\rbelow\n".encode()) == "below\n"


def test_a_wrapped_row_is_out_of_reach_and_its_line_is_one() -> None:
    text = Plain(columns=10)
    assert text.feed(b"0123456789" + b"\rX" + b"\r012345678" + b"9ab\rX\n") == "0123456789Xb\n"
    assert text.feed("0123456漢字漢\n".encode()) == "0123456漢字漢\n"
    assert text.feed(b"0123456789\r\x1b[3@\n") == "   0123456\n"


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[31m", "\x1b[38;2;1;2;3m", "\x1b[38:2::1:2:3m", "\x1b[?2004h", "\x1b[>4;1m", "\x1b[6n",
        "\x1b[!p", "\x1b[1 q", "\x1b[?5C", "\x1b[;", "\x1b[" + "1" * 5000 + "C", "\x1b(B", "\x1b#8",
        "\x1b7", "\x1b=", "\x1bc", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1b]133;A\x18",
        "\x1b]x\x1a", "\x1b]0;a\x1b[m", "\x1bPq#0;2;0\x1b\\", "\x1bXsos\x1b\\", "\x1b^pm\x1b\\",
        "\x1b_apc\x1b\\", "\x1bktitle\x1b\\", "\x1b]two\nlines\x07", "\x1b[3\x18", "\x1b\x1b[m",
        "\x9b31m", "\x9d0;t\x9c", "\x90q\x07", "\x98s\x9c", "\x9ep\x9c", "\x9fa\x9c", "\x9c",
        "\x80", "\x00", "\x07", "\x0b\x0c\x0e\x0f", "\x7f", "\x18\x1a",
    ],
)  # fmt: skip
def test_what_shows_nothing_is_dropped_and_the_text_around_it_stays(sequence: str) -> None:
    raw = f"before{sequence}\x18éafter\n".encode()
    assert plain(raw) == "beforeéafter\n"
    slowly = Plain()
    assert "".join(slowly.feed(raw[at : at + 1]) for at in range(len(raw))) == "beforeéafter\n"


def test_a_control_aborts_a_sequence_and_still_does_its_own_work() -> None:
    assert plain(b"a\x1b[3\nb\x1b\nc") == "a\nb\nc"
    assert plain(b"a\x1b[31\x1b[Gb\n") == "b\n"


def test_a_string_without_an_end_swallows_what_follows_until_an_escape() -> None:
    text = Plain()
    assert text.feed(b"seen\n\x1b]0;swallowed\n") == "seen\n"
    assert text.feed(b"swallowed\n") == ""
    assert text.feed(b"swallowed\x1b[mseen\n") == "seen\n"


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    assert plain(b"a\xffb\xe6\xbc\ncut \xf0\x9f\x98") == "a\ufffdb\ufffd\ncut \ufffd"


def test_a_carriage_return_before_a_newline_may_be_torn_from_it() -> None:
    text = Plain()
    assert text.feed(b"line\r") + text.feed(b"\r") + text.feed(b"\nnext\n") == "line\nnext\n"


def test_a_line_of_a_mebibyte_is_whole_and_a_longer_one_is_split() -> None:
    assert plain(b"x" * LONGEST_LINE + b"\r\n") == "x" * LONGEST_LINE + "\n"
    lines = plain(b"x" * (3 * LONGEST_LINE) + b"\nnext\n").split("\n")
    assert max(map(len, lines)) < LONGEST_LINE + 1000
    assert "".join(lines[:-2]) == "x" * (3 * LONGEST_LINE)
    assert lines[-2:] == ["next", ""]


BASH = (
    b"\x1b[?2004h$ echo hello world\x08\x08\x08\x08\x08big world\x08\x08\x08\x08\x08\r\x1b[C\x1b[C"
    b"\x1b[1@X\x08\x1b[1P\r\n\x1b[?2004l\rhello big world\r\n"
    b"\x1b[?2004h$ echo hello big world\x08\x08\x08\x08\x08\x1b[Kz\r\n\x1b[?2004l\rhello big z\r\n"
    b"\x1b[?2004h$ \r(reverse-i-search)`': \x08\x08\x08h': echo \x1b[7mh\x1b[27mello big z"
    b"\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x1b[1@e': echo "
    b"\x1b[7mhe\x1b[27m\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x1b[1@l': echo \x1b[7mhel\x1b[27m"
    b"\x08\x08\x08\r\x1b[23P$ echo hel\x08\x08\x08\r\n\x1b[?2004l\rhello big z\r\n\x1b[?2004h$ "
)
ZSH = (
    b"\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m" + b" " * 79 + b"\r \r"
    b"\r\x1b[0m\x1b[27m\x1b[24m\x1b[J% \x1b[K\x1b[70C[right]\x1b[77D\x1b[?1h\x1b=e\x08echo hello"
    b"\x08\x08Xlo\x08\x08\x08lo \x08\x08\x08\x1b[?1l\x1b>\r\r\nhello\r\n"
)


def test_a_command_edited_in_bash_reads_as_it_was_run() -> None:
    assert plain(BASH).split("\n") == [
        "$ echo hello big world", "hello big world",
        "$ echo hello big z", "hello big z",
        "$ echo hello big z", "hello big z", "$ ",
    ]  # fmt: skip


def test_a_zsh_prompt_leaves_neither_its_mark_nor_its_blanks() -> None:
    assert plain(ZSH) == "% echo hello" + " " * 60 + "[right]\nhello\n"


ENDLESS = {
    "a string": (b"\x1b]0;", b"x" * 9999),
    "a device control string": (b"\x1bPq", b"\xff\n" * 5000),
    "parameters": (b"\x1b[", b"1;" * 5000),
    "intermediates": (b"\x1b", b" " * 9999),
    "a spinner": (b"", b"\r|\r/\r-\r\\\x1b[K" * 700),
    "backspaces": (b"x" * 900, b"\b" * 9999),
    "marks on a character": (b"", b"e" + b"\xcc\x81\x1b[m" * 2000 + b"\r"),
    "columns": (b"", b"\x1b[999C\x1b[9@\x1b[1K" * 500),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_costs_no_memory(kind: str) -> None:
    begin, more = ENDLESS[kind]
    text = Plain()
    text.feed(begin)
    tracemalloc.start()
    try:
        for _ in range(200):
            text.feed(more)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 256 << 10, kept
    assert peak < 2 << 20, peak


@pytest.mark.parametrize("character", ["x", "漢", "\u0301"])
def test_a_line_without_an_end_is_held_up_to_a_mebibyte_of_characters(character: str) -> None:
    text, more = Plain(), (character * 9999).encode()
    lines = "".join(text.feed(more) for _ in range(200))
    assert lines.count("\n") == 1
    assert LONGEST_LINE <= len(lines) < LONGEST_LINE + 40_000
    assert len(lines) - 1 + len(text.pending) == 200 * 9999


def test_last_lines_are_the_last_that_are_not_blank_each_cut() -> None:
    printed = b"one\n\n  \ntwo\x1b[0m  \r\n" + b"y" * 1000 + b"\n\xe2\x80\xaeevil\n\n $ "
    assert last_lines(printed, 4) == ["two", "y" * 400, "\\u202eevil", " $"]
    assert last_lines(printed, 1) == [" $"]
    assert last_lines(printed, 0) == []
    assert last_lines(b"", 5) == []


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"text", 0), (b"text\n", 0), (b"a\x1b", 1), (b"a\x1b[", 2), (b"a\x1b[38;5", 6),
        (b"a\x1b[m", 0), (b"a\x1b(", 2), (b"a\x1b(B", 0), (b"\x1b]0;ti", 6), (b"\x1b]0;ti\x07", 0),
        (b"\x1b]0;ti\x1b", 1), (b"\x1b]0;ti\x1b\\", 0), (b"\x1b]0;ti\xc2\x9c.", 0),
        ("é".encode()[:1], 1), ("é".encode(), 0), ("x👍".encode()[:-1], 3), (b"\xff\xff", 0),
        (b"\x1b]0;caf\xc3", 8), (b"\x1b]" + b"x" * 70_000, 0), (b"", 0),
        (b"\x1b]133;" + b"x" * 5000 + b"\x07$ ", 0), (b"\x1b]0;" + b"\xc2 " * 5000 + b"\x07.", 0),
    ],
)  # fmt: skip
def test_a_reader_in_slices_learns_where_to_cut(data: bytes, size: int) -> None:
    assert unfinished(data) == size


def test_what_hides_or_reorders_is_shown_and_the_rest_stays() -> None:
    ordinary = "tab\tand\nnewline, é漢👍 ⚠\ufe0f नी a\u00a0b"
    assert visible(ordinary) == ordinary
    assert visible("safe\u202etxt.exe") == "safe\\u202etxt.exe"
    assert visible("a\u200bb\ufeffc\U000e0041d\x1b[m\x9b") == (
        "a\\u200bb\\ufeffc\\U000e0041d\\u001b[m\\u009b"
    )
    assert visible("x\ufe0f\ufe0e\ufe0f") == "x\ufe0f\\ufe0e\\ufe0f"


def test_every_format_control_and_separator_of_unicode_is_shown() -> None:
    missed = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and chr(code) not in "\t\n"
        and visible(chr(code)) == chr(code)
    ]
    assert missed == []
