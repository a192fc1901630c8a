"""Whatever a pane prints: one text for every slicing, no controls, bounded work."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestratord.features.panes.text import Plain, last_lines, plain, unfinished, visible

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

TOKENS = (
    *(b"\n \r\n \r \b \t").split(b" "), b" ", b"a", b"hello world", b"1" * 40, b"\x7f", b"\x00",
    *("é 漢 e\u0301 \u0301 👩\u200d💻 \x9b \x9c \x9d0; \x85 █─").encode().split(b" "),
    *(b"\x1b [ \x1b[ \x1b] \x1bP \x1bk \x1b( 0;t \x07 \x1b\\ \x18 \x1a B ;;").split(b" "),
    *(b"m 31m ?25h \x1b[?5C \x1b[;").split(b" "),
    *(b"\xc2 \x9b \xf0\x9f \xff \xed\xa0 \xe2\x82").split(b" "),
    *(b"\x1b[31m \x1b[K \x1b[1K \x1b[2K \x1b[J \x1b[5G \x1b[3C \x1b[2D").split(b" "),
    *(b"\x1b[2P \x1b[3@ \x1b[2X \x1b[9X").split(b" "),
    *(b"\x1b[H \x1b[3;7H \x1b[A \x1b[2d \x1bM \x1bE \x1b[999C \x1b[9`").split(b" "),
)  # fmt: skip
STREAMS = st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join) | st.binary(max_size=60)
COLUMNS = st.sampled_from([2, 3, 10, 80, 1000])


def slices(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut a stream; the sizes are used in turn, and 1 when they are used up."""
    sizes = iter(cuts)
    while stream:
        size = next(sizes, 1)
        yield stream[:size]
        stream = stream[size:]


@given(STREAMS, st.lists(st.integers(0, 9), max_size=30), COLUMNS)
def test_any_slicing_gives_the_text_of_one_piece(
    stream: bytes, cuts: list[int], columns: int
) -> None:
    whole, cut = Plain(columns), Plain(columns)
    lines = whole.feed(stream)
    assert "".join(map(cut.feed, slices(stream, cuts))) == lines
    assert cut.pending == whole.pending
    assert cut.finish() == whole.finish()


@given(STREAMS, COLUMNS)
def test_no_control_comes_out_but_newline_and_tab(stream: bytes, columns: int) -> None:
    text = Plain(columns)
    lines, pending = text.feed(stream), text.pending
    assert not CONTROLS.search(lines + pending + text.finish())
    assert lines == "" or lines.endswith("\n")
    assert "\n" not in pending


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t")), COLUMNS)
def test_text_without_controls_comes_out_as_it_went_in(text: str, columns: int) -> None:
    lines = Plain(columns)
    fed = "".join(lines.feed(character.encode()) for character in text)
    assert fed + lines.pending == text == plain(text.encode())


MOTIONLESS = st.sampled_from(
    [
        b"\n",
        b"\t",
        b"ab",
        "é漢👍".encode(),
        b"\x1b[1;31m",
        b"\x1b]0;\xc3\xa9\x07",
        b"\x1b(B",
        b"\x1b[?1h",
    ]
)


@given(st.lists(MOTIONLESS).map(b"".join), st.integers(1, 30))
def test_reading_in_slices_cut_before_what_is_unfinished_loses_nothing(
    stream: bytes, size: int
) -> None:
    read, at = "", 0
    while at < len(stream):
        end = at + size
        while end < len(stream) and unfinished(stream[at:end]) == end - at:
            end += 1
        part = stream[at:end]
        part = part[: len(part) - unfinished(part)]
        read, at = read + plain(part), at + len(part)
    assert read == plain(stream)


def drawn(stream: str, columns: int) -> str:
    """Return what the last row shows: a terminal in the plainest terms, without wide characters."""
    row: dict[int, str] = {}
    at = 0
    for token in re.findall(r"\x1b\[\d*[A-Za-z@]|.", stream, re.DOTALL):
        width = max(row, default=-1) + 1
        count = int(token[2:-1] or 1) if token[0] == "\x1b" else 0
        if token == "\r":
            at = 0
        elif token == "\b":
            at = max(0, at - 1)
        elif not count and token[0] != "\x1b":
            row |= dict.fromkeys(range(width, at), " ")
            row[at] = token
            at += 1
        elif token[-1] in "CDG":
            at = {"C": at + count, "D": at - count, "G": count - 1}[token[-1]]
            at = max(0, min(at, columns - 1))
        elif token == "\x1b[K":
            row = {where: cell for where, cell in row.items() if where < at}
        elif token[-1] == "P":
            row = {
                where - count * (where >= at): cell
                for where, cell in row.items()
                if not at <= where < at + count
            }
        elif token[-1] == "@" and at < width:
            row = {where + count * (where >= at): cell for where, cell in row.items()}
            row |= dict.fromkeys(range(at, at + count), " ")
        elif token[-1] == "X":
            row |= dict.fromkeys(range(at, min(at + count, width)), " ")
    return "".join(row[where] for where in sorted(row))


DRAWING = st.sampled_from(
    [
        "x", "abc", "é─", " ", "\r", "\b", "\b\b\b\b", "\x1b[K", "\x1b[3C", "\x1b[2D", "\x1b[4G",
        "\x1b[P", "\x1b[2P", "\x1b[@", "\x1b[2@", "\x1b[3X",
    ]
)  # fmt: skip


@given(st.lists(DRAWING, max_size=40).map("".join))
def test_a_line_that_is_drawn_over_agrees_with_a_terminal_in_plain_terms(stream: str) -> None:
    assert Plain().feed(stream.encode() + b"\n").rstrip() == drawn(stream, 1000).rstrip()


@given(STREAMS, st.integers(0, 5))
def test_last_lines_are_few_short_and_visible(stream: bytes, count: int) -> None:
    lines = last_lines(stream, count)
    assert len(lines) <= count
    for line in lines:
        assert line.strip()
        assert len(line) <= 400
        assert visible(line) == line


SIZE = 256 << 10
ADVERSARIAL = (
    *(b"x\b", b"x\r", b"\x1b[Gx", b"\x1b", b"\x1b[", b"\x1b[m", b"\x1b[999Cx\n", b"\x1b[;999Hx"),
    *(b"\x1b]", b"\x1bk", b"\x1b]x\x07", b"\xc2\x9b", b"\x1b[" + b"1" * 300, b"\x1b[@"),
    *(b"\x1b[9@a", b"\x1b[P", "\u0301".encode(), "\u0301\x1b[C\x1b[D".encode(), "漢".encode()),
    *("漢\r".encode(), b"\x1b[1@\t\x1b[G", b"a" * 99 + b"\x1b[G\t\x1b[2C\x1b[X"),
    *(b"\t\b", b"\xff", b"\x00", b"\x00x", b"\n", b"\x1b[Hx", b"\t", b"\x1b[K", b"x\x1b[1K"),
    *("e\u0301\b".encode(), b"a\tb\r", b"\x1b[999G\t\x1b[G\x1b[9P", b"\x1b[999C\x1b[999D\x1b[@"),
)  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIAL, ids=repr)
def test_what_is_made_to_be_costly_takes_bounded_space(unit: bytes) -> None:
    stream = b"z" * 999 + b"\r" + (unit * (SIZE // len(unit) + 1))[:SIZE]
    begun = time.perf_counter()
    text = plain(stream)
    cost = (time.perf_counter() - begun) / len(stream) * (1 << 20)
    print(f"{unit!r}: {cost:.3f} s/MiB, {len(text) / len(stream):.1f} : 1")
    assert not CONTROLS.search(text)
    assert len(text) <= 126 * len(stream)  # eight bytes can ask for 1,000 columns, none for more
