"""Ticks are due evenly, and lateness is not made up for by a burst."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.simulator.pacing import PoissonPace, TickPace


def test_the_first_tick_is_due_at_once_and_the_others_at_the_rate() -> None:
    pace = TickPace(10)
    pace.start(100.0)
    assert pace.due(100.0) == 1
    pace.given(1)
    assert pace.due(100.0) == 0
    assert pace.next_at() == 100.1
    assert pace.due(100.25) == 2


def test_a_pause_is_not_followed_by_a_burst() -> None:
    pace = TickPace(100)
    pace.start(0.0)
    pace.given(pace.due(0.0))
    assert pace.due(60.0) == 1


def test_without_a_limit_nothing_is_counted() -> None:
    assert TickPace(math.inf).unlimited
    assert not TickPace(5).unlimited


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        TickPace(rate)


@given(st.floats(0.5, 5000), st.lists(st.floats(0.001, 0.9), min_size=1, max_size=50))
def test_over_any_time_the_rate_is_kept(rate: float, waits: list[float]) -> None:
    pace, now, given_out = TickPace(rate), 0.0, 0
    pace.start(now)
    for wait in waits:
        now += wait
        due = pace.due(now)
        pace.given(due)
        given_out += due
        assert pace.next_at() > now - 1e-6
    assert abs(given_out - now * rate) <= 2


def arrivals(seconds: float, step: float = 0.01, rate: float = 50.0, seed: int = 7) -> list[int]:
    """Ticks given out in each step."""
    pace = PoissonPace(rate, random.Random(seed).random)
    pace.start(0.0)
    given_out = []
    for number in range(1, int(seconds / step) + 1):
        due = pace.due(number * step)
        pace.given(due)
        given_out.append(due)
        assert pace.next_at() > number * step
    return given_out


def test_random_ticks_keep_the_rate_in_the_mean_and_vary_as_poisson_says() -> None:
    counts = arrivals(200.0)
    whole = [sum(counts[at : at + 100]) for at in range(0, len(counts), 100)]
    mean = sum(whole) / len(whole)
    variance = sum((count - mean) ** 2 for count in whole) / len(whole)
    assert mean == pytest.approx(50, rel=0.05)
    assert variance == pytest.approx(50, rel=0.4)
    assert counts == arrivals(200.0) != arrivals(200.0, seed=8)


def test_after_a_long_pause_random_ticks_do_not_come_in_a_burst() -> None:
    pace = PoissonPace(1000.0, random.Random(1).random)
    pace.start(0.0)
    assert pace.due(60.0) <= 2
