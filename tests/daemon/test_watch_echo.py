"""A wait never matches the echo of what was typed before it began."""

from __future__ import annotations

import pytest
from living import PATIENCE, Daemon, Place
from terminals import pane, session, shell, writes

TURNS = 15


async def cursor(daemon: Daemon, pane_id: str) -> str:
    """Return where the output is."""
    at: str = (await daemon.call("pane.get", pane=pane_id))["cursor"]
    return at


async def matched(daemon: Daemon, pane_id: str, pattern: str, since: str | None = None) -> str:
    """Return the line that ends a wait."""
    got = await daemon.call(
        "pane.wait", pane=pane_id, patterns=[pattern], timeout=PATIENCE, since=since
    )
    assert got["outcome"] == "matched", got
    line: str = got["line"]
    return line


@pytest.mark.parametrize("name", ["bash", "zsh", "sh", "/bin/dash"])
async def test_the_output_of_a_typed_command_matches_and_not_the_command(
    daemon: Daemon, name: str
) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell=name)
    await daemon.call("pane.wait", pane=made["id"], idle=0.5, timeout=PATIENCE)
    for turn in range(TURNS):
        since = await cursor(daemon, made["id"])
        text = f"sleep 0.0{turn % 3}; echo DONE-{turn}"
        await daemon.call("pane.send", pane=made["id"], text=text, submit=True)
        line = await matched(daemon, made["id"], f"DONE-{turn}", since)
        # a prompt may come between an echo and the output
        assert line.endswith(f"DONE-{turn}") and "echo" not in line
    await daemon.call("pane.send", pane=made["id"], text="sleep 0.5; echo fresh", submit=True)
    line = await matched(daemon, made["id"], "fresh")
    assert line.endswith("fresh") and "echo" not in line


async def test_a_command_that_is_typed_while_another_runs_does_not_match(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
    await daemon.call("pane.wait", pane=made["id"], prompt=True, timeout=PATIENCE)
    for turn in range(4):
        await daemon.call("pane.send", pane=made["id"], text="sleep 0.3", submit=True)
        await daemon.call("pane.send", pane=made["id"], text=f"echo DONE-{turn}", submit=True)
        assert await matched(daemon, made["id"], f"DONE-{turn}") == f"DONE-{turn}"


async def test_a_draft_does_not_match_when_it_is_submitted_later(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
    await daemon.call("pane.wait", pane=made["id"], prompt=True, timeout=PATIENCE)
    await daemon.call("pane.send", pane=made["id"], text="sleep 0.5; echo DO")
    await daemon.call("pane.send", pane=made["id"], text="NE")
    await daemon.call("pane.keys", pane=made["id"], keys=["Enter"])
    assert await matched(daemon, made["id"], "DONE") == "DONE"


async def test_a_command_that_is_executed_does_not_match(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", place="window", shell="bash")
    for turn in range(TURNS):
        since = await cursor(daemon, made["id"])
        command = f"sleep 0.0{turn % 3}; echo DONE-{turn}"
        begun = await daemon.call("pane.exec", pane=made["id"], command=command, wait=False)
        assert await matched(daemon, made["id"], f"DONE-{turn}", since) == f"DONE-{turn}"
        await daemon.call("exec.wait", exec=begun["exec"], timeout=PATIENCE)


async def test_what_a_program_makes_of_a_text_matches(daemon: Daemon) -> None:
    await session(daemon)
    made = await shell(daemon, "while read -r x; do echo got $x; done")
    for turn in range(TURNS):
        since = await cursor(daemon, made["id"])
        await daemon.call("pane.send", pane=made["id"], text=f"DONE-{turn}", submit=True)
        assert await matched(daemon, made["id"], f"DONE-{turn}", since) == f"got DONE-{turn}"


async def test_an_echo_is_passed_over_from_a_cursor_on(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await pane(daemon, "cat")
    await daemon.call("pane.send", pane=made["id"], text="DONE", submit=True)
    await writes(daemon, made["id"], "DONE\nDONE\n")
    got = await daemon.call(
        "pane.wait", pane=made["id"], patterns=["DONE"], since="1.0", timeout=PATIENCE
    )
    assert (got["outcome"], got["cursor"]) == ("matched", "1.12")
