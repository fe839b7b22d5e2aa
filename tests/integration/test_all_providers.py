"""Every provider, from subscription to goodbye, against the simulator that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, GenericFeedSettings, GenericHeartbeatSettings, ReconnectSettings
from pricestreamd.model.events import PriceGap, Run
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually

KEY = "canary-key-88"
FAST = ReconnectSettings(initial_delay=0.05, max_delay=0.2, jitter=0)
COMMON: dict[str, Any] = {"api_key": Secret(KEY), "reconnect": FAST}
FEEDS: dict[str, FeedSettings] = {
    "twelvedata": FeedSettings(provider="twelvedata", symbols=("AAPL", "EUR/USD"), **COMMON),
    "binance": FeedSettings(provider="binance", symbols=("BTCUSDT", "ETH/USDT"), reconnect=FAST),
    "binance ticker": FeedSettings(provider="binance", channel="ticker", symbols=("btcusdt",), reconnect=FAST),
    "iex": FeedSettings(provider="iex", symbols=("AAPL", "msft"), **COMMON),
    "alphavantage": FeedSettings(provider="alphavantage", symbols=("IBM", "MSFT"), **COMMON),
    "generic": GenericFeedSettings(
        provider="generic",
        symbols=("AAPL", "MSFT"),
        subscribe='{"op":"subscribe","symbols":"{symbols}"}',
        unsubscribe='{"op":"unsubscribe","symbols":"{symbols}"}',
        heartbeat=GenericHeartbeatSettings(send='{"op":"ping"}', every=10.0),
        match={"type": "trades"},
        items="data",
        volume="size",
        timestamp="time",
        time_unit="ms",
        **COMMON,
    ),
}
MORE = {"binance": "BNBUSDT", "binance ticker": "ETHUSDT"}
each_feed = pytest.mark.parametrize("name", FEEDS)


@asynccontextmanager
async def running(simulator: Simulator, settings: FeedSettings) -> AsyncIterator[tuple[WebSocketClient, list[Tick]]]:
    seen: list[Tick] = []
    client = WebSocketClient.from_settings("f", replace(settings, endpoint=simulator.url), Run("test"))
    client.on_message(seen.append)
    task = asyncio.create_task(client.run())
    try:
        yield client, seen
    finally:
        await client.disconnect()
        await asyncio.wait({task})
        assert task.exception() is None


@each_feed
async def test_prices_come_for_what_is_subscribed_now(name: str) -> None:
    settings = FEEDS[name]
    async with Simulator(settings.provider, rate=100) as simulator, running(simulator, settings) as (client, seen):
        await eventually(lambda: {tick.symbol for tick in seen} == set(settings.symbols), timeout=10)
        more = MORE.get(name, "SPY")
        await client.subscribe([more])
        await eventually(lambda: seen[-1].symbol == more or more in {tick.symbol for tick in seen}, timeout=15)
        await client.unsubscribe([more])
        if client.profile.transport != "poll":  # what is polled is what is asked for next, and nothing before
            await eventually(lambda: len(simulator.subscribed) == len(settings.symbols), timeout=10)
        assert client.state == "live"
        assert client.counters.rejected.keys() <= {"unknown_symbol"}
        assert all(tick.feed == "f" and tick.price > 0 for tick in seen)


@pytest.mark.parametrize("name", [name for name in FEEDS if name != "alphavantage"])  # polls have nothing to lose
async def test_a_lost_connection_comes_back_with_its_symbols(name: str) -> None:
    settings, gaps = FEEDS[name], []
    async with Simulator(settings.provider, rate=100) as simulator, running(simulator, settings) as (client, seen):
        client.on_event(lambda event: gaps.append(event) if isinstance(event, PriceGap) else None)
        await eventually(lambda: seen and client.state == "live", timeout=10)
        await simulator.drop(simulator.connections[0], "reset")
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live", timeout=10)
        before = len(seen)
        await eventually(lambda: {tick.symbol for tick in seen[before:]} >= set(settings.symbols), timeout=10)
        assert [gap.symbols for gap in gaps if gap.reason != "sequence"] == [settings.symbols]


@pytest.mark.parametrize("name", ["twelvedata", "iex"])
async def test_a_refused_key_parks_the_feed_and_is_not_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = FEEDS[name]
    async with (
        Simulator(settings.provider, api_key="another") as simulator,
        running(simulator, settings) as (client, _),
    ):
        await eventually(lambda: client.state == "parked")
        assert simulator.refused == 1
    assert KEY not in caplog.text
