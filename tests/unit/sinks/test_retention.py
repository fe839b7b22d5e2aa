"""Nothing is deleted by a clock that jumped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.sinks.retention import DAY_SECONDS, Retention

WEEK = 7 * DAY_SECONDS
BEGIN = 1_700_000_000.0
YEARS = 10 * 365 * DAY_SECONDS


@pytest.mark.parametrize("newest", [None, BEGIN, BEGIN - DAY_SECONDS, BEGIN + 3600.0])
def test_a_clock_that_goes_on_from_what_is_kept_is_believed(newest: float | None) -> None:
    retention = Retention(WEEK, newest, 5.0)
    for hours in range(0, 24 * 30, 7):
        seconds = hours * 3600.0
        assert retention.before(BEGIN + seconds, 5.0 + seconds) == BEGIN + seconds - WEEK
        assert not retention.doubts


def test_a_clock_that_was_ahead_when_the_process_began_deletes_nothing_until_it_is_set_right() -> None:
    retention = Retention(WEEK, BEGIN, 0.0)
    for hours in range(24):
        assert retention.before(BEGIN + YEARS + hours * 3600.0, hours * 3600.0) is None
        assert retention.doubts
    assert retention.before(BEGIN + 23.5 * 3600.0, 23.5 * 3600.0) == BEGIN + 23.5 * 3600.0 - WEEK
    assert not retention.doubts


def test_a_clock_that_jumps_later_deletes_nothing_either() -> None:
    retention = Retention(WEEK, None, 0.0)
    assert retention.before(BEGIN, 0.0) == BEGIN - WEEK
    assert retention.before(BEGIN + YEARS, 60.0) is None
    assert retention.before(BEGIN + 120.0, 120.0) == BEGIN + 120.0 - WEEK


def test_after_a_day_it_was_right_and_the_daemon_was_off_for_long() -> None:
    retention = Retention(WEEK, BEGIN, 0.0)
    wall = BEGIN + 30 * DAY_SECONDS
    assert retention.before(wall, 0.0) is None
    assert retention.before(wall + DAY_SECONDS, DAY_SECONDS) == wall + DAY_SECONDS - WEEK
    assert retention.before(wall + DAY_SECONDS + 60.0, DAY_SECONDS + 60.0) == wall + DAY_SECONDS + 60.0 - WEEK


def test_a_clock_that_was_behind_and_is_set_to_the_time_is_believed() -> None:
    retention = Retention(WEEK, BEGIN, 0.0)
    assert retention.before(0.0, 10.0) == -WEEK
    assert retention.before(BEGIN + 60.0, 60.0) == BEGIN + 60.0 - WEEK


@given(
    st.floats(-YEARS, YEARS),
    st.lists(st.tuples(st.sampled_from([0.0, -YEARS, YEARS, 3600.0]), st.floats(0, 3600)), max_size=20),
)
def test_within_a_day_nothing_goes_that_is_not_too_old_by_more_than_a_day(
    ahead: float, steps: list[tuple[float, float]]
) -> None:
    """Whatever the clock says."""
    retention, now = Retention(WEEK, BEGIN, 0.0), 0.0
    for jump, pause in [(ahead, 0.0), *steps]:
        now += pause
        before = retention.before(BEGIN + now + jump, now)
        assert before is None or before <= BEGIN + now - WEEK + DAY_SECONDS
