"""What a shell is doing, from recorded output of real ones."""

from __future__ import annotations

from typing import Literal

import pytest

from orchestratord.features.shell.prompt import (
    Began,
    Commanded,
    Drafted,
    Ended,
    Notice,
    Prompt,
    Prompted,
    Ready,
)

KEY = "0123456789abcdef0123"
Kind = Literal["bash", "zsh", "fish", "sh"]


def mark(fields: str) -> bytes:
    return f"\x1b]7717;{KEY};{fields}\x07".encode()


class Terminal:
    """A prompt that hears one piece after the other, a second apart."""

    def __init__(self, kind: Kind = "bash") -> None:
        self.prompt = Prompt(KEY, kind, 0.0)
        self.at = 0
        self.now = 0.0

    def hear(self, data: bytes, later: float = 1.0) -> list[Notice]:
        self.now += later
        found = list(self.prompt.feed(self.at, data, self.now))
        self.at += len(data)
        return found

    def come_to_prompt(self, count: int = 1) -> None:
        self.hear(mark(f"P;{count};0;0") + b"$ " + mark("B"))
        assert self.prompt.state == "idle"


def test_a_shell_starts_and_is_idle_once_its_prompt_has_ended() -> None:
    terminal = Terminal()
    assert terminal.prompt.state == "starting"
    assert terminal.hear(mark("P;1;0;0") + b"$ ") == [Prompted(0, "0", 0)]
    assert terminal.prompt.state == "starting"
    assert terminal.hear(mark("B")) == [Ready()]
    assert terminal.prompt.state == "idle"


def test_an_old_prompt_that_is_printed_again_changes_nothing() -> None:
    terminal = Terminal()
    terminal.come_to_prompt(5)
    terminal.hear(mark("C;5"))
    assert terminal.hear(mark("P;5;0;0") + b"$ " + mark("B")) == []
    assert terminal.hear(mark("P;4;0;0") + b"$ " + mark("B")) == []
    assert terminal.prompt.state == "busy"
    terminal.hear(mark("P;6;0;0") + mark("B"))
    assert terminal.prompt.state == "idle"


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish", "sh"])
def test_what_is_typed_at_a_prompt_is_a_draft(kind: Kind) -> None:
    terminal = Terminal(kind)
    terminal.come_to_prompt()
    terminal.hear(b"ec")
    assert terminal.prompt.state == "draft"


@pytest.mark.parametrize("kind", ["zsh", "fish"])
def test_what_is_drawn_with_a_prompt_is_no_draft(kind: Kind) -> None:
    terminal = Terminal(kind)
    terminal.come_to_prompt()
    terminal.hear(b"\x1b[20C right prompt\x1b[33D", later=0.01)
    assert terminal.prompt.state == "idle"


def test_escapes_and_spaces_are_no_draft() -> None:
    terminal = Terminal()
    terminal.come_to_prompt()
    terminal.hear(b"\x1b[?2004h\x1b[K \x1b]0;title\x07\x1b(B")
    assert terminal.prompt.state == "idle"


def test_a_prompt_that_is_drawn_again_ends_a_draft_that_was_erased() -> None:
    terminal = Terminal()
    terminal.come_to_prompt()
    terminal.hear(b"x")
    assert terminal.hear(b"\r\x1b[K$ " + mark("B")) == [Ready()]
    assert terminal.prompt.state == "idle"


def test_what_a_trigger_draws_is_no_draft() -> None:
    terminal = Terminal()
    terminal.come_to_prompt()
    terminal.prompt.expecting = True
    assert terminal.hear(b"\r\x1b[K\r$ " + mark("B") + b' . "$__orch"\r\n') == []
    assert terminal.prompt.state == "idle"
    assert terminal.hear(mark("C;1") + mark("S;n1;1") + b"out") == [
        Commanded(), Began("n1", terminal.at - 3)
    ]  # fmt: skip
    assert terminal.prompt.state == "busy"
    assert terminal.hear(mark("E;n1;3"))[0] == Ended("n1", 3, terminal.at - len(mark("E;n1;3")))


def test_a_refused_trigger_is_a_draft_until_the_next_prompt() -> None:
    terminal = Terminal()
    terminal.come_to_prompt()
    terminal.prompt.expecting = True
    assert terminal.hear(mark("D;1") + b"$ " + mark("B") + b"ec") == [Drafted()]
    assert terminal.prompt.state == "draft"
    terminal.come_to_prompt(2)


def test_a_line_at_a_prompt_of_sh_is_a_command() -> None:
    terminal = Terminal("sh")
    terminal.come_to_prompt()
    terminal.hear(b"sleep 5\r\n")
    assert terminal.prompt.state == "busy"


def test_a_line_at_a_prompt_that_begins_no_command_is_continued() -> None:
    terminal = Terminal("bash")
    terminal.come_to_prompt()
    terminal.hear(b"for x in 1 2\r\n" + mark("M;1") + b"> ")
    assert (terminal.prompt.state, terminal.prompt.continued) == ("draft", True)
    terminal.come_to_prompt(2)
    assert not terminal.prompt.continued
