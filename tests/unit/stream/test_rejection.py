"""Ticks that are refused: counted by feed and reason, told to who asked, and never an exception."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import PriceUpdate
from pricestreamd.model.tick import Tick
from pricestreamd.stream.engine import FUTURE_SECONDS
from pricestreamd.stream.settings import SpikeSettings
from tests.unit.stream.ticking import PLAIN, Stream


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (None, "missing"),
        *[(price, "type") for price in ("191.45", "", True, False, [1.0], 1j, 2**64, float(2**64))],
        *[(price, "not_finite") for price in (math.nan, math.inf, -math.inf, float("1e400"))],
        *[(price, "not_positive") for price in (0, 0.0, -0.0, -1, -5e-324, 5e-324)],
    ],
)
def test_what_is_no_price_is_rejected_by_its_reason(price: object, reason: str) -> None:
    stream = Stream()
    stream.tick(100.0)
    assert stream.tick(price) == []
    assert stream.engine.rejected == {("us", reason): 1}
    assert stream.rejections == [("AAPL", reason)]
    assert stream.update(101.0).last_price == 100.0


@pytest.mark.parametrize("price", [0.00001234, 1, 200.35, math.nextafter(2.0**64, 0.0)])
def test_any_number_above_the_floor_and_below_two_to_the_64_is_a_price(price: float) -> None:
    stream = Stream(**PLAIN)
    assert stream.update(price).price == price
    assert stream.rejections == []


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("MSFT", "unknown_symbol"),
        ("", "missing"),
        (None, "missing"),
        ("  ", "missing"),
        (5, "type"),
        ("A" * 10_000, "unknown_symbol"),
    ],
)
def test_a_symbol_that_nobody_wants_is_rejected(symbol: Any, reason: str) -> None:
    stream = Stream("AAPL")
    assert stream.tick(100.0, symbol=symbol) == []
    assert stream.engine.rejected == {("us", reason): 1}
    assert list(stream.board.by_symbol) == ["AAPL"]


@pytest.mark.parametrize(
    ("symbol", "reason"), [("", "missing"), (None, "missing"), (" ", "missing"), (b"AAPL", "type")]
)
def test_a_replay_too_needs_a_symbol(symbol: Any, reason: str) -> None:
    stream = Stream(adopt=True)
    assert stream.tick(100.0, symbol=symbol) == []
    assert stream.engine.rejected == {("us", reason): 1}


def test_a_symbol_that_is_wanted_no_longer_is_rejected() -> None:
    stream = Stream("AAPL", "MSFT")
    stream.tick(100.0)
    stream.board.untrack(["aapl", "never"])
    assert stream.tick(101.0) == []
    assert stream.engine.rejected == {("us", "unknown_symbol"): 1}
    assert stream.update(300.0, symbol="MSFT").price == 300.0


# --- times


@pytest.mark.parametrize(
    ("ahead", "accepted"),
    [(0.0, True), (3600.0, True), (FUTURE_SECONDS, True), (FUTURE_SECONDS + 0.001, False), (1e12, False)],
)
def test_a_price_made_more_than_a_day_after_its_receipt_is_rejected(ahead: float, accepted: bool) -> None:
    stream = Stream()
    assert bool(stream.tick(100.0, 1e9 + ahead, received_at=1e9)) is accepted
    assert stream.engine.rejected == ({} if accepted else {("us", "future"): 1})


@pytest.mark.parametrize("timestamp", [math.nan, math.inf])
def test_a_time_that_is_no_number_is_rejected(timestamp: float) -> None:
    stream = Stream()
    assert stream.tick(100.0, timestamp, received_at=1e9) == []
    assert stream.tick(100.0, 1e9, received_at=math.nan) == []
    assert stream.engine.rejected == {("us", "future"): 2}


@pytest.mark.parametrize("timestamp", [0.0, 1.0, -86400.0 * 365 * 20])
def test_an_old_time_is_no_reason(timestamp: float) -> None:
    stream = Stream()
    assert len(stream.tick(100.0, timestamp, received_at=1e9)) == 1


def test_a_replay_has_no_receive_time_and_so_no_future() -> None:
    stream = Stream(adopt=True)
    assert len(stream.tick(100.0, 1e12, received_at=1e12)) == 1


def test_a_tick_older_than_the_last_one_is_dropped() -> None:
    stream = Stream("AAPL", "MSFT", **PLAIN)
    stream.tick(100.0, 10.0)
    assert stream.tick(101.0, 9.999) == []
    assert stream.engine.rejected == {("us", "out_of_order"): 1}
    assert len(stream.tick(300.0, 5.0, "MSFT")) == 1
    event = stream.update(102.0, 10.5)
    assert (event.last_price, event.sequence) == (100.0, 3)


def test_a_tick_of_the_future_does_not_stop_those_of_the_present() -> None:
    """Nor those of a feed that tells of everything a quarter of an hour late."""
    for late in (0.0, 900.0):
        stream = Stream(**PLAIN)
        stream.tick(100.0, 1000.0, timestamp=1000.0 - late)
        assert len(stream.tick(101.0, 1001.0, timestamp=1001.0 + 20 * 3600)) == 1
        assert len(stream.tick(102.0, 1002.0, timestamp=1002.0 - late)) == 1
        assert stream.tick(103.0, 1003.0, timestamp=1001.0 - late) == []
        assert stream.rejections == [("AAPL", "out_of_order")]


def test_stamps_a_little_ahead_and_clocks_that_are_ahead_as_a_whole_still_tell_the_order() -> None:
    for ahead in (30.0, 300.0):
        stream = Stream(**PLAIN)
        stream.tick(100.0, 1000.0, timestamp=1000.0 + ahead)
        assert stream.tick(101.0, 1001.0, timestamp=999.0 + ahead) == []
        assert stream.rejections == [("AAPL", "out_of_order")]


def test_a_tick_of_the_future_does_not_hold_the_window_of_spikes_open() -> None:
    spike = SpikeSettings(percent=5.0, window=60.0)
    stream = Stream(**PLAIN | {"spike": spike})
    stream.tick(100.0, 1000.0)
    stream.tick(100.0, 1001.0, timestamp=1001.0 + 20 * 3600)
    for second in range(1, 60):
        assert "spike" not in stream.names(100.0 + 0.2 * second, 1001.0 + 10.0 * second)


def test_equal_times_are_no_duplicates() -> None:
    stream = Stream(**PLAIN)
    for _ in range(3):
        stream.tick(100.0, 10.0)
    assert stream.rejections == []
    assert stream.engine.sequence == 3
    assert len(stream.board.history("AAPL")) == 3


def test_where_late_ticks_are_accepted_they_are_ticks_like_others() -> None:
    stream = Stream(out_of_order="accept", **PLAIN)
    stream.tick(100.0, 10.0)
    event = stream.update(101.0, 5.0)
    assert (event.last_price, event.timestamp) == (100.0, 5.0)
    assert stream.update(102.0, 4.0).last_price == 101.0
    assert stream.rejections == []
    assert [entry["timestamp"] for entry in stream.board.history("AAPL")] == [10.0, 5.0, 4.0]


def test_a_reload_may_change_what_happens_to_late_ticks() -> None:
    stream = Stream()
    stream.tick(100.0, 10.0)
    stream.engine.apply(type(stream.engine.settings)(out_of_order="accept"))
    assert len(stream.tick(100.0, 5.0)) == 1
    stream.engine.apply(type(stream.engine.settings)(out_of_order="drop"))
    assert stream.tick(100.0, 4.0) == []
    assert len(stream.tick(100.0, 6.0)) == 1


# --- counting


def test_reasons_are_counted_by_feed() -> None:
    stream = Stream()
    for feed, price in [("us", None), ("us", -1.0), ("eu", -1.0), ("us", -1.0)]:
        stream.tick(price, feed=feed)
    assert stream.engine.rejected == {
        ("us", "missing"): 1,
        ("us", "not_positive"): 2,
        ("eu", "not_positive"): 1,
    }


def test_nobody_has_to_be_told() -> None:
    stream = Stream()
    stream.engine._on_reject = None
    assert stream.tick(-1.0) == []
    assert stream.engine.rejected == {("us", "not_positive"): 1}


numbers = st.one_of(
    *(st.floats(), st.integers(), st.none(), st.text(max_size=5), st.booleans(), st.floats(90, 110), st.floats(90, 110))
)


@given(st.lists(st.tuples(numbers, st.sampled_from(["AAPL", " aapl", "MSFT", "", None]), st.floats()), max_size=20))
def test_every_tick_is_published_or_counted_and_none_is_an_exception(steps: list[tuple[Any, Any, float]]) -> None:
    stream = Stream(out_of_order="accept")
    stream.set_alert(above=100, below=95, change_percent=1)
    published = 0
    for price, symbol, timestamp in steps:
        found = stream.tick(price, symbol=symbol, timestamp=timestamp, received_at=timestamp)
        published += sum(type(event) is PriceUpdate for event in found)
    assert published + sum(stream.engine.rejected.values()) == len(steps)
    assert published == stream.engine.sequence == stream.dispatcher.event_counts.get("price.update", 0)


def test_a_volume_that_is_no_number_spoils_no_history() -> None:
    """Adapters give numbers; a client of somebody else's may not. The tick fails, those after it do not."""
    stream = Stream(**PLAIN)
    stream.tick(100.0)
    with pytest.raises(TypeError):
        stream.engine.on_tick(Tick("AAPL", 101.0, 2.0, 2.0, "many"))  # type: ignore[arg-type]  # the fault itself
    stream.tick(102.0)
    assert [entry["price"] for entry in stream.board.history("AAPL")] == [100.0, 102.0]


def test_a_clock_that_was_set_back_makes_no_price_of_a_live_stream_late() -> None:
    """Where the provider gives no time it is that of our clock, and tells no order."""
    stream = Stream(since=1000.0)
    stream.tick(100.0, at=2000.0)
    assert stream.names(100.2, at=2001.0, timestamp=500.0, received_at=500.0) == ["update", "change"]
    assert stream.rejections == []
    assert stream.names(100.3, at=2002.0, timestamp=400.0, received_at=500.0) == []
    assert stream.rejections == [("AAPL", "out_of_order")]
