"""price.change: when a move is one, and against what it is measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import PriceChange
from tests.unit.stream.ticking import SpikeSettings, Stream

steps = st.lists(st.floats(-3, 3).map(lambda step: 1 + step / 100), max_size=30)


def changes(stream: Stream, price: float) -> list[PriceChange]:
    return [event for event in stream.tick(price) if isinstance(event, PriceChange)]


@pytest.mark.parametrize(
    ("price", "changed"),
    [(100.0, False), (100.49, False), (100.5, True), (101.0, True), (99.51, False), (99.5, True), (50.0, True)],
)
def test_a_move_of_the_minimum_or_more_is_a_change(price: float, changed: bool) -> None:
    stream = Stream(min_change_percent=0.5, suspect=None)
    stream.tick(100.0)
    assert bool(changes(stream, price)) is changed


def test_with_a_minimum_of_nothing_the_price_must_still_differ() -> None:
    stream = Stream(min_change_percent=0.0)
    assert changes(stream, 100.0) == []
    assert changes(stream, 100.0) == []
    assert len(changes(stream, 100.00000000000001)) == 1


@given(steps, st.floats(0, 2))
def test_against_the_previous_tick(path: list[float], minimum: float) -> None:
    stream = Stream(min_change_percent=minimum, suspect=None)
    price = 100.0
    stream.tick(price)
    for step in path:
        last, price = price, price * step
        percent = 100.0 * (price - last) / last
        found = changes(stream, price)
        assert bool(found) is (price != last and abs(percent) >= minimum)
        for event in found:
            assert (event.change_percent, event.last_price, event.price) == (percent, last, price)


@given(steps, st.floats(0, 2))
def test_against_the_last_reported_price(path: list[float], minimum: float) -> None:
    stream = Stream(min_change_percent=minimum, change_baseline="reported", suspect=None)
    price = reported = 100.0
    stream.tick(price)
    for step in path:
        last, price = price, price * step
        percent = 100.0 * (price - reported) / reported
        found = changes(stream, price)
        assert bool(found) is (price != reported and abs(percent) >= minimum)
        for event in found:
            assert event.reported_change_percent == percent
            # The other fields are against the previous tick, as always.
            assert (event.last_price, event.change_percent) == (last, 100.0 * (price - last) / last)
            reported = price


def test_a_slow_drift_is_caught_only_against_the_last_reported_price() -> None:
    drift = [100.0 + 0.01 * step for step in range(101)]
    previous, reported = (
        Stream(min_change_percent=0.5, change_baseline=baseline) for baseline in ("previous", "reported")
    )
    for price in drift:
        previous.tick(price)
        reported.tick(price)
    assert "price.change" not in previous.dispatcher.event_counts
    assert reported.dispatcher.event_counts["price.change"] == 1


@given(steps)
def test_the_reported_change_is_since_the_last_change_in_both_ways(path: list[float]) -> None:
    stream = Stream(min_change_percent=1.0, suspect=None)
    price = reported = 100.0
    stream.tick(price)
    for step in path:
        price *= step
        for event in changes(stream, price):
            assert event.reported_change_percent == 100.0 * (price - reported) / reported
            reported = price


def test_settings_apply_from_the_next_tick_and_nothing_is_forgotten() -> None:
    stream = Stream(min_change_percent=1.0)
    stream.tick(100.0)
    assert changes(stream, 100.5) == []
    stream.engine.apply(type(stream.engine.settings)(min_change_percent=0.1))
    (event,) = changes(stream, 100.7)
    assert event.last_price == 100.5
    assert event.reported_change_percent == pytest.approx(0.7)
    stream.engine.apply(type(stream.engine.settings)(min_change_percent=0.1, change_baseline="reported"))
    assert changes(stream, 100.75) == []
    assert len(changes(stream, 100.9)) == 1


@pytest.mark.parametrize("spike", [SpikeSettings(percent=0.2), SpikeSettings(percent=50.0)])
def test_a_change_does_not_depend_on_what_counts_as_a_spike(spike: SpikeSettings) -> None:
    stream = Stream(min_change_percent=1.0, spike=spike)
    stream.tick(100.0)
    assert changes(stream, 100.5) == []
    assert len(changes(stream, 102.0)) == 1
