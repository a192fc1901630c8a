"""Completion in the shells themselves, and the definitions for language models."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon
from orchctl_run import SCRIPT, Orchctl

PANES = [{"id": "p1", "name": "build"}, {"id": "p2", "name": None}]

ASK = {
    "bash": """source {script}
COMP_WORDS=(orchctl {words}); COMP_CWORD={last}; COMP_LINE="orchctl {words}"
_orchctl; printf '%s\\n' "${{COMPREPLY[@]}}" """,
    "zsh": """compdef() {{ }}; compadd() {{ shift 1; printf '%s\\n' "${{(@P)1}}"; }}
_files() {{ }}
source {script}
words=(orchctl {words}); CURRENT={last}; (( CURRENT++ )); _orchctl""",
    "fish": """source {script}; complete -C 'orchctl {typed}' | string replace -r '\\t.*' ''""",
}


async def completed(
    shell: str, env: dict[str, str], orchctl: Orchctl, words: list[str]
) -> list[str]:
    home = Path(env["HOME"])
    (home / "bin").mkdir(exist_ok=True)
    command = home / "bin" / "orchctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {SCRIPT} "$@"\n')
    command.chmod(0o755)
    script = home / "script"
    script.write_text((await orchctl("completion", shell)).out)
    quoted = " ".join(word or "''" for word in words)
    program = ASK[shell].format(script=script, words=quoted, last=len(words), typed=" ".join(words))
    process = await asyncio.create_subprocess_exec(
        shell, "-c", program,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env | {"PATH": f"{home}/bin:{env['PATH']}"},
    )  # fmt: skip
    out, err = await process.communicate()
    assert err == b""
    return sorted(out.decode().split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_completes_commands_fields_choices_and_names(
    daemon: FakeDaemon, orchctl: Orchctl, environment: dict[str, str], shell: str
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    daemon.answers["pane.list"] = PANES

    async def ask(*words: str) -> list[str]:
        return await completed(shell, environment, orchctl, list(words))

    assert await ask("pane-ki") == ["pane-kill"]
    assert await ask("pane-kill", "") == ["build", "p1", "p2"]
    assert await ask("pane-kill", "b") == ["build"]
    assert await ask("pane-kill", "--gr") == ["--grace"]
    assert await ask("completion", "z") == ["zsh"]


async def test_names_complete_by_the_session_that_was_typed(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers |= {"pane.list": PANES, "session.list": [{"id": "s1", "name": "dev"}]}
    done = await orchctl("__complete", "--", "pane-kill", "dev", "")
    assert done.out.split() == ["build", "p1", "p2"]
    assert daemon.requests == [("pane.list", {"session": "dev"})]


async def test_completion_without_a_daemon_is_silent(orchctl: Orchctl) -> None:
    done = await orchctl("__complete", "--", "pane-kill", "")
    assert (done.status, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("style", "place"),
    [
        ("anthropic", ["input_schema"]),
        ("openai", ["function", "parameters"]),
        ("mcp", ["inputSchema"]),
    ],
)
async def test_tools_are_defined_from_the_table(
    orchctl: Orchctl, style: str, place: list[str]
) -> None:
    found = (await orchctl("tools", "--format", style)).json
    names = [tool.get("name") or tool["function"]["name"] for tool in found]
    assert "pane_kill" in names
    assert "daemon_stop" not in names
    schema = found[names.index("pane_kill")]
    for key in place:
        schema = schema[key]
    assert schema["required"] == ["pane"]
    assert schema["properties"]["grace"]["minimum"] == 0
    assert "description" in json.dumps(schema)
