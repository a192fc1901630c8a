"""How execs end, when they are refused, and that a human's draft is left alone."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from living import Daemon, Place
from terminals import becomes, kind, refused

every_shell = pytest.mark.parametrize("name", ["bash", "zsh", "fish", "sh"])
posix = pytest.mark.parametrize("name", ["bash", "zsh", "sh"])


class Shell:
    """A pane with a shell that has come to its prompt."""

    def __init__(self, daemon: Daemon, pane: str) -> None:
        self.daemon = daemon
        self.id = pane

    async def run(self, command: str, **params: Any) -> Any:
        return await self.daemon.call(
            "pane.exec", pane=self.id, command=command, **({"timeout": 60} | params)
        )

    async def state(self) -> Any:
        return (await self.daemon.call("pane.get", pane=self.id))["shell"]

    async def comes_to(self, state: str) -> None:
        await becomes(self.state, lambda shown: shown["state"] == state)

    async def send(self, text: str, **params: Any) -> None:
        await self.daemon.call("pane.send", pane=self.id, text=text, **params)

    async def shows(self, text: str) -> str:
        shown: dict[str, str] = await becomes(
            lambda: self.daemon.call("pane.capture", pane=self.id), lambda s: text in s["text"]
        )
        return shown["text"]


async def shell(daemon: Daemon, name: str, **params: Any) -> Shell:
    made = await daemon.call("session.create", name=f"in-{name}", shell=name, **params)
    opened = Shell(daemon, made["pane"]["id"])
    await opened.comes_to("idle")
    return opened


def ended(result: Any) -> tuple[Any, Any]:
    return result["ended_by"], result["exit_code"]


@every_shell
async def test_a_draft_is_neither_executed_nor_changed(
    daemon: Daemon, name: str, tmp_path: Path
) -> None:
    opened = await shell(daemon, name)
    await opened.send(f"touch {tmp_path}/dra")
    if name == "sh":  # where only the echo tells; the other line editors look themselves
        await opened.comes_to("draft")
    error = await refused(opened.run(f"touch {tmp_path}/ours"))
    assert (error.kind, error.data["reason"]) == ("PaneBusy", "draft")
    assert (await opened.state())["state"] == "draft"
    await opened.send("ft")
    await daemon.call("pane.keys", pane=opened.id, keys=["Enter"])
    done = await opened.run("echo after", queue=True)
    assert (ended(done), done["output"]) == (("exit_code", 0), "after\n")
    assert [file.name for file in tmp_path.iterdir()] == ["draft"]


@every_shell
async def test_a_command_sees_what_the_one_before_left(daemon: Daemon, name: str) -> None:
    opened = await shell(daemon, name)
    assert ended(await opened.run("false")) == ("exit_code", 1)
    seen = "echo $status" if name == "fish" else "echo $?"
    assert (await opened.run(seen))["output"] == "1\n"
    await opened.run("set x here" if name == "fish" else "x=here")
    await opened.run("cd /")
    done = await opened.run("echo $x $PWD")
    assert (done["output"], done["cwd"]) == ("here /\n", "/")


@every_shell
async def test_a_human_sees_the_command_as_if_it_had_been_typed(daemon: Daemon, name: str) -> None:
    opened = await shell(daemon, name)
    await opened.run("echo one; printf two")
    await opened.run("echo three")
    shown = (await opened.shows("\nthree")).rstrip()
    assert "__orch" not in shown
    assert "echo one; printf two\none\ntwo" in shown
    lines = shown.split("\n")
    assert lines[lines.index("three") - 1].endswith(" echo three")


@every_shell
async def test_ctrl_c_ends_a_command_by_a_signal(daemon: Daemon, name: str) -> None:
    opened = await shell(daemon, name)
    running = asyncio.ensure_future(opened.run("echo begun; sleep 100"))
    await opened.shows("\nbegun")
    await daemon.call("pane.keys", pane=opened.id, keys=["C-c"])
    assert (await running)["exit_code"] == 130
    assert ended(await opened.run("echo on"))[1] == 0


@posix
async def test_the_end_of_the_shell_ends_the_command(daemon: Daemon, name: str) -> None:
    opened = await shell(daemon, name)
    done = await opened.run("exit 5")
    assert ended(done) == ("pane_exit", 5)
    assert await kind(opened.run("true")) == "PaneExited"


@posix
async def test_errexit_ends_the_shell_only_when_a_command_fails(daemon: Daemon, name: str) -> None:
    opened = await shell(daemon, name)
    assert ended(await opened.run("set -e")) == ("exit_code", 0)
    assert ended(await opened.run("true")) == ("exit_code", 0)
    assert ended(await opened.run("echo fails; false")) == ("pane_exit", 1)


async def test_a_command_that_takes_too_long_is_left_or_ended_as_asked(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    left = await opened.run("echo begun; sleep 100", timeout=0.5)
    assert (ended(left), left["state"], left["output"]) == (
        ("timeout", None), "running", "begun\n"
    )  # fmt: skip
    assert left["foreground"]["command"] == "sleep"
    error = await refused(opened.run("true"))
    assert (error.kind, error.data["exec"]) == ("PaneBusy", left["exec"])
    await daemon.call("pane.interrupt", pane=opened.id)
    later = await daemon.call("exec.wait", exec=left["exec"], timeout=60)
    assert ended(later) == ("signal", 130)
    gone = await opened.run("sleep 100", timeout=0.2, on_timeout="interrupt", queue=True)
    assert ended(gone) == ("timeout", 130)
    stubborn = "sh -c \"trap '' INT; echo stubborn; while :; do sleep 1; done\""
    killed = await opened.run(stubborn, timeout=0.5, on_timeout="kill", queue=True)
    assert (ended(killed), killed["output"].split("\n")[0]) == (("timeout", 143), "stubborn")
    loop = await opened.run("while :; do :; done", timeout=0.2, on_timeout="kill", queue=True)
    assert ended(loop) == ("timeout", 130)
    assert ended(await opened.run("echo alive", queue=True)) == ("exit_code", 0)


async def test_a_program_that_reads_is_said_to_wait_for_input(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    left = await opened.run("cat", timeout=0.5)
    assert (left["foreground"]["command"], left["waiting_input"]) == ("cat", True)
    await daemon.call("pane.keys", pane=opened.id, keys=["C-d"])
    assert ended(await daemon.call("exec.wait", exec=left["exec"])) == ("exit_code", 0)


async def test_queued_commands_run_in_their_order_and_cancelled_ones_never(
    daemon: Daemon, tmp_path: Path
) -> None:
    opened = await shell(daemon, "bash")
    first = await opened.run("sleep 0.5; echo 0", wait=False)
    begun = [await opened.run(f"echo {n} >>{tmp_path}/log", queue=True, wait=False)
             for n in range(1, 21)]  # fmt: skip
    doomed = begun[9]["exec"]
    gone = await daemon.call("exec.cancel", exec=doomed)
    assert (gone["state"], gone["ended_by"], gone["started_at"]) == ("finished", "cancelled", None)
    for one in (first, *begun):
        done = await daemon.call("exec.wait", exec=one["exec"], timeout=60)
        assert ended(done) == (("cancelled", None) if one["exec"] == doomed else ("exit_code", 0))
    lines = (tmp_path / "log").read_text().split()
    assert lines == [str(n) for n in range(1, 21) if n != 10]


async def test_a_running_command_that_is_cancelled_is_interrupted(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    begun = await opened.run("echo begun; sleep 100", wait=False)
    await opened.shows("\nbegun")
    gone = await daemon.call("exec.cancel", exec=begun["exec"])
    assert gone["ended_by"] == "cancelled"
    assert ended(await opened.run("echo free", queue=True)) == ("exit_code", 0)
    assert (await daemon.call("exec.cancel", exec=begun["exec"]))["ended_by"] == "cancelled"


async def test_a_shell_below_ours_is_noticed_and_other_evidence_serves(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    await opened.send("bash --norc", submit=True)
    await becomes(opened.state, lambda shown: shown["integration"] == "lost")
    assert await kind(opened.run("echo no")) == "IntegrationLost"
    told = await opened.run("echo nested; (exit 4)", sentinel=True)
    assert (ended(told), told["output"].split("\n")[0]) == (("sentinel", 4), "nested")
    matched = await opened.run("echo ma''tched", until="^matched$")
    assert ended(matched) == ("pattern", None)
    quiet = await opened.run("echo quiet", idle=0.5)
    assert ended(quiet) == ("idle", None)
    await opened.send("exit", submit=True)
    await becomes(opened.state, lambda shown: shown["integration"] == "active")
    assert ended(await opened.run("echo back", queue=True)) == ("exit_code", 0)


async def test_a_shell_that_replaced_ours_is_noticed(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    await opened.send("exec bash --norc", submit=True)
    await becomes(opened.state, lambda shown: shown["integration"] == "lost")
    assert await kind(opened.run("echo no")) == "IntegrationLost"


async def test_a_program_that_is_no_shell_takes_commands_by_other_evidence(daemon: Daemon) -> None:
    made = await daemon.call("session.create", name="repl", command=["python3", "-q", "-i"])
    opened = Shell(daemon, made["pane"]["id"])
    await opened.shows(">>>")
    assert await kind(opened.run("6*7")) == "IntegrationLost"
    done = await opened.run("print(6*7)", until="^42$")
    assert (ended(done), done["output"].split("\n")[0]) == (("pattern", None), "42")


@every_shell
async def test_genuine_marks_that_are_printed_again_are_not_believed(
    daemon: Daemon, name: str, tmp_path: Path
) -> None:
    opened = await shell(daemon, name)
    await opened.run("echo one")
    await opened.comes_to("idle")
    read = await daemon.call("pane.read", pane=opened.id, raw=True)
    (tmp_path / "again").write_bytes(base64.b64decode(read["text"]))
    done = await opened.run(f"cat {tmp_path}/again; sleep 0.3; echo really the end")
    assert ended(done) == ("exit_code", 0)
    assert done["output"].endswith("really the end\n")
    assert ended(await opened.run("false")) == ("exit_code", 1)


async def test_what_is_no_command_is_refused(daemon: Daemon) -> None:
    opened = await shell(daemon, "bash")
    for bad in ("", " \n ", "a\0b", "x" * (1 << 20) + "é"):
        assert await kind(opened.run(bad)) in ("BadCommand", "InvalidParams", "InvalidArgument")
    assert await kind(opened.run("true", until="(")) == "BadPattern"
    assert await kind(daemon.call("exec.get", exec="e999")) == "ExecNotFound"


async def test_execs_are_followed_over_a_kill_of_the_daemon(place: Place, tmp_path: Path) -> None:
    daemon = await place.start()
    await daemon.connected()
    opened = await shell(daemon, "bash")
    go = tmp_path / "go"
    wait = f"until [ -e {go} ]; do sleep 0.05; done; echo gone on; (exit 7)"
    running = await opened.run(wait, wait=False)
    queued = await opened.run("echo queued", queue=True, wait=False)
    await becomes(
        lambda: daemon.call("exec.get", exec=running["exec"]), lambda e: e["state"] == "running"
    )
    await daemon.kill()
    go.touch()
    after = await place.start()
    await after.connected()
    done = await after.call("exec.wait", exec=running["exec"], timeout=60)
    assert (ended(done), done["output"]) == (("exit_code", 7), "gone on\n")
    then = await after.call("exec.wait", exec=queued["exec"], timeout=60)
    assert (ended(then), then["output"]) == (("exit_code", 0), "queued\n")
    told = await becomes(
        lambda: after.call("event.list", kinds=["exec.finished"]), lambda t: len(t["events"]) > 1
    )
    assert [e["data"]["exec"] for e in told["events"]] == [running["exec"], queued["exec"]]


async def test_many_execs_in_many_panes_keep_their_results_apart(daemon: Daemon) -> None:
    shells = [await shell(daemon, "bash")]
    for number in range(4):
        made = await daemon.call(
            "pane.create", session="in-bash", shell="bash", place="window", name=f"n{number}"
        )
        shells.append(Shell(daemon, made["id"]))
    calls = [
        opened.run(f"echo {at}.{n}; (exit {n % 200})", queue=True)
        for n in range(40)
        for at, opened in enumerate(shells)
    ]
    for number, done in enumerate(await asyncio.gather(*calls)):
        n, at = divmod(number, len(shells))
        assert (done["output"], ended(done)) == (f"{at}.{n}\n", ("exit_code", n % 200))
