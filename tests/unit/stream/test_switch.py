"""A symbol that comes from another feed than before, and prices that were asked for after the fact."""

from __future__ import annotations

from typing import Any

import pytest

from pricestreamd.model.events import PriceUpdate
from tests.unit.stream.ticking import SpikeSettings, Stream

SHARP: dict[str, Any] = {"min_change_percent": 0.1, "spike": SpikeSettings(percent=5.0), "suspect": None}
WINDOWED = SHARP | {"spike": SpikeSettings(percent=5.0, window=300.0)}
REPORTED = SHARP | {"change_baseline": "reported"}
each_rule = pytest.mark.parametrize("rules", [SHARP, WINDOWED, REPORTED], ids=["previous", "window", "reported"])


@each_rule
def test_the_difference_between_two_feeds_is_an_update_and_no_change_and_no_spike(rules: dict[str, Any]) -> None:
    stream = Stream(**rules)
    stream.tick(100.0)
    (update,) = stream.tick(110.0, feed="spare")
    assert isinstance(update, PriceUpdate)
    assert (update.last_price, update.change_percent, update.feed) == (100.0, 10.0, "spare")
    (back,) = stream.tick(100.0)
    assert back.event == "price.update"


@each_rule
def test_after_a_switch_moves_are_measured_from_its_first_price(rules: dict[str, Any]) -> None:
    stream = Stream(**rules)
    stream.tick(100.0)
    stream.tick(110.0, feed="spare")
    assert stream.names(110.5, feed="spare") == ["update", "change"]
    assert stream.names(117.0, feed="spare") == ["update", "change", "spike"]


def test_the_difference_between_two_feeds_is_no_move_for_an_alert_and_real_moves_go_on() -> None:
    stream = Stream(**SHARP)
    stream.set_alert(change_percent=3.0)
    stream.tick(100.0)
    stream.tick(102.0)
    assert stream.reasons(110.0, feed="spare") == []
    assert stream.reasons(110.9, feed="spare") == []
    (alert,) = stream.alerts(111.2, feed="spare")
    assert alert.alert_value == pytest.approx(3.11, abs=0.01)
    assert stream.reasons(101.0) == []


def test_a_feed_that_takes_over_after_a_long_silence_may_show_a_move() -> None:
    stream = Stream(**SHARP)
    stream.set_alert(change_percent=3.0)
    stream.tick(100.0)
    assert stream.reasons(110.0, at=600.0, feed="spare") == ["change_percent_3.00"]


def test_a_feed_whose_times_lag_is_heard_when_it_takes_over() -> None:
    stream = Stream(**SHARP)
    stream.tick(100.0, at=1000.0)
    assert stream.names(100.1, at=700.0, feed="spare") == ["update"]
    assert stream.names(100.2, at=699.0, feed="spare") == []
    assert stream.names(100.3, at=1010.0) == ["update"]
    assert stream.rejections == [("AAPL", "out_of_order")]


def test_an_alert_is_judged_by_the_feed_that_is_heard() -> None:
    stream = Stream(**SHARP)
    stream.set_alert(above=105)
    stream.tick(100.0)
    assert stream.reasons(110.0, feed="spare") == ["price_above_105.00"]
    assert stream.reasons(111.0, feed="spare") == []


def test_an_alert_that_is_set_after_a_switch_does_not_measure_from_the_other_market() -> None:
    stream = Stream(**SHARP)
    stream.tick(100.0, at=0.0)
    stream.tick(110.0, at=30.0, feed="spare")
    stream.set_alert(change_percent=5.0, baseline=20)
    assert stream.reasons(110.0, at=40.0, feed="spare") == []
    assert stream.reasons(110.1, at=51.0, feed="spare") == []
    assert stream.reasons(116.0, at=60.0, feed="spare") == ["change_percent_5.00"]


@pytest.mark.parametrize("alert", [{"change_percent": 1.0}, {"trailing_percent": -1.0}], ids=str)
def test_a_switch_by_a_little_is_no_move_either(alert: dict[str, Any]) -> None:
    """Less than what any alert would look at."""
    stream = Stream(**SHARP | {"min_change_percent": 50.0, "spike": SpikeSettings(percent=50.0)})
    stream.set_alert(**alert)
    stream.tick(100.0)
    assert stream.reasons(100.6, feed="spare") == []
    assert stream.reasons(101.2, feed="spare") == []
    assert len(stream.reasons(101.7, feed="spare")) == 1


def test_an_alert_that_was_found_after_the_fact_says_so() -> None:
    stream = Stream(**SHARP)
    stream.set_alert(above=105)
    stream.tick(100.0)
    (alert,) = stream.alerts(106.0, late=True)
    assert alert.late
    stream.tick(100.0)
    (alert,) = stream.alerts(106.0)
    assert not alert.late


def test_a_late_price_does_not_make_those_of_the_stream_out_of_order() -> None:
    stream = Stream(**SHARP)
    stream.tick(100.0, at=10.0)
    stream.tick(106.0, at=20.0, late=True)
    assert stream.names(106.1, at=19.0) == ["update"]
    assert stream.names(106.2, at=18.0) == []
    assert stream.rejections == [("AAPL", "out_of_order")]
