"""How keys get into one pane, and into no other.

Three things that people do would lead keys elsewhere, or nowhere: copy mode eats them,
``synchronize-panes`` copies them to the other panes of a window, and ``select-pane -d``
throws them away. So a line that presses keys begins with a test, and fails as a whole
where one of these is so. Only then the longer line is sent, which clears the way and
says what it found. The test costs tmux 0.01 ms, the longer line 0.06 ms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestratord.tmux.command import Word, command, quote, quote_format, sequence, target

MAX_KEYS = 4_096
"""Bytes of input in one line, which nobody else's input comes between."""

KEYS_AT_ONCE = 128
"""Bytes in one ``send-keys -H``: tmux takes time by the square of its arguments (64 KiB: 0.10 s
by 128, 1.3 s by 4,096), and from about 9,995 its parser overflows."""

NO_INPUT = b"orch: no input"
"""What a forced line prints of a pane whose input somebody switched off: nothing was typed."""

ALONE = b"orch: alone"
"""What it prints of a pane that ``rejoin`` is due for, when all is typed."""

_OWN_BUFFER = re.compile(r"orch-[0-9a-f]{1,32}\Z")
_MARK = "@orch_alone"
SYNCHRONIZED = f"#{{||:#{{pane_synchronized}},#{{{_MARK}}}}}"
"""A format: 1 of a pane that a person synchronized, also while we type."""

# The name of an option is a format (3.2 to 3.7): that of our stamp, which is there, if nothing
# is appended.
_CLEAR = f"@orch_id#{{?pane_input_off,!,}}#{{?pane_synchronized,!,}}#{{{_MARK}}}"
_TEST, _TEST_MODE = quote(_CLEAR), quote(_CLEAR + "#{?pane_in_mode,!,}")


def typed(data: bytes, pane: str) -> list[bytes]:
    """Return the keys that are these bytes, exactly, whatever they are: a line's worth each."""
    where = target(pane)
    keys = [
        command("send-keys", "-t", where, "-H", "--", data[at : at + KEYS_AT_ONCE].hex(" "))
        for at in range(0, len(data), KEYS_AT_ONCE)
    ]
    together = MAX_KEYS // KEYS_AT_ONCE
    return [sequence(keys[at : at + together]) for at in range(0, len(keys), together)]


def named(names: Sequence[str], pane: str) -> list[bytes]:
    """Return keys that are pressed by their names: a line's worth each."""
    words = [quote(name) for name in names]
    return [
        command("send-keys", "-t", target(pane), "--", *words[at : at + 500])
        for at in range(0, len(words), 500)
    ]


def pasted(buffer: str, pane: str) -> bytes:
    """Return the keys that are a buffer, which goes with that, in one step of the server.

    As a bracketed paste if the program in the pane has asked for those. In copy mode
    tmux 3.3a looks at the mode of the wrong screen and brackets nothing.
    """
    name, where = _buffer(buffer), target(pane)
    return command("paste-buffer", "-d", "-p", "-r", "-b", name, "-t", where)


def load(buffer: str, file: str) -> bytes:
    """Return the line that makes a buffer of a file's bytes."""
    return command("load-buffer", "-b", _buffer(buffer), "--", quote_format(file))


def drop(buffer: str) -> bytes:
    """Return the line that deletes a buffer."""
    return command("delete-buffer", "-b", _buffer(buffer))


def _buffer(name: str) -> Word:
    if not _OWN_BUFFER.match(name):
        raise ValueError(f"not a buffer of ours: {name!r}")
    return quote(name)


def pressed(keys: bytes, pane: str, *, leave_mode: bool) -> bytes:
    """Return the line that presses keys if nothing is in their way; else it is refused whole.

    With ``leave_mode`` copy mode is in the way.
    """
    test = _TEST_MODE if leave_mode else _TEST
    return sequence([command("show-options", "-pv", "-t", target(pane), "--", test), keys])


def forced(keys: bytes, pane: str, *, leave_mode: bool) -> bytes:
    """Return the line that clears the way and presses keys.

    It prints ``NO_INPUT`` or ``ALONE`` where that is so. The pane is synchronized no
    longer then, and marked, so that nobody forgets that it was.
    """
    where = target(pane)
    set_ = f"set-option -p -t {pane}"
    clear = [
        ("pane_input_off", f"display-message -p -- '{NO_INPUT.decode()}'"),
        ("pane_synchronized", f"{set_} {_MARK} 1 ; {set_} synchronize-panes off"),
        (_MARK, f"display-message -p -- '{ALONE.decode()}'"),
        *([("pane_in_mode", f"copy-mode -q -t {pane}")] if leave_mode else []),  # or any other
    ]
    cleared = [
        command("if-shell", "-F", "-t", where, quote(f"#{{{case}}}"), quote(deed))
        for case, deed in clear
    ]
    return sequence([*cleared, keys])


def rejoin(pane: str) -> bytes:
    """Return the line that lets a pane be synchronized again, as it was."""
    where = target(pane)
    again = quote(f"set-option -p -t {pane} synchronize-panes on")
    return sequence(
        [
            command("set-option", "-pu", "-t", where, "--", "synchronize-panes"),
            # if it is not so for its whole window, it was for this pane
            command("if-shell", "-F", "-t", where, quote("#{pane_synchronized}"), quote(""), again),
            command("set-option", "-pu", "-t", where, "--", _MARK),
        ]
    )
