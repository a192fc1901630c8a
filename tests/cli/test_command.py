"""A command of the table: one call, its answer, its exit status."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from fake_daemon import Cut, Failure, FakeDaemon, Hang, Raw, Script
from orchctl_run import SCRIPT, Done, Orchctl


async def test_the_result_reaches_a_pipe_as_the_bytes_that_came(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.list"] = Raw(
        b'{"jsonrpc":"2.0","id":%d,"result":[ {"id":"p1", "n":1.50} ]}'
    )
    assert await orchctl("pane-list") == Done(0, '[ {"id":"p1", "n":1.50} ]\n', "")


@pytest.mark.parametrize(
    "line",
    [
        b'{"result":{"a":"\xc3\xbc"},"id":%d,"jsonrpc":"2.0"}',
        b' {"jsonrpc": "2.0", "id": %d, "result": {"a": "\\u00fc"}}',
        b'{"jsonrpc":"2.0","method":"x.y","params":{}}\n{"jsonrpc":"2.0","id":%d,"result":'
        b'{"a":"\xc3\xbc"}}',
        b'{"jsonrpc":"2.0","id":7777,"result":1}\n{"jsonrpc":"2.0","id":%d,"result":'
        b'{"a":"\xc3\xbc"}}',
    ],
)
async def test_an_answer_in_any_layout_and_order_is_understood(
    daemon: FakeDaemon, orchctl: Orchctl, line: bytes
) -> None:
    daemon.answers["daemon.ping"] = Raw(line)
    done = await orchctl("daemon-ping")
    assert (done.status, done.json) == (0, {"a": "ü"})


async def test_an_answer_of_megabytes_arrives_whole(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.capture"] = {"text": "ä" * 1_500_000}
    done = await orchctl("pane-capture", "p1")
    assert done.json == {"text": "ä" * 1_500_000}


async def test_words_and_flags_become_typed_parameters(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.create"] = {"id": "p1"}
    await orchctl(
        "pane-create",
        "dev",
        "--label",
        "a=b=c",
        "--labels",
        "d=",
        "--env",
        "HELD",
        "--env",
        "X=1",
        "--no-keep",
        "--width=80",
        "--cwd",
        "sub",
        "build",
        env={"HELD": "it\n"},
        cwd="/tmp",
    )
    assert daemon.requests == [
        (
            "pane.create",
            {
                "labels": {"a": "b=c", "d": ""},
                "env": {"HELD": "it\n", "X": "1"},
                "keep": False,
                "width": 80,
                "cwd": "/tmp/sub",
                "session": "dev",
                "name": "build",
            },
        )
    ]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (400, 2),
        (-32602, 2),
        (403, 77),
        (404, 3),
        (-32601, 3),
        (409, 4),
        (412, 5),
        (429, 75),
        (499, 130),
        (-32603, 70),
        (502, 76),
        (503, 69),
        (504, 124),
    ],
)
async def test_each_family_has_its_exit_status(
    daemon: FakeDaemon, orchctl: Orchctl, code: int, status: int
) -> None:
    daemon.answers["pane.kill"] = Failure("SomeKind", code, "it went wrong", {"hint": "look"})
    assert await orchctl("pane-kill", "p9") == Done(status, "", "orchctl: it went wrong\n  look\n")


async def test_with_json_an_error_is_the_error_object(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.kill"] = Failure("PaneNotFound", 404, "no pane p9", {"pane": "p9"})
    done = await orchctl("--json", "pane-kill", "p9")
    assert (done.status, done.out) == (3, "")
    assert json.loads(done.err) == {
        "code": 404,
        "message": "no pane p9",
        "data": {"kind": "PaneNotFound", "retryable": False, "pane": "p9"},
    }


async def test_an_error_cannot_write_to_the_terminal_raw(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.kill"] = Failure("X", 404, "no \x1b]0;evil\x07 pane")
    assert (await orchctl("pane-kill", "p")).err == "orchctl: no \\x1b]0;evil\\x07 pane\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no command was given"),
        (["pane-kil", "p1"], "did you mean pane-kill"),
        (["pane-kill", "p1", "--grac", "1"], "did you mean --grace"),
        (["pane-kill"], "pane-kill needs pane"),
        (["pane-kill", "a", "b", "c"], "too many words for pane-kill"),
        (["pane-kill", "p1", "--grace", "soon"], "grace must be a number, not soon"),
        (["pane-kill", "p1", "--grace", "nan"], "grace must be a number, not nan"),
        (["pane-kill", "p1", "--grace"], "--grace needs a value"),
        (["pane-kill", "p1", "--pane", "p2"], "pane is given twice"),
        (["pane-create", "dev", "--width", "٣"], "width must be a whole number"),
        (["pane-create", "dev", "--env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["pane-create", "dev", "--label", "x"], "labels takes KEY=VALUE"),
    ],
)
async def test_bad_use_is_one_sentence_with_a_hint_and_exit_2(
    daemon: FakeDaemon, orchctl: Orchctl, words: list[str], said: str
) -> None:
    done = await orchctl(*words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("orchctl: ")
    assert done.err.count("\n") == 2
    assert daemon.requests == []


async def test_an_argument_that_is_not_utf8_is_refused_here(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    done = await orchctl("pane-send", "p1", b"\xff\xfe")
    assert (done.status, daemon.requests) == (2, [])
    assert "not UTF-8" in done.err


async def test_text_comes_from_standard_input_or_a_file_byte_for_byte(
    daemon: FakeDaemon, orchctl: Orchctl, tmp_path: Path
) -> None:
    daemon.answers["pane.send"] = {"delivery": "d1", "state": "confirmed"}
    path = tmp_path / "text"
    path.write_bytes("ä\n\ttwo\n".encode())
    await orchctl("pane-send", "p1", "-", stdin=b"one\n")
    await orchctl("pane-send", "p1", "--text-file", str(path))
    await orchctl("pane-send", "p1", "--", "--help", "@me")
    assert [params["text"] for _, params in daemon.requests] == [
        "one\n",
        "ä\n\ttwo\n",
        "--help @me",
    ]


async def test_a_call_that_changes_nothing_is_repeated_when_the_connection_is_lost(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.list"] = Script([Cut(), Cut(), []])
    assert await orchctl("pane-list") == Done(0, "[]\n", "")
    assert len(daemon.requests) == 3


async def test_a_change_is_repeated_only_under_an_idempotency_key(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.kill"] = Script([Cut(), Cut(), {"exit": None}])
    once = await orchctl("pane-kill", "p1")
    assert (once.status, len(daemon.requests)) == (69, 1)
    assert "whether pane.kill took effect is not known" in once.err
    keyed = await orchctl("pane-kill", "p1", "--idempotency-key", "k1")
    assert keyed.status == 0
    assert daemon.requests[1:] == [("pane.kill", {"pane": "p1", "idempotency_key": "k1"})] * 2


async def test_a_daemon_that_never_answers_is_given_up_after_the_timeout(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["daemon.ping"] = Hang()
    done = await orchctl("--timeout", "0.05", "daemon-ping")
    assert done == Done(124, "", "orchctl: the daemon did not answer within 0.05 s\n")


async def test_without_a_daemon_and_autostart_the_error_says_how_to_start_one(
    orchctl: Orchctl, tmp_path: object
) -> None:
    done = await orchctl("daemon-ping")
    assert done.status == 69
    assert done.err == (
        f"orchctl: no daemon answers at {tmp_path}/d.sock: No such file or directory\n"
        "  orchctl up starts one\n"
    )


async def test_without_home_the_missing_path_is_named(orchctl: Orchctl) -> None:
    none = {"HOME": "", "ORCHESTRATORD_SOCKET": "", "LC_ALL": "C"}
    done = await orchctl("daemon-ping", env=none)
    assert done.status == 5
    assert "neither XDG_STATE_HOME nor HOME says where the files are" in done.err


async def test_under_the_c_locale_text_passes_unchanged(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.send"] = {"delivery": "ü"}
    done = await orchctl("pane-send", "p1", "日本ü", env={"LC_ALL": "C"})
    assert daemon.requests == [("pane.send", {"pane": "p1", "text": "日本ü"})]
    assert done.json == {"delivery": "ü"}


async def test_quiet_prints_only_what_a_script_needs(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["pane.create"] = {"id": "p7", "name": "x", "pid": 3}
    daemon.answers["pane.list"] = [{"id": "p1"}, {"id": "p2"}]
    daemon.answers["pane.kill"] = {"exit": None, "survivors": []}
    assert (await orchctl("--quiet", "pane-create", "dev")).out == "p7\n"
    assert (await orchctl("pane-list", "--quiet")).out == "p1\np2\n"
    assert (await orchctl("--quiet", "pane-kill", "p1")).out == ""


@pytest.mark.parametrize("words", [["--help"], ["help"], ["pane-kill", "--help"], ["man"]])
async def test_help_needs_no_daemon(orchctl: Orchctl, words: list[str]) -> None:
    done = await orchctl(*words)
    assert (done.status, done.err) == (0, "")
    assert "pane-kill" in done.out.replace("\\-", "-")


async def test_call_reaches_any_method_with_json(daemon: FakeDaemon, orchctl: Orchctl) -> None:
    daemon.answers["new.method"] = 5
    done = await orchctl("call", "new.method", "-", stdin=b'{"a": [1, null, 2.5, "\\u0000"]}')
    assert done == Done(0, "5\n", "")
    assert daemon.requests == [("new.method", {"a": [1, None, 2.5, "\x00"]})]


async def test_a_closed_pipe_ends_a_command_silently(
    daemon: FakeDaemon, environment: dict[str, str]
) -> None:
    daemon.answers["pane.capture"] = {"text": "x" * 3_000_000}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        f"{sys.executable} {SCRIPT} pane-capture p1 | head -c 1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    assert (out, err) == (b"{", b"")
