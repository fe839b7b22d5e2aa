"""Whom to ask when: in fair turn, everybody once at once, and never more than the plan allows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.providers.turns import DAY, FREE_PER_DAY, GAP, LOOK_AGAIN, PERIOD, Turns


def asked(turns: Turns, symbols: list[str], until: float, begin: float = 0.0) -> list[tuple[float, tuple[str, ...]]]:
    """What is asked from `begin` to `until`, by somebody who looks whenever told to."""
    found = []
    now = begin
    while now < until:
        turn = turns.next(symbols, now)
        if isinstance(turn, float):
            assert 0 < turn <= LOOK_AGAIN
            now += turn
        else:
            found.append((now, turn))
    return found


def names(count: int) -> list[str]:
    return [f"S{n}" for n in range(count)]


@pytest.mark.parametrize("paid", [False, True])
def test_each_symbol_is_asked_about_at_once_a_second_apart(paid: bool) -> None:
    turns = asked(Turns(1, paid=paid), names(20), 30.0)[:20]
    assert [turn for _, turn in turns] == [(name,) for name in names(20)]
    assert [now for now, _ in turns] == pytest.approx([n * GAP for n in range(20)])


def test_a_free_day_is_covered_to_its_end_and_not_exceeded() -> None:
    turns = asked(Turns(1, paid=False), names(3), DAY)
    assert len(turns) == FREE_PER_DAY
    assert set(Counter(turn[0] for _, turn in turns).values()) <= {8, 9}
    waits = [after - before for (before, _), (after, _) in pairwise(turns[2:])]
    assert max(waits) - min(waits) < 60
    assert DAY - turns[-1][0] < 1.1 * max(waits)


@given(st.integers(1, 60), st.floats(0.0, DAY))
def test_no_day_however_it_is_counted_has_more_than_a_free_plan_allows(count: int, begin: float) -> None:
    turns = Turns(1, paid=False)
    times = []
    now = 0.0
    while now < 3 * DAY:
        turn = turns.next(names(count), now)
        if isinstance(turn, float):
            now += 97.0 if turn == LOOK_AGAIN else turn  # who looks late must not be let in twice
        else:
            times.append(now)
    assert len(times) >= 2 * FREE_PER_DAY
    assert all(later - sooner >= DAY for sooner, later in zip(times, times[FREE_PER_DAY:], strict=False))
    assert sum(begin <= at < begin + DAY for at in times) <= FREE_PER_DAY


def test_whom_the_day_had_no_room_for_comes_first_when_there_is_room() -> None:
    turns = Turns(1, paid=False)
    first = asked(turns, names(30), DAY - 1)
    assert [turn[0] for _, turn in first] == names(25)
    assert [turn[0] for _, turn in asked(turns, names(30), DAY + 10, DAY - 1)][:5] == names(30)[25:]


def test_a_paid_plan_is_asked_every_few_seconds_or_as_fast_as_it_goes_round() -> None:
    few = asked(Turns(1, paid=True), names(2), 60.0)
    assert [now for now, turn in few if turn == ("S0",)] == pytest.approx([n * PERIOD for n in range(12)])
    many = asked(Turns(1, paid=True), names(20), 60.0)
    assert len(many) == 60
    assert set(Counter(turn[0] for _, turn in many).values()) == {3}


def test_in_bulk_all_go_together_and_a_newcomer_need_not_wait() -> None:
    turns = Turns(100, paid=True)
    assert turns.next(names(150), 0.0) == tuple(names(150)[:100])
    assert turns.next(names(150), 0.5) == pytest.approx(0.5)
    # The rest, and with them those who have waited longest.
    assert turns.next(names(150), 1.0) == (*names(150)[100:], *names(150)[:50])
    newcomer = turns.next([*names(150), "NEW"], 2.0)
    assert isinstance(newcomer, tuple)
    assert newcomer[0] == "NEW"
    assert len(newcomer) == 100


def test_who_is_asked_alone_is_in_no_batch() -> None:
    turns = Turns(100, paid=True)
    turns.alone.add("S1")
    assert turns.next(names(3), 0.0) == ("S0", "S2")
    assert turns.next(names(3), 1.0) == ("S1",)
    assert turns.next(names(3), 6.0) == ("S0", "S2")


def test_who_goes_is_forgotten_and_begins_anew_on_return() -> None:
    turns = Turns(1, paid=True)
    turns.alone.add("A")
    assert turns.next(["A"], 0.0) == ("A",)
    assert turns.next([], 1.0) == LOOK_AGAIN
    assert turns.next(["A"], 1.5) == ("A",)
    assert turns.alone == set()


def test_who_got_no_answer_is_asked_again_after_the_pause() -> None:
    turns = Turns(1, paid=False)
    assert turns.next(["A", "B"], 0.0) == ("A",)
    turns.put_back(["A"], 10.0)
    turns.put_back(["A"])
    found = asked(turns, ["A", "B"], 30.0, 0.5)
    assert [turn for _, turn in found] == [("A",), ("B",)]
    assert [now for now, _ in found] == pytest.approx([10.5, 11.5])


def test_nobody_is_asked_where_nobody_is_wanted() -> None:
    assert Turns(1, paid=False).next([], 0.0) == LOOK_AGAIN
