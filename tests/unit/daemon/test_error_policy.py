"""When errors are too many: in a row, of one connection, within the window, and without a price between them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.settings import ErrorPolicySettings
from pricestreamd.daemon.error_policy import ErrorCount, is_error

LIMITS = ErrorPolicySettings(max_consecutive=3, window=60.0)


@pytest.mark.parametrize(
    ("times", "answers"),
    [
        ([0, 1, 2], [0, 0, 3]),
        ([0, 1], [0, 0]),
        ([0, 30, 60], [0, 0, 3]),
        ([0, 30, 61], [0, 0, 0]),
        ([0, 30, 61, 62], [0, 0, 0, 3]),
        ([0, 1, 2, 3], [0, 0, 3, 3]),
    ],
)
def test_so_many_within_the_window_are_too_many(times: list[float], answers: list[int]) -> None:
    count = ErrorCount()
    assert [count.failed(0, 7, now, LIMITS) for now in times] == answers


def test_one_error_is_enough_where_one_is_the_limit() -> None:
    assert ErrorCount().failed(0, 0, 5.0, ErrorPolicySettings(max_consecutive=1)) == 1


def test_a_price_makes_the_count_zero() -> None:
    count = ErrorCount()
    assert [count.failed(0, prices, now, LIMITS) for now, prices in enumerate([0, 0, 1, 1, 1])] == [0, 0, 0, 0, 3]


def test_connections_are_counted_by_themselves() -> None:
    """A break of the network is one error of each of them, and not three of the feed."""
    count = ErrorCount()
    assert [count.failed(connection, 0, 1.0, LIMITS) for connection in range(30)] == [0] * 30
    assert count.failed(4, 0, 2.0, LIMITS) == 0
    assert count.failed(4, 0, 3.0, LIMITS) == 3


def test_who_begins_anew_counts_anew_and_stays_told_until_a_price_comes() -> None:
    count = ErrorCount()
    for now in range(3):
        count.failed(0, 0, now, LIMITS)
    count.told = True
    count.begin_anew()
    assert [count.failed(0, 0, now, LIMITS) for now in range(3)] == [0, 0, 3]
    assert count.told
    count.gave_up(1)
    assert not count.told


def test_limits_may_change_between_two_errors() -> None:
    count = ErrorCount()
    for now in range(5):
        assert count.failed(0, 0, now, ErrorPolicySettings(max_consecutive=10)) == 0
    assert count.failed(0, 0, 6.0, LIMITS) == 3


@pytest.mark.parametrize(
    ("reason", "attempt", "error"),
    [
        ("network", 1, True),
        ("eof", 4, True),
        ("handshake", 1, True),
        ("stale", 1, True),
        ("connection_limit", 1, True),
        ("closed", 1, False),
        ("going_away", 1, False),
        ("restart", 1, False),
        ("closed", 2, True),
        ("lifetime", 9, False),
        ("symbols", 9, False),
        ("farewell", 9, False),
        ("stopped", 9, False),
    ],
)
def test_what_is_an_error(reason: str, attempt: int, error: bool) -> None:
    assert is_error(reason, attempt) is error


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.floats(0, 40)), max_size=60)


@given(steps=steps, most=st.integers(1, 5))
def test_the_count_is_that_of_a_naive_model(steps: Sequence[tuple[int, int, float]], most: int) -> None:
    limits = ErrorPolicySettings(max_consecutive=most, window=60.0)
    count, history = ErrorCount(), []
    prices, now = 0, 0.0
    for connection, new_prices, pause in steps:
        prices, now = prices + new_prices, now + pause
        history.append((connection, prices, now))
        alike = [at for who, had, at in history if who == connection and had == prices][-most:]
        expected = most if len(alike) == most and now - alike[0] <= 60.0 else 0
        assert count.failed(connection, prices, now, limits) == expected
