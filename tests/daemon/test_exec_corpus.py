"""Every command of the corpus ends, and prints, as it does in the same shell without us."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from exec_corpus import SIGNALLED, corpus
from living import Daemon
from shell_oracle import Oracle
from terminals import session

MOST = 3 << 19
"""Bytes of output that an answer holds; no command of the corpus prints more."""


class Result(NamedTuple):
    """What came of a command; ``output`` after ``normal``."""

    status: int | None
    output: bytes


_FILE = re.compile(rb"[~/][^ \r\n']*/(?:do|command)(?![a-z])")
_JOB = re.compile(
    rb"(?m)^\[\d+\][ +-]+(?:\d+|(?:Done|done|exit|Exit|Terminated|Killed|Running)\b.*)\r?\n"
)
_TRACE = re.compile(rb"(?m)^\++(?= )")
_ZSH_TRACE = re.compile(rb"(?m)^\+\S+:\d+> \. FILE\n|^zsh: exit \d+\n|\x1b\[2 q")
_FISH_TRACE = re.compile(rb"\tcalled on line \d+ of file \S+/run\nfrom sourcing file \S+/run\n")


def normal(output: bytes) -> bytes:
    """Return output without what may differ: the sourced file's path, jobs' notices, CRLF.

    Our file is sourced by another. So bash's `set -x` says + once more, and the stack that
    fish prints with an error has one file more; zsh names that file in the line that it traces
    for the sourcing, and tells PRINT_EXIT_VALUE only of what was typed; fish draws the
    cursor's shape once more.
    """
    lines = output.replace(b"\r\n", b"\n")
    named = _ZSH_TRACE.sub(b"", _TRACE.sub(b"+", _FILE.sub(b"FILE", lines)))
    return _FISH_TRACE.sub(b"", _JOB.sub(b"", named))


def expected(
    kind: str, program: str, files: Path, environment: dict[str, str], cwd: Path
) -> list[Result]:
    """Return what the corpus does in a shell without us."""
    oracle = Oracle(kind, program, files, environment, cwd)
    try:
        done = [oracle.run(command) for command in corpus(kind)]
    finally:
        oracle.close()
    return [Result(status, normal(output)) for status, output in done]


@pytest.mark.parametrize("kind", ["bash", "zsh", "sh", "fish"])
async def test_a_living_shell_gives_what_the_shell_gives_without_us(
    daemon: Daemon, tmp_path: Path, kind: str
) -> None:
    program = shutil.which(kind)
    if program is None:
        pytest.skip(f"no {kind} here")
    await session(daemon)
    work, files = tmp_path / "work", tmp_path / "files"
    work.mkdir()
    files.mkdir()
    made = await daemon.call("pane.create", session="dev", shell=kind, cwd=str(work))
    raw = ""
    while "TERM=" not in raw:  # between fork and exec it is tmux's own
        raw = Path(f"/proc/{made['pid']}/environ").read_bytes().decode()
        await asyncio.sleep(0.01)
    environment = dict(line.split("=", 1) for line in raw.split("\0") if "=" in line)
    for ours in ("ZDOTDIR", "ENV", "ORCH_PANE"):
        environment.pop(ours, None)
    wanted = await asyncio.to_thread(expected, kind, program, files, environment, work)
    assert Result(0, b"hi\n") in wanted, "the witness gives nothing"
    for left in work.iterdir():
        left.unlink()
    wrong = []
    for command, result in zip(corpus(kind), wanted, strict=True):
        print(repr(command[:200]))
        got = await daemon.call(
            "pane.exec", pane=made["id"], command=command, raw=True, max_output=MOST, timeout=30
        )
        came = Result(got["exit_code"], normal(base64.b64decode(got["output"])))
        by = "signal" if command in SIGNALLED else "exit_code"
        if came != result or got["ended_by"] != by or got["truncated"]:
            wrong.append((command[:80], result, came, got["ended_by"]))
        if got["state"] != "finished":
            break
    assert not wrong, "\n".join(map(str, wrong))
