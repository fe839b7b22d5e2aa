"""The quiet zone: a price inside it changes nothing, and no rounding hides a price at which an alert fires."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.model.tick import PRICE_FLOOR
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.terms import Moment
from tests.unit.stream.test_alert_model import alerts
from tests.unit.stream.ticking import PLAIN, Stream


def around(price: float) -> list[float]:
    """Just below, exactly at and just above."""
    return [math.nextafter(price, 0.0), price, math.nextafter(price, math.inf)]


def conditions_of(stream: Stream) -> list[ConditionState]:
    return [one for alert in stream.board.by_symbol["AAPL"].alerts.alerts.values() for one in alert.conditions]


def edges(stream: Stream) -> list[float]:
    """The prices at which conditions may change their minds."""
    terms = [term for one in conditions_of(stream) if not one.done for term in one.terms]
    found = [price for term in terms for price in [*term.trigger_prices(), term.baseline] if price is not None]
    return [near for price in found for near in around(price) if PRICE_FLOOR <= near < 1e9]


@given(st.lists(alerts(), min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=25))
@settings(max_examples=300)
def test_a_price_inside_the_zone_of_a_condition_changes_nothing(written: list[dict[str, Any]], path: list[int]) -> None:
    stream = Stream(since=1_772_452_800.0, **PLAIN)
    for number, alert in enumerate(written):
        stream.set_alert(name=f"a{number}", **alert)
    for choice in path:
        prices = edges(stream) or [100.0]
        stream.tick(prices[choice % len(prices)] if choice % 3 else 95.0 + choice % 1000 / 100, volume=choice % 100)
        for one in conditions_of(stream):
            # At both ends, between them, and at the last price.
            middle = stream.board.by_symbol["AAPL"].price or math.nan
            for price in (one.low, one.high, (one.low + one.high) / 2, middle):
                if not (one.low <= price <= one.high and PRICE_FLOOR <= price < math.inf) or one.done:
                    continue
                before = one.alert.to_record()
                gate = one.alert.gate
                if gate is None or gate.closed(stream.now) is None:
                    assert one.evaluate(Moment(price, stream.now, stream.now, 10.0, middle)) is None
                assert one.alert.to_record() == before


@given(st.floats(0.01, 1e9), st.floats(1e-6, 500.0), st.lists(st.floats(-2, 2), max_size=20))
@settings(max_examples=300)
def test_a_move_to_exactly_the_threshold_from_any_baseline(base: float, percent: float, steps: list[float]) -> None:
    stream = Stream(**PLAIN)
    stream.set_alert(change_percent=percent, name="a")
    path = [base]
    for step in [1.0, -1.0, *steps]:
        for direction in (1, -1):
            edge = path[-1] * (1 + direction * step * percent / 100)
            path += [price for near in around(edge) for price in around(near) if PRICE_FLOOR <= price < 2.0**60]
    baseline = base
    for price in path:
        fires = abs(100.0 * (price - baseline) / baseline) >= percent
        assert [event.alert_baseline for event in stream.alerts(price)] == [baseline] * fires
        baseline = price if fires else baseline


@given(
    st.floats(0.01, 1e9), st.floats(-99.0, 99.0).filter(lambda percent: abs(percent) > 1e-6), st.lists(st.floats(-2, 2))
)
@settings(max_examples=300)
def test_a_fall_to_exactly_the_threshold_from_any_height(base: float, percent: float, steps: list[float]) -> None:
    stream = Stream(**PLAIN)
    stream.set_alert(trailing_percent=percent, name="a")
    sign = math.copysign(1.0, percent)
    extreme, armed = base, True
    for step in [0.0, 1.0, -0.5, 1.0, *steps]:
        for price in around(extreme * (1 - step * percent / 100)):
            if not PRICE_FLOOR <= price < 2.0**60:
                continue
            extreme = price if (price - extreme) * sign > 0 else extreme
            true = -100.0 * (price - extreme) / extreme * sign >= abs(percent)
            assert bool(stream.alerts(price)) is (true and armed)
            extreme = price if not true and not armed else extreme
            armed = not true
