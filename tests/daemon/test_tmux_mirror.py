"""The mirror follows whatever a human does behind our back; libtmux is the judge."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

import libtmux
import pytest
from tmux_bed import Bed, gather, tmux_bed, until

from orchestratord.tmux.client import HUB, TmuxGone
from orchestratord.tmux.command import command, quote
from orchestratord.tmux.mirror import Snapshot

Truth = dict[str, tuple[str, int, int, bool]]


def judge(bed: Bed) -> tuple[Truth, dict[str, str], set[str]]:
    """Return panes, window names and session names as libtmux lists them, by subprocess."""
    server = libtmux.Server(socket_path=bed.socket, config_file="/dev/null")
    sessions = {s.session_id: s.session_name for s in server.sessions if s.session_name != HUB}
    panes = {
        str(p.pane_id): (
            str(p.window_id), int(p.pane_width or 0), int(p.pane_height or 0), p.pane_active == "1"
        )
        for p in server.panes if p.session_id in sessions
    }  # fmt: skip
    windows = {
        str(w.window_id): str(w.window_name) for w in server.windows if w.session_id in sessions
    }
    return panes, windows, {str(name) for name in sessions.values()}


def believed(snapshot: Snapshot) -> tuple[Truth, dict[str, str], set[str]]:
    panes = {p.pane: (p.window, p.width, p.height, p.active) for p in snapshot.panes.values()}
    windows = {w.window: w.name for w in snapshot.windows.values()}
    return panes, windows, {s.name for s in snapshot.sessions.values()}


@pytest.fixture(autouse=True)
def without_a_safety_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but what tmux says of a change lead to the next listing."""
    monkeypatch.setattr("orchestratord.tmux.mirror.SAFETY_INTERVAL", 1e6)


async def agrees(bed: Bed) -> None:
    """Wait until the mirror, which is asked for nothing, shows what libtmux says."""
    truth = await asyncio.to_thread(judge, bed)
    try:
        await until(lambda: believed(bed.mirror.snapshot) == truth)
    except AssertionError:
        assert believed(bed.mirror.snapshot) == truth
        raise


async def some_windows(bed: Bed) -> None:
    for _ in range(3):
        await bed.pane()
    await bed.human("new-session", "-d", "-s", "other", "cat")
    await agrees(bed)


DEEDS: dict[str, list[list[str]]] = {
    "kill a pane": [["split-window", "-d", "-t", "dev:0", "cat"], ["kill-pane", "-t", "dev:0.0"]],
    "kill a window": [["kill-window", "-t", "dev:1"]],
    "kill a session": [["kill-session", "-t", "other"]],
    "kill a whole session of ours": [["kill-session", "-t", "dev"]],
    "rename": [["rename-window", "-t", "dev:1", "renamed"], ["rename-session", "-t", "dev", "d2"]],
    "resize": [["resize-window", "-t", "dev:1", "-x", "90", "-y", "20"]],
    "split and resize": [
        ["split-window", "-h", "-t", "dev:0", "cat"], ["resize-pane", "-t", "dev:0.0", "-x", "20"],
    ],
    "swap": [["split-window", "-d", "-t", "dev:0", "cat"],
             ["swap-pane", "-s", "dev:0.0", "-t", "dev:1.0"]],
    "swap windows": [["swap-window", "-s", "dev:0", "-t", "dev:2"]],
    "zoom": [["split-window", "-t", "dev:0", "cat"], ["resize-pane", "-Z", "-t", "dev:0.0"]],
    "select": [["split-window", "-t", "dev:0", "cat"], ["select-pane", "-t", "dev:0.0"]],
    "break": [["split-window", "-t", "dev:0", "cat"], ["break-pane", "-d", "-s", "dev:0.1"]],
    "break into another session": [
        ["split-window", "-t", "dev:0", "cat"],
        ["break-pane", "-d", "-s", "dev:0.1", "-t", "other:"],
    ],
    "join": [["join-pane", "-s", "dev:1.0", "-t", "dev:0.0"]],
    "join across sessions": [["join-pane", "-s", "dev:1.0", "-t", "other:0.0"]],
    "move a window": [["move-window", "-s", "dev:2", "-t", "other:"]],
    "link and unlink": [["link-window", "-s", "dev:1", "-t", "other:"],
                        ["unlink-window", "-t", "other:1"]],
    "link and kill the origin": [["link-window", "-s", "dev:1", "-t", "other:"],
                                 ["unlink-window", "-t", "dev:1"]],
    "layout": [["split-window", "-t", "dev:0", "cat"], ["split-window", "-t", "dev:0", "cat"],
               ["select-layout", "-t", "dev:0", "main-vertical"]],
    "respawn": [["respawn-pane", "-k", "-t", "dev:0.0", "cat"]],
    "rotate": [["split-window", "-t", "dev:0", "cat"], ["rotate-window", "-t", "dev:0"]],
    "a new window": [["new-window", "-d", "-t", "other:", "cat"]],
    "an empty pane": [["split-window", "-t", "dev:0", ""]],
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
async def test_what_a_human_does_shows_without_being_asked_for(deed: str) -> None:
    async with tmux_bed() as bed:
        await some_windows(bed)
        for words in DEEDS[deed]:
            await bed.human(*words)
        await agrees(bed)


async def test_a_pane_keeps_its_stamp_wherever_a_human_puts_it() -> None:
    async with tmux_bed() as bed:
        await some_windows(bed)
        first = {p.orch_id: p.pid for p in bed.mirror.snapshot.panes.values() if p.orch_id}
        await bed.human("join-pane", "-s", "dev:1.0", "-t", "other:0.0")
        await bed.human("break-pane", "-s", "other:0.1", "-t", "dev:")
        await bed.human("move-window", "-s", "dev:2", "-t", "other:7")
        await bed.human("kill-session", "-t", "dev")
        await agrees(bed)
        left = {p.orch_id: p.pid for p in bed.mirror.snapshot.panes.values() if p.orch_id}
        assert left == {"p3": first["p3"]}


async def test_a_random_human_is_followed(request: pytest.FixtureRequest) -> None:
    choice = random.Random(request.node.name)
    async with tmux_bed() as bed:
        await some_windows(bed)

        def pane() -> str:
            return choice.choice(list(bed.mirror.snapshot.panes) or ["%0"])

        def window() -> str:
            return choice.choice(list(bed.mirror.snapshot.windows) or ["@0"])

        deeds: list[Callable[[], list[str]]] = [
            lambda: ["split-window", "-t", pane(), "cat"],
            lambda: ["new-window", "-d", "-t", "dev:", "cat"],
            lambda: ["kill-pane", "-t", pane()],
            lambda: ["break-pane", "-s", pane(), "-t", "dev:"],
            lambda: ["join-pane", "-s", pane(), "-t", pane()],
            lambda: ["swap-pane", "-s", pane(), "-t", pane()],
            lambda: ["resize-pane", "-Z", "-t", pane()],
            lambda: ["resize-window", "-t", window(), "-x", str(choice.randint(20, 300))],
            lambda: ["rename-window", "-t", window(), f"n{choice.random()}"],
            lambda: ["link-window", "-s", window(), "-t", "other:"],
            lambda: ["unlink-window", "-t", window()],
            lambda: ["rotate-window", "-t", window()],
            lambda: ["select-layout", "-t", window(), "tiled"],
        ]
        for _ in range(15):
            await gather(*(bed.human(*choice.choice(deeds)()) for _ in range(4)))
            if not bed.mirror.snapshot.sessions:
                await bed.human("new-session", "-d", "-s", "dev", "cat")
            await agrees(bed)
        assert bed.link.reconnects == 0


async def test_a_storm_of_changes_costs_few_listings() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        before, began = bed.mirror.listings, time.monotonic()
        for number in range(2000):
            line = command("rename-window", "-t", quote("=dev:0"), "--", f"n{number}")
            await bed.link.request(line, what="rename")
        took = time.monotonic() - began
        assert bed.mirror.listings - before <= took / 0.03 + 2
        snapshot = await bed.snapshot(
            lambda now: [w.name for w in now.windows.values()] == ["n1999"]
        )
        assert len(snapshot.panes) == 1


async def test_a_refresh_shows_what_was_confirmed_before_it() -> None:
    async with tmux_bed() as bed:
        for number in range(1, 21):
            row = await bed.pane()
            snapshot = await bed.mirror.refresh()
            assert snapshot.panes[row.pane].orch_id == f"p{number}"


async def test_refreshes_at_once_share_listings() -> None:
    async with tmux_bed() as bed:
        await bed.pane()
        await bed.mirror.refresh()
        before = bed.mirror.listings
        snapshots = await asyncio.gather(*(bed.mirror.refresh() for _ in range(100)))
        assert bed.mirror.listings - before <= 3
        assert all(len(s.panes) == 1 for s in snapshots)


async def test_nothing_is_concluded_while_tmux_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestratord.tmux.mirror.DEADLINE", 0.5)
    async with tmux_bed() as bed:
        await bed.pane()
        before = await bed.mirror.refresh()
        bed.server.process.send(signal.SIGSTOP)
        with pytest.raises(TmuxGone):
            await bed.mirror.refresh()
        assert bed.mirror.snapshot is before
        bed.server.process.send(signal.SIGCONT)
        assert believed(await patiently(bed.mirror.refresh)) == believed(before)


async def test_what_was_changed_while_the_link_was_down_is_seen() -> None:
    async with tmux_bed() as bed:
        await some_windows(bed)
        bed.link._client.kill("a test")  # type: ignore[union-attr]
        await bed.human("kill-window", "-t", "dev:1")
        await bed.human("rename-session", "-t", "other", "changed")
        await bed.link.connected()
        await agrees(bed)


async def test_lost_options_are_noticed_by_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestratord.tmux.mirror.SAFETY_INTERVAL", 0.1)
    async with tmux_bed() as bed:
        await bed.human("set-hook", "-gu", "window-layout-changed[7717]")
        await bed.human("set-option", "-s", "message-limit", "1000")
        for name, wanted in (("message-limit", "0"), ("exit-empty", "off")):
            while await bed.human("show-options", "-sv", name) != wanted:
                await bed.mirror.refresh()
        assert "wait-for" in await bed.human("show-hooks", "-g", "window-layout-changed[7717]")


async def patiently(work: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
    while True:
        try:
            return await work()
        except TmuxGone:
            continue
