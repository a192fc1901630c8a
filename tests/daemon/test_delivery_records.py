"""What is known of deliveries: events, records, keys, and what a restart makes of them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from delivering import at_prompt, editor, ended, fate, shell_of, type_as_human
from living import Daemon, Place, until
from orchctl.aio import RpcError
from terminals import (
    becomes,
    head,
    history,
    kind,
    pane,
    reader,
    session,
    settled,
    shell,
    told,
    writes,
)

SECRET = "correct-horse-battery"


async def test_each_change_is_an_event_without_the_text(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    bash = await shell_of(daemon)
    await type_as_human(daemon, bash, "echo gate")
    queued = await daemon.call("pane.send", pane=bash, text=f": {SECRET}", confirm=True, queue=True)
    await daemon.call("pane.keys", pane=bash, keys=["Enter"])
    done = await ended(daemon, queued["delivery"])
    assert (done["state"], done["size"]) == ("confirmed", len(SECRET) + 2)
    told = await becomes(
        lambda: _about(daemon, queued["delivery"]), lambda events: len(events) == 4
    )
    assert [event["kind"].partition(".")[2] for event in told] == [
        "queued", "pasted", "submitted", "confirmed",
    ]  # fmt: skip
    assert {(event["pane"], event["session"]) for event in told} == {(bash, "s1")}
    assert told[0]["data"] == {"delivery": queued["delivery"], "size": done["size"]}
    assert told[-1]["data"]["evidence"] == done["evidence"]
    assert SECRET not in str(await history(daemon))


async def _about(daemon: Daemon, delivery: str) -> list[dict[str, object]]:
    events = [e for e in await history(daemon) if e["kind"].startswith("delivery.")]
    return [event for event in events if event["data"]["delivery"] == delivery]


async def test_a_record_outlives_the_daemon_and_holds_no_text(place: Place) -> None:
    daemon = await place.start()
    await session(daemon)
    made = await pane(daemon, "cat")
    plain = await daemon.call("pane.send", pane=made["id"], text="x\n")
    sent = await daemon.call("pane.send", pane=made["id"], text=f": {SECRET}", confirm=True)
    assert (plain["state"], plain["size"], sent["state"]) == ("pasted", 2, "confirmed")
    await daemon.kill()
    later = await place.start()
    for one in (plain, sent):
        assert await later.call("delivery.get", delivery=one["delivery"]) == one
    assert await later.call("delivery.list", pane=made["id"]) == [plain, sent]
    assert await later.call("delivery.list", state="queued") == []
    await later.end()
    stored = b"".join(file.read_bytes() for file in place.state.glob("*.db*"))
    assert SECRET.encode() not in stored


async def test_what_waits_goes_on_waiting_with_the_next_daemon(place: Place) -> None:
    daemon = await place.start()
    await session(daemon)
    bash = await shell_of(daemon)
    await daemon.call("pane.exec", pane=bash, command="read -r gate", wait=False)
    await at_prompt(daemon, bash, "busy")
    sent = [
        await daemon.call("pane.send", pane=bash, text=f"echo t''{n}", submit=True, queue=True)
        for n in range(3)
    ]
    await daemon.kill()
    later = await place.start()
    listed = await later.call("delivery.list", state="queued")
    assert [one["delivery"] for one in listed] == [one["delivery"] for one in sent]
    await later.call("pane.keys", pane=bash, keys=["Enter"])
    for one in sent:
        assert (await ended(later, one["delivery"]))["state"] == "submitted"
    got = await writes(later, bash, "\nt2")
    assert [line for line in got.splitlines() if line in ("t0", "t1", "t2")] == ["t0", "t1", "t2"]


async def test_what_was_begun_when_a_daemon_died_is_unknown_and_never_typed_again(
    place: Place,
) -> None:
    daemon = await place.start()
    await session(daemon)
    file, gate = place.directory / "got", place.directory / "gate"
    made = await shell(
        daemon,
        f"stty raw -echo; echo up; while [ ! -e {gate} ]; do :; done; exec cat >{file}",
    )
    await writes(daemon, made["id"], "up")
    asked = {"pane": made["id"], "text": "only once", "submit": True, "timeout": 50}
    sending = asyncio.ensure_future(
        settled([daemon.call("pane.send", **asked, idempotency_key="k1")])
    )
    await becomes(lambda: history(daemon, "delivery.pasted"), bool)
    await daemon.kill()
    sending.cancel()
    later = await place.start()
    (known,) = await later.call("delivery.list")
    assert fate(known) == ("unknown", None, None, "restart", 0)
    again = await later.call("pane.send", **asked, idempotency_key="k1")
    assert again == known
    gate.touch()
    await until(lambda: file.exists() and file.stat().st_size > 0)
    end = await later.call("pane.send", pane=made["id"], text="|")
    assert end["state"] == "pasted"
    await until(lambda: file.read_bytes().endswith(b"|"))
    assert file.read_bytes() == b"only once|"


async def test_a_thousandfold_retry_with_a_key_types_once(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    file = tmp_path / "input"
    made = await reader(daemon, file)
    calls = [
        daemon.call("pane.send", pane=made["id"], text=f"{n:03};", idempotency_key=f"k{n}")
        for n in range(200)
        for _ in range(5)
    ]
    answers, errors = await settled(calls)
    assert errors == []
    assert len({answer["delivery"] for answer in answers}) == 200
    await until(lambda: file.stat().st_size >= 800)
    words = file.read_text().split(";")[:-1]
    assert sorted(words) == [f"{n:03}" for n in range(200)]


async def test_retries_over_kills_of_the_daemon_never_double_a_message(place: Place) -> None:
    daemon = await place.start()
    await session(daemon)
    made = await editor(daemon, place)
    states = []
    for number in range(12):
        asked = {"pane": made.id, "text": f"message {number:02} of twelve", "confirm": True}
        since = await head(daemon)
        call = daemon.call("pane.send", **asked, idempotency_key=f"k{number}")
        sending = asyncio.ensure_future(settled([call]))
        if number % 3:
            await told(daemon, since, ("delivery.pasted", "delivery.submitted")[number % 3 - 1])
            await daemon.kill()
            sending.cancel()
            daemon = await place.start()
        else:
            await sending
        answer = await daemon.call("pane.send", **asked, idempotency_key=f"k{number}")
        states.append(answer["state"])
        if answer["state"] == "unknown":  # its text may stand in the input line
            await daemon.call("pane.keys", pane=made.id, keys=["BSpace"] * 40)
    assert set(states) <= {"confirmed", "unknown"}
    assert len(made.messages) == len(set(made.messages))


async def test_a_key_of_a_refused_call_is_free_again(daemon: Daemon) -> None:
    await session(daemon)
    bash = await shell_of(daemon)
    await type_as_human(daemon, bash, "echo draft")
    asked = {"pane": bash, "text": "echo a''b", "submit": True, "idempotency_key": "k"}
    assert await kind(daemon.call("pane.send", **asked)) == "PaneBusy"
    await daemon.call("pane.keys", pane=bash, keys=["Enter"])
    await writes(daemon, bash, "\ndraft")
    await at_prompt(daemon, bash)
    first = await daemon.call("pane.send", **asked)
    assert first["state"] == "submitted"
    assert await daemon.call("pane.send", **asked) == first


async def test_what_a_caller_began_goes_on_when_it_is_gone(daemon: Daemon, place: Place) -> None:
    await session(daemon)
    made = await editor(daemon, place, "--late=0.3")
    call = daemon.call("pane.send", pane=made.id, text="from somebody who left", submit=True)
    sending = asyncio.ensure_future(call)
    await becomes(lambda: history(daemon, "delivery.pasted"), bool)
    await daemon.client.close()
    with contextlib.suppress(RpcError, ConnectionError, asyncio.CancelledError):
        await sending
    await until(lambda: made.messages == ["from somebody who left"])


async def test_only_the_last_thousand_are_remembered(daemon: Daemon, tmp_path: Path) -> None:
    await session(daemon)
    made = await reader(daemon, tmp_path / "input")
    for _ in range(11):
        await asyncio.gather(
            *(daemon.call("pane.send", pane=made["id"], text=".") for _ in range(100))
        )
    listed = await daemon.call("delivery.list")
    assert len(listed) == 1000
    assert await kind(daemon.call("delivery.get", delivery="d1")) == "DeliveryNotFound"
