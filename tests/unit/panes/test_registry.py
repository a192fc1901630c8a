"""Names and references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from panes_records import ended, pane, registry

from orchestratord.features.panes.fault import (
    AmbiguousName,
    NameTaken,
    PaneExited,
    PaneNotFound,
    SessionNotFound,
    StaleIncarnation,
)
from orchestratord.features.panes.model import Exit
from orchestratord.features.panes.registry import REMEMBERED, Registry, save


def test_a_living_pane_comes_before_an_ended_one_of_its_name() -> None:
    known = registry(ended(1, name="a"), pane(2, name="a"), ended(3, name="a"))
    assert known.pane("a").id == "p2"
    assert known.pane("dev/a").id == "p2"
    known.gone(known.panes["p2"])
    assert known.pane("a").id == "p3"


def test_a_tmux_id_is_never_that_of_a_pane_that_is_gone() -> None:
    known = registry(ended(1), pane(2))
    assert known.pane("%2").id == "p2"
    with pytest.raises(PaneNotFound):
        known.pane("%1")


def test_a_session_is_part_of_the_question() -> None:
    known = registry(pane(1, name="a"), pane(2, name="a", session="s2", window="w2"))
    assert known.pane("a", "ops").id == known.pane("ops/p2").id == "p2"
    for ref in ("p1", "%1", "b"):
        with pytest.raises(PaneNotFound):
            known.pane(ref, "ops")
    with pytest.raises(SessionNotFound):
        known.pane("a", "nothing")
    with pytest.raises(AmbiguousName) as several:
        known.pane("a")
    assert several.value.details["candidates"] == ["dev/a (p1)", "ops/a (p2)"]


def test_a_name_is_taken_by_what_lives_or_is_being_made() -> None:
    known = registry(pane(1, name="a"), ended(2, name="b"))
    release = known.reserve("b", "s1", "p3")
    for name, holder in (("a", "p1"), ("b", "p3")):
        with pytest.raises(NameTaken) as taken:
            known.reserve(name, "s1", "p4")
        assert taken.value.details["holder"] == holder
    known.reserve("a", "s2", "p4")()
    release()
    known.reserve("b", "s1", "p4")()


def test_only_a_living_pane_of_that_incarnation_is_living() -> None:
    known = registry(pane(1, incarnation=3), pane(2, exit=Exit(at="x", status=0)))
    assert known.living("p1", incarnation=3).id == "p1"
    with pytest.raises(StaleIncarnation):
        known.living("p1", incarnation=2)
    with pytest.raises(PaneExited):
        known.living("p2")


def test_what_is_empty_has_ended() -> None:
    known = registry(pane(1), ended(2, session="s2", window="w2"))
    windows, sessions = known.empty()
    assert ([w.id for w in windows], [s.id for s in sessions]) == (["w2"], ["s2"])


def test_the_oldest_of_the_ended_are_forgotten() -> None:
    known = registry(*(ended(number) for number in range(REMEMBERED + 3)), pane(5000))
    assert [p.id for p in known.forgettable()] == ["p0", "p1", "p2"]


def test_what_was_saved_is_loaded() -> None:
    known = registry(pane(1, name="a", labels={"k": "v"}), ended(2))
    records = [*known.panes.values(), *known.windows.values(), *known.sessions.values()]
    rows = [(s.args[1], s.args[3]) for s in map(save, records)]
    later = Registry()
    later.load(rows)
    assert (later.panes, later.windows, later.sessions) == (
        known.panes, known.windows, known.sessions,
    )  # fmt: skip


@given(some.text(max_size=30))
def test_any_text_finds_what_it_names_or_nothing(ref: str) -> None:
    known = registry(pane(1, name="a"), pane(2), ended(3, name="c"))
    try:
        found = known.pane(ref)
    except (PaneNotFound, SessionNotFound):
        return
    bare = ref.rpartition("/")[2]
    assert bare in (found.id, found.name) or ref == found.place.pane
