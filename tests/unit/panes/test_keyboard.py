"""Names of keys and signals."""

from __future__ import annotations

import os
import pty
import signal
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestratord.features.panes.keyboard import (
    BadKey,
    BadSignal,
    Terminal,
    check_key,
    signal_number,
    terminal,
)


@pytest.mark.parametrize(
    "key",
    ["a", ";", "é", "-", "C-c", "M-x", "C-M-x", "S-Up", "Enter", "F12", "C--", " ", "C-Space"],
)
def test_a_key_is_a_key(key: str) -> None:
    assert check_key(key) is None


@given(some.text(min_size=1, max_size=12))
def test_what_tmux_would_type_letter_by_letter_is_no_key(text: str) -> None:
    try:
        check_key(text)
    except BadKey:
        return
    bare = text
    while len(bare) > 2 and bare[:2] in ("C-", "M-", "S-"):
        bare = bare[2:]
    assert len(bare) == 1 or bare.isalnum()


def test_a_signal_has_three_spellings() -> None:
    for number in signal.Signals:
        for spelled in (number.name, number.name.removeprefix("SIG"), str(int(number))):
            assert signal_number(spelled) == number


@pytest.mark.parametrize(
    "name", ["", "0", "65", "-1", "SIG", "FOO", "SIGSIGTERM", "9 ", "٣", "term"]
)
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(BadSignal):
        signal_number(name)


def test_the_state_of_a_terminal_is_read_without_changing_it() -> None:
    master, slave = pty.openpty()
    try:
        name = os.ttyname(slave)
        assert terminal(name) == Terminal(echo=True, canonical=True)
        state = termios.tcgetattr(slave)
        state[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(slave, termios.TCSANOW, state)
        assert terminal(name) == Terminal(echo=False, canonical=False)
        assert termios.tcgetattr(slave)[3] == state[3]
    finally:
        os.close(master)
        os.close(slave)
    assert terminal("/nothing") is None
    assert terminal("/dev/null") is None
