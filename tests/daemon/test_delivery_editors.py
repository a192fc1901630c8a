"""Deliveries to programs with a line editor of their own, which have habits."""

from __future__ import annotations

import asyncio

import pytest
from delivering import editor, fate
from living import Daemon, Place, until
from terminals import becomes, refused, session

CONFIRMED = ("confirmed", "echo", "left", None)
TEXT = "please look at the tests, and say what fails"


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--early=0.1",),
        ("--box",),
        ("--box", "--bracketed", "--early=0.1"),
        ("--spinner", "--box"),
        ("--late=0.2",),
        ("--quiet",),
    ],
    ids=" ".join,
)
async def test_a_message_is_taken_once_whatever_the_editors_habits(
    daemon: Daemon, place: Place, flags: tuple[str, ...]
) -> None:
    await session(daemon)
    made = await editor(daemon, place, *flags)
    enters = 0
    for text in (TEXT, "second " + TEXT):
        sent = await daemon.call("pane.send", pane=made.id, text=text, confirm=True)
        assert fate(sent)[:4] == CONFIRMED
        enters += sent["enters"]
    assert (made.messages, made.enters) == ([TEXT, "second " + TEXT], enters)


@pytest.mark.parametrize("flags", [(), ("--box",)], ids=["line", "box"])
async def test_an_enter_that_was_swallowed_is_pressed_once_more(
    daemon: Daemon, place: Place, flags: tuple[str, ...]
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--ignore=1", *flags)
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert fate(sent) == ("confirmed", "echo", "left", None, 2)
    assert (made.messages, made.enters) == ([TEXT], 2)


async def test_a_text_that_stands_after_the_second_enter_is_unknown(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--ignore=1000")
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert fate(sent) == ("unknown", "echo", None, "standing", 2)
    assert (made.messages, made.enters) == ([], 2)


@pytest.mark.parametrize("flags", [(), ("--box",)], ids=["line", "box"])
async def test_an_enter_that_became_a_line_of_the_text_is_unknown(
    daemon: Daemon, place: Place, flags: tuple[str, ...]
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--newline", "--early=1000", *flags)
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert fate(sent) == ("unknown", "echo", None, "new_line", 1)
    assert (made.messages, made.enters) == ([], 1)


async def test_what_is_never_shown_is_submitted_and_never_doubled(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--blind", "--quiet")
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, submit=True)
    assert fate(sent) == ("submitted", "quiet", None, None, 1)
    await until(lambda: made.messages == [TEXT])
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert fate(sent) == ("unknown", "quiet", None, "silent", 1)
    assert made.messages == [TEXT, TEXT]


async def test_an_answer_that_quotes_the_message_is_not_taken_for_it(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--blind")
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert (sent["state"], sent["enters"]) == ("unknown", 1)
    assert (made.messages, made.enters) == ([TEXT], 1)


async def test_an_echo_that_comes_late_costs_no_second_enter(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--late=1.2")
    sent = await daemon.call("pane.send", pane=made.id, text=TEXT, confirm=True)
    assert sent["enters"] == 1
    await until(lambda: made.messages == [TEXT])
    assert made.enters == 1


@pytest.mark.parametrize("confirm", [False, True])
async def test_a_program_that_never_reads_gets_no_enter_and_the_call_ends(
    daemon: Daemon, place: Place, confirm: bool
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--deaf")
    sent = await daemon.call(
        "pane.send", pane=made.id, text=TEXT, submit=True, confirm=confirm, timeout=1.5
    )
    assert fate(sent) == ("unknown", None, None, "unread", 0)


async def test_somebody_elses_keys_between_a_text_and_its_enter_are_noticed(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--deaf")
    since = (await daemon.call("event.list", limit=1000))["next"]
    sending = asyncio.ensure_future(
        daemon.call("pane.send", pane=made.id, text=TEXT, submit=True, timeout=20)
    )
    await becomes(
        lambda: daemon.call("event.list", kinds=["delivery.pasted"], since=since),
        lambda found: bool(found["events"]),
    )
    await daemon.call("pane.keys", pane=made.id, keys=["C-l"])
    assert fate(await sending) == ("unknown", None, None, "typed", 0)


async def test_messages_of_many_callers_come_one_after_the_other(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--box", "--early=0.1")
    texts = [f"message {n} of somebody who is in a hurry" for n in range(8)]
    sent = await asyncio.gather(
        *(
            daemon.call("pane.send", pane=made.id, text=text, confirm=True, timeout=60)
            for text in texts
        )
    )
    assert {fate(one)[:4] for one in sent} == {CONFIRMED}
    assert sorted(made.messages) == texts


async def test_a_message_of_many_lines_is_one_message_where_pastes_are_bracketed(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--bracketed")
    text = "first line\n\n\tthird, with a tab\nlast \\ $HOME `x` #{y} é漢字"
    sent = await daemon.call("pane.send", pane=made.id, text=text, confirm=True)
    assert sent["state"] == "confirmed"
    assert made.messages == [text]


async def test_a_text_that_would_break_out_of_its_paste_is_refused(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--bracketed")
    for text in ("a\x1b[201~\rb", "a\x9b201~b"):
        call = daemon.call("pane.send", pane=made.id, text=text, submit=True)
        error = await refused(call)
        assert error.kind == "UnpastableText"
        assert text not in str(error)
    assert (made.messages, made.enters) == ([], 0)


async def test_a_pane_that_ends_meanwhile_ends_the_delivery(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--deaf")
    since = (await daemon.call("event.list", limit=1000))["next"]
    sending = asyncio.ensure_future(
        daemon.call("pane.send", pane=made.id, text=TEXT, submit=True, timeout=25)
    )
    await becomes(
        lambda: daemon.call("event.list", kinds=["delivery.pasted"], since=since),
        lambda found: bool(found["events"]),
    )
    await daemon.call("pane.kill", pane=made.id, grace=0)
    assert fate(await sending) == ("unknown", None, None, "gone", 0)
