"""The pure parts of watches: selectors, quotas, debouncing, loops, rights, what is too slow."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestratord.features.panes.fault import BadValue, PaneNotFound, SessionNotFound
from orchestratord.features.panes.record import PaneRecord, Place, SessionRecord
from orchestratord.features.panes.registry import Registry
from orchestratord.features.watch.action import Emit, Kill, Send
from orchestratord.features.watch.fault import TooManyPatterns
from orchestratord.features.watch.firing import LOOP_ACTS, LOOP_SECONDS, Debounce, LoopGuard
from orchestratord.features.watch.lines import Reader
from orchestratord.features.watch.lookout import Lookout
from orchestratord.features.watch.methods.watch import CreateWatch
from orchestratord.features.watch.needle import Expression, Needle, TooSlow
from orchestratord.features.watch.quota import PATTERNS, Quota
from orchestratord.features.watch.rights import Rights
from orchestratord.features.watch.selector import Chosen, Selector
from orchestratord.features.watch.sieve import Sieve
from orchestratord.rpc.params import InvalidParams
from orchestratord.rpc.params import Reader as ParamsReader
from orchestratord.rpc.principal import BUNDLES, Principal, ScopeMissing
from orchestratord.tmux.process import Process
from orchestratord.tmux.stream import Cursor, Slice

BAD = "[01]*1[01]{60}x"
"""A pattern with 2**60 states, of which a text of 0 and 1 needs a new one for each character."""


def pane(number: int, session: str = "s1", owner: str = "uid:1", **labels: str) -> PaneRecord:
    place = Place("server", f"%{number}", "/dev/null", Process(1, 1))
    return PaneRecord(
        id=f"p{number}", session=session, window="w1", place=place, argv=["x"], cwd="/",
        created_at="", owner=owner, labels=labels,
    )  # fmt: skip


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    for number, name in ((1, "dev"), (2, "ops")):
        session = SessionRecord(
            id=f"s{number}", name=name, tmux=f"${number}", server="server", created_at="",
            owner="uid:1",
        )  # fmt: skip
        made.sessions[session.id] = session
    for record in (
        pane(1), pane(2, "s2", role="web"), pane(3, owner="agent:a", role="db"), pane(4, role="web")
    ):  # fmt: skip
        made.add(record)
    return made


def selected(registry: Registry, selector: Selector) -> list[str]:
    chosen = Chosen.of(selector, registry)
    return [p.id for p in registry.panes.values() if chosen.fits(p, registry)]


@pytest.mark.parametrize(
    ("selector", "panes"),
    [
        (Selector(all=True), ["p1", "p2", "p3", "p4"]),
        (Selector(ids=["p2", "%3"]), ["p2", "p3"]),
        (Selector(session="dev"), ["p1", "p3", "p4"]),
        (Selector(label="role"), ["p2", "p3", "p4"]),
        (Selector(label="role=web"), ["p2", "p4"]),
        (Selector(owner="agent:a"), ["p3"]),
        (Selector(session="dev", label="role=web"), ["p4"]),
        (Selector(ids=["p1"], label="role"), []),
    ],
)
def test_a_pane_must_fit_everything_that_is_named(
    registry: Registry, selector: Selector, panes: list[str]
) -> None:
    assert selected(registry, selector) == panes


def test_a_later_session_of_the_same_name_is_meant_too(registry: Registry) -> None:
    chosen = Chosen.of(Selector(session="dev"), registry)
    again = SessionRecord(
        id="s9", name="dev", tmux="$9", server="server", created_at="", owner="uid:1"
    )
    registry.sessions["s9"] = again
    assert chosen.fits(pane(9, "s9"), registry)
    assert not chosen.fits(pane(9, "s2"), registry)


def test_a_selector_that_names_nothing_is_refused(registry: Registry) -> None:
    for selector, fault in (
        (Selector(), BadValue), (Selector(ids=["p9"]), PaneNotFound),
        (Selector(session="none"), SessionNotFound),
    ):  # fmt: skip
        with pytest.raises(fault):
            Chosen.of(selector, registry)


def test_patterns_are_counted_by_their_owners_and_given_back_once() -> None:
    quota = Quota()
    give_back = quota.take("a", PATTERNS)
    quota.take("b", 1)
    with pytest.raises(TooManyPatterns):
        quota.take("a", 1)
    give_back()
    give_back()
    quota.take("a", PATTERNS)
    quota.take("a", 5, forced=True)
    with pytest.raises(TooManyPatterns):
        quota.take("a", 1)


@given(st.lists(st.floats(0, 20), max_size=40))
def test_of_a_burst_the_first_passes_and_the_next_tells_how_many_were_held_back(
    pauses: list[float],
) -> None:
    debounce = Debounce(5.0)
    passed, now = [], 0.0
    for pause in pauses:
        now += pause
        passed.append(debounce.passes("p1", 0, now))
    bursts = [index == 0 or pause >= 5.0 for index, pause in enumerate(pauses)]
    assert [p is not None for p in passed] == bursts
    told = sum(p for p in passed if p is not None)
    last = len(pauses) if not any(bursts) else len(bursts) - 1 - bursts[::-1].index(True)
    assert told == sum(not burst for burst in bursts[:last])
    assert debounce.passes("p2", 0, now) == debounce.passes("p1", 1, now) == 0


def test_so_many_actions_into_one_pane_within_so_short_a_time_are_a_loop() -> None:
    guard = LoopGuard()
    step = LOOP_SECONDS / LOOP_ACTS
    slow = [guard.loops("p1", number * step * 1.1) for number in range(100)]
    assert not any(slow)
    fast = [guard.loops("p2", number * step * 0.9) for number in range(LOOP_ACTS + 1)]
    assert fast == [False] * LOOP_ACTS + [True]
    assert not guard.loops("p3", 0.0)


def test_a_watch_sees_and_does_what_its_maker_may() -> None:
    agent = Principal(
        uid=1, pid=1, owner="agent:a", agent="a", scopes=frozenset({"read:own", "input:own"}),
        free=False,
    )  # fmt: skip
    rights = Rights.of(agent)
    assert rights.sees(pane(1, owner="agent:a")) and not rights.sees(pane(2))
    rights.check(Send(text="x"))
    rights.check(Emit())
    with pytest.raises(ScopeMissing):
        rights.check(Kill())
    everybody = Rights.of(Principal(uid=1, pid=1, owner="uid:1"))
    everybody.check(Kill())
    assert everybody.sees(pane(2))
    observer = Principal(
        uid=1, pid=1, owner="agent:b", agent="b", scopes=BUNDLES["observe"], free=False
    )
    assert Rights.of(observer).sees(pane(2))


def binary(count: int, length: int = 100) -> list[str]:
    random_bits = random.Random(7)
    return ["".join(random_bits.choice("01") for _ in range(length)) for _ in range(count)]


def test_a_pattern_that_takes_too_long_is_given_up_soon() -> None:
    lookout = Lookout([Needle(Expression(pattern=BAD))])
    text = "\r\n".join(binary(4000)).encode() + b"\r\n"
    lines = Reader(200, Cursor(1, 0)).feed(Slice(text, Cursor(1, len(text)), False))
    with pytest.raises(TooSlow):
        list(lookout.lines(lines, None))


def test_a_pattern_that_takes_too_long_hides_none_of_the_others_of_its_sieve() -> None:
    needles = [Needle(Expression(pattern=p)) for p in (BAD, *(f"word{n}" for n in range(20)))]
    sieve = Sieve.of(needles)
    lines = binary(2000)
    lines[1999] = "word7"
    pieces = ["\n".join(lines[at : at + 20]).encode() for at in range(0, 2000, 20)]
    *_, last = [sieve.sifted(piece) for piece in pieces]
    # It was taken out, or the set given up; which of them depends on how fast the machine is.
    assert last is None or "(?m)word7" in last


def test_an_action_that_is_none_is_refused_with_those_that_are() -> None:
    reader = ParamsReader("watch.create", CreateWatch, keyed=False)
    with pytest.raises(InvalidParams) as refused:
        reader.read(msgspec.Raw(b'{"panes":{},"patterns":["x"],"actions":[{"do":"dance"}]}'))
    assert str(refused.value) == (
        "actions[0].do must be one of emit, kill, keep, exec, send, keys, respawn, create, message,"
        " ask"
    )
