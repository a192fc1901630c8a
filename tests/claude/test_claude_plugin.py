"""orchctl claude: the plugin is written, found valid, connected; its hooks label the pane."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place
from orchctl_run import CLIENT, Done

Run = Callable[..., Awaitable[Done]]

CLAUDE = os.environ.get("ORCH_TEST_CLAUDE") or shutil.which("claude")
needs_claude = pytest.mark.skipif(
    CLAUDE is None,
    reason="Claude Code is not installed: npm install @anthropic-ai/claude-code, then have it on"
    " PATH or name it in ORCH_TEST_CLAUDE",
)
needs_mcp = pytest.mark.skipif(
    importlib.util.find_spec("mcp_types") is None, reason="the extra mcp is not installed"
)


@pytest.fixture
def run(environment: dict[str, str], place: Place, orchctl_file: Path) -> Run:
    """Run a program, ``orchctl`` by that name, and wait for its end."""

    async def running(program: str, *words: str, **more: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            str(orchctl_file) if program == "orchctl" else program, *words,
            env=environment | more, cwd=place.directory, stdin=subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return running


def plugin(place: Place) -> Path:
    return place.directory / ".local" / "share" / "orchestratord" / "claude-plugin"


async def test_the_plugin_is_written_with_the_programs_path_and_says_so(
    place: Place, run: Run, orchctl_file: Path
) -> None:
    done = await run("orchctl", "claude", "install", "--text")
    assert done.status == 0, done.err
    here = plugin(place)
    written = sorted(path for path in here.rglob("*") if path.is_file())
    assert [f"wrote {path}" for path in written] == sorted(done.out.splitlines()[: len(written)])
    assert f"  claude plugin marketplace add {here}" in done.out.splitlines()
    servers = json.loads((here / ".mcp.json").read_text())["mcpServers"]
    assert servers["orchestratord"]["command"] == str(orchctl_file)
    hooks = json.loads((here / "hooks" / "hooks.json").read_text())["hooks"]
    commands = {each["command"] for groups in hooks.values() for g in groups for each in g["hooks"]}
    assert commands == {
        f"{orchctl_file} claude hook {state}"
        for state in ("idle", "working", "waiting", "done", "failed", "ended")
    }
    again = await run("orchctl", "claude", "install", "--json")
    assert (again.status, again.json["written"]) == (0, True)


async def test_print_changes_nothing(place: Place, run: Run) -> None:
    done = await run("orchctl", "claude", "install", "--print", "--text")
    assert done.out.startswith(f"would write {plugin(place)}")
    assert not plugin(place).exists()


async def test_what_is_not_the_plugin_is_left_alone(place: Place, run: Run) -> None:
    manifest = plugin(place) / ".claude-plugin" / "plugin.json"
    manifest.parent.mkdir(parents=True)
    for content in ('{"name":"other"}', "[]", "no json"):
        manifest.write_text(content)
        for action in ("install", "uninstall"):
            done = await run("orchctl", "claude", action)
            assert done.status == 5
            assert "not our plugin" in done.err
        assert manifest.read_text() == content


async def test_uninstall_removes_what_install_wrote(place: Place, run: Run) -> None:
    await run("orchctl", "claude", "install")
    done = await run("orchctl", "claude", "uninstall", "--print")
    assert not done.json["removed"] and plugin(place).exists()
    done = await run("orchctl", "claude", "uninstall")
    assert done.json["removed"] and not plugin(place).exists()
    done = await run("orchctl", "claude", "uninstall")
    assert (done.status, done.json["removed"]) == (0, False)


async def labels(daemon: Daemon, pane: str, wanted: dict[str, str]) -> None:
    """Return once the pane has these labels."""
    async with asyncio.timeout(60):
        while (await daemon.call("pane.label_get", pane=pane))["labels"] != wanted:
            await asyncio.sleep(0.01)


async def test_hooks_label_the_pane_that_they_run_in(
    daemon: Daemon, place: Place, orchctl_file: Path, environment: dict[str, str]
) -> None:
    script = "while read state; do $ORCHCTL claude hook $state || echo failed; done"
    created = await daemon.call(
        "pane.create", session="dev", create_session=True, command=["/bin/sh", "-c", script],
        env={"ORCHCTL": str(orchctl_file), "ORCHESTRATORD_SOCKET": str(place.socket)},
    )  # fmt: skip
    pane = created["id"]
    for state in ("idle", "working", "working", "waiting", "done", "failed"):
        await daemon.call("pane.send", pane=pane, text=state, submit=True)
        await labels(daemon, pane, {"agent": "claude", "agent_state": state})
    await daemon.call("pane.send", pane=pane, text="ended", submit=True)
    await labels(daemon, pane, {})
    events = await daemon.call("event.list", kinds=["pane.labeled"])
    assert len(events["events"]) == 6  # the second working changed nothing
    assert "failed" not in (await daemon.call("pane.read", pane=pane))["text"].replace(
        "failed\n", "", 1
    )


async def test_a_hook_outside_of_our_panes_is_silent_and_changes_nothing(
    daemon: Daemon, run: Run
) -> None:
    created = await daemon.call("pane.create", session="dev", create_session=True)
    for variables in ({}, {"ORCH_PANE": created["id"]}, {"ORCH_PANE": "p999"}):
        done = await run("orchctl", "claude", "hook", "working", **variables)
        assert (done.status, done.out, done.err) == (0, "", "")
    assert (await daemon.call("pane.label_get", pane=created["id"]))["labels"] == {}


async def test_a_hook_without_a_daemon_is_silent(run: Run) -> None:
    done = await run("orchctl", "claude", "hook", "done", ORCH_PANE="p1")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert (await run("orchctl", "claude", "hook", "dancing")).status == 2


def test_the_skill_has_the_front_matter_that_claude_code_reads() -> None:
    text = (CLIENT / "claude-plugin" / "skills" / "terminals" / "SKILL.md").read_text()
    _, front, body = text.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    assert fields["name"] == "terminals"
    assert 40 < len(fields["description"]) < 1024
    assert "untrusted_" in body


@needs_claude
async def test_claude_code_finds_the_plugin_valid(place: Place, run: Run) -> None:
    await run("orchctl", "claude", "install")
    for what in (plugin(place), plugin(place) / ".claude-plugin" / "plugin.json"):
        done = await run(str(CLAUDE), "plugin", "validate", "--strict", str(what))
        assert done.status == 0, done.out + done.err
        assert "Validation passed" in done.out


@needs_claude
@needs_mcp
async def test_claude_code_connects_to_the_plugins_server(
    daemon: Daemon, place: Place, run: Run
) -> None:
    installed: Any = (await run("orchctl", "claude", "install")).json
    for command in installed["todo"]:
        done = await run(str(CLAUDE), *command.split()[1:])
        assert done.status == 0, done.out + done.err
    listed = await run(str(CLAUDE), "mcp", "list")
    assert "orchestratord" in listed.out
    assert "Connected" in listed.out, listed.out + listed.err
