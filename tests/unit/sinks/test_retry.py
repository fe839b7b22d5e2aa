"""When a failed delivery is tried again, and when it is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.delivery.retry import SHORTEST_REPEAT_SECONDS, Verdict, endless_delay, judge
from pricestreamd.sinks.settings import RetrySettings
from tests.unit.sinks.samples import failed, refused


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_the_delays_are_waited_one_after_the_other_and_then_the_batch_is_given_up() -> None:
    schedule = RetrySettings(delays=(0.0, 5.0, 300.0), max_age=None)
    verdicts = [judge(schedule, failed(), failures=n, age=0, dice=middle) for n in range(1, 5)]
    assert verdicts == [Verdict(0.0), Verdict(5.0), Verdict(300.0), Verdict(0.0, "retries")]


def test_with_a_greatest_age_the_last_delay_repeats_until_then() -> None:
    schedule = RetrySettings(delays=(1.0, 30.0), max_age=100.0)
    assert judge(schedule, failed(), failures=9, age=70.0, dice=middle) == Verdict(30.0)
    assert judge(schedule, failed(), failures=9, age=70.1, dice=middle) == Verdict(0.0, "expired")
    assert judge(schedule, failed(), failures=1, age=99.5, dice=middle) == Verdict(0.0, "expired")


def test_what_the_sink_will_never_take_is_given_up_at_once() -> None:
    assert judge(RetrySettings(), refused(), failures=1, age=0, dice=middle) == Verdict(0.0, "refused")


def test_a_bug_has_the_listed_delays_and_no_more() -> None:
    schedule = RetrySettings(delays=(1.0,), max_age=3600.0)
    assert judge(schedule, ZeroDivisionError(), failures=1, age=0, dice=middle) == Verdict(1.0)
    assert judge(schedule, ZeroDivisionError(), failures=2, age=1, dice=middle) == Verdict(0.0, "retries")


def test_no_delays_means_one_attempt() -> None:
    assert judge(RetrySettings(delays=()), failed(), failures=1, age=0, dice=middle).give_up == "retries"


def test_a_schedule_that_ends_in_zero_does_not_keep_a_core_busy() -> None:
    schedule = RetrySettings(delays=(0.0,), max_age=3600.0)
    assert judge(schedule, failed(), failures=2, age=0, dice=middle).delay == SHORTEST_REPEAT_SECONDS


def test_what_the_sink_asks_for_costs_nobody_the_last_attempt() -> None:
    schedule = RetrySettings(delays=(0.0, 1.0, 5.0), max_age=600.0)
    assert judge(schedule, failed(retry_after=900.0), failures=1, age=100.0, dice=middle) == Verdict(500.0)
    assert judge(schedule, failed(retry_after=900.0), failures=3, age=598.0, dice=middle) == Verdict(0.0, "expired")


@pytest.mark.parametrize(("asked", "delay"), [(None, 5.0), (2.0, 5.0), (60.0, 60.0)])
def test_retry_after_only_makes_a_delay_longer(asked: float | None, delay: float) -> None:
    schedule = RetrySettings(delays=(5.0,))
    assert judge(schedule, failed(retry_after=asked), failures=1, age=0, dice=middle) == Verdict(delay)


@given(
    schedule=st.builds(
        RetrySettings,
        delays=st.lists(st.floats(0, 1000), max_size=5).map(tuple),
        jitter=st.floats(0, 1),
        max_age=st.none() | st.floats(1, 10_000),
    ),
    failures=st.integers(1, 20),
    age=st.floats(0, 20_000),
    share=st.floats(0, 1),
    transient=st.booleans(),
)
def test_a_delay_keeps_to_its_jitter_and_its_age(
    schedule: RetrySettings, failures: int, age: float, share: float, transient: bool
) -> None:
    error = SinkError("x", transient=transient)
    verdict = judge(schedule, error, failures=failures, age=age, dice=lambda low, high: low + share * (high - low))
    if verdict.give_up:
        assert verdict.delay == 0
        return
    assert transient
    planned = schedule.delays[min(failures, len(schedule.delays)) - 1]
    longest = max(planned, SHORTEST_REPEAT_SECONDS) * (1 + schedule.jitter)
    assert planned * (1 - schedule.jitter) - 1e-9 <= verdict.delay <= longest + 1e-9
    assert schedule.max_age is None or age + verdict.delay <= schedule.max_age


def test_what_is_never_given_up_waits_by_the_schedule_and_never_for_long_but_for_a_server_that_says_so() -> None:
    settings = RetrySettings(delays=(0.0, 5.0, 300.0), max_age=None, jitter=0)

    def wait(failures: int, **error: float) -> float:
        exc = SinkError("away", **error)  # type: ignore[arg-type]  # a number
        verdict = judge(settings, exc, failures=failures, age=0.0, dice=lambda _low, _high: 1.0)
        return endless_delay(settings, verdict, exc, 30.0)

    assert [wait(failures) for failures in range(1, 6)] == [0.0, 5.0, 30.0, 30.0, 30.0]
    assert wait(1, retry_after=90.0) == 90.0
    nothing = RetrySettings(delays=(), max_age=None)
    assert endless_delay(nothing, Verdict(0.0, "retries"), SinkError("away"), 30.0) == 1.0
