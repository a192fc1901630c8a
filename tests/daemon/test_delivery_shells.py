"""Deliveries to shells of ours: prompts, drafts of humans, and waiting for the prompt."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from delivering import at_prompt, ended, fate, screen, shell_of, type_as_human
from living import Daemon, Place
from terminals import becomes, kind, refused, session, writes

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason="not installed"))
    for name in ("bash", "zsh", "fish", "sh")
]


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_line_is_taken_by_the_shell_that_prompts(daemon: Daemon, shell: str) -> None:
    await session(daemon)
    pane = await shell_of(daemon, shell)
    for number in range(3):
        sent = await daemon.call("pane.send", pane=pane, text=f"echo a''b{number}", confirm=True)
        assert (sent["state"], sent["arrival"], sent["enters"]) == ("confirmed", "echo", 1)
        assert sent["evidence"] in ("command", "prompt")
        await writes(daemon, pane, f"ab{number}")
        await at_prompt(daemon, pane)
    nothing = await daemon.call("pane.send", pane=pane, text="", confirm=True)
    assert nothing["state"] == "confirmed"


@pytest.mark.parametrize("shell", SHELLS[:3])
async def test_several_lines_are_one_input(daemon: Daemon, shell: str) -> None:
    await session(daemon)
    pane = await shell_of(daemon, shell)
    text = "printf '%s-' one\nprintf '%s-' two\t\nprintf '%s\\n' three"
    sent = await daemon.call("pane.send", pane=pane, text=text, confirm=True)
    assert sent["state"] == "confirmed"
    await writes(daemon, pane, "one-two-three")


async def test_a_pane_that_was_just_made_gets_its_text_at_its_first_prompt(daemon: Daemon) -> None:
    await session(daemon)
    made = await daemon.call("pane.create", session="dev", shell="bash")
    sent = await daemon.call("pane.send", pane=made["id"], text="echo $((6*7))", confirm=True)
    assert fate(sent) == ("confirmed", "echo", "command", None, 1)
    await writes(daemon, made["id"], "\n42")


async def test_a_text_right_behind_an_exec_waits_for_the_prompt(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    for number in range(5):
        done = await daemon.call("pane.exec", pane=pane, command="true")
        assert done["exit_code"] == 0
        sent = await daemon.call("pane.send", pane=pane, text=f"echo a''b{number}", confirm=True)
        assert sent["state"] == "confirmed"
        await writes(daemon, pane, f"ab{number}")
        await at_prompt(daemon, pane)


@pytest.mark.parametrize("shell", SHELLS)
async def test_the_draft_of_a_human_is_never_added_to(daemon: Daemon, shell: str) -> None:
    await session(daemon)
    pane = await shell_of(daemon, shell)
    await type_as_human(daemon, pane, "echo dra")
    error = await refused(daemon.call("pane.send", pane=pane, text="true", submit=True))
    assert (error.kind, error.data["reason"]) == ("PaneBusy", "draft")
    record = await daemon.call("delivery.get", delivery=error.data["delivery"])
    assert (record["state"], record["reason"]) == ("refused", "draft")
    await daemon.call("pane.keys", pane=pane, keys=["f", "t", "Enter"])
    await writes(daemon, pane, "\ndraft")


async def test_a_queued_text_waits_for_the_draft_to_be_gone(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "echo dra")
    text = "echo b''c"
    queued = await daemon.call("pane.send", pane=pane, text=text, confirm=True, queue=True)
    assert (queued["state"], queued["ended_at"]) == ("queued", None)
    shown = await becomes(
        lambda: daemon.call("delivery.get", delivery=queued["delivery"]),
        lambda found: found["reason"] is not None,
    )
    assert (shown["state"], shown["reason"]) == ("queued", "draft")
    await daemon.call("pane.keys", pane=pane, keys=["f", "t", "Enter"])
    done = await ended(daemon, queued["delivery"])
    assert (done["state"], done["reason"]) == ("confirmed", None)
    got = await writes(daemon, pane, "\nbc")
    assert "\ndraft\n" in got


async def test_queued_texts_come_in_their_order_each_at_a_prompt(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await daemon.call("pane.exec", pane=pane, command="read -r gate", wait=False)
    await at_prompt(daemon, pane, "busy")
    calls = [
        daemon.call(
            "pane.send", pane=pane, text=f"sleep 0.05; echo t''{n}", submit=True, queue=True
        )
        for n in range(10)
    ]
    sent = await asyncio.gather(*calls)
    assert {one["state"] for one in sent} == {"queued"}
    listed = await daemon.call("delivery.list", pane=pane, state="queued")
    assert [one["delivery"] for one in listed] == [one["delivery"] for one in sent]
    assert (await daemon.call("daemon.status"))["counts"]["deliveries_queued"] == 10
    await daemon.call("pane.keys", pane=pane, keys=["Enter"])
    for one in sent:
        assert (await ended(daemon, one["delivery"]))["state"] == "submitted"
    got = await writes(daemon, pane, "\nt9")
    lines = [line for line in got.splitlines() if line in {f"t{n}" for n in range(10)}]
    assert lines == [f"t{n}" for n in range(10)]


async def test_a_text_that_is_not_queued_goes_to_the_program_in_the_shell(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await daemon.call("pane.send", pane=pane, text="read -r x; echo got:$x", confirm=True)
    await at_prompt(daemon, pane, "busy")
    sent = await daemon.call("pane.send", pane=pane, text="for read", confirm=True)
    assert sent["state"] == "confirmed"
    await writes(daemon, pane, "got:for read")


async def test_a_text_that_waits_ends_at_its_timeout(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "draft")
    queued = await daemon.call(
        "pane.send", pane=pane, text="true", submit=True, queue=True, timeout=0.2
    )
    done = await ended(daemon, queued["delivery"])
    assert (done["state"], done["reason"]) == ("refused", "draft")
    assert "true" not in await screen(daemon, pane)


async def test_a_text_that_waits_can_be_cancelled_and_an_ended_one_stays_as_it_is(
    daemon: Daemon,
) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "echo draft")
    ids = []
    for n in range(3):
        sent = await daemon.call(
            "pane.send", pane=pane, text=f"echo t''{n}", submit=True, queue=True
        )
        ids.append(sent["delivery"])
    cancelled = await daemon.call("delivery.cancel", delivery=ids[1])
    assert cancelled["state"] == "cancelled"
    assert await daemon.call("delivery.cancel", delivery=ids[1]) == cancelled
    await daemon.call("pane.keys", pane=pane, keys=["Enter"])
    assert [(await ended(daemon, one))["state"] for one in ids] == [
        "submitted", "cancelled", "submitted",
    ]  # fmt: skip
    assert "t1" not in await writes(daemon, pane, "\nt2")
    done = await daemon.call("delivery.cancel", delivery=ids[0])
    assert done["state"] == "submitted"
    assert await kind(daemon.call("delivery.cancel", delivery="d999")) == "DeliveryNotFound"


async def test_what_waits_for_a_pane_ends_with_it(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "draft")
    queued = await daemon.call("pane.send", pane=pane, text="x", submit=True, queue=True)
    await daemon.call("pane.kill", pane=pane, grace=0)
    done = await ended(daemon, queued["delivery"])
    assert (done["state"], done["reason"]) == ("refused", "gone")


async def test_what_waits_for_a_program_is_not_for_the_next_one(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "draft")
    queued = await daemon.call("pane.send", pane=pane, text="echo x''y", submit=True, queue=True)
    await daemon.call("pane.respawn", pane=pane)
    done = await ended(daemon, queued["delivery"])
    assert (done["state"], done["reason"]) == ("refused", "gone")
    await at_prompt(daemon, pane)
    assert "xy" not in await screen(daemon, pane)


async def test_a_queue_has_its_limits(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    await type_as_human(daemon, pane, "draft")
    calls = [daemon.call("pane.send", pane=pane, text="x", queue=True) for _ in range(100)]
    sent = await asyncio.gather(*calls)
    assert {one["state"] for one in sent} == {"queued"}
    error = await refused(daemon.call("pane.send", pane=pane, text="x", queue=True))
    assert (error.kind, error.data["count"]) == ("TooManyDeliveries", 100)


async def test_a_queued_text_for_a_ready_prompt_is_delivered_at_once(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    sent = await daemon.call("pane.send", pane=pane, text="echo x''y", confirm=True, queue=True)
    assert sent["state"] == "confirmed"
    await writes(daemon, pane, "\nxy")


async def test_a_text_after_a_nested_shell_ends_waits_for_our_prompt(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    script = place.directory / "script.sh"
    script.write_text("read -r gate; echo gate:$gate\n")
    await daemon.call("pane.send", pane=pane, text=f"bash {script}", confirm=True)
    await at_prompt(daemon, pane, "busy")
    queued = await daemon.call("pane.send", pane=pane, text="echo x''y", submit=True, queue=True)
    assert queued["state"] == "queued"
    await daemon.call("pane.keys", pane=pane, keys=["o", "k", "Enter"])
    assert (await ended(daemon, queued["delivery"]))["state"] == "submitted"
    got = await writes(daemon, pane, "\nxy")
    assert "gate:ok\n" in got


@pytest.mark.skipif(not shutil.which("fish"), reason="not installed")
async def test_a_line_that_fish_does_not_accept_is_no_success_and_then_a_draft(
    daemon: Daemon,
) -> None:
    await session(daemon)
    pane = await shell_of(daemon, "fish")
    sent = await daemon.call("pane.send", pane=pane, text="echo $((6*7))", confirm=True)
    assert (sent["state"], sent["enters"]) == ("unknown", 1)
    error = await refused(daemon.call("pane.send", pane=pane, text="true", submit=True))
    assert (error.kind, error.data["reason"]) == ("PaneBusy", "draft")
