"""A recorded trading day through the stream, against counts made from the file without any code of the product."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.tick import Tick
from tests.support.data import shared_data
from tests.unit.stream.ticking import Stream

DAY = "ticks/equity_trades_20131007.csv.gz"
Row = tuple[str, float, float, float]


@cache
def rows(path: Path) -> list[Row]:
    """Symbol, price, time and size of each trade, in the order of the file."""
    with gzip.open(path, "rt") as file:
        return [
            (row["symbol"], float(row["price"]), float(row["ts_ms"]) / 1000, float(row["size"]))
            for row in csv.DictReader(file)
        ]


def replayed(*alerts: tuple[str, dict[str, Any]], **settings: Any) -> Stream:
    stream = Stream("BAC", "IBM", "SPY", listen=False, **{"out_of_order": "accept"} | settings)
    for symbol, conditions in alerts:
        stream.set_alert(symbol, **conditions)
    heard = stream.events
    for name in ("price.change", "price.spike", "price.alert"):
        stream.dispatcher.on(name, heard.append)
    on_tick = stream.engine.on_tick
    for symbol, price, time, size in rows(shared_data(DAY)):
        on_tick(Tick(symbol, price, time, time, size, None, "replay"))
    return stream


def prices_of(symbol: str) -> Iterator[tuple[float, float]]:
    return ((time, price) for one, price, time, _ in rows(shared_data(DAY)) if one == symbol)


def entries(symbol: str, above: float) -> list[float]:
    """The times at which the price came to `above` or more, having been below it, or from the start."""
    times, inside = [], False
    for time, price in prices_of(symbol):
        if price >= above and not inside:
            times.append(time)
        inside = price >= above
    return times


def test_every_trade_is_an_update_and_none_is_doubted() -> None:
    stream = replayed()
    expected = Counter(symbol for symbol, *_ in rows(shared_data(DAY)))
    assert {symbol: state.updates for symbol, state in stream.board.by_symbol.items()} == expected
    assert stream.engine.sequence == stream.dispatcher.event_counts["price.update"] == sum(expected.values()) == 363_066
    assert stream.engine.rejected == {}


@pytest.mark.parametrize("minimum", [0.05, 0.3])
def test_changes_are_those_of_the_file(minimum: float) -> None:
    stream = replayed(min_change_percent=minimum)
    last: dict[str, float] = {}
    expected: Counter[str] = Counter()
    for symbol, price, *_ in rows(shared_data(DAY)):
        before = last.get(symbol, price)
        expected[symbol] += before != price and abs(100 * (price - before) / before) >= minimum
        last[symbol] = price
    found = Counter(event["symbol"] for event in stream.events if event.event == "price.change")
    assert found == +expected
    assert sum(found.values()) > 10


def test_alerts_fire_at_every_entry_above_a_threshold_and_at_no_other_tick() -> None:
    alerts = [("BAC", 13.90, 288), ("BAC", 14.0, 1), ("SPY", 168.0, 214), ("IBM", 182.5, 170)]
    stream = replayed(*((symbol, {"above": above}) for symbol, above, _ in alerts), min_change_percent=100.0)
    for symbol, above, times in alerts:
        reason = f"price_above_{above:.2f}"
        fired = [event for event in stream.events if (event["symbol"], event["alert_reason"]) == (symbol, reason)]
        expected = entries(symbol, above)
        assert [event.timestamp for event in fired] == expected
        assert all(event["price"] >= above for event in fired)
        assert len({event["firing_id"] for event in fired}) == len(expected) == times


def test_bac_enters_13_90_as_often_as_counted_by_another_way() -> None:
    """Pairs of neighbours: below, then not below; and the first trade, which is above."""
    path = [price for _, price in prices_of("BAC")]
    crossings = sum(one < 13.90 <= other for one, other in pairwise(path))
    stream = replayed(("BAC", {"above": 13.90}), min_change_percent=100.0)
    assert path[0] >= 13.90
    assert stream.engine.alerts_fired == crossings + 1


def test_alerts_below_and_moves_and_once_are_those_of_the_file() -> None:
    stream = replayed(
        ("BAC", {"below": 13.85, "name": "below"}),
        ("SPY", {"change_percent": 0.25, "name": "move"}),
        ("*", {"above": 13.5, "once": True, "name": "once"}),
        min_change_percent=100.0,
    )
    below = sum(1 for _ in entries_below("BAC", 13.85))
    baseline, moves = None, 0
    for _, price in prices_of("SPY"):
        baseline = price if baseline is None else baseline
        if abs(100 * (price - baseline) / baseline) >= 0.25:
            moves, baseline = moves + 1, price
    assert stream.engine.firings == {"below": below, "move": moves, "once": 3}
    assert min(below, moves) > 3


def entries_below(symbol: str, below: float) -> Iterator[float]:
    inside = False
    for time, price in prices_of(symbol):
        if price <= below and not inside:
            yield time
        inside = price <= below


def test_the_history_ends_with_the_last_trades_of_the_day() -> None:
    stream = replayed()
    for symbol in ("BAC", "IBM", "SPY"):
        expected = [(time, price) for time, price in prices_of(symbol)][-1000:]
        assert [(entry["timestamp"], entry["price"]) for entry in stream.board.history(symbol)] == expected


def test_late_trades_are_dropped_where_that_is_asked_for() -> None:
    """The rows are in order of time: nothing is late, and equal times are no duplicates."""
    assert replayed(out_of_order="drop").engine.rejected == {}
