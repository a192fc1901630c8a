"""Comparing a listing with the registry."""

from __future__ import annotations

from typing import Any

from panes_records import SERVER, ended, pane, registry

from orchestratord.features.panes.model import Exit
from orchestratord.features.panes.reconcile import Differences, compare
from orchestratord.features.panes.registry import Registry
from orchestratord.tmux.mirror import Snapshot
from orchestratord.tmux.reply import PaneRow, SessionRow, WindowRow


def _row(number: int, **fields: Any) -> PaneRow:
    given: dict[str, Any] = {
        "pane": f"%{number}", "window": "@1", "session": "$1", "pid": 100 + number, "dead": False,
        "status": None, "signal": None, "width": 200, "height": 50, "active": True,
        "in_mode": False, "synchronized": False, "piped": True, "cursor_x": 0, "cursor_y": 0,
        "tty": "/dev/null",
        "orch_id": f"p{number}", "title": "",
    }  # fmt: skip
    return PaneRow(**(given | fields))


def _listing(*rows: PaneRow, ordinal: int = 5, server: str = SERVER, **more: Any) -> Snapshot:
    sessions = {f"${n}": SessionRow(f"${n}", 0, f"s{n}", name)
                for n, name in ((1, "dev"), (2, "ops"))}  # fmt: skip
    windows = {
        f"@{n}": WindowRow(f"@{n}", f"${n}", 0, True, 200, 50, False, f"w{n}", "w", "")
        for n in (1, 2)
    }
    given: dict[str, Any] = {"sessions": sessions, "windows": windows}
    panes = {row.pane: row for row in rows}
    return Snapshot(ordinal, server, 0.0, panes=panes, **(given | more))


def _differing(found: Differences) -> dict[str, Any]:
    return {name: value for name in found.__slots__ if (value := getattr(found, name))}


def _compare(known: Registry, *rows: PaneRow, **more: Any) -> dict[str, Any]:
    return _differing(compare(_listing(*rows, **more), known, {}))


def test_equal_is_no_difference() -> None:
    assert _compare(registry(pane(1), ended(2)), _row(1)) == {}


def test_a_pane_that_is_not_listed_has_vanished() -> None:
    known = registry(pane(1), pane(2))
    assert _compare(known, _row(1)) == {"vanished": [known.panes["p2"]]}


def test_a_listing_says_nothing_of_panes_born_after_it_was_sent() -> None:
    known = registry(pane(1), pane(2))
    listing = _listing(_row(1, width=7), ordinal=5)
    assert _differing(compare(listing, known, {"p1": 5, "p2": 5})) == {}
    assert "vanished" in _differing(compare(listing, known, {"p1": 5, "p2": 4}))


def test_a_listing_says_nothing_of_another_servers_panes() -> None:
    known = registry(pane(1))
    found = _compare(known, server="server-2")
    assert "vanished" not in found


def test_a_pane_being_split_has_the_size_that_it_is_about_to_get() -> None:
    known = registry(pane(1))
    listing = _listing(_row(1, width=100))
    assert _differing(compare(listing, known, {}, {"p1"})) == {}
    assert _differing(compare(listing, known, {})) == {
        "resized": [(known.panes["p1"], listing.panes["%1"])]
    }


def test_another_process_in_a_pane_is_a_new_incarnation_and_nothing_else() -> None:
    known = registry(pane(1))
    row = _row(1, pid=999, dead=True)
    found = _compare(known, row)
    assert found["replaced"] == [(known.panes["p1"], row)]
    assert "died" not in found


def test_a_dead_pane_is_noticed_once() -> None:
    known = registry(pane(1), pane(2, exit=Exit(at="x", status=0), keep=True))
    found = _compare(known, _row(1, dead=True), _row(2, dead=True))
    assert found == {"died": [known.panes["p1"]]}


def test_an_ended_pane_that_is_still_there_is_to_be_closed_unless_it_is_kept() -> None:
    known = registry(pane(1, exit=Exit(at="x", status=0)))
    assert _compare(known, _row(1)) == {"unclosed": [known.panes["p1"]]}


def test_panes_without_our_stamp_are_only_counted() -> None:
    known = registry(pane(1))
    assert _compare(known, _row(1), _row(7, orch_id=""), _row(8, orch_id="")) == {"foreign": 2}


def test_a_stamp_in_another_place_than_its_pane_is_unknown() -> None:
    known = registry(pane(1))
    copy = _row(9, orch_id="p1")
    assert _compare(known, _row(1), copy) == {"unknown": [copy]}


def test_moves_names_titles_and_lost_pipes_are_seen() -> None:
    known = registry(pane(1), pane(2))
    rows = (_row(1, window="@2", title="t"), _row(2, piped=False))
    sessions = {"$1": SessionRow("$1", 0, "s1", "prod"), "$2": SessionRow("$2", 0, "s2", "ops")}
    windows = {
        "@1": WindowRow("@1", "$1", 0, True, 200, 50, False, "w1", "new", ""),
        "@2": WindowRow("@2", "$1", 0, True, 200, 50, False, "w2", "w", ""),
    }
    found = _compare(known, *rows, sessions=sessions, windows=windows)
    one, two = known.panes["p1"], known.panes["p2"]
    assert found == {
        "moved": [(one, rows[0])],
        "titled": [(one, rows[0])],
        "unpiped": [two],
        "renamed_sessions": [(known.sessions["s1"], sessions["$1"])],
        "renamed_windows": [(known.windows["w1"], windows["@1"])],
        "moved_windows": [(known.windows["w2"], windows["@2"])],
    }


def test_a_linked_window_has_moved_only_when_it_is_no_longer_in_its_session() -> None:
    known = registry(pane(1))
    windows = {"@1": WindowRow("@1", "$2", 0, True, 200, 50, False, "w1", "w", "")}
    linked = {"@1": {"$1", "$2"}}
    assert _compare(known, _row(1), windows=windows, linked=linked) == {}
    linked = {"@1": {"$2", "$3"}}
    assert _compare(known, _row(1), windows=windows, linked=linked) == {
        "moved_windows": [(known.windows["w1"], windows["@1"])]
    }


def test_synchronized_panes_are_seen_and_seen_to_be_no_longer() -> None:
    known = registry(pane(1, synchronized=True), pane(2))
    rows = (_row(1), _row(2, synchronized=True))
    assert _compare(known, *rows) == {
        "synchronized": [(known.panes["p1"], rows[0]), (known.panes["p2"], rows[1])]
    }
