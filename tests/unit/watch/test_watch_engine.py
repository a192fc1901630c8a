"""Patterns in a stream, against a matcher that sees the whole output at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestratord.features.panes.fault import BadPattern
from orchestratord.features.panes.search import compile_pattern
from orchestratord.features.panes.text import plain
from orchestratord.features.watch.lines import Lines, Reader
from orchestratord.features.watch.lookout import Lookout, Occurrence
from orchestratord.features.watch.needle import OCCURRENCES, Expression, Needle
from orchestratord.features.watch.sieve import Sieve
from orchestratord.tmux.stream import Cursor, Slice

PATTERNS = [
    "ab", "b", "^a", "b$", r"\Aab", r"b\z", "^$", "x*", "(?i)AB", "[^b]+", r"\s", r"\bb\b", "é|漢",
    "(?s)a.*", "a[^x]*b", r"(?-m:^a)", r"\Qa.b\E", "(a)(b)?", "(?U)a.*b", r"\W+$", ".", "a\\n?b",
    r"\x{6f22}", "(?P<word>[a-z]+):", "^ab$", "never",
]  # fmt: skip
PIECES = [
    "a", "b", "ab", "A", "x", " ", ":", ".", "é", "漢", "\t", "\n", "\r\n", "\r", "\b", "\x1b[31m",
    "\x1b[0m", "\x1b]0;ab\x07", "\x1b[K", "\x1b[A", "\x1b[2D", "\x1b(B", "\x01", "\xff",
]  # fmt: skip
Told = tuple[str, int, int, str]


def offline(data: bytes, expressions: list[Expression]) -> list[Told]:
    """Find everything by the plain definition: each line by itself, from the whole output."""
    out: list[Told] = []
    for line in lines_of(data):
        found = []
        for order, expression in enumerate(expressions):
            compiled = compile_pattern(expression.pattern, expression.ignore_case)
            spans = sorted({match.span() for match in compiled.finditer(line)})
            spans = spans[:OCCURRENCES]
            spans = [span for span in spans if span[0] < span[1]] or spans[:1]
            found += [(*span, order) for span in spans]
        found.sort(key=lambda f: (f[0], f[2]))
        out += [(line, start, end, expressions[order].pattern) for start, end, order in found]
    return out


def lines_of(data: bytes) -> list[str]:
    text = plain(data)
    return text.split("\n") if text and not text.endswith("\n") else text.split("\n")[:-1]


def fed(data: bytes, cuts: list[int]) -> Iterator[tuple[Reader, Lines]]:
    """Feed the output in pieces, and the end of it."""
    reader = Reader(200, Cursor(1, 0))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        part = Slice(data[begin:end], Cursor(1, end), False)
        yield reader, reader.feed(part)
    yield reader, reader.finish()


def live(data: bytes, cuts: list[int], expressions: list[Expression]) -> list[Occurrence]:
    needles = [Needle(expression) for expression in expressions]
    sieve, lookout = Sieve.of(needles), Lookout(needles)
    return [
        found
        for _, lines in fed(data, cuts)
        for found in lookout.lines(lines, sieve.sifted(lines.text) if lines.count else ())
    ]


def told(found: list[Occurrence]) -> list[Told]:
    return [(f.line, f.start, f.end, f.needle.expression.pattern) for f in found]


outputs = st.lists(st.sampled_from(PIECES), max_size=60).map(
    lambda pieces: (
        "".join(pieces).encode("latin-1", "replace")
        if "\xff" in pieces
        else "".join(pieces).encode()
    )
)
cuts = st.lists(st.integers(0, 400), max_size=30)
several = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=9, unique=True)


@settings(max_examples=400, deadline=None)
@given(outputs, cuts, several, st.booleans())
def test_live_matches_are_those_of_the_whole_output(
    data: bytes, cuts: list[int], patterns: list[str], ignore_case: bool
) -> None:
    expressions = [Expression(pattern=p, ignore_case=ignore_case) for p in patterns]
    assert told(live(data, cuts, expressions)) == offline(data, expressions)


@given(outputs, cuts, st.lists(st.sampled_from(PATTERNS), min_size=4, max_size=9, unique=True))
@settings(max_examples=200)
def test_it_makes_no_difference_how_much_is_looked_at_in_one_go(
    data: bytes, cuts: list[int], patterns: list[str]
) -> None:
    expressions = [Expression(pattern=p) for p in patterns]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestratord.features.watch.sieve._BLOCK", 3)
        patch.setattr("orchestratord.features.watch.needle.block_size", lambda _: 2)
        found = live(data, cuts, expressions)
    assert told(found) == offline(data, expressions)


def spanning(data: bytes, expression: Expression) -> list[tuple[str, int]]:
    """Find what ends in each line within the lines before it that were not told yet."""
    needle = Needle(expression)
    lines, done, out = lines_of(data), 0, []
    for last in range(len(lines)):
        window = lines[max(done, last - expression.lines + 1) : last + 1]
        if needle.in_window(window) is not None:
            done = last + 1
            out.append(("\n".join(window), last))
    return out


@settings(max_examples=400, deadline=None)
@given(
    outputs,
    cuts,
    st.sampled_from([r"a\n.*b", r"(?s)a.*b", r"^b$", r"x*\nx*", r"\Aab", r"b\z", "ab", r"\n\n"]),
    st.integers(2, 4),
)
def test_patterns_over_lines_are_those_of_the_whole_output(
    data: bytes, cuts: list[int], pattern: str, span: int
) -> None:
    expression = Expression(pattern=pattern, lines=span)
    found = live(data, cuts, [expression])
    assert [f.line for f in found] == [window for window, _ in spanning(data, expression)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "é", " ", "\r\n", "\x1b[1m"]), max_size=40),
    cuts,
    st.lists(st.sampled_from(["ab", "a", "b", "é", "ab? "]), min_size=1, max_size=5, unique=True),
)
def test_what_was_told_of_an_unfinished_line_is_not_told_again(
    pieces: list[str], cuts: list[int], patterns: list[str]
) -> None:
    data = "".join(pieces).encode()
    expressions = [Expression(pattern=p) for p in patterns]
    needles = [Needle(expression) for expression in expressions]
    lookout, found = Lookout(needles), []
    for reader, lines in fed(data, cuts):
        found += lookout.lines(lines, None)
        found += lookout.pending(reader.pending)
    assert sorted(f.needle.name for f in found) == sorted(t[3] for t in offline(data, expressions))


@settings(max_examples=200, deadline=None)
@given(outputs, cuts)
def test_the_cursor_behind_a_line_is_where_the_next_begins(data: bytes, cuts: list[int]) -> None:
    for reader, lines in fed(data, cuts):
        for number in range(lines.count if not lines.final else 0):
            cursor = lines.cursor(number)
            again = Reader(200, Cursor(1, 0))
            before = again.feed(Slice(data[: cursor.offset], cursor, False))
            whole = lines_of(data[: reader.at.offset] + b"\n")
            assert before.count and before.line(before.count - 1) == lines.line(number)
            assert whole[: before.count] == [before.line(n) for n in range(before.count)]


def test_one_sieve_serves_everybody_with_the_same_patterns() -> None:
    needles = [Needle(Expression(pattern=f"x{n}")) for n in range(9)]
    again = [Needle(Expression(pattern=f"x{n}")) for n in range(9)]
    sieve = Sieve.of(needles)
    assert Sieve.of(again) is sieve
    assert sieve.sifted(b"a x3\nx7") == {"(?m)x3": [(0, 7)], "(?m)x7": [(0, 7)]}


def test_a_sieve_that_has_no_memory_lets_everything_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestratord.features.watch.sieve.MEMORY", 20_000)
    sieve = Sieve([f"(?m)x{n}[a-z]{{1,9}}(foo|bar)+$" for n in range(40)])
    assert sieve.sifted(b"x7abcfoo") is None


@pytest.mark.parametrize("pattern", ["(", "a{1001}", "(?=x)", "x" * 1025])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Needle(Expression(pattern=pattern))


def test_a_gap_forgets_the_line_and_is_said() -> None:
    reader = Reader(200, Cursor(1, 0))
    reader.feed(Slice(b"half a li", Cursor(1, 9), False))
    lines = reader.feed(Slice(b"ne\n", Cursor(1, 99), True))
    assert (lines.gap, lines.line(0), lines.cursor(0)) == (True, "ne", Cursor(1, 99))


def test_a_line_that_was_begun_before_is_matched_whole_but_only_where_it_is_new() -> None:
    needles = [Needle(Expression(pattern=p)) for p in ("Password:", "Pass", "ssword", "x$")]
    lookout = Lookout(needles, "x Passw")
    assert [f.match for f in lookout.pending("x Passw")] == []
    assert [f.match for f in lookout.pending("x Password: ")] == ["Password:", "ssword"]
    reader = Reader(200, Cursor(1, 0))
    lines = reader.feed(Slice(b"x Password: x\n", Cursor(1, 14), False))
    assert [f.match for f in lookout.lines(lines, None)] == ["x"]
