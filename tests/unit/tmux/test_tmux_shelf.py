"""The output of ended panes is bounded as a whole; the oldest goes first."""

from orchestratord.tmux.shelf import Shelf


def test_the_oldest_go_until_the_rest_fits() -> None:
    shelf = Shelf(100)
    assert shelf.put("p1", 40) == []
    assert shelf.put("p2", 40) == []
    assert shelf.put("p3", 70) == ["p1", "p2"]
    assert shelf.put("p4", 30) == []


def test_the_one_that_has_just_ended_stays() -> None:
    shelf = Shelf(100)
    assert shelf.put("p1", 500) == []
    assert shelf.put("p2", 500) == ["p1"]


def test_what_was_taken_counts_no_longer_and_what_ends_again_counts_once() -> None:
    shelf = Shelf(100)
    shelf.put("p1", 60)
    shelf.take("p1")
    shelf.take("p7")
    assert shelf.put("p2", 60) == []
    assert shelf.put("p2", 90) == []
    assert shelf.put("p3", 20) == ["p2"]
