"""Messages through a daemon: whose mailbox is whose, and what outlives what."""

from __future__ import annotations

import asyncio

from agents_bed import agent
from delivering import editor, shell_of
from living import PATIENCE, Daemon, Place, until
from terminals import history, kind, session, told


async def test_agents_and_people_write_to_each_other(daemon: Daemon) -> None:
    one, two = await agent(daemon, "one", scopes=["observe"]), await agent(daemon, "two")
    waiting = asyncio.create_task(two.call("message.wait", timeout=PATIENCE))
    sent = await one.call("message.send", to="two", text="tests are green", priority="high")
    (got,) = (await waiting)["messages"]
    assert (got["message"], got["sender"], got["text"]) == (
        sent["message"], "agent:one", "tests are green",
    )  # fmt: skip
    await two.call("message.ack", messages=[got["message"]])
    assert await two.call("message.list") == []
    await two.call("message.send", to="uid:0", text="look")
    assert [m["text"] for m in await daemon.call("message.list")] == ["look"]
    kinds = [e["kind"] for e in await history(daemon) if e["kind"].startswith("message")]
    assert kinds == ["message.sent", "message.acked", "message.sent"]


async def test_a_mailbox_is_its_owner_s_and_an_admin_may_look(daemon: Daemon) -> None:
    one, two = await agent(daemon, "one"), await agent(daemon, "two")
    await daemon.call("message.send", to="one", text="private")
    assert await two.call("message.list") == []
    assert await kind(two.call("message.list", agent="one")) == "ScopeMissing"
    assert await kind(two.call("message.ack", messages=["m1"])) == "NotOwner"
    assert [m["text"] for m in await daemon.call("message.list", agent="one")] == ["private"]
    assert [m["text"] for m in await one.call("message.list", agent="one")] == ["private"]


async def test_mail_outlives_kill_9_and_the_agent_it_is_for(daemon: Daemon) -> None:
    await agent(daemon, "one")
    key = {"to": "one", "text": "durable", "idempotency_key": "k"}
    sent = await daemon.call("message.send", **key)
    assert await daemon.call("message.send", **key) == sent
    await daemon.kill()
    again = await daemon.place.start()
    await again.call("agent.retire", agent="one")
    await again.call("message.send", to="one", text="for the next")
    heir = await agent(again, "one")
    assert [m["text"] for m in await heir.call("message.list")] == ["durable", "for the next"]


async def test_a_watch_sends_messages_as_whoever_made_it(daemon: Daemon) -> None:
    made = await daemon.call("session.create", name="dev", command=["cat"])
    one, two = await agent(daemon, "one", scopes=["observe"]), await agent(daemon, "two")
    await one.call(
        "watch.create", panes={"ids": [made["pane"]["id"]]}, patterns=["^ready"],
        actions=[{"do": "message", "to": "two", "text": "it is ready"}],
    )  # fmt: skip
    waiting = asyncio.create_task(two.call("message.wait", timeout=PATIENCE))
    await daemon.call("pane.send", pane=made["pane"]["id"], text="ready\n")
    (got,) = (await waiting)["messages"]
    assert (got["sender"], got["text"]) == ("agent:one", "it is ready")


async def test_a_message_is_typed_into_an_idle_program_that_wants_it(
    daemon: Daemon, place: Place
) -> None:
    await session(daemon)
    program = await editor(daemon, place, "--bracketed")
    one = await agent(daemon, "one", pane=program.id, deliver=True)
    await daemon.call("message.send", to="one", text="how far are you?\nwe wait")
    (event,) = await told(daemon, 0, "message.delivered")
    assert event["agent"] == "one"
    await until(lambda: bool(program.messages))
    assert program.messages == ["[message m1 from uid:0] how far are you?\nwe wait"]
    (kept,) = await one.call("message.list")
    assert (kept["state"], kept["delivered"]) == ("unread", True)


async def test_a_message_is_never_typed_into_a_shell(daemon: Daemon) -> None:
    await session(daemon)
    pane = await shell_of(daemon)
    assert await kind(daemon.call("agent.register", name="x", deliver=True)) == "BadValue"
    one = await agent(daemon, "one", pane=pane, deliver=True)
    await daemon.call("message.send", to="one", text="; echo executed")
    done = await daemon.call("pane.exec", pane=pane, command="echo alive")
    assert done["output"] == "alive\n"
    assert "executed" not in (await daemon.call("pane.read", pane=pane))["text"]
    (kept,) = await one.call("message.list")
    assert (kept["state"], kept["delivered"]) == ("unread", False)
