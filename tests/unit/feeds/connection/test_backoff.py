"""The delay before the next attempt, exactly as the contract has it (rows W14, W15, H2)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.connection.backoff import Backoff, close_floor
from pricestreamd.feeds.settings import ReconnectSettings


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_without_jitter_the_delays_are_exactly_those_of_the_guide() -> None:
    backoff = Backoff(ReconnectSettings(jitter=0), random.uniform)
    assert [backoff.next_delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_the_count_returns_to_the_first_delay_on_reset() -> None:
    backoff = Backoff(ReconnectSettings(jitter=0), middle)
    assert [backoff.next_delay(), backoff.next_delay()] == [1, 2]
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_delay() == 1


def test_attempts_are_exhausted_only_when_a_number_is_set() -> None:
    unlimited = Backoff(ReconnectSettings(), middle)
    limited = Backoff(ReconnectSettings(max_attempts=2), middle)
    assert not limited.exhausted
    for backoff in (unlimited, limited):
        backoff.next_delay()
        backoff.next_delay()
    assert (unlimited.exhausted, limited.exhausted) == (False, True)


@given(
    st.builds(
        ReconnectSettings,
        initial_delay=st.floats(0, 300),
        max_delay=st.floats(0.001, 300),
        backoff_multiplier=st.floats(1, 1e300),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_every_delay_lies_within_the_jitter_of_the_formula(
    settings: ReconnectSettings, n: int, dice: random.Random
) -> None:
    backoff = Backoff(settings, dice.uniform)
    delay = [backoff.next_delay() for _ in range(n)][-1]
    raw = settings.initial_delay
    for _ in range(n - 1):
        raw *= settings.backoff_multiplier
    exact = min(settings.max_delay, raw)
    assert exact * (1 - settings.jitter) * (1 - 1e-9) <= delay <= exact * (1 + settings.jitter) * (1 + 1e-9)


@given(st.floats(0, 2000), st.integers(1, 8))
def test_a_floor_makes_a_delay_longer_and_never_shorter(floor: float, n: int) -> None:
    plain, raised = (Backoff(ReconnectSettings(), middle) for _ in range(2))
    without = [plain.next_delay() for _ in range(n)]
    with_floor = [raised.next_delay(floor) for _ in range(n)]
    assert with_floor == [max(delay, floor) for delay in without]


@pytest.mark.parametrize(
    ("code", "floor"), [(1000, 0), (1001, 0), (1006, 0), (1008, 30), (1011, 0), (1013, 30), (4000, 0)]
)
def test_close_codes_give_their_floor(code: int, floor: float) -> None:
    assert close_floor(code, middle) == floor


def test_a_restarting_service_is_given_between_5_and_30_seconds() -> None:
    assert close_floor(1012, min) == 5
    assert close_floor(1012, max) == 30
