"""Histograms of plain integers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.histogram import SECONDS, Histogram


def test_an_observation_counts_up_to_and_with_its_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.100001, 1.0, 1.5):
        histogram.observe(seconds)
    assert histogram.counts == [2, 2, 1]
    assert histogram.cumulative() == [("0.1", 2), ("1.0", 4), ("+Inf", 5)]
    assert histogram.total == sum((0.05, 0.1, 0.100001, 1.0, 1.5))


def test_the_default_bounds_are_in_order_and_hold_the_objectives() -> None:
    assert list(SECONDS) == sorted(set(SECONDS))
    assert {0.001, 0.01, 1.0} <= set(SECONDS)
    assert len(Histogram().counts) == len(SECONDS) + 1


@given(st.lists(st.floats(0, 100)))
def test_the_last_count_is_all_of_them_and_counts_never_fall(observations: list[float]) -> None:
    histogram = Histogram()
    for seconds in observations:
        histogram.observe(seconds)
    rows = histogram.cumulative()
    assert rows[-1] == ("+Inf", len(observations))
    assert all(one <= other for (_, one), (_, other) in itertools.pairwise(rows))
    for bound, count in rows[:-1]:
        assert count == sum(seconds <= float(bound) for seconds in observations)
