"""Hostile arguments on their way through tmux: each arrives byte for byte, none is executed.

``python tests/fuzz/quoting_storm.py [COUNT] [SEED]`` sends 100,000 of them; the
suite sends 3,000.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "daemon")]

import uvloop
from tmux_bed import Bed, tmux_bed, until

from orchestratord.clock import SystemClock
from orchestratord.tmux import birth
from orchestratord.tmux.command import (
    command,
    quote,
    quote_format,
    quote_timed_format,
    sequence,
    target,
)
from orchestratord.tmux.spool import Spool

BATCH = 50

_RUN = [
    b"#(%s)", b"`%s`", b"$(%s)", b"; %s", b"; run-shell '%s' ;", b"' ; run-shell '%s' ; '",
    b"\xff ; run-shell '%s' ; \xff", b"\n run-shell '%s'\n", b'" ; run-shell "%s" ; "',
    b"} ; run-shell '%s'", b"#{E:#(%s)}", b"##(%s)", b"###(%s)", b"#[#(%s)]", b"#{?1,#(%s),}",
    b"\\; run-shell '%s'", b"'; %s; '", b'"; %s; "', b"| %s", b"& %s", b"#{l:#(%s)}", b"%%(%s)",
]  # fmt: skip
_TEXT = [
    b"#", b"##", b"###", b"#[fg=red]", b"##[x]", b"#{pid}", b"#{", b"#}", b"#,", b"#S", b"#H", b"[",
    b"]", b"{", b"}", b"~", b"~root", b"$HOME", b"${PATH}", b"\\", b"\\n", b"\\101", b"\\u0041",
    b"%", b"%H%M", b"%%", b"%if 1", b"%end 1 2 1", b"%begin", b"%output %0 x", b"'", b'"', b" ",
    b"\t", b"\n", b"\r", b"\x01", b"\x1b", b"\x1b]2;x\x07", b"\x7f", b"\x80", b"\xff", b"\xc3",
    b";", b"\\;", b"-x", b"--", b"=", b":", b".", b"*", b"?", b"\xc3\xa9", b"\xe6\xbc\xa2",
    b"\xf0\x9f\x98\x80", b"\xe2\x80\xae", b"a", b"Z", b"0",
]  # fmt: skip


def hostile(choice: random.Random, canary: Path) -> bytes:
    """Return bytes that would make the canary if anything took them for more than text."""
    run = b"touch " + os.fsencode(canary)
    out = b""
    for _ in range(choice.randint(1, 6)):
        match choice.randrange(4):
            case 0:
                out += choice.choice(_RUN).replace(b"%s", run)
            case 1:
                out += bytes(choice.randrange(1, 256) for _ in range(choice.randint(1, 8)))
            case _:
                out += choice.choice(_TEXT)
    return out


async def through_the_lexer(bed: Bed, arguments: list[bytes]) -> None:
    """Set buffers and have tmux write them to a file."""
    file = bed.directory / "buffers"
    file.unlink(missing_ok=True)
    lines = []
    for number, argument in enumerate(arguments):
        name = quote(f"b{number}")
        lines.append(command("set-buffer", "-b", name, "--", quote(argument)))
        lines.append(command("save-buffer", "-a", "-b", name, quote(str(file))))
    await bed.link.request(*lines, what="buffers")
    assert file.read_bytes() == b"".join(arguments), arguments


async def through_formats(bed: Bed, arguments: list[bytes]) -> None:
    """Have tmux expand them, as a format and as a time."""
    assert bed.link._client is not None
    for argument in arguments:
        store = command("set-option", "-s", "-F", "--", "@storm", quote_format(argument))
        await bed.link.request(store, what="an option")
        for show in (
            command("display-message", "-p", "--", quote("#{@storm}")),
            command("display-message", "-p", "--", quote_timed_format(argument)),
        ):
            (body,) = await bed.link.request(show, what="a look", opaque=True)
            # Since 3.4 tmux escapes what it prints; what it took is the same.
            if bed.server.tier < (3, 4) or (argument.isascii() and argument.decode().isprintable()):
                assert b"\n".join(body) == argument, argument


async def through_a_pane(bed: Bed, cwd: bytes, value: bytes, name: bytes) -> None:
    """Start a program in a directory, with a variable, an argument and a window of that name."""
    if bed.server.tier >= (3, 7):
        name = b"plain"  # names like ours are refused
    bed.panes += 1
    pane = f"p{bed.panes}"
    directory = os.fsencode(bed.directory) + b"/d" + cwd.replace(b"/", b"_")[:200]
    Path(os.fsdecode(directory)).mkdir(exist_ok=True)
    seen = bed.directory / f"{pane}.seen"
    script = 'printf "%s\\0" "$1" "$STORM" >"$0.new"; mv "$0.new" "$0"; exec cat'
    argv = [b"/bin/sh", b"-c", script.encode(), os.fsencode(seen), value]
    made = birth.Birth(pane, [], "/", {}, bed.spool.pipe(pane, 1))
    # The engine takes text, which has no lone bytes; what it builds from it is the same.
    lines = birth.new_window(made, window=f"w{bed.panes}", name="x", session="dev", size=(200, 50))
    at = next(i for i, line in enumerate(lines) if line.startswith(b"new-window"))
    lines[at] = command(
        "new-window", "-t", quote("=_orch:"), "-n", quote_format(name),
        "-e", quote(b"STORM=" + value), "-c", quote_format(directory), "-P", "-F",
        quote("#{pane_id} #{pane_pid}"), "--", *map(quote, argv),
    )  # fmt: skip
    bodies = await bed.link.request(*lines, what="a pane")
    (row,) = (body[0] for body in bodies if body)
    tmux_id, pid = row.decode().split()
    await until(seen.exists)
    assert seen.read_bytes() == value + b"\0" + value + b"\0"
    assert os.fsencode(Path(f"/proc/{pid}/cwd").readlink()) == directory, directory
    show = command("display-message", "-p", "-t", target(tmux_id), "--", quote("#{window_name}"))
    (body,) = await bed.link.request(show, what="a name", opaque=True)
    if bed.server.tier < (3, 4) or (name.isascii() and name.decode().isprintable()):
        assert b"\n".join(body) == name
    where = target(tmux_id)
    for naming in (
        command("rename-window", "-t", where, "--", quote_format(name)),
        command("select-pane", "-t", where, "-T", quote_format(name)),
    ):
        await bed.link.request(naming, what="naming")
    await bed.mirror.refresh()
    await bed.link.request(command("kill-pane", "-t", target(tmux_id)), what="kill-pane")


async def through_a_pipe(bed: Bed, name: bytes) -> None:
    """Have a pane's output copied into a directory of that name."""
    directory = Path(
        os.fsdecode(os.fsencode(bed.directory) + b"/d" + name.replace(b"/", b"_")[:200])
    )
    spool = Spool(directory, SystemClock())
    spool.start()
    stream = spool.expect("p1", 1, fresh=True)
    row = await bed.pane("/bin/sh", "-c", "read x; echo said; exec cat")
    where = target(row.pane)
    await bed.link.request(
        command("pipe-pane", "-t", where),
        command("pipe-pane", "-O", "-t", where, spool.pipe("p1", 1)),
        what="pipe",
    )
    await bed.link.request(command("send-keys", "-t", where, "-H", "--", "0a"), what="Enter")
    await until(lambda: stream.end >= len(b"\r\nsaid\r\n"))
    assert stream.tail(100) == b"\r\nsaid\r\n"
    await bed.link.request(command("kill-pane", "-t", where), what="kill-pane")
    spool.stop()


async def storm(count: int, seed: int) -> None:
    """Send that many arguments; raises at the first that did not arrive as it was."""
    choice = random.Random(seed)
    async with tmux_bed() as bed:
        await bed.pane()

        def some(number: int) -> list[bytes]:
            return [hostile(choice, bed.canary) for _ in range(number)]

        for _ in range(0, count, BATCH):
            arguments = some(BATCH)
            assert len(sequence([quote(b"".join(arguments))])) < 1 << 18
            await through_the_lexer(bed, arguments)
        for _ in range(0, count, 20):
            await through_formats(bed, some(1))
        for _ in range(0, count, 60):
            await through_a_pane(bed, *some(3))
        for _ in range(0, count, 300):
            await through_a_pipe(bed, *some(1))
        assert not bed.canary.exists()


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    number = given[0] if given else 100_000
    used = given[1] if len(given) > 1 else random.SystemRandom().randrange(2**32)
    print(f"{number} arguments, seed {used}", flush=True)
    uvloop.run(storm(number, used))
    print("every one arrived as it was, nothing was executed")
