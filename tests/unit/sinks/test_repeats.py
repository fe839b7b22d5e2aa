"""When a person hears of a crossing: the rule alone, on times that are passed in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pricestreamd.model.events import PriceAlert
from pricestreamd.sinks.notify.repeats import BETWEEN_SECONDS, GATHER_SECONDS, MOST_OF_STORM, Due, Repeats
from tests.unit.sinks.samples import alert

WINDOW = 900.0


def crossing(key: str, symbol: str = "AAPL", at: float = 1.0) -> PriceAlert:
    return structs.replace(alert(1, symbol), firing_id=key, timestamp=at)


def entered(rule: Repeats, now: float, *keys: str, symbol: str = "AAPL", storm: bool = False) -> None:
    for key in keys:
        rule.enter(key, crossing(key, symbol, now), now, storm=storm)


def told(rule: Repeats, key: str, now: float) -> Due:
    """Ask for `key`, whose turn must be now, and have its message arrive."""
    assert rule.wait(key, now) < 1e-6
    now += 1e-6
    due = rule.take(now)
    rule.left(due, now)
    return due


def counts(due: Due) -> list[tuple[str, int, bool]]:
    return [(one.newest.symbol, one.count, one.again) for one in due.crossings]


def test_a_lone_crossing_leaves_after_a_blink() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 100.0, "a")
    assert rule.wait("a", 100.0) == pytest.approx(GATHER_SECONDS, abs=1e-4)
    due = told(rule, "a", 100.0 + GATHER_SECONDS)
    assert counts(due) == [("AAPL", 1, False)]
    assert rule.told("a")
    assert len(rule) == 0


def test_a_burst_leaves_in_one_message() -> None:
    rule = Repeats(WINDOW)
    for number in range(20):
        entered(rule, 100.0 + number / 1000, f"k{number}", symbol=f"S{number}")
    due = told(rule, "k0", 100.0 + GATHER_SECONDS)
    assert counts(due) == [(f"S{number}", 1, False) for number in range(20)]
    assert all(rule.told(f"k{number}") for number in range(20))


def test_what_comes_right_after_a_message_waits_a_little_for_company() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 100.0, "a")
    told(rule, "a", 100.2)
    entered(rule, 100.3, "b", symbol="MSFT")
    entered(rule, 101.0, "c", symbol="NVDA")
    assert rule.wait("b", 100.3) == pytest.approx(100.2 + BETWEEN_SECONDS - 100.3, abs=1e-4)
    assert counts(told(rule, "b", 100.2 + BETWEEN_SECONDS)) == [("MSFT", 1, False), ("NVDA", 1, False)]


def test_crossings_within_the_window_are_told_together_at_its_end_with_their_number() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    told(rule, "a", 0.2)
    entered(rule, 60.0, "b")
    entered(rule, 120.0, "c")
    assert rule.wait("b", 60.0) == pytest.approx(0.2 + WINDOW - 60.0, abs=1e-4)
    assert rule.wait("c", 120.0) == pytest.approx(0.2 + WINDOW - 120.0, abs=1e-4)
    due = told(rule, "b", 0.2 + WINDOW)
    assert counts(due) == [("AAPL", 2, True)]
    assert due.crossings[0].newest.firing_id == "c"
    assert rule.told("c")
    # That was a message, too: the next window has begun.
    entered(rule, WINDOW + 10.0, "d")
    assert rule.wait("d", WINDOW + 10.0) == pytest.approx(0.2 + 2 * WINDOW - (WINDOW + 10.0), abs=1e-4)


def test_a_crossing_long_after_the_window_is_no_repetition() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    told(rule, "a", 0.2)
    entered(rule, 5000.0, "b")
    assert counts(told(rule, "b", 5000.2)) == [("AAPL", 1, False)]


def test_windows_are_of_one_alert_and_symbol() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    told(rule, "a", 0.2)
    rule.enter("b", crossing("b", "MSFT"), 10.0, storm=False)
    rule.enter("c", structs.replace(crossing("c"), alert_id="other"), 10.0, storm=False)
    rule.enter("d", crossing("d", "aapl"), 10.0, storm=False)
    assert rule.wait("b", 10.0) == pytest.approx(GATHER_SECONDS)
    assert rule.wait("c", 10.0) == pytest.approx(GATHER_SECONDS)
    assert rule.wait("d", 10.0) > 800


def test_without_repeat_after_every_crossing_is_told_soon() -> None:
    rule = Repeats(0.0)
    entered(rule, 0.0, "a")
    told(rule, "a", 0.2)
    entered(rule, 10.0, "b")
    assert rule.wait("b", 10.0) == pytest.approx(GATHER_SECONDS, abs=1e-4)


def test_a_crossing_that_comes_again_is_counted_once() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a", "a")
    entered(rule, 0.1, "a")
    assert counts(told(rule, "a", 0.2)) == [("AAPL", 1, False)]
    entered(rule, 0.3, "a")
    assert rule.told("a")
    assert len(rule) == 0


def test_what_did_not_arrive_is_told_with_what_came_meanwhile() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    due = rule.take(0.2)
    entered(rule, 0.3, "b")
    rule.stayed(due)
    assert not rule.told("a")
    due = told(rule, "a", 5.0)
    assert counts(due) == [("AAPL", 2, False)]
    assert rule.told("b")


def test_what_comes_while_a_message_is_under_way_waits_for_the_next_one() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    due = rule.take(0.2)
    entered(rule, 0.3, "b")
    rule.left(due, 0.5)
    assert not rule.told("b")
    assert rule.wait("b", 0.6) > 800
    assert counts(told(rule, "b", 0.5 + WINDOW)) == [("AAPL", 1, True)]


def test_in_a_storm_crossings_wait_as_others_and_ride_with_the_first_of_their_place() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a", storm=True)
    assert not rule.rides("a"), "there is nobody to leave with"
    told(rule, "a", 0.2)
    entered(rule, 1.0, "b", storm=True)
    assert not rule.rides("b")
    entered(rule, 2.0, "c", "d", "e", storm=True)
    assert [(rule.told(key), rule.rides(key)) for key in "cde"] == [(False, True)] * 3
    assert len(rule) == 4
    due = told(rule, "b", 0.2 + WINDOW)
    assert counts(due) == [("AAPL", 4, True)]
    assert due.crossings[0].newest.firing_id == "e"
    assert [(rule.told(key), rule.rides(key)) for key in "cde"] == [(True, False)] * 3


def test_in_a_storm_nobody_rides_on_a_message_that_is_leaving() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    due = rule.take(0.2)
    entered(rule, 0.3, "b", "c", storm=True)
    assert (rule.rides("b"), rule.rides("c")) == (False, True)
    rule.left(due, 0.4)
    assert not rule.told("b")
    assert counts(told(rule, "b", 0.4 + WINDOW)) == [("AAPL", 2, True)]
    assert rule.told("c")


def test_in_a_storm_so_many_wait_at_one_place_and_further_ones_are_counted_by_the_next_message() -> None:
    rule = Repeats(WINDOW)
    entered(rule, 0.0, "a")
    told(rule, "a", 0.2)
    made = [f"k{number}" for number in range(MOST_OF_STORM + 5)]
    counted = [rule.enter(key, crossing(key, at=1.0), 1.0, storm=True) for key in made]
    assert counted == [False] * MOST_OF_STORM + [True] * 5
    assert rule.enter("quiet", crossing("quiet", at=1.0), 1.0, storm=False) is False
    assert rule.enter("other", crossing("other", "MSFT"), 1.0, storm=True) is False
    assert (len(rule), rule.counted) == (MOST_OF_STORM + 2, 5)
    assert rule.enter(made[-1], crossing(made[-1]), 2.0, storm=True) is False, "it is known"
    due = told(rule, "k0", 0.2 + WINDOW)
    assert ("AAPL", MOST_OF_STORM + 6, True) in counts(due)
    assert rule.counted == 0
    assert all(rule.told(key) for key in made)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400), st.sampled_from(["AAPL", "MSFT"]), st.booleans(), st.sampled_from(["good", "bad"])
        ),
        max_size=60,
    )
)
def test_every_crossing_is_counted_in_exactly_one_message_and_windows_are_kept(
    history: list[tuple[float, str, bool, str]],
) -> None:
    """Each waits until it is told; a place has no two messages within its window; and the sum of the counts is right."""
    rule, now, numbers = Repeats(WINDOW), 0.0, itertools.count()
    waiting: dict[str, float] = {}
    total, entered_keys = 0, []
    messages: dict[str, list[float]] = {}

    def ask(key: str, outcome: str) -> int:
        if rule.told(key):
            waiting.pop(key)
            return 0
        if wait := rule.wait(key, now):
            waiting[key] = now + wait
            return 0
        due = rule.take(now)
        if outcome == "bad":
            rule.stayed(due)
            waiting[key] = now + 1.0
            return 0
        rule.left(due, now)
        for one in due.crossings:
            times = messages.setdefault(one.newest.symbol, [])
            assert not times or now - times[-1] >= WINDOW - 1e-6
            times.append(now)
        assert rule.told(key)
        waiting.pop(key)
        return sum(one.count for one in due.crossings)

    for pause, symbol, storm, outcome in history:
        now += pause
        key = f"k{next(numbers)}"
        entered_keys.append(key)
        rule.enter(key, crossing(key, symbol, now), now, storm=storm)
        waiting[key] = now
        for due_key in sorted((each for each in waiting if waiting[each] <= now), key=waiting.__getitem__):
            total += ask(due_key, outcome)
    while waiting:
        key = min(waiting, key=waiting.__getitem__)
        now = max(now, waiting[key])
        total += ask(key, "good")
    assert total == len(entered_keys)
    assert len(rule) == 0
