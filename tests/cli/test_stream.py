"""Streams: every item once, also over a restart of the daemon."""

from __future__ import annotations

from typing import Any

from fake_daemon import Failure, FakeDaemon, Script, Stream
from orchctl_run import Done, Orchctl


def event(seq: int) -> dict[str, Any]:
    return {"seq": seq, "at": "2026-01-01T00:00:00.000000Z", "kind": "pane.created", "data": {}}


async def test_following_goes_on_after_a_loss_without_gap_or_repeat(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["event.subscribe"] = Script(
        [
            Stream([event(4), event(5)], "lost"),
            Stream([event(5), event(6)], "shutdown"),
            Stream([event(7)], "slow"),
            Stream([], "finished"),
        ]
    )
    done = await orchctl("events", "--follow", "--since", "3", "--kind", "pane.created")
    assert [line[7:8] for line in done.out.splitlines()] == ["4", "5", "6", "7"]
    assert [params["since"] for _, params in daemon.requests] == [3, 5, 6, 7]
    assert all(params["kinds"] == ["pane.created"] for _, params in daemon.requests)


async def test_events_that_are_no_longer_kept_are_said_so(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["event.subscribe"] = Script(
        [Stream([event(4)], "lost"), Failure("EventsCompacted", 412, "events before 90 are gone")]
    )
    done = await orchctl("events", "--follow", "--since", "3")
    assert (done.status, done.err) == (5, "orchctl: events before 90 are gone\n")


async def test_the_stored_events_are_listed_page_by_page(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["event.list"] = lambda params: {
        "events": [event(n) for n in range(params["since"] + 1, min(params["since"] + 3, 6))],
        "next": min(params["since"] + 2, 5),
        "oldest": 1,
    }
    done = await orchctl("events")
    assert [line[7:8] for line in done.out.splitlines()] == ["1", "2", "3", "4", "5"]


async def test_tail_goes_on_at_the_cursor_and_shows_gaps(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.tail"] = Script(
        [
            Stream([{"text": "a\x1b[2Jb", "cursor": "c1"}], "lost"),
            Stream([{"text": "c\r\n", "cursor": "c2", "gap": 12}]),
        ]
    )
    done = await orchctl("--text", "tail", "dev", "build")
    assert done == Done(0, "a\\x1b[2Jb[output is missing here]\nc\n", "")
    assert daemon.requests == [
        ("pane.tail", {"pane": "dev/build"}),
        ("pane.tail", {"pane": "dev/build", "since": "c1"}),
    ]


async def test_a_stream_that_failed_ends_with_the_error(
    daemon: FakeDaemon, orchctl: Orchctl
) -> None:
    daemon.answers["pane.tail"] = Failure("PaneNotFound", 404, "no pane x")
    assert await orchctl("tail", "x") == Done(3, "", "orchctl: no pane x\n")
