"""A scrape of a daemon that is busy with many symbols: valid in both formats, bounded, and without a word of the data."""

import asyncio
import re
import subprocess
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pricestreamd.simulator.server import Simulator
from pricestreamd.telemetry.metrics import CATALOGUE, PREFIX
from tests.integration.test_daemon import config
from tests.prometheus.shipped import PROMTOOL
from tests.support.daemon import DaemonProcess

SYMBOLS = [f"SYM{number}" for number in range(400)]
MORE = """
  odd:
    provider: twelvedata
    api_key: ${KEY}
    endpoint: %s
    symbols: [SPOILT1, SPOILT2, SPOILT3]
    watchlist: {file: %s}
alerts: [{name: all, symbol: "SYM*", change_percent: 0.01}, {name: never, symbol: NOBODY, above: 1}]
listeners: [{event: price.update, call: "hooks:raises"}]
plugin_paths: [.]
sinks:
  events: {type: file, path: events.jsonl}
  prices: {type: sqlite, path: prices.db}
metrics: {max_symbol_series: 50}
"""
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def text(good: Simulator, bad: Simulator, folder: Path) -> str:
    (folder / "list.txt").write_text("SPOILT4\n")
    (folder / "hooks.py").write_text("def raises(event):\n    if event.number % 100 == 0: raise ValueError('CANARY')\n")
    whole = config(good, symbols=", ".join(SYMBOLS))
    feeds, stream = whole.split("stream:", 1)
    second, rest = (MORE % (bad.url, folder / "list.txt")).split("alerts:", 1)
    return f"{feeds.rstrip()}{second}stream:{stream}alerts:{rest}"


async def test_a_busy_daemon_is_scraped_in_both_formats_and_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    async with (
        Simulator("twelvedata", rate=2_000) as good,
        Simulator("twelvedata", rate=200, scenario="not-positive+unknown-events") as bad,
        DaemonProcess(tmp_path, text(good, bad, tmp_path), KEY="canary-key-7") as daemon,
    ):
        await daemon.until("/api/v1/prices", lambda prices: len(prices) == len(SYMBOLS) + 4, timeout=20)
        good.connections[0].cut(reset=True)
        await daemon.until("/metrics", lambda scrape: 'reconnects_total{feed="us",reason="reset"} 1' in scrape)
        scrape = await daemon.get("/metrics")
        async with aiohttp.ClientSession(headers={"Accept": OPENMETRICS}) as session:
            async with session.get(f"{daemon.url}/metrics") as response:
                assert response.content_type == "application/openmetrics-text"
                open_form = await response.text()
        seen = series(scrape)
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 8_000, timeout=20)
        await asyncio.sleep(1)  # as long as an answer is kept
        again = series(await daemon.get("/metrics"))
        assert await daemon.stop() == 0

    if PROMTOOL is not None:
        checked = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=scrape.encode(), capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

    # Every metric that has a part is there, and both forms name the same series.
    names = {PREFIX + metric.name.removesuffix("_total") for metric in CATALOGUE if metric.read}
    assert names <= {family.name for family in parse_text(scrape)}
    families = openmetrics.text_string_to_metric_families(open_form)  # type: ignore[no-untyped-call]  # theirs
    assert {key for family in families for key in keys(family)} == seen

    # Prices, alerts and spoilt messages add nothing; what is in a message is nowhere but in the capped last_price.
    assert {name for name, _ in again - seen} <= {"pricestream_last_price"}
    counts = Counter(name for name, _ in again)
    assert counts["pricestream_last_price"] == 50
    assert len(again) < 700
    for name, labels in again:
        if name != "pricestream_last_price":
            assert not re.search(r"SYM|SPOILT|CANARY|canary", repr(labels)), (name, labels)
    assert "canary" not in scrape.lower()
    feeds = {dict(labels)["feed"] for _, labels in again if "feed" in dict(labels)}
    assert feeds == {"us", "odd"}


def keys(family: object) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for sample in family.samples  # type: ignore[attr-defined]  # a family of either parser
    }


def series(scrape: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return set().union(*map(keys, parse_text(scrape)))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (it comes with Prometheus)")
def test_promtool_would_find_a_name_without_its_unit_in_a_base_unit() -> None:
    bad = b"# HELP pricestream_lag_milliseconds Lag.\n# TYPE pricestream_lag_milliseconds gauge\npricestream_lag_milliseconds 1\n"
    checked = subprocess.run([str(PROMTOOL), "check", "metrics"], input=bad, capture_output=True, check=False)
    assert checked.returncode == 3
