"""Tests of alerts: what passes, what fails, and what is said of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.silence.hours import calendar
from pricestreamd.model.events import PriceAlert, PriceUpdate
from pricestreamd.replay.alert_tests import AlertTester, Failure, _met
from pricestreamd.replay.settings import START, AlertTestEvent, AlertTestSettings, AlertTestTick
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import SpikeSettings, StreamSettings

SETTINGS = StreamSettings(min_change_percent=1.0, spike=SpikeSettings(percent=5.0))


def rule(symbol: str, name: str, **conditions: Any) -> AlertRule:
    return AlertRule.from_mapping(symbol, {"name": name, **conditions})


def made(
    *ticks: tuple[float, float], expect: list[dict[str, Any]], symbol: str = "A", **more: Any
) -> AlertTestSettings:
    """A test of (at, price)."""
    return AlertTestSettings(
        name="t",
        ticks=tuple(AlertTestTick(symbol=symbol, price=price, at=at) for at, price in ticks),
        expect=tuple(AlertTestEvent(**event) for event in expect),
        **more,
    )


def failures(test: AlertTestSettings, *rules: AlertRule, settings: StreamSettings = SETTINGS) -> list[Failure]:
    return AlertTester(settings, rules, lambda _: calendar("XNYS")).failures(test)


HIGH = rule("A", "high", above=110.0)


# --- what passes


def test_a_firing_at_its_tick_is_met() -> None:
    assert failures(made((0, 100), (30, 110), expect=[{"alert": "high", "at": 30.0}]), HIGH) == []


def test_what_is_left_out_matches_anything() -> None:
    test = made((0, 100), (30, 110), expect=[{}])
    assert failures(test, HIGH) == []


@pytest.mark.parametrize("at", [0.1, 0.25, 1 / 3, 12345.678])
def test_a_firing_by_the_clock_is_met_at_its_exact_deadline(at: float) -> None:
    held = rule("A", "held", **{"above": 110.0, "for": "700ms"})
    assert failures(made((0, 100), (at, 111), expect=[{"alert": "held", "at": at + 0.7}]), held) == []
    (missed, unexpected) = failures(made((0, 100), (at, 111), expect=[{"alert": "held", "at": at + 0.701}]), held)
    assert (missed.expected, unexpected.expected) == (0, None)


def test_the_order_in_which_events_are_expected_makes_no_difference() -> None:
    low = rule("A", "low", below=95.0)
    events = [{"alert": "high", "at": 1.0}, {"alert": "low", "at": 2.0}, {"event": "price.change", "at": 2.0}]
    for expect in (events, events[::-1]):
        assert failures(made((0, 100), (1, 110), (2, 95), expect=expect), HIGH, low) == []


def test_events_other_than_alerts_count_only_where_they_are_expected() -> None:
    ticks = ((0.0, 100.0), (1.0, 102.0), (2.0, 104.0))
    assert failures(made(*ticks, expect=[])) == []
    assert failures(made(*ticks, expect=[{"event": "price.change", "at": 1.0}])) == []
    (failure,) = failures(made(*ticks, expect=[{"event": "price.spike", "at": 1.0}]))
    assert failure.message == "expected price.spike at 1s, got none; what came: nothing"


def test_market_hours_and_the_start_decide_about_sessions() -> None:
    regular = rule("A", "regular", above=110.0, session="regular")
    early = datetime(2026, 1, 5, 14, 29, tzinfo=UTC)
    assert failures(made((0, 100), (30, 111), expect=[{"at": 30.0}]), regular) == []
    assert failures(made((0, 100), (30, 111), expect=[], start=early), regular) == []
    assert failures(made((0, 100), (30, 111), (60, 112), expect=[{"at": 60.0}], start=early), regular) == []


def test_without_a_start_it_begins_within_a_session_of_america_and_europe() -> None:
    for name in ("XNYS", "XLON", "XETR", "XPAR"):
        assert calendar(name).is_open(START.timestamp())


def test_blindness_can_be_expected() -> None:
    opening = rule("A", "opening", change_percent=1.0, baseline="open", on_blind="notify")
    early = datetime(2026, 1, 5, 14, 0, tzinfo=UTC)
    expect = [{"event": "alert.blind", "alert": "opening", "at": 0.0}, {"event": "alert.sighted", "at": 1800.0}]
    assert failures(made((0, 100), (1800, 101), expect=expect, start=early), opening) == []


def test_alerts_on_other_symbols_have_no_part_in_it() -> None:
    assert failures(made((0, 120), expect=[]), rule("B", "other", above=1.0)) == []


def test_each_test_begins_anew() -> None:
    once = rule("A", "once", above=110.0, once=True)
    tester = AlertTester(SETTINGS, [once], lambda _: None)
    for _ in range(2):
        assert tester.failures(made((0, 111), expect=[{"alert": "once", "at": 0.0}])) == []


# --- what fails


def test_a_firing_that_does_not_come_is_told_with_what_came_and_why_not() -> None:
    (failure,) = failures(made((0, 100), (30, 109), expect=[{"alert": "high", "at": 30.0}]), HIGH)
    assert failure == Failure(
        0,
        "expected price.alert of high at 30s, got none; what came: nothing; "
        "why not: high on A: price_above_110.00 is not reached: 109, 1 is missing",
    )


def test_a_firing_at_another_time_is_neither_expected_nor_what_was() -> None:
    missed, unexpected = failures(made((0, 100), (40, 110), expect=[{"alert": "high", "at": 30.0}]), HIGH)
    assert missed.expected == 0
    assert "what came: price.alert of high for A at 40s" in missed.message
    # As it stood at 30 s, and not as at the end.
    assert "price_above_110.00 is not reached: 100, 10 is missing" in missed.message
    assert unexpected.expected is None
    assert unexpected.message.startswith("unexpected price.alert of high for A at 40s: A 110.00 crossed above 110.00")


def test_nothing_expected_means_that_nothing_fires() -> None:
    (failure,) = failures(made((0, 100), (30, 110), expect=[]), HIGH)
    assert failure.message.startswith("unexpected price.alert of high for A at 30s")


def test_a_condition_that_goes_on_holding_fires_after_the_last_tick() -> None:
    held = rule("A", "held", **{"above": 110.0, "for": "1h"})
    (failure,) = failures(made((0, 100), (30, 110), expect=[]), held)
    assert failure.message.startswith("unexpected price.alert of held for A at 3630s")
    assert failures(made((0, 100), (30, 110), (3629, 109), expect=[]), held) == []


def test_one_firing_does_not_meet_two_expectations() -> None:
    (failure,) = failures(made((0, 100), (30, 110), expect=[{"alert": "high"}, {"at": 30.0}]), HIGH)
    assert failure.expected == 1


@pytest.mark.parametrize(
    ("alert", "ticks", "why"),
    [
        ({"cooldown": "10m"}, ((0, 110), (1, 109), (2, 110)), "its cooldown lasts for another 598 s"),
        ({"once": True}, ((0, 110), (1, 109), (2, 110)), "it has fired, and was to fire once"),
        ({"hysteresis": "1%"}, ((0, 110), (1, 109.5), (2, 110)), "has to be false first: back to 108.90 or less"),
        ({"on_start": "require_cross"}, ((2, 110),), "true from the start, and has to be false first"),
        ({"for": "10s"}, ((1, 110), (2, 111)), "true for 1 s, and has to be for 10s"),
        ({"session": "extended"}, ((2, 110),), "it is not in the time of the extended session"),
        ({"expires": "2026-01-05T15:00:00Z"}, ((2, 110),), "it expired at 2026-01-05 15:00:00"),
    ],
)
def test_what_holds_an_alert_back_is_told(
    alert: dict[str, Any], ticks: tuple[tuple[float, float], ...], why: str
) -> None:
    test = made(*ticks, expect=[{"alert": "high", "at": 2.0}])
    messages = [one.message for one in failures(test, rule("A", "high", above=110.0, **alert)) if one.expected == 0]
    assert len(messages) == 1
    assert why in messages[0]


def test_prices_that_do_not_count_are_told() -> None:
    (failure,) = failures(made((0, 100), (30, 150), expect=[{"alert": "high", "at": 30.0}]), HIGH)
    assert "the price 150.00 of A at 30s was suspect (stream.suspect)" in failure.message
    (failure,) = failures(made((0, 100), (30, 1e20), expect=[{"alert": "high", "at": 30.0}]), HIGH)
    assert "the price of A at 30s was rejected (type)" in failure.message


def test_a_message_does_not_name_everything_where_there_is_much() -> None:
    every = rule("A", "high", above=110.0, trigger="every_update")
    ticks = [(float(at), 110.0) for at in range(100)]
    missed = failures(made(*ticks, expect=[{"alert": "high", "at": 200.0}]), every)[0]
    assert "at 4s and 95 more" in missed.message
    assert len(missed.message) < 1000


# --- what meets what


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ST"), st.integers(0, 2)), max_size=7), st.data())
def test_expectations_taken_from_the_events_are_all_met(
    events: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Whatever is left out of them, and in whatever order they are."""
    start = START.timestamp()
    came = [
        PriceAlert(
            run="r", number=number, timestamp=start + at, symbol=symbol, price=1.0, volume=None, last_price=None,
            change=0.0, change_percent=0.0, currency=None, feed="", received_at=0.0, sequence=1, alert_id=alert,
        )
        for number, (alert, symbol, at) in enumerate(events)
    ]  # fmt: skip
    expect = []
    for alert, symbol, at in data.draw(st.permutations(events)):
        full = {"alert": alert, "symbol": symbol, "at": float(at)}
        expect.append({key: value for key, value in full.items() if data.draw(st.booleans())})
    met = _met(made((0, 1), expect=expect), came)
    assert sorted(met) == list(range(len(events)))
    assert sorted(met.values()) == list(range(len(expect)))


def test_many_expectations_that_match_anything_are_met_without_end_of_depth() -> None:
    update = PriceUpdate("r", 1, START.timestamp(), "A", 1.0, None, None, 0.0, 0.0, None, "", 0.0, 1)
    test = made((0, 1), expect=[{"event": "price.update"}] * 1500)
    assert len(_met(test, [update] * 1500)) == 1500
