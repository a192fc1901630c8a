"""Control streams that no tmux writes: read or refused, and never believed without a nonce.

The seed is printed; ``ORCHESTRATORD_FUZZ_SEED`` repeats a run, and
``ORCHESTRATORD_FUZZ_LINES`` sets how many lines each test reads (100,000).
"""

import os
import random
import secrets

import pytest

from orchestratord.tmux.wire import Desync, Notification, Reply, Wire

LINES = int(os.environ.get("ORCHESTRATORD_FUZZ_LINES", "100000"))
STREAM = 40
"""Lines in one stream, so that a desync early on does not spare the rest."""


@pytest.fixture
def choice() -> random.Random:
    seed = int(os.environ.get("ORCHESTRATORD_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}, {LINES} lines")
    return random.Random(seed)


def guard(choice: random.Random, word: str | None = None) -> bytes:
    word = word or choice.choice(["begin", "end", "error"])
    time, number = choice.choice([1, 1700000000]), choice.randint(1, 6)
    return f"%{word} {time} {number} {choice.choice([1, 1, 1, 0])}".encode()


def line(choice: random.Random, nonces: list[bytes]) -> bytes:
    """Return a line as a hostile pane or a broken tmux may write it, without a newline."""
    match choice.randrange(8):
        case 0 | 1 | 2:
            return guard(choice)
        case 3:
            return choice.choice(nonces)
        case 4:
            return choice.choice([
                b"%output %0 x", b"%exit", b"%sessions-changed", b"%window-close @1", b"", b"%",
                b"%layout-change @1 a,1x1,0,0,1 a,1x1,0,0,1 *", b"%session-renamed $1 x", b"\xff",
            ])  # fmt: skip
        case 5:
            return choice.randbytes(choice.randrange(60)).replace(b"\n", b"")
        case 6:
            found = bytearray(guard(choice))
            found[choice.randrange(len(found))] = choice.choice(b" %019abe\xff\r\t")
            return bytes(found)
        case _:
            return choice.choice([b"body", b"p1\t%1", b"parse error: x"])


def sliced(choice: random.Random, stream: bytes) -> list[bytes]:
    parts = []
    while stream:
        size = choice.choice([1, 5, 50, 500, 5000])
        parts.append(stream[:size])
        stream = stream[size:]
    return parts


def read(wire: Wire, parts: list[bytes]) -> list[Reply | Notification]:
    """Return what a stream gave until it was out of step; nothing but that may be raised."""
    found: list[Reply | Notification] = []
    try:
        for part in parts:
            found += wire.feed(part)
    except Desync:
        pass
    return found


def test_no_stream_makes_a_reply_without_the_nonce(choice: random.Random) -> None:
    guesses = [secrets.token_hex(16).encode() for _ in range(3)]
    guesses += [guess + b"." for guess in guesses]
    for _ in range(LINES // STREAM):
        wire = Wire()
        for _ in range(choice.randrange(4)):
            wire.expect(secrets.token_hex(16).encode(), opaque=choice.random() < 0.5)
        stream = b"\n".join(line(choice, guesses) for _ in range(STREAM)) + b"\n"
        assert not [r for r in read(wire, sliced(choice, stream)) if isinstance(r, Reply)]


def test_no_stream_makes_more_replies_than_nonces_came(choice: random.Random) -> None:
    replies = 0
    for _ in range(LINES // STREAM):
        wire = Wire()
        nonces = [secrets.token_hex(16).encode() for _ in range(3)]
        for nonce in nonces:
            wire.expect(nonce, opaque=choice.random() < 0.5)
        known = [*nonces, *(nonce + b"." for nonce in nonces)]
        lines = [line(choice, known) for _ in range(STREAM)]
        if choice.random() < 0.5:  # else replies are too rare to say anything
            for number, nonce in enumerate(known):
                frame = b"1 %d 1" % number
                lines += [b"%begin " + frame, nonce, b"%end " + frame]
        made = [r for r in read(wire, sliced(choice, b"\n".join(lines) + b"\n"))
                if isinstance(r, Reply)]  # fmt: skip
        replies += len(made)
        assert len(made) <= sum(found in known[3:] for found in lines)
    assert replies > 0


def test_what_a_pane_shows_is_data_whatever_it_shows(choice: random.Random) -> None:
    guesses = [secrets.token_hex(16).encode() for _ in range(3)]
    for _ in range(LINES // STREAM):
        nonce = secrets.token_hex(16).encode()
        wire = Wire()
        wire.expect(nonce, opaque=True)
        screen = [line(choice, guesses) for _ in range(STREAM)]
        stream = b"\n".join([
            b"%begin 1 2 1", *screen, b"%end 1 2 1",
            b"%begin 1 3 1", nonce, b"%end 1 3 1",
            b"%begin 1 4 1", nonce + b".", b"%end 1 4 1", b"",
        ])  # fmt: skip
        assert read(wire, sliced(choice, stream)) == [Reply([screen], None)]
        assert wire.unknown_lines == 0


def test_mutated_answers_are_read_or_refused(choice: random.Random) -> None:
    whole = damaged = 0
    for _ in range(LINES // STREAM):
        wire, stream, asked = Wire(), b"", []
        for number in range(10):
            nonce = secrets.token_hex(16).encode()
            asked.append(nonce)
            wire.expect(nonce, opaque=choice.random() < 0.3)
            for body in (b"body\n", nonce + b"\n", nonce + b".\n"):
                frame = b"9 %d 1\n" % (number * 10 + len(body))
                stream += b"%begin " + frame + body + b"%end " + frame
        found = bytearray(stream)
        for _ in range(choice.randrange(3)):
            at = choice.randrange(len(found))
            match choice.randrange(3):
                case 0:
                    found[at] = choice.randrange(256)
                case 1:
                    del found[at : at + choice.randrange(40)]
                case _:
                    found[at:at] = found[at : at + choice.randrange(40)]
        replies = [r for r in read(wire, sliced(choice, bytes(found))) if isinstance(r, Reply)]
        assert len(replies) <= len(asked)
        whole += replies == [Reply([[b"body"]], None)] * 10
        damaged += len(replies) < 10
    assert whole and damaged
