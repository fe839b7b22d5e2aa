"""The history of a symbol: a bounded ring, oldest first, and small."""

import sys
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.stream.history import History, HistoryEntry
from pricestreamd.stream.settings import HistorySettings, StreamSettings
from tests.unit.stream.ticking import PLAIN, Stream

entries = st.lists(st.tuples(st.floats(0, 1e10), st.floats(0.01, 1e6), st.none() | st.floats(0, 1e9)), max_size=120)


def as_entry(timestamp: float, price: float, volume: float | None) -> HistoryEntry:
    return {"timestamp": timestamp, "price": price, "volume": volume}


@given(st.integers(1, 60), entries, st.none() | st.integers(-3, 130))
def test_a_history_is_a_deque_with_a_bound(
    size: int, added: list[tuple[float, float, float | None]], limit: int | None
) -> None:
    history, model = History(size), deque[HistoryEntry](maxlen=size)
    for entry in added:
        history.append(*entry)
        model.append(as_entry(*entry))
        assert len(history) == len(model)
    expected = list(model)
    assert history.entries() == expected
    assert history.entries(limit) == (expected if limit is None else expected[max(0, len(expected) - max(limit, 0)) :])


@given(st.integers(1, 40), st.integers(1, 40), entries, entries)
def test_a_resized_history_has_the_newest_entries_and_goes_on(
    size: int,
    other: int,
    before: list[tuple[float, float, float | None]],
    after: list[tuple[float, float, float | None]],
) -> None:
    history, model = History(size), deque[HistoryEntry](maxlen=size)
    for entry in before:
        history.append(*entry)
        model.append(as_entry(*entry))
    history, model = history.resized(other), deque(model, maxlen=other)
    assert history.size == other
    assert history.entries() == list(model)
    for entry in after:
        history.append(*entry)
        model.append(as_entry(*entry))
    assert history.entries() == list(model)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_an_entry_costs_less_than_28_bytes(size: int) -> None:
    history = History(size)
    for number in range(size + 10):
        history.append(float(number), 100.0, None)
    columns = (history._timestamps, history._prices, history._volumes)
    assert sum(map(sys.getsizeof, columns)) / size < 28


def test_a_symbol_that_ticks_rarely_takes_little_of_a_large_history() -> None:
    history = History(1_000_000)
    for _ in range(20):
        history.append(1.0, 1.0, 1.0)
    assert sys.getsizeof(history._prices) < 1000


def test_a_volume_of_nothing_is_none_and_a_volume_of_zero_is_zero() -> None:
    history = History(3)
    history.append(1.0, 100.0, None)
    history.append(2.0, 100.0, 0.0)
    assert [entry["volume"] for entry in history.entries()] == [None, 0.0]


# --- in the stream


def test_the_stream_remembers_each_believed_tick_of_each_symbol() -> None:
    stream = Stream("AAPL", "MSFT", **PLAIN)
    for number in range(4):
        stream.tick(100.0 + number, volume=10.0 * number)
        stream.tick(300.0 + number, symbol="MSFT")
    assert stream.board.history("aapl", 2) == [as_entry(5.0, 102.0, 20.0), as_entry(7.0, 103.0, 30.0)]
    assert [entry["price"] for entry in stream.board.history("MSFT")] == [300.0, 301.0, 302.0, 303.0]
    assert stream.board.history("NONE") == []


def test_only_the_last_entries_are_kept() -> None:
    stream = Stream(history=HistorySettings(size=3), **PLAIN)
    for number in range(10):
        stream.tick(100.0 + number)
    assert [entry["price"] for entry in stream.board.history("AAPL")] == [107.0, 108.0, 109.0]


def test_history_can_be_off() -> None:
    stream = Stream(history=HistorySettings(enabled=False), **PLAIN)
    stream.tick(100.0)
    assert stream.board.history("AAPL") == []


def test_a_reload_resizes_and_switches() -> None:
    stream = Stream("AAPL", **PLAIN)
    for number in range(5):
        stream.tick(100.0 + number)

    def apply(enabled: bool, size: int) -> list[float]:
        stream.engine.apply(StreamSettings(history=HistorySettings(enabled=enabled, size=size), **PLAIN))
        return [entry["price"] for entry in stream.board.history("AAPL")]

    assert apply(True, 2) == [103.0, 104.0]
    stream.tick(105.0)
    assert apply(True, 2) == [104.0, 105.0]
    assert apply(True, 4) == [104.0, 105.0]
    for number in range(6, 9):
        stream.tick(100.0 + number)
    assert apply(True, 4) == [105.0, 106.0, 107.0, 108.0]
    assert apply(False, 4) == []
    assert apply(True, 4) == []
    stream.tick(109.0)
    assert apply(True, 4) == [109.0]
    assert apply(True, 0) == []


def test_a_symbol_tracked_later_has_the_history_of_the_day() -> None:
    stream = Stream("AAPL", history=HistorySettings(size=2), **PLAIN)
    stream.board.track(["MSFT"])
    for number in range(3):
        stream.tick(300.0 + number, symbol="MSFT")
    assert [entry["price"] for entry in stream.board.history("MSFT")] == [301.0, 302.0]
    stream.board.untrack(["MSFT"])
    stream.board.track(["MSFT"])
    assert stream.board.history("MSFT") == []
