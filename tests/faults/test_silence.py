"""Silence, by the daemon as a process: a fault where prices may be expected, and none where the market is closed."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.waiting import eventually

LAST_TICK = "pricestream_feed_last_tick_timestamp_seconds"


def config(simulator: Simulator | ScriptedProvider, hours: str, stale_after: str, symbols: str = "AAPL, MSFT") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: any
    endpoint: {simulator.url}
    symbols: [{symbols}]
    market_hours: {hours}
    stale_after: {stale_after}
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
sinks: {{events: {{type: file, path: events.jsonl, batch: {{interval: 50ms}}}}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def told(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    # What is being written just now has no end of line yet.
    lines = path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == name]


def closed_today() -> str:
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(time.gmtime().tm_wday + 3) % 7]
    return f'{{timezone: UTC, days: {day}, open: "09:30", close: "16:00"}}'


async def test_w3_a_feed_whose_market_is_closed_is_silent_connected_once_and_healthy(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="mute:0s") as simulator:
        text = config(simulator, closed_today(), "{connection: 300ms, symbol: 300ms}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.until("/health", lambda health: health["feeds"]["us"]["state"] == "live")
            # Eight times as long as either limit.
            await daemon.until("/api/v1/stats", lambda stats: stats["uptime"] > 2.8, timeout=15)
            assert (await daemon.get("/health"))["status"] == "healthy"
            scrape = await daemon.get("/metrics")
            assert 'pricestream_market_open{feed="us"} 0.0' in scrape
            assert 'pricestream_symbols_stale{feed="us"} 0.0' in scrape
            assert simulator.connects == 1
            assert await daemon.stop() == 0
    assert told(tmp_path, "price.stale") == []


async def test_w3_pongs_without_prices_while_the_market_is_open_are_told_and_the_connection_is_replaced(
    tmp_path: Path,
) -> None:
    async with Simulator("twelvedata", rate=100) as simulator:
        text = config(simulator, "always", "{connection: 1s, symbol: null}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 10)
            simulator.mute(simulator.connections[0])
            await eventually(lambda: simulator.connects >= 2, 15)
            await daemon.until("/health", lambda health: health["feeds"]["us"]["state"] == "live", timeout=15)
            await eventually(lambda: told(tmp_path, "price.resumed"), 10)
            assert await daemon.stop() == 0
    (stale,) = told(tmp_path, "price.stale")
    assert (stale["feed"], stale["symbol"]) == ("us", None)
    assert 1.0 <= stale["silent_seconds"] < 4.0
    assert [gap["reason"] for gap in told(tmp_path, "price.gap")] == ["stale"]


async def test_one_silent_symbol_is_told_by_its_name_and_asked_for_once_more_on_the_same_connection(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{1_700_000_000 + index},AAPL,{100 + index % 7}\n" for index in range(20_000))
    (tmp_path / "day.csv").write_text("timestamp,symbol,price\n" + rows)
    async with Simulator("twelvedata", source=tmp_path / "day.csv", rate=100) as simulator:
        text = config(simulator, "always", "{connection: 30s, symbol: 1s}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: told(tmp_path, "price.stale"), 15)
            await daemon.until("/metrics", lambda scrape: 'pricestream_symbols_stale{feed="us"} 1.0' in scrape, 10)
            symbols = await daemon.get("/api/v1/symbols")
            assert {one["symbol"]: one["state"] for one in symbols["symbols"]} == {
                "AAPL": "subscribed",
                "MSFT": "subscribed",
            }
            assert (await daemon.get("/health"))["status"] == "healthy"
            assert simulator.connects == 1
            assert await daemon.stop() == 0
    assert [(event["symbol"], event["feed"]) for event in told(tmp_path, "price.stale")] == [("MSFT", "us")]


async def test_w3_connections_that_are_acknowledged_and_dropped_without_a_price_are_silent_together(
    tmp_path: Path,
) -> None:
    async with Simulator("twelvedata", scenario="mute+drop:400ms") as simulator:
        text = config(simulator, "always", "{connection: 1s, symbol: null}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: told(tmp_path, "price.stale"), 15)
            for _ in range(5):
                connects = simulator.connects
                await eventually(lambda connects=connects: simulator.connects > connects, 15)  # type: ignore[misc] # bound on purpose
                assert (await daemon.get("/health", status=503))["status"] == "unhealthy"
            assert await daemon.stop() == 0
    assert len(told(tmp_path, "price.stale")) == 1


async def test_a_feed_that_rests_and_begins_anew_is_as_silent_as_before(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="mute+drop:150ms") as simulator:
        text = config(simulator, "always", "{connection: 1s, symbol: null}")
        text += "errors: {max_consecutive: 3, cooldown: 100ms}\n"
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: told(tmp_path, "price.stale"), 15)
            assert [error["error"] for error in told(tmp_path, "price.error")].count("feed_failed") == 1
            assert await daemon.stop() == 0


async def test_ticks_that_are_all_refused_are_silence(tmp_path: Path) -> None:
    async def old_prices(conversation: Conversation) -> None:
        await conversation.acknowledge({"params": {"symbols": "AAPL"}})
        await conversation.price("AAPL", 100.0, timestamp=1_700_000_000)
        while True:
            await conversation.price("AAPL", 101.0, timestamp=1_600_000_000)
            await asyncio.sleep(0.05)

    async with ScriptedProvider(old_prices) as provider:
        text = config(provider, "always", "{connection: 20s, symbol: 1s}", "AAPL")
        text += "alerts: [{symbol: AAPL, above: 200, on_blind: notify}]\n"
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: told(tmp_path, "alert.blind"), 15)
            scrape = await daemon.get("/metrics")
            assert "pricestream_alerts_blind 1.0" in scrape
            feeds = await daemon.get("/api/v1/feeds")
            (last,) = [float(line.split()[-1]) for line in scrape.splitlines() if line.startswith(LAST_TICK)]
            assert abs(last - feeds["us"]["connections"][0]["since"]) < 0.9
            assert await daemon.stop() == 0
    assert [event["symbol"] for event in told(tmp_path, "price.stale")] == ["AAPL"]
    assert len(told(tmp_path, "price.update")) == 1
