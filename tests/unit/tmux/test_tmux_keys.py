"""Keys as lines: all there, in order, never more than a line takes."""

from hypothesis import given
from hypothesis import strategies as st

from orchestratord.tmux.keys import MAX_KEYS, forced, named, pressed, typed


@given(st.binary(min_size=1, max_size=3 * MAX_KEYS))
def test_typed_bytes_are_all_there_in_order_and_never_more_than_a_line_takes(data: bytes) -> None:
    lines = typed(data, "%3")
    found = [line.partition(b" -H -- ")[2].split(b" ") for line in lines]
    assert b"".join(bytes.fromhex(word.decode()) for words in found for word in words) == data
    assert max(map(len, found)) <= MAX_KEYS
    for line in lines:
        for whole in (pressed(line, "%3", leave_mode=True), forced(line, "%3", leave_mode=True)):
            assert whole.endswith(b" ; " + line)
            assert whole.isascii()


def test_no_bytes_are_no_lines() -> None:
    assert typed(b"", "%3") == []
    assert named([], "%3") == []


def test_named_keys_are_words_that_tmux_takes_for_no_flag_and_no_command() -> None:
    (line,) = named(["-R", ";", "C-c"], "%3")
    assert line == b'send-keys -t "\\0453" -- "-R" "\\073" "C-c"'
