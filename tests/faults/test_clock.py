"""Clocks that jump, row D11, and hours that pass (H1), by the daemon as a process whose clocks are set from outside."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.provider import Answer, ScriptedProvider
from tests.support.shifted_clock import ShiftedClock
from tests.support.waiting import eventually

HOUR = 3600.0


def config(url: str, more: str = "", *, delay: str = "50ms") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {url}
    symbols: [AAPL, MSFT]
    market_hours: always
    stale_after: {{connection: 1s, symbol: 1s}}
    heartbeat: {{interval: 500ms, timeout: 1s}}
    reconnect: {{initial_delay: {delay}, max_delay: {delay}, jitter: 0}}
{more}
alerts: [{{name: set, symbol: AAPL, above: 0.01}}, {{name: far, symbol: AAPL, change_percent: 90}}]
sinks: {{events: {{type: file, path: events.jsonl, batch: {{interval: 50ms}}}}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


async def test_d11_a_wall_clock_that_is_set_moves_no_timer_and_fires_no_alert(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    async with Simulator("twelvedata", rate=500) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url), KEY="any-key", **clock.environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 100)
            # Ahead, back beyond where it was, and, in a leap second, back by one.
            for shift in (HOUR, -HOUR, -HOUR - 1):
                clock.set_wall(shift)
                before = await daemon.get("/api/v1/stats")
                after = await daemon.until(
                    "/api/v1/stats", lambda stats, since=before["uptime"] + 1.1: stats["uptime"] > since
                )
                assert after["updates_received"] - before["updates_received"] > 100
                prices = await daemon.get("/api/v1/prices/AAPL")
                assert not prices["AAPL"]["stale"]
                assert (await daemon.get("/health"))["status"] == "healthy"
            scrape = await daemon.get("/metrics")
            assert await daemon.stop() == 0
        assert simulator.connects == 1
    assert all(line.endswith(" 0.0") for line in scrape.splitlines() if "_ticks_rejected_total{" in line)
    told = events(tmp_path)
    # The clock of the process was really another: an hour ahead, and an hour behind.
    shifts = [event["received_at"] - event["timestamp"] for event in told if event["event"] == "price.update"]
    assert max(shifts) > HOUR - 60
    assert min(shifts) < 60 - HOUR
    assert [event["alert_name"] for event in told if event["event"] == "price.alert"] == ["set"]
    assert not [event["event"] for event in told if event["event"] in ("price.stale", "price.gap", "price.error")]


async def test_d11_silence_is_found_as_soon_after_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    async with Simulator("twelvedata", rate=500) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url), KEY="any-key", **clock.environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 100)
            clock.set_wall(-HOUR)
            simulator.mute(simulator.connections[0])
            muted = time.monotonic()
            await eventually(lambda: simulator.connects == 2)
            assert 0.9 < time.monotonic() - muted < 3.5
            assert await daemon.stop() == 0


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_d11_a_delay_that_has_begun_ends_when_it_would_have(tmp_path: Path, shift: float) -> None:
    clock = ShiftedClock(tmp_path)
    async with ScriptedProvider() as provider:
        text = config(provider.url, delay="600ms")
        async with DaemonProcess(tmp_path, text, KEY="any-key", **clock.environ) as daemon:
            await eventually(lambda: provider.conversations and provider.last.subscribed, 10)
            provider.last.drop()
            dropped = time.monotonic()
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "backoff")
            clock.set_wall(shift)
            await eventually(lambda: len(provider.conversations) == 2)
            assert 0.5 < time.monotonic() - dropped < 2.0
            assert await daemon.stop() == 0


@pytest.mark.parametrize("logged", ["price.error", "price.alert"], ids=["by the log sink", "by the feed itself"])
async def test_h1_a_refused_key_is_tried_every_quarter_of_an_hour_and_is_an_error_once_an_hour(
    tmp_path: Path, logged: str
) -> None:
    clock = ShiftedClock(tmp_path)
    async with Simulator("twelvedata", rate=100) as good, ScriptedProvider() as bad:
        bad.answer = Answer(401)
        other = f"  other: {{provider: twelvedata, api_key: '${{KEY}}', endpoint: '{bad.url}', symbols: [TSLA]}}"
        text = config(good.url, other).replace("sinks: {", f"sinks: {{log: {{type: log, events: [{logged}]}}, ")
        async with DaemonProcess(tmp_path, text, KEY="any-key", **clock.environ) as daemon:

            async def refused_again(later: float, times: int) -> None:
                clock.pass_over(later)
                await eventually(lambda: len(bad.requests) == times)
                # Before the next jump: it would be the deadline of a dial that is still under way.
                await daemon.until("/api/v1/feeds", lambda feeds: feeds["other"]["state"] == "parked")

            await refused_again(0.0, 1)
            uptime = (await daemon.get("/api/v1/stats"))["uptime"]
            clock.pass_over(700.0)  # a quarter of an hour, less a fifth, is 720 s
            await daemon.until("/api/v1/stats", lambda stats: stats["uptime"] > uptime + 700.5)
            assert len(bad.requests) == 1
            await refused_again(400.0, 2)
            await refused_again(1_100.0, 3)
            await refused_again(1_100.0, 4)
            assert len(refusals(daemon)) == 1
            await refused_again(1_100.0, 5)
            await eventually(lambda: len(refusals(daemon)) == 2)
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
            assert await daemon.stop() == 0
        assert len(refusals(daemon)) == 2


async def test_h1_the_daemon_is_ready_until_the_last_feed_is_down(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    async with ScriptedProvider() as one, ScriptedProvider() as bad:
        bad.answer = Answer(403)
        other = f"  other: {{provider: twelvedata, api_key: '${{KEY}}', endpoint: '{bad.url}', symbols: [TSLA]}}"
        text = config(one.url, other, delay="100ms").replace("{connection: 1s, symbol: 1s}", "{connection: null}")
        async with DaemonProcess(tmp_path, text, KEY="any-key", **clock.environ) as daemon:
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["other"]["state"] == "parked")
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
            assert "1 of 2 live" in await daemon.get("/readyz?verbose")
            assert (await daemon.get("/health", status=503))["feeds"]["other"]["healthy"] is False
            one.answer = Answer(500)
            one.last.drop()
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "backoff")
            # An ordinary drop is forgiven for a minute.
            assert "1 of 2 live" in await daemon.get("/readyz?verbose")
            clock.pass_over(61.0)
            assert "feeds failed: 0 of 2 live" in await daemon.get("/readyz?verbose", status=503)
            one.answer = None
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
            assert "1 of 2 live" in await daemon.get("/readyz?verbose")
            assert await daemon.stop() == 0


def refusals(daemon: DaemonProcess) -> list[dict[str, Any]]:
    return [record for record in daemon.records if record["log.level"] in ("error", "critical")]
