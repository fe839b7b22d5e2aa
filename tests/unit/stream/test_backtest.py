"""A day of trades through every kind of alert, against plain loops that know nothing of the product.

The day is recorded where it is there, and made up otherwise: a seeded walk in cents, with extended hours around a
regular session.
"""

from __future__ import annotations

import csv
import gzip
import random
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from pricestreamd.model.tick import Tick
from tests.support.data import shared_data
from tests.unit.stream.ticking import PLAIN, Stream

DAY = "ticks/equity_trades_20131007.csv.gz"
MIDNIGHT = 1_381_104_000.0  # 2013-10-07, UTC
OPEN, CLOSE = MIDNIGHT + 13.5 * 3600, MIDNIGHT + 20 * 3600


class Trade(NamedTuple):
    time: float
    price: float
    size: float


Day = list[Trade]


class RegularSession:
    """13:30 to 20:00 UTC of that day."""

    def is_open(self, at: float) -> bool:
        return OPEN <= at < CLOSE

    def next_change(self, at: float) -> float | None:
        return next((change for change in (OPEN, CLOSE) if change > at), None)


@cache
def recorded(symbol: str) -> Day:
    with gzip.open(shared_data(DAY), "rt") as file:
        return [
            Trade(float(row["ts_ms"]) / 1000, float(row["price"]), float(row["size"]))
            for row in csv.DictReader(file)
            if row["symbol"] == symbol
        ]


@cache
def made() -> Day:
    dice = random.Random(20131007)
    time, cents, trades = MIDNIGHT + 8 * 3600, 1390, []
    while time < MIDNIGHT + 24 * 3600 - 10:
        time += round(dice.expovariate(0.4), 3)
        # Pulled back to where it began, so that thresholds are crossed again and again.
        cents += dice.choice((-1, 0, 0, 1)) if dice.random() < 0.9 else (1390 - cents) // 4
        trades.append(Trade(round(time, 3), cents / 100, float(dice.choice((100, 200, 500, 5000)))))
    return trades


@pytest.fixture(params=["made", "BAC", "IBM"])
def day(request: pytest.FixtureRequest) -> Day:
    return made() if request.param == "made" else recorded(request.param)


def fired(day: Day, hours: bool = False, /, **alert: Any) -> list[float]:
    """The times at which the alert fires."""
    stream = Stream("X", listen=False, hours_of=lambda _: RegularSession() if hours else None, **PLAIN)
    stream.set_alert("X", **alert)
    times: list[float] = []
    stream.dispatcher.on("price.alert", lambda event: times.append(event.timestamp))
    on_tick = stream.engine.on_tick
    for time, price, size in day:
        stream.pass_time(time)
        on_tick(Tick("X", price, time, time, size, None, "replay"))
    stream.pass_time(day[-1].time + 86_400)
    return times


# --- the loops


def edges(day: Day, true: list[bool]) -> Iterator[Trade]:
    """The trades at which something becomes true."""
    before = False
    for trade, now in zip(day, true, strict=True):
        if now and not before:
            yield trade
        before = now


def crossings(day: Day, level: float, hysteresis: float = 0.0) -> Iterator[Trade]:
    """The trades at which the price comes to `level`, having been below it by so many per cent."""
    armed = True
    for trade in day:
        if armed and trade.price >= level:
            armed = False
            yield trade
        elif not armed and (trade.price <= level * (100 - hysteresis) / 100 if hysteresis else trade.price < level):
            armed = True


def middle(day: Day) -> float:
    """A price that is crossed often."""
    return sorted(trade.price for trade in day)[len(day) // 2]


def moved(price: float, baseline: float) -> float:
    return 100.0 * (price - baseline) / baseline


def test_above_and_below(day: Day) -> None:
    level = middle(day)
    above = [trade.price >= level for trade in day]
    below = [trade.price <= level for trade in day]
    assert fired(day, above=level) == [trade.time for trade in edges(day, above)]
    assert fired(day, below=level) == [trade.time for trade in edges(day, below)]
    assert len(fired(day, above=level)) > 20


@pytest.mark.parametrize("hysteresis", [0.05, 0.1, 0.3])
def test_hysteresis(day: Day, hysteresis: float) -> None:
    level = middle(day)
    expected = [trade.time for trade in crossings(day, level, hysteresis)]
    assert fired(day, above=level, hysteresis=hysteresis) == expected
    assert 0 < len(expected) <= len(fired(day, above=level))


@pytest.mark.parametrize("percent", [0.1, 0.5])
def test_a_move_from_where_it_was_armed(day: Day, percent: float) -> None:
    expected, baseline = [], day[0].price
    for trade in day:
        if abs(moved(trade.price, baseline)) >= percent:
            expected.append(trade.time)
            baseline = trade.price
    assert fired(day, change_percent=percent) == expected
    assert expected


def test_a_move_from_the_trade_before(day: Day) -> None:
    before = [day[0], *day]
    true = [abs(moved(trade.price, last.price)) >= 0.1 for trade, last in zip(day, before, strict=False)]
    expected = [trade.time for trade in edges(day, true)]
    assert fired(day, change_percent=0.1, baseline="previous") == expected


@pytest.mark.parametrize("seconds", [60.0, 900.0])
def test_a_move_from_the_price_some_time_ago(day: Day, seconds: float) -> None:
    times = [trade.time for trade in day]
    true = []
    for trade in day:
        # Of the trades that are at least so old, the last.
        index = bisect_right(times, trade.time - seconds) - 1
        true.append(index >= 0 and abs(moved(trade.price, day[index].price)) >= 0.2)
    assert fired(day, change_percent=0.2, baseline=seconds) == [trade.time for trade in edges(day, true)]
    assert any(true)


def test_a_move_from_the_open_of_the_session(day: Day) -> None:
    first = next(trade.price for trade in day if trade.time >= OPEN)
    true = [trade.time >= OPEN and abs(moved(trade.price, first)) >= 0.2 for trade in day]
    expected = [trade.time for trade in edges(day, true)]
    assert fired(day, True, change_percent=0.2, baseline="open") == expected
    assert expected


def test_a_move_from_the_close_of_the_session(day: Day) -> None:
    last = [trade.price for trade in day if OPEN <= trade.time < CLOSE][-1]
    true = [trade.time >= CLOSE and abs(moved(trade.price, last)) >= 0.05 for trade in day]
    expected = [trade.time for trade in edges(day, true)]
    assert fired(day, True, change_percent=0.05, baseline="close") == expected
    assert expected


@pytest.mark.parametrize("percent", [0.2, 0.4, -0.2, -0.4])
def test_a_trailing_move(day: Day, percent: float) -> None:
    sign = 1 if percent > 0 else -1
    expected, extreme, armed = [], day[0].price, True
    for trade in day:
        if (trade.price - extreme) * sign > 0:
            extreme = trade.price
        true = -moved(trade.price, extreme) * sign >= abs(percent)
        if true and armed:
            expected.append(trade.time)
            armed = False
        elif not true and not armed:
            armed, extreme = True, trade.price
    assert fired(day, trailing_percent=percent) == expected
    assert expected


@pytest.mark.parametrize("kind", ["trade_size_above", "day_volume_above"])
def test_volumes(day: Day, kind: str) -> None:
    true = [trade.size >= 1000 for trade in day]
    assert fired(day, **{kind: 1000.0}) == [trade.time for trade in edges(day, true)]


@pytest.mark.parametrize("cooldown", [60.0, 600.0])
def test_a_cooldown(day: Day, cooldown: float) -> None:
    level, expected = middle(day), [-1e9]
    for trade in edges(day, [trade.price >= level for trade in day]):
        if trade.time >= expected[-1] + cooldown:
            expected.append(trade.time)
    assert fired(day, above=level, cooldown=cooldown) == expected[1:]
    assert len(expected) < 1 + len(fired(day, above=level))


@pytest.mark.parametrize("seconds", [5.0, 60.0])
def test_what_must_hold_for_a_while(day: Day, seconds: float) -> None:
    level = middle(day)
    expected, since = [], None
    for trade in [*day, Trade(day[-1].time + 86_400, 0.0, 0.0)]:
        if since is not None and trade.time >= since + seconds:
            expected.append(since + seconds)
            since = float("inf")
        if trade.price < level:
            since = None
        elif since is None:
            since = trade.time
    assert fired(day, **{"above": level, "for": seconds}) == expected
    assert expected


def test_all_of_several_conditions(day: Day) -> None:
    level = middle(day)
    true = [trade.price >= level and trade.size >= 500 for trade in day]
    expected = [trade.time for trade in edges(day, true)]
    assert fired(day, above=level, trade_size_above=500, when="all") == expected


def test_any_of_several_conditions(day: Day) -> None:
    level = middle(day)
    expected = sorted(fired(day, above=level) + fired(day, trade_size_above=500))
    assert fired(day, above=level, trade_size_above=500) == expected


def test_once_and_at_every_update(day: Day) -> None:
    level = middle(day)
    above = [trade.time for trade in day if trade.price >= level]
    assert fired(day, above=level, once=True) == above[:1]
    assert fired(day, above=level, trigger="every_update") == above


def test_the_regular_session_alone(day: Day) -> None:
    level = middle(day)
    regular = [trade for trade in day if OPEN <= trade.time < CLOSE]
    expected = [trade.time for trade in edges(regular, [trade.price >= level for trade in regular])]
    assert fired(day, True, above=level, session="regular") == expected


@pytest.mark.parametrize(("hysteresis", "count"), [(0.0, 283), (0.1, 11), (0.3, 6)])
def test_bank_of_america_above_13_90_in_the_regular_session_of_2013_10_07(hysteresis: float, count: int) -> None:
    regular = [trade for trade in recorded("BAC") if OPEN <= trade.time < CLOSE]
    expected = [trade.time for trade in crossings(regular, 13.90, hysteresis)]
    assert len(expected) == count
    assert fired(regular, above=13.90, hysteresis=hysteresis) == expected
    inside = fired(recorded("BAC"), True, above=13.90, hysteresis=hysteresis, session="regular")
    assert inside == expected
