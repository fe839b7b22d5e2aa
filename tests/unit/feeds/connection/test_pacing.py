"""No span of the window's length ever holds more messages than the limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.connection.pacing import RollingWindow


def test_the_window_rolls() -> None:
    window = RollingWindow(2, 60.0)
    assert [window.take(t) for t in (0, 10, 20, 59.9, 60, 60, 70)] == [True, True, False, False, True, False, True]


def test_waiting_as_long_as_it_says_is_enough_and_no_longer_than_needed() -> None:
    window = RollingWindow(2, 60.0)
    assert window.wait(0.0) == 0
    window.take(0.0)
    window.take(10.0)
    assert window.wait(15.0) == 45.0
    assert not window.take(59.99)
    assert window.take(60.0)
    assert window.wait(60.0) == 10.0


def test_a_reserve_is_kept_for_what_is_urgent() -> None:
    window = RollingWindow(3, 60.0)
    assert window.take(0.0, reserve=2)
    assert not window.take(0.0, reserve=2)
    assert window.wait(0.0, reserve=2) == 60.0
    assert window.take(0.0)
    assert window.take(0.0)
    assert not window.take(0.0)


def test_a_reserve_larger_than_the_limit_still_lets_one_through() -> None:
    assert RollingWindow(3, 60.0).take(0.0, reserve=10)


def test_a_closed_window_lets_nothing_through_until_its_time() -> None:
    window = RollingWindow(10, 60.0)
    window.close(30.0)
    window.close(20.0)
    assert window.wait(5.0) == 25.0
    assert not window.take(29.0)
    assert window.take(30.0)


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 4)), max_size=80),
)
def test_no_span_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int]]) -> None:
    window = RollingWindow(limit, 10.0)
    now, sent = 0.0, []
    for step, reserve in steps:
        now += step
        wait = window.wait(now, reserve)
        granted = window.take(now, reserve)
        assert granted == (wait <= 0)
        if granted:
            sent.append(now)
    for first in sent:
        assert sum(first <= at < first + 10.0 for at in sent) <= limit
