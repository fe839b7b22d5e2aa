"""The daemon as a process, over real sockets, against the simulated provider."""

import csv
import gzip
import json
import re
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.daemon import DaemonProcess
from tests.support.data import shared_data
from tests.support.waiting import eventually


def config(simulator: Simulator, symbols: str = "AAPL, MSFT", more: str = "", stream: str = "") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {simulator.url}
    symbols: [{symbols}]
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
stream: {{min_change_percent: 0.05{stream}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


SINKS = """
sinks:
  events: {type: file, path: events.jsonl}
  prices: {type: sqlite, path: prices.db}
"""


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_prices_go_from_the_socket_to_events_files_and_answers(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=500, api_key="s3cret-key") as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=SINKS), KEY="s3cret-key") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 200)
            health = await daemon.get("/health")
            assert health["status"] == "healthy"
            assert health["feeds"]["us"]["state"] == "live"
            prices = await daemon.get("/api/v1/prices")
            assert set(prices) == {"AAPL", "MSFT"}
            assert await daemon.get("/livez") and await daemon.get("/readyz")
            history = await daemon.get("/api/v1/history/AAPL?limit=5")
            assert history["symbol"] == "AAPL"
            assert len(history["history"]) == 5
            assert "pricestream_ticks_total" in await daemon.get("/metrics")
            assert await daemon.stop() == 0
        events = lines(tmp_path / "events.jsonl")
        updates = [event for event in events if event["event"] == "price.update"]
        assert [event["sequence"] for event in updates] == list(range(1, len(updates) + 1))
        with sqlite3.connect(tmp_path / "prices.db") as database:
            assert database.execute("SELECT count(*) FROM prices").fetchone() == (len(updates),)
        assert all(json.loads(line) for line in daemon.log)
        assert not any("s3cret-key" in line for line in [*daemon.log, *daemon.out])
        assert not any("Traceback" in line for line in daemon.log)


async def test_a_dropped_connection_is_subscribed_again(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:
        async with DaemonProcess(tmp_path, config(simulator), KEY="any") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 10)
            for connection in list(simulator.connections):
                connection.cut(reset=True)
            await eventually(lambda: simulator.connects == 2 and simulator.subscribed == ("AAPL", "MSFT"))
            before = (await daemon.get("/api/v1/stats"))["updates_received"]
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > before + 10)
            assert (await daemon.get("/health"))["status"] == "healthy"
            assert await daemon.stop() == 0


async def test_the_demo_ends_cleanly_on_either_signal(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        async with DaemonProcess(tmp_path, "", command="demo") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 10)
            assert any("live page: http://127.0.0.1:" in line for line in daemon.out)
            assert (await daemon.get("/health"))["status"] == "healthy"
            assert await daemon.stop(number) == 0
        assert not any("Traceback" in line for line in daemon.log)


@pytest.fixture
def recorded_day(tmp_path: Path) -> Path:
    """A file of our own: three symbols that walk, 30,000 ticks, whole seconds, many to a second."""
    path = tmp_path / "day.csv"
    rows = ["timestamp,symbol,price,volume"]
    for index in range(30_000):
        symbol = ("AAA", "BBB", "CCC")[index * 7 % 3]
        price = 100 + (index * index % 97) / 100 + (5 if index % 5000 == 0 else 0)
        rows.append(f"{1_700_000_000 + index // 50},{symbol},{price:.2f},{index}")
    path.write_text("\n".join(rows) + "\n")
    return path


async def play(tmp_path: Path, file: Path, symbols: str, ticks: int) -> list[dict[str, object]]:
    """Stream `file` at full rate through sockets, engine and file sink; every event, in order."""
    sinks = 'sinks: {events: {type: file, path: events.jsonl, events: ["price.*"], queue: {size: 100000}}}'
    async with Simulator("twelvedata", source=file, rate=MAX_RATE) as simulator:
        text = config(simulator, symbols=symbols, more=sinks, stream=", out_of_order: accept")
        async with DaemonProcess(tmp_path, text, KEY="any") as daemon:
            await simulator.wait_played()
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] >= ticks, timeout=60)
            scrape = await daemon.get("/metrics")
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
            assert await daemon.stop() == 0
    assert 'pricestream_sink_dropped_total{reason="overflow",sink="events"} 0.0' in scrape
    # Flat, whatever the number of ticks: the parts, and a queue that is never full.
    assert peak is not None
    assert int(peak[1]) < 160_000
    return lines(tmp_path / "events.jsonl")


async def test_a_recorded_day_arrives_whole_in_order_and_once(tmp_path: Path, recorded_day: Path) -> None:
    events = await play(tmp_path, recorded_day, "AAA, BBB, CCC", 30_000)
    expected = [row.split(",") for row in recorded_day.read_text().splitlines()[1:]]
    updates = [event for event in events if event["event"] == "price.update"]
    assert [(e["symbol"], e["price"], e["timestamp"]) for e in updates] == [
        (symbol, float(price), float(timestamp)) for timestamp, symbol, price, _ in expected
    ]
    changes = Counter(event["symbol"] for event in events if event["event"] == "price.change")
    assert changes == _changes(expected, 0.05)


async def test_the_recorded_trading_day_arrives_whole_in_order_and_once(tmp_path: Path) -> None:
    """363,066 trades of 2013-10-07. Twelve Data carries whole seconds."""
    file = shared_data("ticks/equity_trades_20131007.csv.gz")
    events = await play(tmp_path, file, "BAC, IBM, SPY", 363_066)
    with gzip.open(file, "rt") as text:
        expected = [(row["symbol"], float(row["price"]), int(row["ts_ms"]) // 1000) for row in csv.DictReader(text)]
    updates = [(e["symbol"], e["price"], e["timestamp"]) for e in events if e["event"] == "price.update"]
    assert len(updates) == 363_066
    assert updates == expected
    changes = Counter(event["symbol"] for event in events if event["event"] == "price.change")
    assert changes == _changes([["", symbol, repr(price)] for symbol, price, _ in expected], 0.05)


def _changes(rows: list[list[str]], percent: float) -> Counter[object]:
    last: dict[str, float] = {}
    counts: Counter[object] = Counter()
    for _, symbol, text, *_ in rows:
        price = float(text)
        if symbol in last and price != last[symbol]:
            counts[symbol] += abs(100 * (price - last[symbol]) / last[symbol]) >= percent
        last[symbol] = price
    return counts


async def test_an_alert_goes_to_the_sinks_that_it_names(tmp_path: Path) -> None:
    more = """
alerts:
  - {name: for-one, symbol: AAPL, above: 1, notify: [one]}
  - {name: for-all, symbol: MSFT, above: 1}
sinks:
  one: {type: file, path: one.jsonl, events: [price.error]}
  two: {type: file, path: two.jsonl, events: [price.alert]}
"""
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=more), KEY="any") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 2)
            assert await daemon.stop() == 0
    assert [event["alert_id"] for event in lines(tmp_path / "one.jsonl")] == ["for-one"]
    assert [event["alert_id"] for event in lines(tmp_path / "two.jsonl")] == ["for-all"]
    assert not any("AAPL" in line and "above" in line for line in daemon.log)
