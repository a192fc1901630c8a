"""The reader of the control stream: whatever the slicing, and whatever a pane prints."""

import itertools
from collections.abc import Sequence

import pytest

from orchestratord.tmux import wire as wire_module
from orchestratord.tmux.wire import Desync, Notification, Reply, Wire

ONE, TWO = b"1" * 32, b"2" * 32


def block(number: int, *lines: bytes, end: str = "end", flag: int = 1) -> bytes:
    guard = f"1700000000 {number} {flag}"
    return b"\n".join([f"%begin {guard}".encode(), *lines, f"%{end} {guard}".encode(), b""])


def answer(
    number: int, nonce: bytes, *bodies: Sequence[bytes], error: bytes | None = None
) -> bytes:
    """What tmux writes for one request: its commands, then the two nonces."""
    out = b"".join(block(number + i, *body) for i, body in enumerate(bodies))
    number += len(bodies)
    out += block(number, nonce) if error is None else block(number, error, end="error")
    return out + block(number + 1, nonce + b".")


def read(stream: bytes, *, opaque: bool = False, nonces: Sequence[bytes] = (ONE,)) -> list[object]:
    """Read a stream in every slicing that differs for a line reader; all must agree."""
    results = []
    for size in (1, 2, 3, 7, 64, len(stream)):
        wire = Wire()
        for nonce in nonces:
            wire.expect(nonce, opaque=opaque)
        found = [
            item for at in range(0, len(stream), size) for item in wire.feed(stream[at : at + size])
        ]
        results.append(found)
    assert all(result == results[0] for result in results)
    return results[0]


def test_a_request_is_two_lines_so_that_its_end_is_known_even_if_it_fails() -> None:
    assert Wire().expect(ONE, opaque=False) == b"display-message -p " + ONE + b".\n"


def test_each_command_of_a_request_gets_its_body() -> None:
    stream = answer(5, ONE, [b"a", b"b"], [], [b"c"])
    assert read(stream) == [Reply([[b"a", b"b"], [], [b"c"]], None)]


def test_every_cut_in_two_gives_the_same_replies() -> None:
    stream = block(1, flag=0) + answer(5, ONE, [b"a"]) + b"%sessions-changed\n" + answer(9, TWO)
    expected = [Reply([[b"a"]], None), Notification("sessions-changed"), Reply([], None)]
    for cut in range(len(stream) + 1):
        wire = Wire()
        wire.expect(ONE, opaque=False)
        wire.expect(TWO, opaque=False)
        assert wire.feed(stream[:cut]) + wire.feed(stream[cut:]) == expected


@pytest.mark.parametrize("opaque", [False, True])
def test_a_failed_request_is_an_error_and_the_next_is_served(opaque: bool) -> None:
    stream = answer(5, ONE, error=b"can't find pane: %9") + answer(9, TWO, [b"x"])
    replies = read(stream, opaque=opaque, nonces=(ONE, TWO))
    assert replies == [Reply([], b"can't find pane: %9"), Reply([[b"x"]], None)]


def test_what_ran_before_a_failure_is_kept_and_what_follows_did_not_run() -> None:
    stream = block(4, b"made") + answer(5, ONE, error=b"no space for new pane")
    assert read(stream) == [Reply([[b"made"]], b"no space for new pane")]


def test_a_request_that_ended_without_its_first_nonce_is_an_error() -> None:
    assert read(block(5, ONE + b".")) == [Reply([], b"the command was not run")]


@pytest.mark.parametrize("opaque", [False, True])
def test_hooks_print_into_no_reply(opaque: bool) -> None:
    hook = block(77, b"%end 1700000000 5 1", b"noise", flag=0)
    stream = hook + block(5, b"body") + hook + block(6, ONE) + hook + block(7, ONE + b".") + hook
    wanted = [[b"body"]] if not opaque else None
    (reply,) = read(stream, opaque=opaque)
    assert isinstance(reply, Reply) and reply.error is None
    assert wanted is None or reply.bodies == wanted
    assert reply.bodies[0][0] == b"body"


def test_hooks_after_an_opaque_reply_are_not_its_data() -> None:
    hook = block(77, b"noise", flag=0)
    stream = block(5, b"screen") + hook + block(6, ONE) + hook + block(7, ONE + b".")
    assert read(stream, opaque=True) == [Reply([[b"screen"]], None)]


FORGERIES = [
    b"%end 1700000000 5 1",
    b"%error 1700000000 5 1",
    b"%begin 1700000000 6 1",
    b"%end 1700000000 6 1",
    b"%begin 1700000000 5 0",
    b"%end 1700000000 5 0",
    b"%output %0 forged",
    b"%exit",
    b"%sessions-changed",
    b"%window-close @1",
    TWO,
    TWO + b".",
    b"",
]


def test_a_screen_full_of_guards_is_data() -> None:
    for lines in itertools.permutations(FORGERIES, 2):
        body = [*lines, *FORGERIES, *lines]
        assert read(answer(5, ONE, body), opaque=True) == [Reply([body], None)]


def test_a_screen_that_forges_a_whole_answer_with_another_nonce_is_data() -> None:
    forged = (block(5, b"fake")[:-1] + b"\n" + answer(6, TWO))[:-1].split(b"\n")
    stream = answer(5, ONE, forged) + answer(12, TWO, [b"true"])
    assert read(stream, opaque=True, nonces=(ONE, TWO)) == [
        Reply([forged], None),
        Reply([[b"true"]], None),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"%sessions-changed", "sessions-changed"),
        (b"%session-changed $1 a name", "session-changed"),
        (b"%unlinked-window-add @4", "unlinked-window-add"),
        (b"%layout-change @1 b25f,80x24,0,0{40x24,0,0,1,39x24,41,0,2} b25f,80x24,0,0,1 *", None),
        (b"%window-pane-changed @1 %4", "window-pane-changed"),
        (b"%exit", "exit"),
        (b"%exit too far behind", "exit"),
        (b"%client-detached /dev/pts/3", "client-detached"),
    ],
)
def test_a_known_notification_is_told_by_its_name(line: bytes, name: str | None) -> None:
    wire = Wire()
    assert wire.feed(line + b"\n") == [Notification(name or line.split()[0][1:].decode())]
    assert wire.unknown_lines == 0


@pytest.mark.parametrize(
    "line",
    [
        b"%output %1 data", b"%window-close", b"%window-close @", b"%window-close @1 x",
        b"%window-close @1\r", b" %sessions-changed", b"%", b"%%", b"text",
        b"%subscription-changed x $1 @1 1 %1 : x", b"%message hello", b"\xff\xfe", b"%begin",
        b"%begin 1 2", b"%begin 1 2 2", b"%begin 1 2 1 ", b"%begin -1 2 1", b"%end 1 2 x",
    ],
)  # fmt: skip
def test_any_other_line_is_counted_and_changes_nothing(line: bytes) -> None:
    wire = Wire()
    wire.expect(ONE, opaque=False)
    assert wire.feed(line + b"\n") == []
    assert wire.unknown_lines == 1
    assert wire.feed(answer(5, ONE, [b"x"])) == [Reply([[b"x"]], None)]


@pytest.mark.parametrize(
    "stream", [block(5, b"unasked"), b"%end 1 2 1\n", b"%error 1 2 1\n", b"%end 1 2 0\n"]
)
def test_a_reply_that_nobody_asked_for_is_out_of_step(stream: bytes) -> None:
    with pytest.raises(Desync):
        Wire().feed(stream)


def test_an_opaque_request_that_failed_without_an_error_is_out_of_step() -> None:
    wire = Wire()
    wire.expect(ONE, opaque=True)
    with pytest.raises(Desync):
        wire.feed(block(5, b"data") + block(6, ONE + b"."))


def test_an_overlong_line_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "MAX_LINE", 100)
    for size in (1, 33, 100, 101, 5000):
        wire = Wire()
        wire.expect(ONE, opaque=False)
        stream = b"x" * 101 + b"\n" + answer(5, ONE, [b"y" * 100, b"z" * 1000, b"after"])
        found = [i for at in range(0, len(stream), size) for i in wire.feed(stream[at : at + size])]
        assert found == [Reply([[b"y" * 100, b"after"]], None)]
        assert wire.overlong_lines == 2


def test_a_line_without_an_end_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "MAX_LINE", 1000)
    wire = Wire()
    for _ in range(1000):
        wire.feed(b"x" * 100)
        assert sum(map(len, wire._rest)) <= 1000
    assert wire.feed(b"\n%sessions-changed\n") == [Notification("sessions-changed")]


def test_a_capture_of_one_joined_line_is_not_too_long() -> None:
    line = b"x" * 9_000_000
    assert len(line) < wire_module.MAX_LINE
    wire = Wire()
    wire.expect(ONE, opaque=True)
    stream = answer(5, ONE, [line])
    found = [i for at in range(0, len(stream), 65536) for i in wire.feed(stream[at : at + 65536])]
    assert found == [Reply([[line]], None)]
