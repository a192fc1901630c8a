"""Marks are found however the output is cut, and only those that carry the pane's key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestratord.features.shell.mark import Mark, Marks, Text

KEY = "0123456789abcdef0123"
BEGIN = f"\x1b]7717;{KEY};".encode()


def read(data: bytes, cuts: list[int], key: str = KEY) -> list[Mark | Text]:
    marks, out, at = Marks(key), [], 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        out += marks.feed(at, data[at:cut])
        at = cut
    return out


def only_marks(found: list[Mark | Text]) -> list[Mark]:
    return [one for one in found if isinstance(one, Mark)]


def text(found: list[Mark | Text]) -> bytes:
    return b"".join(one.data for one in found if isinstance(one, Text))


def test_a_mark_is_told_with_its_fields_and_place() -> None:
    found = read(b"abc" + BEGIN + b"E;n1;7\x07def", [])
    assert found == [Text(b"abc"), Mark("E", ("n1", "7"), 3, 3 + len(BEGIN) + 7), Text(b"def")]


def test_a_mark_with_another_key_is_no_mark() -> None:
    assert only_marks(read(BEGIN.replace(b"0123;", b"0124;") + b"E;n1;0\x07", [])) == []


def test_what_begins_like_a_mark_and_is_none_is_text() -> None:
    data = b"\x1b]7717;what\x07 \x1b]7717;\x1b]7717;" + b"x" * 300 + BEGIN + b"B\x07"
    found = read(data, [])
    assert only_marks(found) == [Mark("B", (), len(data) - len(BEGIN) - 2, len(data))]
    assert text(found) == data[: -len(BEGIN) - 2]


def test_a_mark_with_an_unknown_shape_is_no_mark() -> None:
    for fields in (b"E;a;b;c;d", b"EE", b"E;\x1b", b"e;1", b"E;" + b"9" * 60):
        assert only_marks(read(BEGIN + fields + b"\x07", [])) == []


PIECES = st.lists(
    st.sampled_from(
        [b"text\r\n", BEGIN + b"P;1;0;n\x07", BEGIN + b"B\x07", b"\x1b]7717;", b"\x1b[31m", b"\x1b",
         BEGIN, BEGIN + b"S;abc\x07", b"\x1b]7717;0000;E;1;2\x07", "é漢".encode(), b"\x07"]
    ),
    max_size=12,
)  # fmt: skip


@given(PIECES, st.lists(st.integers(min_value=0, max_value=10_000), max_size=12))
def test_marks_and_text_are_the_same_however_the_output_is_cut(
    pieces: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(pieces) + b"\x07 end" * 60  # nothing at the end is held back
    whole, cut = read(data, []), read(data, cuts)
    assert only_marks(cut) == only_marks(whole)
    assert text(cut) == text(whole)
