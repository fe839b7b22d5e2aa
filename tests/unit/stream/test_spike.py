"""price.spike: against the previous tick, or against the extreme of a window."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import PriceSpike
from pricestreamd.stream.settings import StreamSettings
from pricestreamd.stream.symbol_state import SpikeWindow
from tests.unit.stream.ticking import SpikeSettings, Stream


def spikes(stream: Stream, price: float, at: float | None = None) -> list[float]:
    return [event.spike_percent for event in stream.tick(price, at) if isinstance(event, PriceSpike)]


def stream_with(percent: float = 5.0, window: float | None = None, **settings: Any) -> Stream:
    return Stream(spike=SpikeSettings(percent=percent, window=window), min_change_percent=1000.0, **settings)


@pytest.mark.parametrize(
    ("price", "expected"),
    [(104.99, []), (105.0, [5.0]), (112.5, [12.5]), (95.01, []), (95.0, [-5.0]), (100.0, [])],
)
def test_without_a_window_a_spike_is_a_move_against_the_previous_tick(price: float, expected: list[float]) -> None:
    stream = stream_with()
    assert spikes(stream, 100.0) == []
    assert spikes(stream, price) == expected


def test_without_a_window_slow_moves_are_no_spike() -> None:
    stream = stream_with()
    assert [spikes(stream, 100.0 * 1.04**n) for n in range(10)] == [[]] * 10


def test_with_a_window_a_move_against_its_extreme_is_a_spike() -> None:
    stream = stream_with(window=60.0)
    assert spikes(stream, 100.0, 0.0) == []
    assert spikes(stream, 98.0, 10.0) == []
    assert spikes(stream, 102.0, 20.0) == []
    assert spikes(stream, 102.9, 30.0) == [pytest.approx(5.0)]


def test_with_a_window_a_fall_is_measured_from_the_highest_price() -> None:
    stream = stream_with(window=60.0)
    for at, price in enumerate((100.0, 104.0, 101.0)):
        assert spikes(stream, price, float(at)) == []
    assert spikes(stream, 98.8, 5.0) == [pytest.approx(-5.0)]


def test_one_move_is_one_spike_and_the_next_is_measured_from_there() -> None:
    stream = stream_with(window=60.0)
    assert spikes(stream, 100.0, 0.0) == []
    assert spikes(stream, 106.0, 1.0) == [6.0]
    assert spikes(stream, 106.5, 2.0) == []
    assert spikes(stream, 111.0, 3.0) == []
    assert spikes(stream, 111.5, 4.0) == [pytest.approx(5.189, abs=0.001)]


def test_what_is_older_than_the_window_counts_no_more() -> None:
    stream = stream_with(window=60.0)
    spikes(stream, 100.0, 0.0)
    spikes(stream, 103.0, 30.0)
    assert spikes(stream, 105.0, 60.0) == [5.0]
    stream = stream_with(window=60.0)
    spikes(stream, 100.0, 0.0)
    spikes(stream, 103.0, 30.0)
    assert spikes(stream, 105.0, 60.001) == []


def test_a_symbol_that_ticks_rarely_is_compared_with_its_previous_tick() -> None:
    stream = stream_with(window=60.0)
    assert spikes(stream, 100.0, 0.0) == []
    assert spikes(stream, 110.0, 3600.0) == [10.0]


def test_spike_events_say_what_updates_say() -> None:
    stream = stream_with(window=60.0)
    for at, price in enumerate((100.0, 103.0)):
        stream.tick(price, float(at))
    update, spike = stream.tick(106.0, 2.0)
    assert isinstance(spike, PriceSpike)
    assert spike.spike_percent == 6.0
    assert spike.change_percent == update["change_percent"] == pytest.approx(2.9126, abs=1e-4)
    assert spike.last_price == 103.0


def test_the_window_of_each_symbol_is_its_own() -> None:
    stream = Stream("AAPL", "MSFT", spike=SpikeSettings(window=60.0))
    stream.tick(100.0, 0.0)
    assert "price.spike" not in [event.event for event in stream.tick(200.0, 1.0, "MSFT")]


def test_a_reload_may_open_change_and_close_the_window() -> None:
    stream = stream_with()
    stream.tick(100.0, 0.0)
    stream.tick(103.0, 1.0)

    def apply(window: float | None) -> None:
        stream.engine.apply(StreamSettings(spike=SpikeSettings(window=window), min_change_percent=1000.0))

    apply(60.0)
    # The last price is known: from it a window begins.
    assert spikes(stream, 108.15, 2.0) == [pytest.approx(5.0)]
    apply(60.0)
    assert spikes(stream, 110.0, 3.0) == []
    assert spikes(stream, 113.6, 4.0) == [pytest.approx(5.04, abs=0.01)]
    apply(None)
    assert spikes(stream, 117.0, 5.0) == []
    assert spikes(stream, 123.0, 6.0) == [pytest.approx(5.128, abs=0.001)]


def test_a_window_that_opens_before_the_first_tick_is_empty() -> None:
    stream = stream_with()
    stream.engine.apply(StreamSettings(spike=SpikeSettings(window=60.0)))
    assert spikes(stream, 100.0) == []


window_ticks = st.lists(st.tuples(st.floats(0, 40), st.integers(80, 120).map(float)), min_size=1, max_size=60)


@given(window_ticks)
def test_the_window_against_a_list_of_all_prices(steps: list[tuple[float, float]]) -> None:
    window = SpikeWindow(60.0)
    seen: list[tuple[float, float]] = []
    now = 0.0
    for pause, price in steps:
        now += pause
        # The previous tick counts however old it is.
        inside = [old for at, old in seen[:-1] if at >= now - 60.0] + [old for _, old in seen[-1:]]
        up = max((100.0 * (price - old) / old for old in inside), default=0.0)
        down = min((100.0 * (price - old) / old for old in inside), default=0.0)
        assert window.move(now, price) == (up if up >= -down else down)
        seen.append((now, price))


@given(window_ticks, st.floats(0.5, 20))
def test_windowed_spikes_of_a_stream_against_the_same_list(steps: list[tuple[float, float]], percent: float) -> None:
    stream = stream_with(percent, 60.0, suspect=None)
    seen: list[tuple[float, float]] = []
    now = 0.0
    for pause, price in steps:
        now += pause
        inside = [old for at, old in seen[:-1] if at >= now - 60.0] + [old for _, old in seen[-1:]]
        moves = [100.0 * (price - old) / old for old in inside]
        farthest = max(moves, key=lambda move: (abs(move), move), default=0.0)
        expected = [farthest] if abs(farthest) >= percent else []
        assert spikes(stream, price, now) == expected
        seen = [(now, price)] if expected else [*seen, (now, price)]


@given(st.lists(st.tuples(st.floats(-30, 40), st.integers(80, 120).map(float)), min_size=1, max_size=60))
def test_where_late_ticks_are_accepted_the_clock_of_the_window_is_the_largest_time(
    steps: list[tuple[float, float]],
) -> None:
    window = SpikeWindow(60.0)
    seen: list[tuple[float, float]] = []
    now = clock = 0.0
    for pause, price in steps:
        now += pause
        clock = max(clock, now) if seen else now
        inside = [old for at, old in seen[:-1] if at >= clock - 60.0] + [old for _, old in seen[-1:]]
        up = max((100.0 * (price - old) / old for old in inside), default=0.0)
        down = min((100.0 * (price - old) / old for old in inside), default=0.0)
        assert window.move(now, price) == (up if up >= -down else down)
        seen.append((clock, price))
