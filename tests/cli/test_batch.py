"""Many requests on one connection: a line in, a line out, in order."""

from __future__ import annotations

import json

from fake_daemon import Cut, Failure, FakeDaemon, Script
from orchctl_run import Orchctl


async def test_each_line_is_answered_by_one_line_on_one_connection(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.kill"] = Script([Failure("PaneNotFound", 404, "no pane p1"), {"exit": 1}])
    lines = [
        '{"id":"a","method":"daemon.ping"}',
        "pane-kill p1 --grace 2",
        "",
        "{not json",
        '{"jsonrpc":"2.0","id":null,"method":"pane.kill","params":{"pane":"p2"}}',
        "no-such-command",
        "tail p1",
    ]
    done = await orchctl("batch", stdin="\n".join(lines).encode())
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", 2, 4, None, 6, 7]
    assert answers[0]["result"]["pid"] == 12
    assert [answer["error"]["data"]["kind"] for answer in answers if "error" in answer] == [
        "PaneNotFound",
        "ParseError",
        "InvalidArgument",
        "InvalidArgument",
    ]
    assert daemon.connections == 1
    assert done.status == 3


async def test_a_batch_goes_on_after_the_connection_was_lost(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.kill"] = Cut()
    done = await orchctl("batch", stdin=b"pane-kill p1\ndaemon-ping\n")
    first, second = map(json.loads, done.out.splitlines())
    assert first["error"]["data"]["kind"] == "Unavailable"
    assert second["result"]["version"] == "0.1.0"
