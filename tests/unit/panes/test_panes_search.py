"""Patterns of callers, and lines that match them."""

import pytest

from orchestratord.features.panes.fault import BadPattern
from orchestratord.features.panes.search import (
    LONGEST_PATTERN,
    SPANS,
    MatchedLine,
    compile_pattern,
    search,
)

LINES = ["starting", "ERROR: é漢 error", "", "done: error"]


def test_matching_lines_come_with_their_numbers_and_spans_of_characters() -> None:
    assert search(LINES, compile_pattern("error"), 10) == [
        MatchedLine(line=2, text=LINES[1], spans=[(10, 15)]),
        MatchedLine(line=4, text=LINES[3], spans=[(6, 11)]),
    ]


def test_case_counts_unless_it_is_ignored() -> None:
    found = search(LINES, compile_pattern("error", ignore_case=True), 10)
    assert [(line.line, line.spans) for line in found] == [(2, [(0, 5), (10, 15)]), (4, [(6, 11)])]


def test_a_search_ends_at_its_limit_and_reads_no_further() -> None:
    lines = iter(["a", "b", "a", "a"])
    assert [line.line for line in search(lines, compile_pattern("a"), 2, first=7)] == [7, 9]
    assert list(lines) == ["a"]


def test_anchors_are_those_of_the_line_and_an_empty_line_can_match() -> None:
    found = search(LINES, compile_pattern("^$"), 10)
    assert found == [MatchedLine(line=3, text="", spans=[(0, 0)])]


def test_a_line_tells_a_bounded_number_of_matches() -> None:
    (found,) = search(["x" * 1000], compile_pattern("x"), 10)
    assert found.spans == [(at, at + 1) for at in range(SPANS)]


def test_groups_are_there_for_who_asks() -> None:
    match = compile_pattern(r"(?P<word>\w+): (\w)?").search("done: ")
    assert match is not None
    assert (match.group("word"), match.groups(), match.span()) == ("done", ("done", None), (0, 6))


@pytest.mark.parametrize(
    ("pattern", "because"),
    [
        ("", "it is empty"),
        ("x" * (LONGEST_PATTERN + 1), "it has 1025 characters, at most 1024 do"),
        (r"(?<=a)b", "invalid perl operator: (?<="),
        (r"a(?=b)", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        (r"a{1001}", "invalid repetition size: {1001}"),
        (r"\p{L}{1000}", "pattern too large - compile failed"),
        (r"(", "missing ): ("),
        (r"a\C", r"\C would match a part of a character"),
        ("\ud800", "it holds half of a surrogate pair"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(
    pattern: str, because: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadPattern) as refused:
        compile_pattern(pattern)
    assert refused.value.details == {"reason": because}
    assert capfd.readouterr().err == ""


def test_a_pattern_of_exactly_the_limit_is_taken() -> None:
    assert compile_pattern("x" * LONGEST_PATTERN).search("x" * LONGEST_PATTERN) is not None


def test_a_pattern_that_would_take_others_years_is_answered() -> None:
    pattern = compile_pattern(r"(a+)+$|(.*)(.*)(.*)error(.*)error!")
    assert pattern.search("a" * 100_000 + "b") is None
