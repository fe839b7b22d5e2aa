"""What a symbol may be silent: fast symbols little, slow ones much, and one fault makes nobody blind."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.silence.gaps import FLOOR, GAPS_TO_LEARN, UNLEARNED, Gaps

DAY = 23_400  # seconds of a trading day


def learned(*gaps: float) -> Gaps:
    found = Gaps()
    for gap in gaps:
        found.learn(gap)
    return found


def at_random(mean: float, dice: random.Random) -> list[int]:
    """The gaps of a day of prices at random, as looks once a second see them."""
    at = 0.0
    looks: list[int] = []
    while (at := at + dice.expovariate(1 / mean)) < DAY:
        look = math.ceil(at)
        # Of several ticks before one look only the last is seen, and what was before it does not matter.
        at = look if mean < 2 else at
        if not looks or look > looks[-1]:
            looks.append(look)
    return [after - before for before, after in pairwise(looks)]


def test_until_fifty_gaps_are_seen_five_minutes_are_allowed() -> None:
    assert learned().limit == UNLEARNED == 300
    assert learned(*[1.0] * 49).limit == UNLEARNED
    assert learned(*[1.0] * GAPS_TO_LEARN).limit < 60


def test_no_symbol_is_held_to_less_than_the_floor() -> None:
    assert learned(*[0.05] * 1000).limit == FLOOR == 30


def test_a_symbol_that_proves_to_be_slow_is_given_more_at_once() -> None:
    assert learned(*[200.0] * 20).limit == UNLEARNED
    assert learned(1000.0).limit > 3000


def test_prices_at_fixed_intervals_are_missed_after_some_of_them() -> None:
    assert 12 * 60 <= learned(*[60.0] * 500).limit <= 18 * 60


def test_bursts_do_not_make_the_lulls_between_them_a_fault() -> None:
    bursts = [*[1.0] * 30, 120.0] * 40
    assert learned(*bursts).limit > 5 * 120


def test_one_fault_makes_nobody_blind() -> None:
    gaps = learned(*[1.0] * DAY)
    before = gaps.limit
    gaps.learn(3 * 3600.0)
    for _ in range(10):
        gaps.learn(1.0)
    assert gaps.limit < before + 60


def test_a_symbol_that_became_slow_is_known_again_after_some_false_alarms() -> None:
    gaps, dice, alarms = learned(*[1.0] * DAY), random.Random(1), 0
    for _ in range(500):
        gap = dice.expovariate(1 / 600)
        alarms += gap > gaps.limit
        gaps.learn(gap)
    assert alarms <= 15


def test_a_symbol_that_became_fast_is_held_to_it_the_next_day() -> None:
    gaps = learned(*[60.0] * 1000)
    for _ in range(2 * DAY):
        gaps.learn(1.0)
    assert gaps.limit < 180


@pytest.mark.parametrize(
    ("mean", "symbols", "days", "soon"),
    [(0.05, 10, 2, 31), (0.2, 10, 2, 32), (1, 15, 2, 45), (2, 30, 2, 70), (5, 60, 3, 140), (10, 100, 4, 250), (30, 150, 4, 700), (60, 250, 5, 1300), (120, 300, 6, 2400), (300, 300, 8, 6000), (600, 300, 10, 14_000)],
)  # fmt: skip
def test_prices_at_random_bring_less_than_one_false_alarm_in_a_thousand_days(
    mean: float, symbols: int, days: int, soon: float
) -> None:
    """A symbol that falls silent is noticed after `soon` seconds at the latest, once a day of it is known."""
    dice, judged, alarms, limits = random.Random(mean), 0, 0, []
    for _ in range(symbols):
        gaps = Gaps()
        for _ in range(days):
            for gap in at_random(mean, dice):
                alarms += gaps.known >= GAPS_TO_LEARN and gap >= gaps.limit
                gaps.learn(gap)
            judged += gaps.known >= GAPS_TO_LEARN
        limits.append(gaps.limit)
    assert judged > 0.6 * symbols * days
    assert alarms <= judged / 1000
    assert sorted(limits)[int(0.9 * symbols)] <= soon


@given(st.lists(st.floats(0.001, 1e6), max_size=200))
def test_whatever_the_gaps_the_limit_is_a_time(gaps: list[float]) -> None:
    found = learned(*gaps)
    assert FLOOR <= found.limit < math.inf
    assert found.limit >= UNLEARNED or len(gaps) >= GAPS_TO_LEARN
