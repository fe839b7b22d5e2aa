"""Which symbol is on which connection."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.placement import Room, place

KEYS = st.lists(st.integers(0, 30).map(str), unique=True, max_size=20)


def test_without_limits_everything_is_in_the_first_slot() -> None:
    assert place(["A", "B", "C"], {}, set(), Room()) == {"A": 0, "B": 0, "C": 0}


def test_a_full_slot_is_followed_by_the_next() -> None:
    assert place(["A", "B", "C", "D", "E"], {}, set(), Room(symbols=2)) == {"A": 0, "B": 0, "C": 1, "D": 1, "E": 2}


def test_what_does_not_fit_has_no_place_and_the_first_come_first() -> None:
    assert place(["A", "B", "C"], {}, set(), Room(symbols=1, slots_at_most=2)) == {"A": 0, "B": 1}


def test_a_place_is_kept_and_a_gap_is_filled() -> None:
    placed = {"A": 0, "B": 0, "C": 1}
    assert place(["B", "C", "D"], placed, set(), Room((0, 1), symbols=2)) == {"B": 0, "C": 1, "D": 0}


def test_a_refused_symbol_takes_no_room() -> None:
    room = Room(symbols=1, slots_at_most=1)
    assert place(["BAD", "A"], {"BAD": 0}, {"BAD"}, room) == {"BAD": 0, "A": 0}


def test_symbols_of_a_slot_that_is_gone_move_where_there_is_room() -> None:
    placed = {"A": 0, "B": 1, "C": 2}
    assert place(["A", "B", "C"], placed, set(), Room((0, 2), symbols=2, slots_at_most=2)) == {"A": 0, "B": 0, "C": 2}


def test_new_slots_have_the_lowest_free_numbers() -> None:
    assert place(["A", "B", "C"], {"A": 2}, set(), Room((2,), symbols=1)) == {"A": 2, "B": 0, "C": 1}


def test_less_room_than_before_keeps_the_first() -> None:
    placed = {"A": 0, "B": 0, "C": 0}
    assert place(["A", "B", "C"], placed, set(), Room(symbols=2, slots_at_most=1)) == {"A": 0, "B": 0}


@given(
    wanted=KEYS,
    before=KEYS,
    refused=st.sets(st.integers(0, 30).map(str)),
    symbols=st.none() | st.integers(1, 5),
    slots_at_most=st.none() | st.integers(1, 4),
)
def test_any_arrangement_is_within_the_limits_stable_and_leaves_no_room_unused(
    wanted: list[str], before: list[str], refused: set[str], symbols: int | None, slots_at_most: int | None
) -> None:
    first = place(before, {}, refused, Room(symbols=symbols, slots_at_most=slots_at_most))
    slots = tuple(sorted(set(first.values()) | {0}))
    placed = place(wanted, first, refused, Room(slots, symbols, slots_at_most))
    assert set(placed) <= set(wanted)
    load = Counter(slot for key, slot in placed.items() if key not in refused)
    assert symbols is None or all(count <= symbols for count in load.values())
    assert slots_at_most is None or len(set(placed.values())) <= slots_at_most
    # Who had a place and is still wanted keeps it.
    assert all(placed.get(key) == slot for key, slot in first.items() if key in wanted)
    left = [key for key in wanted if key not in placed]
    if left:
        assert slots_at_most is not None and symbols is not None
        assert sum(load.values()) == slots_at_most * symbols
    assert place(wanted, placed, refused, Room(tuple(sorted({0, *placed.values()})), symbols, slots_at_most)) == placed
