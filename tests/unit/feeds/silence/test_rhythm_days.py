"""Whole days of prices, made and recorded: no false alarm, and whoever falls silent is missed soon."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from time import perf_counter

import pytest

from tests.support.data import shared_data
from tests.unit.feeds.silence.looking import ALWAYS, CLOSING, OPENING, Day


def play(day: Day, streams: dict[str, list[float]], begin: float, end: float) -> None:
    """Ticks at their times, a look every second, from `begin` to `end`."""
    day.at = begin
    day.expect(*streams)
    by_second: dict[int, set[str]] = {}
    for symbol, times in streams.items():
        for time in times:
            by_second.setdefault(int(time), set()).add(symbol)
    while day.at < end:
        for symbol in by_second.get(int(day.at), ()):
            day.tick(symbol)
        day.pass_time(1.0)


def a_day_of_trading(mean: float, dice: random.Random) -> list[float]:
    """Busy at the opening and the close, slow at noon, with bursts and lulls: a price every `mean` seconds or so."""
    times, at = [], 0.0
    mood = 1.0
    while at < 23_400:
        if dice.random() < 0.02:
            mood = dice.choice((0.4, 1.0, 1.0, 3.0))
        season = 0.5 + 2.5 * abs(at / 23_400 - 0.5)
        at += dice.expovariate(mood * season / mean)
        times.append(at)
    return times


def test_a_day_that_is_busy_in_the_morning_and_slow_at_noon_brings_no_false_alarm() -> None:
    dice = random.Random(11)
    means = [0.1, 0.3, 1.0, 3.0, 10.0, 25.0]
    streams = {f"{mean}-{number}": a_day_of_trading(mean, dice) for mean in means for number in range(4)}
    day = Day()
    play(day, {symbol: [OPENING + time for time in times] for symbol, times in streams.items()}, OPENING, CLOSING)
    assert day.stale == []


def recorded(name: str) -> dict[str, list[float]]:
    """Times of the recorded ticks by symbol."""
    found: dict[str, list[float]] = {}
    with gzip.open(shared_data(name), "rt") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["symbol"], []).append(float(row["ts_ms"]) / 1000)
    return found


RECORDED_DAY = datetime(2013, 10, 7, tzinfo=UTC).timestamp()
SESSION = RECORDED_DAY + 13.5 * 3600, RECORDED_DAY + 20 * 3600


def test_a_recorded_day_of_three_shares_brings_no_false_alarm() -> None:
    ticks = recorded("ticks/equity_trades_20131007.csv.gz")
    streams = {symbol: [time for time in times if time >= SESSION[0]] for symbol, times in ticks.items()}
    # Each hundredth trade, from several beginnings: shares that trade every ten seconds to every two minutes.
    slow = {f"{symbol}/100 {n}": times[n::100] for symbol, times in streams.items() for n in range(0, 100, 10)}
    day = Day()
    play(day, streams | slow, *SESSION)
    assert day.stale == []


def test_recorded_shares_that_trade_every_few_minutes_bring_one_false_alarm_each_at_most() -> None:
    """They are not known before fifty gaps: until then five minutes are allowed, and one longer gap proves them slow."""
    ticks = recorded("ticks/equity_trades_20131007.csv.gz")
    streams = {symbol: [time for time in times if time >= SESSION[0]] for symbol, times in ticks.items()}
    day = Day()
    for number in range(4):
        begin = number * 86_400
        slow = {
            f"{symbol}/1000 {n}": [time + begin for time in times[(n * 100 + number * 37) % 1000 :: 1000]]
            for symbol, times in streams.items()
            for n in range(10)
        }
        play(day, slow, SESSION[0] + begin, SESSION[1] + begin)
        for symbol in slow:
            day.clocks.pause(symbol)
        assert len({symbol for symbol, _ in day.stale}) == len(day.stale)
    assert {seconds for _, seconds in day.stale} <= {300}
    assert not any(symbol.startswith("SPY") for symbol, _ in day.stale)


@pytest.mark.parametrize(
    ("symbol", "thinned", "soon"),
    [("SPY", 1, 45), ("BAC", 1, 75), ("IBM", 1, 150), ("SPY", 100, 300), ("BAC", 100, 800), ("IBM", 100, 2400)],
)
def test_a_recorded_share_that_falls_silent_is_missed_soon(symbol: str, thinned: int, soon: float) -> None:
    ticks = recorded("ticks/equity_trades_20131007.csv.gz")
    silence = SESSION[0] + 2.5 * 3600
    day = Day()
    times = [time for time in ticks[symbol] if SESSION[0] <= time < silence][::thinned]
    play(day, {symbol: times}, SESSION[0], SESSION[1])
    assert [name for name, _ in day.stale] == [symbol]
    assert day.stale[0][1] <= soon


@pytest.mark.parametrize("name", ["forex_quotes_EURUSD_20140507", "crypto_trades_binance_XRPETH_20191011"])
def test_recorded_days_round_the_clock_bring_no_false_alarm(name: str) -> None:
    ((symbol, times),) = recorded(f"ticks/{name}.csv.gz").items()
    day = Day(hours=ALWAYS)
    play(day, {symbol: times}, times[0], times[-1])
    assert day.stale == []


def looks(symbols: list[str], ticking: Iterable[str]) -> float:
    """Seconds of the quickest of some looks."""
    day = Day(at=OPENING + 60)
    for symbol in symbols:
        day.tick(symbol)
    day.expect(*symbols)
    day.pass_time(1.0)
    quickest = float("inf")
    for _ in range(12):
        for symbol in ticking:
            day.tick(symbol)
        begin = perf_counter()
        day.pass_time(1.0)
        quickest = min(quickest, perf_counter() - begin)
    return quickest


def test_a_look_at_ten_thousand_symbols_takes_milliseconds() -> None:
    """Some 1 to 4 ms on a machine that has nothing else to do; the bound leaves room for one that has."""
    symbols = [f"S{n}" for n in range(10_000)]
    assert looks(symbols, symbols[:1000]) < 0.020
    assert looks(symbols, symbols) < 0.040
