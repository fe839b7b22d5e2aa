"""When a recorded tick is due, and what time it is in a replay."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.replay.clock import VirtualClock, schedule


def tick(timestamp: float) -> Tick:
    return Tick("A", 1.0, timestamp, timestamp)


def times(timestamps: list[float], speed: float) -> list[tuple[float, list[float]]]:
    played = schedule(map(tick, timestamps), speed)
    return [(due, [tick.timestamp for tick in batch]) for due, batch in played]


def test_a_replay_at_speed_1_keeps_the_recorded_rhythm() -> None:
    assert times([100.0, 101.0, 103.5], 1) == [(0.0, [100.0]), (1.0, [101.0]), (3.5, [103.5])]


def test_a_replay_at_speed_10_takes_a_tenth_of_the_time() -> None:
    assert times([100.0, 101.0, 103.5], 10) == [(0.0, [100.0]), (0.1, [101.0]), (0.35, [103.5])]


def test_ticks_within_a_hundredth_of_a_second_go_together() -> None:
    assert times([0.0, 0.004, 0.009, 0.011, 0.5], 1) == [(0.0, [0.0, 0.004, 0.009]), (0.011, [0.011]), (0.5, [0.5])]


def test_a_tick_from_the_past_is_due_at_once() -> None:
    assert times([100.0, 105.0, 90.0, 106.0], 1) == [(0.0, [100.0]), (5.0, [105.0, 90.0]), (6.0, [106.0])]


def test_no_ticks_are_no_schedule() -> None:
    assert times([], 1) == []


@pytest.mark.parametrize("speed", [0, -1, math.inf, math.nan])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        times([1.0], speed)


@given(st.lists(st.floats(0, 1e6)), st.floats(0.1, 1000))
def test_every_tick_is_scheduled_once_in_its_order_and_never_early(timestamps: list[float], speed: float) -> None:
    played = times(timestamps, speed)
    assert [timestamp for _, batch in played for timestamp in batch] == timestamps
    dues = [due for due, _ in played]
    assert dues == sorted(dues)


def test_the_clock_is_at_zero_before_the_first_tick() -> None:
    clock = VirtualClock()
    assert clock.read() == 0.0
    clock.now = 5.0
    assert clock.read() == 5.0
