"""Command lines: whatever an argument holds, tmux's lexer sees one word of printable ASCII."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestratord.tmux.command import (
    MAX_LINE,
    LineTooLong,
    UnquotableText,
    command,
    exact_session,
    quote,
    quote_format,
    quote_timed_format,
    sequence,
    target,
)

NO_NUL = st.binary().map(lambda b: b.replace(b"\0", b"."))
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def lexed(word: bytes) -> bytes:
    """Read a word in double quotes as tmux's lexer does (cmd-parse.y), where we rely on it."""
    assert word[:1] == word[-1:] == b'"'
    inner = word[1:-1]
    assert re.fullmatch(rb"(?:[A-Za-z0-9_./:,@+-]|\\[0-3][0-7]{2})*", inner)
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 8)]), inner)


def expanded(format: bytes) -> bytes:
    """Expand a format as tmux does, where it holds nothing but text (format.c, format_expand1)."""
    out, at = b"", 0
    while at < len(format):
        run = re.match(rb"#+", format[at:])
        if run is None:
            out, at = out + format[at : at + 1], at + 1
        elif format[at + run.end() : at + run.end() + 1] == b"[":
            out, at = out + run[0], at + run.end()
        else:
            assert run.end() % 2 == 0, "a # that is not doubled would be expanded"
            out, at = out + run[0][: run.end() // 2], at + run.end()
    return out


@given(NO_NUL)
def test_a_quoted_argument_is_one_word_that_says_the_same(argument: bytes) -> None:
    assert lexed(quote(argument)) == argument


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_text_is_quoted_as_utf_8(argument: str) -> None:
    assert lexed(quote(argument)) == argument.encode()


@given(st.lists(st.sampled_from([b"#", b"[", b"]", b"(", b")", b"{", b"}", b"x", b"%", b","])))
def test_a_format_expands_to_the_argument(parts: list[bytes]) -> None:
    argument = b"".join(parts)
    assert expanded(lexed(quote_format(argument))) == argument
    assert expanded(lexed(quote_timed_format(argument)).replace(b"%%", b"%")) == argument


@given(st.lists(NO_NUL, min_size=1))
def test_no_argument_ends_its_command(arguments: list[bytes]) -> None:
    line = command("set-buffer", *map(quote, arguments))
    assert line.count(b" ") == len(arguments)
    assert not set(line) & set(b"\n\r;'#$~{}\xff")


@pytest.mark.parametrize("argument", ["a\0b", b"\0", "\ud800"])
def test_what_no_argument_can_carry_is_refused(argument: str | bytes) -> None:
    for quoting in (quote, quote_format, quote_timed_format):
        with pytest.raises(UnquotableText):
            quoting(argument)


@pytest.mark.parametrize(
    "text",
    ["", "%", "%0;kill-server", "%-1", "%4294967296", "%٣", "=", "{last}", "!", "~", "%%", "%1 ",
     "%1\n", "1", "dev", "$", "@x"],
)  # fmt: skip
def test_only_an_id_of_tmux_is_a_target(text: str) -> None:
    with pytest.raises(ValueError):
        target(text)


@pytest.mark.parametrize("text", ["%0", "@17", "$999999999"])
def test_ids_of_tmux_are_targets(text: str) -> None:
    assert lexed(target(text)) == text.encode()


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a:b", "é", "a\n", "x" * 65, "#(x)"])
def test_only_a_name_of_ours_is_a_session(name: str) -> None:
    with pytest.raises(ValueError):
        exact_session(name)


def test_a_session_matches_exactly_and_never_by_prefix() -> None:
    assert lexed(exact_session("build", ":")) == b"=build:"


def test_a_line_that_is_too_long_is_refused_before_it_is_sent() -> None:
    half = command("set-buffer", quote(b"x" * (MAX_LINE // 2)))
    assert len(sequence([half])) < MAX_LINE
    with pytest.raises(LineTooLong):
        sequence([half, half])
