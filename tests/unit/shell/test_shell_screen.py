"""How an exec looks on the screen, and that nothing in it can act."""

from __future__ import annotations

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestratord.features.shell.quoting import fish_quote, sh_quote
from orchestratord.features.shell.screen import LINES, entry


def printed(text: str) -> bytes:
    return subprocess.run(["printf", "%b", text], capture_output=True, check=True).stdout


def test_the_command_stands_where_the_trigger_stood() -> None:
    assert printed(entry(7, 80, 12, "ls -l")) == b"\x1b[1A\x1b[8G\x1b[Jls -l\r\n"


def test_a_trigger_that_was_wrapped_takes_two_rows() -> None:
    assert printed(entry(75, 80, 12, "ls")).startswith(b"\x1b[2A\x1b[76G")


def test_lines_are_continued_and_only_so_many_are_shown() -> None:
    shown = printed(entry(2, 80, 12, "a\n" * (LINES + 5))).decode()
    assert shown.count("\r\n> a") == LINES - 1
    assert shown.endswith("> ... 5 more lines\r\n")


def test_nothing_in_a_command_acts_on_the_terminal() -> None:
    shown = printed(entry(2, 80, 12, "a\x1b]0;title\x07\\033[2J\x9b\r\tb"))
    assert shown.split(b"\x1b[J", 1)[1] == b"a?]0;title?\\033[2J?? b\r\n"


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_quoted_word_is_one_word_and_as_it_was(text: str) -> None:
    script = f"set -- {sh_quote(text)}; printf '%s %s' $# \"$1\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout == f"1 {text}".encode()


def test_a_backslash_counts_in_a_word_for_fish() -> None:
    assert fish_quote("it's a \\") == "'it\\'s a \\\\'"
