"""A real Prometheus scrapes a real daemon: the shipped rules fire on a stopped feed and are quiet on closed markets."""

import asyncio
import functools
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config
from tests.prometheus.server import Prometheus, hurried
from tests.prometheus.shipped import PROMETHEUS, RULES, exposed, queries, rules
from tests.support.daemon import DaemonProcess

needs_prometheus = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not here (Debian's package has it)")
TOKEN = "canary-scrape-token"

_T = TypeVar("_T")


async def until(
    ask: Callable[[], Awaitable[_T]], condition: Callable[[_T], object], timeout: float, what: str = ""
) -> _T:
    deadline = time.monotonic() + timeout
    while not condition(answer := await ask()):
        assert time.monotonic() < deadline, (what, answer)
        await asyncio.sleep(0.2)
    return answer


def closed() -> str:
    """Market hours of which nobody, wherever midnight is, can be within."""
    day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
    return f'{{timezone: UTC, days: {day}, open: "00:00", close: "00:01"}}'


def text(open_market: Simulator, night: Simulator) -> str:
    """One feed whose market is open; one that is silent, and one that cannot connect, whose markets are closed."""
    quiet = f"""
  quiet:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {night.url}
    symbols: [MSFT]
    market_hours: {closed()}
  broken:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: ws://127.0.0.1:9/nobody
    symbols: [IBM]
    market_hours: {closed()}
stream:"""
    more = """
sinks: {events: {type: file, path: events.jsonl}}
alerts: [{symbol: AAPL, above: 1}, {symbol: IBM, above: 1}]
listeners: [{event: price.update, call: "heard:hear"}]
plugin_paths: [.]
"""
    whole = config(open_market, symbols="AAPL, TSLA", more=more).replace("stream:", quiet.lstrip("\n"), 1)
    whole = whole.replace("symbols: [AAPL, TSLA]", "symbols: [AAPL, TSLA]\n    market_hours: always")
    return whole.replace('"127.0.0.1:0"}', f'"127.0.0.1:0", auth_token: "{TOKEN}"}}')


@needs_prometheus
@pytest.mark.timeout(100)
async def test_the_shipped_rules_fire_on_a_stopped_feed_and_are_quiet_on_a_closed_market(tmp_path: Path) -> None:
    (tmp_path / "heard.py").write_text("def hear(event): pass\n")
    async with (
        Simulator("twelvedata", rate=100) as market,
        Simulator("twelvedata", scenario="mute") as night,
        DaemonProcess(tmp_path, text(market, night), KEY="any-key-1") as daemon,
    ):
        assert daemon.url is not None
        target = daemon.url.removeprefix("http://")
        async with Prometheus(tmp_path / "prometheus", target, TOKEN) as prometheus:
            # It is scraped, with the token, in the format that Prometheus asks for.
            await until(
                lambda: prometheus.value('up{job="price-stream"}'), lambda rows: rows and rows[0]["value"][1] == "1", 10
            )
            (active,) = (await prometheus.ask("targets"))["activeTargets"]
            assert (active["health"], active["lastError"]) == ("up", "")
            assert {rule["name"] for group in (await prometheus.ask("rules"))["groups"] for rule in group["rules"]} == {
                rule["alert"] for rule in rules()
            }
            # It cannot be reached; as its market is closed, nothing is missed by that.
            await until(lambda: prometheus.value('pricestream_feed_healthy{feed="broken"} == 1'), bool, 10)
            assert await prometheus.value('pricestream_feed_connected{feed="broken"} == 0')
            opened = {
                row["metric"]["feed"]: row["value"][1] for row in await prometheus.value("pricestream_market_open")
            }
            assert opened == {"us": "1", "quiet": "0", "broken": "0"}

            # All rules had the time that they need. Of closed markets none says a word, and nobody is woken.
            often = 'count_over_time(up{job="price-stream"}[1m]) >= 20'
            await until(lambda: prometheus.value(often), bool, 30)
            fired = await prometheus.firing()
            assert {(name, feed) for name, severity, feed in fired if severity == "critical"} == set()
            assert {feed for _, _, feed in fired} <= {""}, fired
            await check_the_dashboard(prometheus)

            # The feed stops: its connection stays, and nothing comes on it.
            market.pause()
            stopped = ("PriceStreamFeedStopped", "critical", "us")
            fired = await until(prometheus.firing, lambda fired: stopped in fired, 20)
            assert {one for one in fired if one[1] == "critical"} == {stopped}
            (alert,) = [
                one for one in (await prometheus.ask("alerts"))["alerts"] if one["labels"]["alertname"] == stopped[0]
            ]
            assert alert["annotations"]["summary"] == "No price from feed us while its market is open"
            assert alert["annotations"]["runbook_url"].endswith("#pricestreamfeedstopped")

            # It goes on, and the alert ends.
            market.resume()
            await until(prometheus.firing, lambda fired: stopped not in fired, 15)

            # The daemon is gone.
            assert await daemon.stop() == 0
            await until(prometheus.firing, lambda fired: ("PriceStreamDown", "critical", "") in fired, 15)
        assert TOKEN not in (tmp_path / "prometheus" / "log").read_text()


async def check_the_dashboard(prometheus: Prometheus) -> None:
    """Every query can be asked, and those that filter nothing out have an answer."""
    for where, query in queries():
        asked = re.sub(r"\$__rate_interval", "5s", query.replace("$instance", ".*").replace("$feed", ".*"))
        if asked.endswith("> 0") or "reconnects_total" in asked:
            await prometheus.value(asked)
        else:
            await until(functools.partial(prometheus.value, asked), bool, 10, where)
    shown = {row["metric"]["__name__"] for row in await prometheus.value('{job="price-stream"}')}
    absent = {"pricestream_watchlist_last_success_timestamp_seconds"}  # no feed here has a watchlist
    assert exposed().keys() - absent - shown <= {"pricestream_reconnects_total"}


def test_the_rules_in_a_hurry_are_the_shipped_ones_but_for_their_times() -> None:
    shipped, quick = RULES.read_text(encoding="utf-8"), hurried(RULES.read_text(encoding="utf-8"))
    assert "for: 3s" in quick and "[15s]" in quick and "_seconds > 2 and" in quick and "_seconds > 5\n" in quick
    assert not re.search(r"\b\d+m\b", quick)
    numbers = re.compile(r"\d+[ms]?\b")
    assert numbers.sub("#", quick) == numbers.sub("#", shipped)
