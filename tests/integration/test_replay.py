"""A recorded day through the replay: every count equals a count made without any of our code.

The counts are made by the `csv` module and plain arithmetic, on the recorded trading day where it is there, and on a
day made here, with the same promises, where it is not.
"""

import csv
import gzip
import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.replay.runner import ReplayRun, ReplaySummary
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import StreamSettings
from tests.support.data import shared_data

SETTINGS = StreamSettings(min_change_percent=0.05, out_of_order="accept")


def made_day(folder: Path) -> Path:
    """A made day of 60,000 trades of three symbols, with equal times, time going back, and prices around thresholds."""
    dice = random.Random("a day")
    path = folder / "day.csv.gz"
    prices = {"SPY": 16741, "BAC": 1400, "IBM": 18200}
    time_ms = 1381132800464
    with gzip.open(path, "wt") as file:
        file.write("ts_ms,symbol,price,size,exchange\n")
        for _ in range(60_000):
            time_ms += dice.choice([-50, 0, 0, 1, 3, 250])
            symbol = dice.choice(list(prices))
            prices[symbol] = max(100, prices[symbol] + dice.choice([-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 3]))
            file.write(f"{time_ms},{symbol},{prices[symbol] / 100},{dice.randint(1, 900)},P\n")
    return path


@pytest.fixture(params=["made", "recorded"])
def day(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made_day(tmp_path) if request.param == "made" else shared_data("ticks/equity_trades_20131007.csv.gz")


def rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)


def thresholds(path: Path) -> dict[str, tuple[float, float]]:
    """A lower and an upper threshold for each symbol, which its prices cross often."""
    prices = defaultdict(list)
    for row in rows(path):
        prices[row["symbol"]].append(float(row["price"]))
    quarters = {symbol: sorted(seen) for symbol, seen in prices.items()}
    return {symbol: (seen[len(seen) // 4], seen[3 * len(seen) // 4]) for symbol, seen in quarters.items()}


def independent_counts(path: Path, limits: dict[str, tuple[float, float]]) -> tuple[Counter[str], int, Counter[str]]:
    """Updates per symbol; changes of 0.05 % and more; entries into the thresholds, per alert."""
    updates: Counter[str] = Counter()
    entries: Counter[str] = Counter({f"{symbol} {way}": 0 for symbol in limits for way in ("above", "below")})
    changes = 0
    last: dict[str, float] = {}
    inside: dict[str, bool] = defaultdict(bool)
    for row in rows(path):
        symbol, price = row["symbol"], float(row["price"])
        updates[symbol] += 1
        before = last.get(symbol)
        if before is not None and price != before and abs(100.0 * (price - before) / before) >= 0.05:
            changes += 1
        last[symbol] = price
        low, high = limits[symbol]
        for alert, true in ((f"{symbol} above", price >= high), (f"{symbol} below", price <= low)):
            entries[alert] += true and not inside[alert]
            inside[alert] = true
    return updates, changes, entries


def alerts(limits: dict[str, tuple[float, float]]) -> list[AlertRule]:
    return [
        AlertRule.from_mapping(symbol, {"name": f"{symbol} {way}", way: value})
        for symbol, (low, high) in limits.items()
        for way, value in (("above", high), ("below", low))
    ]


def replayed(path: Path, limits: dict[str, tuple[float, float]]) -> tuple[ReplaySummary, bytes]:
    events = io.BytesIO()
    run = ReplayRun(SETTINGS, alerts=alerts(limits), events=events)
    return run.run(run.read([path])), events.getvalue()


def test_every_count_of_a_day_equals_an_independent_count(day: Path) -> None:
    limits = thresholds(day)
    updates, changes, entries = independent_counts(day, limits)
    summary, written = replayed(day, limits)
    assert summary.updates == updates
    assert summary.ticks == updates.total()
    assert summary.changes == changes
    assert summary.alerts == entries
    assert summary.rejected == {}
    assert changes > 100
    assert min(entries.values()) > 10
    times = [int(row["ts_ms"]) / 1000 for row in rows(day)]
    assert (summary.first, summary.last) == (times[0], max(times))

    events = Counter[str]()
    per_alert = Counter[str]()
    for line in written.splitlines():
        event: dict[str, Any] = json.loads(line)
        events[event["event"]] += 1
        if event["event"] == "price.alert":
            per_alert[event["alert_name"]] += 1
    assert events["price.update"] == summary.ticks
    assert events["price.change"] == summary.changes
    assert events["price.spike"] == summary.spikes
    assert per_alert == entries


def test_the_updates_of_a_day_are_its_rows_in_order(day: Path) -> None:
    _, written = replayed(day, thresholds(day))
    updates = (line for line in written.splitlines() if line.startswith(b'{"event":"price.update"'))
    for number, (line, row) in enumerate(zip(updates, rows(day), strict=True), 1):
        event = json.loads(line)
        assert event["sequence"] == number
        assert event["symbol"] == row["symbol"]
        assert event["price"] == float(row["price"])
        assert event["volume"] == float(row["size"])
        assert event["timestamp"] == event["received_at"] == int(row["ts_ms"]) / 1000


def test_two_replays_of_a_day_write_the_same_bytes(day: Path) -> None:
    limits = thresholds(day)
    first, second = replayed(day, limits), replayed(day, limits)
    assert first == second


def test_out_of_order_ticks_are_dropped_and_counted_where_the_settings_say_so(tmp_path: Path) -> None:
    day, dropped = made_day(tmp_path), 0
    newest: dict[str, int] = {}
    for row in rows(day):
        time_ms = int(row["ts_ms"])
        if time_ms < newest.get(row["symbol"], 0):
            dropped += 1
        else:
            newest[row["symbol"]] = time_ms
    run = ReplayRun(StreamSettings(out_of_order="drop"))
    summary = run.run(run.read([day]))
    assert dropped > 1000
    assert summary.rejected == {"out_of_order": dropped}
    assert sum(summary.updates.values()) == 60_000 - dropped


def test_a_quote_file_is_replayed_at_its_mid_prices() -> None:
    path = shared_data("ticks/forex_quotes_EURUSD_20140507.csv.gz")
    mids = [(float(row["bid"]) + float(row["ask"])) / 2 for row in rows(path)]
    heard: list[float] = []
    run = ReplayRun(SETTINGS)
    run.dispatcher.on("price.update", lambda event: heard.append(event.price))
    summary = run.run(run.read([path]))
    assert summary.updates == {"EURUSD": len(mids)}
    assert heard == mids


def test_several_files_are_one_stream_in_the_order_of_time() -> None:
    names = ["forex_quotes_EURUSD_20140507", "equity_trades_20131007", "crypto_trades_binance_XRPETH_20191011"]
    paths = [shared_data(f"ticks/{name}.csv.gz") for name in names]
    expected = Counter(row["symbol"] for path in paths for row in rows(path))
    times: list[float] = []
    run = ReplayRun(StreamSettings())
    run.dispatcher.on("price.update", lambda event: times.append(event.timestamp))
    summary = run.run(run.read(paths))
    assert summary.ticks == expected.total()
    assert set(summary.updates) == set(expected)
    assert times == sorted(times)
