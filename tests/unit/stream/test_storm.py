"""Storms of firings: each count equals a naive one, and what is remembered is bounded."""

from collections.abc import Sequence
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricestreamd.stream.alerts.storm import Handling, StormMeter, StormTally

TIMES = st.lists(st.floats(0, 400, allow_nan=False).map(lambda at: round(at, 3)), max_size=120)


def handled(per_minute: int, times: Sequence[float]) -> list[Handling]:
    meter = StormMeter(per_minute)
    return [meter.add("a", "S", at) for at in times]


def naive(per_minute: int, times: Sequence[float]) -> tuple[list[Handling], StormTally]:
    """The same by looking at all firings again at each of them."""
    handling: list[Handling] = []
    counts: list[int] = []
    storms: list[list[float]] = []
    groups = 0
    began: float | None = None
    stormy = False
    past: list[float] = []
    for time in times:
        at = max([time, *past])
        past.append(at)
        counts.append(sum(floor(at) - 60 < floor(one) for one in past))
        if counts[-1] <= per_minute:
            stormy = False
            handling.append("alone")
            continue
        if not stormy:
            stormy, began = True, None
            storms.append([])
        storms[-1].append(at)
        if began is not None and at < began + 60:
            handling.append("joins_group")
        else:
            began = at
            groups += 1
            handling.append("begins_group")
    tally = StormTally(
        firings=len(times),
        storms=len(storms),
        grouped=sum(map(len, storms)),
        groups=groups,
        worst_minute=max(counts, default=0),
        longest_seconds=max((storm[-1] - storm[0] for storm in storms), default=0.0),
    )
    return handling, tally


@given(st.integers(1, 6), TIMES, st.booleans())
@example(1, [0.0, 59.999, 60.0, 119.999], False)
@example(2, [5.0, 5.0, 5.0, 4.0, 64.0, 65.0, 65.0], False)
def test_every_count_equals_a_naive_one(per_minute: int, times: list[float], in_order: bool) -> None:
    times = sorted(times) if in_order else times
    meter = StormMeter(per_minute)
    handling, tally = naive(per_minute, times)
    assert [meter.add("a", "S", at) for at in times] == handling
    assert meter.tally("a", "S") == tally


def test_what_a_minute_may_hold_is_no_storm() -> None:
    assert handled(3, [0, 10, 20, 60, 70, 80]) == ["alone"] * 6


def test_one_more_is_grouped_and_the_first_within_the_limit_ends_the_storm() -> None:
    assert handled(3, [0, 1, 2, 3, 4, 63, 64]) == ["alone"] * 3 + ["begins_group", "joins_group", "alone", "alone"]


def test_a_group_is_full_after_a_minute_and_the_next_one_begins() -> None:
    times = [float(second) for second in range(180)]
    found = handled(2, times)
    assert [at for at, one in zip(times, found, strict=True) if one == "begins_group"] == [2.0, 62.0, 122.0]
    meter = StormMeter(2)
    for at in times:
        meter.add("a", "S", at)
    tally = meter.tally("a", "S")
    assert (tally.storms, tally.grouped, tally.groups, tally.saved) == (1, 178, 3, 175)
    assert (tally.worst_minute, tally.longest_seconds) == (60, 177.0)


def test_each_alert_and_symbol_has_a_minute_of_its_own() -> None:
    meter = StormMeter(1)
    places = [("a", "S"), ("a", "T"), ("b", "S")]
    assert [meter.add(*place, 0.0) for place in places] == ["alone"] * 3
    assert meter.add("a", "T", 1.0) == "begins_group"
    assert [meter.tally(*place).grouped for place in places] == [0, 1, 0]
    assert meter.tally("c", "S") == StormTally()


def test_a_forgotten_alert_begins_anew() -> None:
    meter = StormMeter(1)
    for alert in ("a", "b"):
        meter.add(alert, "S", 0.0)
    meter.forget("a")
    assert meter.add("a", "S", 0.0) == "alone"
    assert meter.add("b", "S", 0.0) == "begins_group"


def test_tallies_add_up() -> None:
    one = StormTally(firings=5, storms=1, grouped=3, groups=1, worst_minute=4, longest_seconds=9.0)
    other = StormTally(firings=2, storms=0, grouped=0, groups=0, worst_minute=2, longest_seconds=0.0)
    both = StormTally(firings=7, storms=1, grouped=3, groups=1, worst_minute=4, longest_seconds=9.0)
    assert one + other == other + one == both


@pytest.mark.parametrize("per_second", [1, 1000])
def test_what_is_remembered_does_not_grow_with_the_firings(per_second: int) -> None:
    meter = StormMeter(30)
    for second in range(300):
        for part in range(per_second):
            meter.add("a", "S", second + part / per_second)
    (minute,) = meter._minutes.values()
    assert len(minute._seconds) == 60
    assert meter.tally("a", "S").worst_minute == 60 * per_second
