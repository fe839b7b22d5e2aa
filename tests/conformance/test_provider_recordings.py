"""Whole sessions: every price in them is a tick, exactly and in order, and nothing else is.

Sessions recorded elsewhere, and sessions made here in which prices and everything else that a server says come mixed.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Ack, Message, Missed, ProviderFault, Rejected
from pricestreamd.providers.catalogue import BUILT_IN
from tests.conformance.providers import Connection, Sample, adapter, load
from tests.support.data import shared_data

# --- recorded elsewhere


@dataclass(frozen=True)
class Recording:
    """A recorded session: what a configuration would say, and of each symbol the count of its prices and their range."""

    provider: str
    file: str
    prices: dict[str, tuple[int, float, float] | None]
    terms: dict[str, Any]


def binance(file: str, host: str, **prices: tuple[int, float, float] | None) -> Recording:
    return Recording("binance", file, prices, {"endpoint": f"wss://{host}/stream"})


def described(file: str, description: dict[str, Any], **prices: tuple[int, float, float] | None) -> Recording:
    return Recording("generic", file, prices, {"description": description})


RECORDINGS = [
    Recording(
        "twelvedata",
        "twelvedata_20230331.frames.jsonl",
        {"AAPL": (5, 164.1, 164.13), "BTC/USD": (1, 28326.8, 28326.8), "ETH/BTC": None},
        {},
    ),
    binance(
        "binance_20211012.frames.jsonl.gz",
        "stream.binance.com:9443",
        LRCBTC=(1, 0.00000638, 0.00000638), NKNUSDT=(1, 0.3528, 0.3528), BLZETH=None, RUNEEUR=None,
    ),
    binance(
        "binanceus_20211012.frames.jsonl.gz",
        "stream.binance.us:9443",
        OMGBUSD=(11, 13.7604, 13.8076), CRVUSDT=None, COMPUSDT=None, ZRXUSDT=None,
    ),
    binance(
        "binancefutures_20210722.frames.jsonl.gz",
        "fstream.binance.com",
        AKROUSDT=(8, 0.01731, 0.01735),
        CTKUSDT=(38, 1.01, 1.012),
        KEEPUSDT=(5, 0.2464, 0.2468),
        SUSHIUSDT=(40, 7.61, 7.62),
    ),
    # Protocols that have no adapter of their own here, described as a user would.
    described(
        "finnhub_AAPL_20230331.frames.jsonl",
        {"match": {"type": "trade"}, "items": "data", "symbol": "s", "price": "p", "volume": "v", "timestamp": "t", "time_unit": "ms"},
        AAPL=(61, 164.0591, 164.07),
    ),
    described(
        "coinbase_20210417.frames.jsonl.gz",
        {"match": {"type": "match"}, "symbol": "product_id", "price": "price", "volume": "size", "timestamp": "time", "time_unit": "rfc3339"},
        **{
            "BAND-BTC": (8, 0.00033396, 0.00033422),
            "BAND-GBP": (4, 14.7646, 14.7646),
            "SKL-BTC": (8, 0.00001303, 0.00001306),
            "SKL-GBP": (1, 0.5762, 0.5762),
        },
    ),
    described(
        "bitstamp_20220105.frames.jsonl.gz",
        {"match": {"event": "trade"}, "items": "data", "symbol": "channel", "price": "price", "volume": "amount", "timestamp": "microtimestamp", "time_unit": "us"},
        live_trades_ethusd=(10, 3800.53, 3805.44),
    ),
    described(
        "alpaca_AAPL_20240328.frames.jsonl",
        {"match": {"T": "t"}, "symbol": "S", "price": "p", "volume": "s", "timestamp": "t", "time_unit": "rfc3339"},
        AAPL=(2, 171.64, 171.695),
    ),
    described(
        "alpaca_FAKEPACA.frames.jsonl",
        {"match": {"T": "t"}, "symbol": "S", "price": "p", "volume": "s", "timestamp": "t", "time_unit": "rfc3339"},
        FAKEPACA=(1, 134.56, 134.56),
    ),
    described(
        "polygon_published_samples.frames.jsonl",
        {"match": {"ev": "T"}, "symbol": "sym", "price": "p", "volume": "s", "timestamp": "t", "time_unit": "ms"},
        MSFT=(1, 114.125, 114.125),
    ),
]  # fmt: skip

each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=[recording.file for recording in RECORDINGS])


def frames_of(file: str) -> list[bytes]:
    data = shared_data(f"frames/{file}").read_bytes()
    return (gzip.decompress(data) if file.endswith(".gz") else data).splitlines()


def summary(ticks: Iterable[Tick]) -> dict[str, tuple[int, float, float]]:
    """Of each symbol the count of its prices, the lowest and the highest."""
    prices: dict[str, list[float]] = {}
    for tick in ticks:
        prices.setdefault(tick.symbol, []).append(tick.price)
    return {symbol: (len(found), min(found), max(found)) for symbol, found in prices.items()}


def in_order(ticks: Iterable[Tick]) -> bool:
    """Whether no symbol's price is older than the one before."""
    last: dict[str, float] = {}
    for tick in ticks:
        if tick.timestamp < last.get(tick.symbol, 0.0):
            return False
        last[tick.symbol] = tick.timestamp
    return True


def heard(recording: Recording, *symbols: str) -> list[Message]:
    made = adapter(recording.provider, *symbols, sample={"terms": recording.terms})
    return Connection(made).hear_all(frames_of(recording.file))


@each_recording
def test_every_trade_of_a_recorded_session_is_a_tick_and_nothing_else_is(recording: Recording) -> None:
    messages = heard(recording, *recording.prices)
    ticks = [message for message in messages if isinstance(message, Tick)]
    assert summary(ticks) == {symbol: prices for symbol, prices in recording.prices.items() if prices is not None}
    assert in_order(ticks)
    assert not [message for message in messages if isinstance(message, Rejected | ProviderFault | Missed)]


@each_recording
def test_of_a_recorded_session_only_wanted_symbols_are_ticks(recording: Recording) -> None:
    wanted = next(symbol for symbol, prices in recording.prices.items() if prices is not None)
    messages = heard(recording, wanted)
    assert summary(message for message in messages if isinstance(message, Tick)) == {wanted: recording.prices[wanted]}
    others = sum(prices[0] for symbol, prices in recording.prices.items() if symbol != wanted and prices is not None)
    assert messages.count(Rejected("unknown_symbol")) == others


def test_every_recording_of_a_provider_that_there_is_is_used() -> None:
    here = sorted(path.name for path in shared_data("frames").glob("*.frames.jsonl*"))
    ours = [name for name in here if any(name.startswith(provider) for provider in BUILT_IN)]
    assert ours
    assert set(ours) == {recording.file for recording in RECORDINGS if recording.provider != "generic"}


def test_the_recorded_prices_are_exact() -> None:
    ticks = [message for message in heard(RECORDINGS[0], "AAPL", "BTC/USD") if isinstance(message, Tick)]
    assert [tick.price for tick in ticks] == [164.13, 164.12, 164.12, 164.115, 28326.8, 164.1]
    assert (ticks[0].symbol, ticks[0].timestamp, ticks[0].volume) == ("AAPL", 1680286328.0, 29666927.0)
    assert [tick.currency for tick in ticks] == ["USD", "USD", "USD", "USD", None, "USD"]


def test_the_recorded_answers_are_understood() -> None:
    answers = [message for message in heard(RECORDINGS[0], "AAPL", "BTC/USD", "ETH/BTC") if isinstance(message, Ack)]
    assert sorted(answers[0].subscribed) == ["AAPL", "BTC/USD", "ETH/BTC"]


# --- made here


@dataclass(frozen=True)
class Market:
    """How a provider writes a price: of a symbol, as decimal text, counted per symbol from 1, at a time in ms."""

    price: Callable[[str, str, int, int], object]
    missed: bool = False
    """Whether it numbers its prices, so that a hole is seen."""


def binance_price(symbol: str, price: str, number: int, time: int) -> object:
    trade = {"e": "aggTrade", "E": time, "s": symbol, "a": number, "p": price, "q": "1.5", "T": time}
    return {"stream": f"{symbol.lower()}@aggTrade", "data": trade}


def alphavantage_price(symbol: str, price: str, number: int, time: int) -> object:
    row = {"symbol": symbol, "timestamp": "2023-10-30 12:00:00", "close": price, "volume": str(number)}
    return {"endpoint": "Realtime Bulk Quotes", "message": "success", "data": [row]}


def number(price: str) -> float:
    return json.loads(price)  # type: ignore[no-any-return]  # decimal text is a number in JSON


MARKETS = {
    "twelvedata": Market(
        lambda symbol, price, _number, time: {
            "event": "price", "symbol": symbol, "timestamp": time // 1000, "price": number(price), "day_volume": 5
        }
    ),
    "binance": Market(binance_price, missed=True),
    "iex": Market(
        lambda symbol, price, _number, time: [{"symbol": symbol, "latestPrice": number(price), "latestUpdate": time}]
    ),
    "alphavantage": Market(alphavantage_price),
    "generic": Market(
        lambda symbol, price, number, time: {"symbol": symbol, "price": price, "size": number, "time": time / 1000}
    ),
}  # fmt: skip

SYMBOLS = ["AAA", "BBB", "CCC"]


def noise(name: str) -> list[Sample]:
    """Samples that are said on such a connection beside prices, and end it not."""
    first = load(name)[0].get("terms", {})
    return [
        sample
        for sample in load(name)
        if sample.get("terms", {}) == first
        and not sample.get("before")
        and not any("tick" in message for message in sample["messages"])
        # A plan without bulk quotes is another session.
        and not (name == "alphavantage" and ("premium" in sample["frame"] or "apikey" in sample["frame"]))
    ]


def session(name: str, seed: int) -> tuple[list[str], list[tuple[str, float]], int]:
    """Three hundred prices among everything else; the frames, the prices, and how many frames are neither."""
    dice = random.Random(seed)
    market, others = MARKETS[name], noise(name)
    frames, prices, count = [], [], 0
    numbers = dict.fromkeys(SYMBOLS, 0)
    time = 1_700_000_000_000
    for _ in range(300):
        for sample in dice.sample(others, min(len(others), dice.randrange(3))):
            frames.append(sample["frame"])
            count += 1
        symbol = dice.choice(SYMBOLS)
        numbers[symbol] += 1
        time += dice.randrange(1, 2000)
        price = f"{dice.uniform(1, 1000):.{dice.randrange(2, 9)}f}"
        frames.append(json.dumps(market.price(symbol, price, numbers[symbol], time)))
        prices.append((symbol, float(price)))
    return frames, prices, count


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_price_of_a_mixed_session_is_a_tick_and_nothing_else_is(name: str, seed: int) -> None:
    frames, prices, others = session(name, seed)
    assert others > 100
    messages = Connection(adapter(name, *SYMBOLS)).hear_all(frames)
    ticks = [message for message in messages if isinstance(message, Tick)]
    assert [(tick.symbol, tick.price) for tick in ticks] == prices
    assert in_order(ticks)
    assert {tick.symbol for tick in ticks} == set(SYMBOLS)
    assert not [message for message in messages if isinstance(message, Missed)]


@pytest.mark.parametrize("name", [name for name, market in MARKETS.items() if market.missed])
def test_a_hole_in_what_is_numbered_is_told_and_counted(name: str) -> None:
    frames = [json.dumps(MARKETS[name].price("AAA", "1.5", n, 1_700_000_000_000 + n)) for n in range(1, 11)]
    messages = Connection(adapter(name, "AAA")).hear_all([*frames[:3], *frames[6:8], frames[9]])
    assert [message for message in messages if isinstance(message, Missed)] == [
        Missed(("AAA",), 3),
        Missed(("AAA",), 1),
    ]
    assert sum(isinstance(message, Tick) for message in messages) == 6


def test_every_provider_has_a_market() -> None:
    assert set(MARKETS) == set(BUILT_IN)
