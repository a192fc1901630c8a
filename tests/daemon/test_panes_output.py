"""What comes out of panes: captures, reads, tails, searches, recordings."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from living import PATIENCE, Daemon, Place
from terminals import (
    becomes,
    end_of,
    kind,
    pane,
    refused,
    session,
    shell,
    tmux,
    writes,
)

LONG = "0123456789" * 30


async def _everything(daemon: Daemon, pane_id: str, **params: Any) -> tuple[str, int]:
    """Read to the end in increments; return the whole and how many it took."""
    parts: list[str] = []
    since: dict[str, Any] = {}
    while True:
        got = await daemon.call("pane.read", pane=pane_id, **since, **params)
        assert got["gap"] is False
        parts.append(got["text"])
        if not got["more"]:
            return "".join(parts), len(parts)
        since = {"since": got["cursor"]}


async def test_a_capture_is_what_a_person_sees(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await shell(daemon, "seq 100; printf '\\033[31mred\\033[0m'; exec sleep 1e5")
    await writes(daemon, made["id"], "red")
    whole = [*map(str, range(1, 101)), "red"]
    plain = await daemon.call("pane.capture", pane=made["id"])
    assert plain["text"].split("\n") == whole[-50:]
    assert (plain["cursor_x"], plain["cursor_y"], plain["width"], plain["height"]) == (
        3,
        49,
        200,
        50,
    )
    history = await daemon.call("pane.capture", pane=made["id"], history=True)
    assert history["text"].split("\n") == whole
    assert (await daemon.call("pane.capture", pane=made["id"], lines=2))["text"] == "100\nred"
    assert (await daemon.call("pane.capture", pane=made["id"], lines=70))["text"].count("\n") == 69
    coloured = await daemon.call("pane.capture", pane=made["id"], lines=1, escapes=True)
    assert coloured["text"].startswith("\x1b[31mred")
    oracle = tmux(place, "capture-pane", "-p", "-t", made["tmux_id"]).rstrip("\n")
    assert plain["text"] == oracle


async def test_wrapped_lines_are_joined_if_asked(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, f"echo {LONG}; exec sleep 1e5")
    await writes(daemon, made["id"], LONG)
    wrapped = await daemon.call("pane.capture", pane=made["id"])
    assert wrapped["text"] == f"{LONG[:200]}\n{LONG[200:]}"
    joined = await daemon.call("pane.capture", pane=made["id"], join=True)
    assert joined["text"].strip() == LONG


async def test_a_capture_of_a_pane_that_is_gone_is_refused(daemon: Daemon) -> None:
    await session(daemon)
    made = await pane(daemon)
    await daemon.call("pane.kill", pane=made["id"])
    assert await kind(daemon.call("pane.capture", pane=made["id"])) == "PaneExited"


async def test_a_capture_that_is_longer_than_a_frame_is_cut_and_said_so(daemon: Daemon) -> None:
    await session(daemon)
    script = "import sys;[print('\"'*900) for _ in range(9000)];print('end')"
    made = await pane(daemon, "python3", "-c", script, width=1000, keep=True)
    await end_of(daemon, made["id"])
    got = await daemon.call("pane.capture", pane=made["id"], history=True)
    assert got["truncated"] is True
    assert got["text"].endswith('"\nend')
    assert (await daemon.call("pane.capture", pane=made["id"]))["truncated"] is False


async def test_increments_make_the_whole(daemon: Daemon) -> None:
    await session(daemon)
    script = "import random\nfor n in range(20000): print(n, 'é😀x' * random.randrange(9))"
    made = await pane(daemon, "python3", "-c", script, keep=True)
    await end_of(daemon, made["id"])
    whole, once = await _everything(daemon, made["id"], max=1 << 20)
    for size in (70_000, 1000):
        parts, count = await _everything(daemon, made["id"], max=size)
        assert parts == whole
        assert count > once
    raw, _ = await _everything(daemon, made["id"], max=1 << 20, raw=True)
    assert base64.b64decode(raw).decode().replace("\r\n", "\n") == whole
    assert whole.startswith("0 ") and whole.count("\n") == 20000


async def test_a_read_of_one_byte_at_a_time_gets_on(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "printf 'a\\303\\251\\033]8;;http://x/\\007b\\n'", keep=True)
    await end_of(daemon, made["id"])
    _, count = await _everything(daemon, made["id"], max=1)
    assert count > 10


async def test_a_cursor_returns_what_is_new(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "while read -r line; do echo got $line; done")
    cursor = made["cursor"]
    for word in ("one", "two", "three"):
        await daemon.call("pane.send", pane=made["id"], text=word, submit=True)
        got = await becomes(
            lambda at=cursor: daemon.call("pane.read", pane=made["id"], since=at),
            lambda answer: answer["text"].count("\n") == 2,
        )
        assert (got["text"], got["gap"], got["more"]) == (f"{word}\ngot {word}\n", False, False)
        cursor = got["cursor"]


async def test_what_is_older_than_eight_mebibytes_shows_as_a_gap(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(
        daemon, "head -c 12000000 /dev/zero | tr '\\0' 'x' | fold -w 99; echo end", keep=True
    )
    await end_of(daemon, made["id"])
    got = await daemon.call("pane.read", pane=made["id"], since="1.0", max=1 << 20)
    assert (got["gap"], got["more"]) == (True, True)
    shown = 0
    while got["more"]:
        shown += len(got["text"])
        got = await daemon.call("pane.read", pane=made["id"], since=got["cursor"], max=1 << 20)
        assert got["gap"] is False
    assert got["text"].endswith("end\n")
    assert 8 << 20 <= shown + len(got["text"]) * 2 <= 11 << 20


async def test_a_cursor_that_is_none_is_refused_and_one_of_the_future_is_a_gap(
    daemon: Daemon,
) -> None:
    made = (await session(daemon))["pane"]
    for bad in ("", "x", "1", "1.", ".1", "-1.0", "1.-1", "1.0.0", "9" * 40, "1.1e3", " 1.0"):
        call = daemon.call("pane.read", pane=made["id"], since=bad)
        assert await kind(call) in ("BadCursor", "InvalidArgument"), bad
        tail = daemon.call("pane.tail", pane=made["id"], since=bad)
        assert await kind(tail) in ("BadCursor", "InvalidArgument"), bad
    for future in ("1.999999999999999999999999999999", "9.0", "99999999999999999999999999999999.1"):
        got = await daemon.call("pane.read", pane=made["id"], since=future)
        assert (got["gap"], got["text"]) == (True, "")


async def test_a_tail_goes_from_a_cursor_to_the_end_of_the_pane(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo before; read x; seq 5000; printf rest")
    await writes(daemon, made["id"], "before")
    now = (await daemon.call("pane.read", pane=made["id"]))["cursor"]
    whole: list[str] = []
    fresh: list[str] = []

    async def follow(into: list[str], since: str) -> None:
        async for item in daemon.client.subscribe("pane.tail", pane=made["id"], since=since):
            assert item["gap"] is False
            into.append(item["text"])

    tails = [asyncio.create_task(follow(whole, "1.0")), asyncio.create_task(follow(fresh, now))]
    await becomes(lambda: daemon.call("pane.get", pane=made["id"]), lambda _: bool(whole))
    await daemon.call("pane.send", pane=made["id"], text="", submit=True)
    await asyncio.gather(*tails)
    numbers = "".join(f"{n}\n" for n in range(1, 5001)) + "rest"
    assert "".join(whole).endswith("before\n\n" + numbers)
    assert "".join(fresh) == "\n" + numbers


async def test_a_tail_of_a_pane_that_has_ended_ends_also_after_a_restart(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await shell(daemon, "echo last words")
    await end_of(daemon, made["id"])
    cursor = (await daemon.call("pane.get", pane=made["id"]))["cursor"]
    await daemon.kill()
    later = await place.start()
    async with asyncio.timeout(PATIENCE):
        told = [
            item["text"]
            async for item in later.client.subscribe("pane.tail", pane=made["id"], since="1.0")
        ]
    assert "".join(told) == "last words\n"
    raw = await later.call("pane.read", pane=made["id"], raw=True)
    assert base64.b64decode(raw["text"]) == b"last words\r\n"
    assert raw["cursor"] == cursor


async def test_reads_of_an_ended_pane_go_on_as_long_as_it_is_remembered(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo out; exit 2")
    await end_of(daemon, made["id"])
    assert (await daemon.call("pane.read", pane=made["id"]))["text"] == "out\n"
    assert (await daemon.call("pane.has_pattern", pane=made["id"], pattern="^out$"))["matched"]


async def test_output_of_the_panes_that_ended_first_goes_when_all_of_it_is_too_much(
    place: Place,
) -> None:
    place.file.write_text(f"ended_output_bytes = {4 << 20}\n")
    daemon = await place.start()
    await session(daemon)
    for _ in range(3):
        made = await shell(daemon, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
        await end_of(daemon, made["id"])
    first, second, third = (f"p{n}" for n in range(2, 5))
    got = await daemon.call("pane.read", pane=first, since="1.0")
    assert (got["text"], got["gap"], got["more"]) == ("", True, False)
    assert (await daemon.call("pane.read", pane=second, since="1.0"))["gap"] is True
    kept = await daemon.call("pane.read", pane=third, since="1.3000000")
    assert (kept["text"], kept["gap"]) == ("\nend\n", False)
    told = await daemon.call("pane.certificate", pane=first)
    assert (told["exit"]["status"], told["exit"]["last_lines"][-1]) == (0, "end")
    assert not list((place.state / "spool").glob(f"{first}.*"))


async def test_a_search_finds_lines_with_their_numbers(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(
        daemon, "seq 300; echo FAIL: x; printf 'un\\033[1mder\\033[0mline'", keep=True
    )
    await end_of(daemon, made["id"])
    found = await daemon.call("pane.search", pane=made["id"], pattern="^(\\d)9\\d$")
    assert [(f["number"], f["line"]) for f in found] == [
        (n, str(n)) for n in (*range(190, 200), *range(290, 300))
    ]
    call = daemon.call("pane.search", pane=made["id"], pattern="fail", ignore_case=True, lines=2)
    assert [f["match"] for f in await call] == ["FAIL"]
    got = await daemon.call("pane.has_pattern", pane=made["id"], pattern="underline$")
    assert got == {"matched": True, "line": "underline", "match": "underline"}
    none = await daemon.call("pane.has_pattern", pane=made["id"], pattern="^1$", lines=5)
    assert none["matched"] is False


async def test_a_pattern_that_cannot_be_used_is_refused_and_a_slow_one_is_not_slow(
    daemon: Daemon,
) -> None:
    await session(daemon)
    made = await shell(daemon, "python3 -c \"print('a' * 300000 + 'b')\"", keep=True)
    await end_of(daemon, made["id"])
    for bad in ("(", "(?<=x)y", "\\1", "a{2000}", "", "x" * 5000, "[z-a]"):
        for method in ("pane.search", "pane.has_pattern"):
            error = await refused(daemon.call(method, pane=made["id"], pattern=bad))
            assert error.code in (400, -32602), bad
    async with asyncio.timeout(PATIENCE):
        got = await daemon.call("pane.has_pattern", pane=made["id"], pattern="(a+)+$")
    assert got["matched"] is False


async def test_a_recording_is_an_asciicast(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "echo one; sleep 0.2; printf '\\033[1mtwo'", name="film", keep=True)
    await end_of(daemon, made["id"])
    got = await daemon.call("pane.record", pane="film")
    header, *frames = map(json.loads, got["cast"].splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 200, 50)
    assert "".join(frame[2] for frame in frames) == "one\r\n\x1b[1mtwo"
    assert {frame[1] for frame in frames} == {"o"}
    assert frames[-1][0] - frames[0][0] > 0.1
    assert got["complete"] is True


async def test_a_recording_longer_than_a_frame_is_cut_and_said_so(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "head -c 6000000 /dev/zero | tr '\\0' '\"' | fold -w 99", keep=True)
    await end_of(daemon, made["id"])
    assert (await daemon.call("pane.record", pane=made["id"]))["complete"] is False


async def test_what_a_pane_prints_is_never_more_than_text(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    spoof = (
        "%%end 1 2 1\\n%%exit\\n%%output %%0 x\\n%%begin 1 2 1\\n"
        "\\033]0;#(touch canary)\\ttitle\\n\\007"
        "\\033k#{pid}\\033\\\\\\033]52;c;Zm9v\\007\\033P$qm\\033\\\\\\033[c\\033[6n\\377\\000done"
    )
    made = await shell(daemon, f"printf '{spoof}'; exec sleep 1e5")
    text = await writes(daemon, made["id"], "done")
    assert text.startswith("%end 1 2 1\n%exit\n%output %0 x\n%begin 1 2 1\n")
    assert "\x1b" not in text and "\x07" not in text
    shown = await daemon.call("pane.get", pane=made["id"])
    assert all(character.isprintable() for character in shown["title"])
    assert (await daemon.call("daemon.status"))["tmux"]["state"] == "connected"
    assert not list(place.directory.rglob("canary"))
    names = tmux(place, "list-windows", "-a", "-F", "#{window_name}").split()
    assert not [name for name in names if "#" in name]
