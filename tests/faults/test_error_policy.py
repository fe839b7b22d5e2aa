"""A feed that fails again and again, and what `errors:` makes of it, on the process itself."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.service_manager import ManagerSocket
from tests.support.waiting import eventually


def config(
    url: str, errors: str, *, reconnect: str = "", symbols: str = "AAPL", more: str = "", hours: str = "always"
) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: any-key
    endpoint: {url}
    symbols: [{symbols}]
    market_hours: {hours}
    reconnect: {{initial_delay: 20ms, max_delay: 20ms, jitter: 0{reconnect}}}
sinks: {{events: {{type: file, path: events.jsonl, batch: {{interval: 20ms}}}}}}
errors: {errors}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [event for event in found if event["event"] == name]


def failures(folder: Path) -> list[dict[str, Any]]:
    return [event for event in events(folder, "price.error") if event["error"] == "feed_failed"]


UNAVAILABLE = Answer(503)


async def priced(conversation: Conversation) -> None:
    """A price at once, then as it should be."""
    await conversation.acknowledge({"params": {"symbols": "AAPL"}})
    await conversation.price("AAPL", 100.0)
    await conversation.serve()


async def test_a_feed_that_fails_too_often_rests_and_begins_anew_told_of_once(tmp_path: Path) -> None:
    async with ScriptedProvider(priced) as provider:
        text = config(provider.url, "{max_consecutive: 4, window: 10s, cooldown: 600ms}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            provider.answer = UNAVAILABLE
            provider.last.reset()
            await eventually(lambda: failures(tmp_path), 10)
            # The loss, and three attempts that failed; then nothing is tried for a while.
            assert len(provider.requests) == 1 + 3
            feeds = await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "stopped")
            assert feeds["us"]["state"] == "stopped"
            assert (await daemon.get("/health", status=503))["status"] == "unhealthy"
            # Begun anew it fails as often, and nobody is told again.
            await eventually(lambda: len(provider.requests) == 1 + 3 + 4, 10)
            await daemon.said("it begins anew in 0.6 s")
            await eventually(lambda: len(provider.requests) > 1 + 3 + 4, 10)
            provider.answer = None
            await daemon.until("/health", lambda health: health["status"] == "healthy")
            await eventually(lambda: events(tmp_path, "price.gap"))
            told = failures(tmp_path)
            assert len(told) == 1
            # Counters go on, and what was missed is one gap, from the loss on.
            (report,) = (await daemon.get("/api/v1/feeds"))["us"]["connections"]
            assert report["reconnects"] == 1
            scrape = await daemon.get("/metrics")
            assert 'pricestream_frames_received_total{feed="us"} ' in scrape
            assert 'pricestream_feed_connected{connection="0",feed="us"} 1.0' in scrape
            # After a price it counts as new trouble.
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] >= 2)
            provider.answer = UNAVAILABLE
            provider.last.reset()
            await eventually(lambda: len(failures(tmp_path)) == 2, 10)
            assert await daemon.stop() == 0
    (gap,) = events(tmp_path, "price.gap")
    assert gap["to"] - gap["from"] > 0.6
    assert told[0]["severity"] == "critical"
    assert told[0]["feed"] == "us"
    assert "feed us failed 4 times in 10 s, last: " in told[0]["message"]
    assert "503" in told[0]["message"]


async def test_a_price_between_two_errors_makes_the_count_zero(tmp_path: Path) -> None:
    async def one_price(conversation: Conversation) -> None:
        await conversation.acknowledge({"params": {"symbols": "AAPL"}})
        await conversation.price("AAPL", 100.0 + conversation.number)
        await asyncio.sleep(0.02)
        conversation.reset()

    async with ScriptedProvider(one_price) as provider:
        text = config(provider.url, "{max_consecutive: 2, window: 60s}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] >= 8)
            assert await daemon.stop() == 0
    assert failures(tmp_path) == []


async def test_a_server_that_accepts_and_closes_politely_for_ever_is_an_error_too(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="accept-then-close") as simulator:
        simulator.pause()  # a price that slips through would begin the count anew
        text = config(simulator.url, "{max_consecutive: 4, window: 60s, cooldown: 60s}").replace("20ms", "100ms")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: failures(tmp_path), 10)
            assert await daemon.stop() == 0
        # The first goodbye is a way of life, the others follow it too soon.
        assert simulator.connects == 5


@pytest.mark.parametrize("reconnect", ["", ", max_attempts: 2", ", enabled: false"])
async def test_exit_ends_the_process_with_a_code_for_which_it_is_started_again(tmp_path: Path, reconnect: str) -> None:
    async with ManagerSocket(tmp_path) as manager, ScriptedProvider(priced) as provider:
        text = config(provider.url, "{max_consecutive: 5, window: 60s, action: exit}", reconnect=reconnect)
        async with DaemonProcess(tmp_path, text, **manager.environ) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            provider.answer = UNAVAILABLE
            provider.last.reset()
            assert await daemon.ended() == 70
        assert manager.heard("STOPPING=1") >= 1
        assert manager.statuses[-1] == "stopped"
    (told,) = failures(tmp_path)
    assert told["severity"] == "critical"
    assert ("failed 5 times" if not reconnect else "gave up") in told["message"]
    assert told["message"].endswith("; the process ends, to be started again")
    # What had come before it is delivered.
    assert len(events(tmp_path, "price.update")) == 1


async def test_none_goes_on_trying_for_ever(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        provider.answer = UNAVAILABLE
        text = config(provider.url, "{max_consecutive: 2, window: 60s, action: none}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: len(provider.requests) >= 12, 10)
            provider.answer = None
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
            assert await daemon.stop() == 0
    assert failures(tmp_path) == []


async def test_attempts_that_are_exhausted_call_for_the_action(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        provider.answer = UNAVAILABLE
        text = config(provider.url, "{action: none}", reconnect=", max_attempts: 3")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: failures(tmp_path), 10)
            assert len(provider.requests) == 4
            feeds = await daemon.get("/api/v1/feeds")
            assert feeds["us"]["state"] == "stopped"
            # The daemon lives, says that it is not well, and stops as any other.
            assert (await daemon.get("/health", status=503))["status"] == "unhealthy"
            assert await daemon.stop() == 0
    assert failures(tmp_path)[0]["message"].endswith("; it stays so until the next start")
    assert len(failures(tmp_path)) == 1


async def test_attempts_that_are_exhausted_let_the_feed_begin_anew_after_the_cooldown(tmp_path: Path) -> None:
    async with ScriptedProvider(priced) as provider:
        provider.answer = UNAVAILABLE
        text = config(provider.url, "{cooldown: 200ms}", reconnect=", max_attempts: 1")
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: len(provider.requests) >= 6, 10)
            provider.answer = None
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            assert await daemon.stop() == 0
    assert len(failures(tmp_path)) == 1


async def test_a_refused_key_and_refused_symbols_are_no_errors_of_this_kind(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100, scenario="reject-some") as good:
        async with Simulator("twelvedata", scenario="bad-key") as bad:
            other = f"  other: {{provider: twelvedata, api_key: wrong, endpoint: '{bad.url}', symbols: [TSLA]}}\nsinks:"
            text = config(good.url, "{max_consecutive: 1, window: 60s, action: exit}", symbols="A, B, C, D, E, F")
            async with DaemonProcess(tmp_path, text.replace("sinks:", other, 1)) as daemon:
                await daemon.until("/api/v1/feeds", lambda feeds: feeds["other"]["state"] == "parked")
                refused = await daemon.until(
                    "/api/v1/symbols",
                    lambda answer: sum(row["state"] == "rejected" for row in answer["symbols"]) == 2,
                )
                assert refused
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 20)
                assert await daemon.stop() == 0
    assert failures(tmp_path) == []


async def test_new_limits_count_at_once_after_a_reload(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        provider.answer = UNAVAILABLE
        async with DaemonProcess(tmp_path, config(provider.url, "{action: none}")) as daemon:
            await eventually(lambda: len(provider.requests) >= 3, 10)
            daemon.config.write_text(config(provider.url, "{max_consecutive: 3, action: exit}"))
            daemon.process.send_signal(1)
            assert await daemon.ended() == 70


def closed_today() -> str:
    """Hours of a market that is open on one day of the week only, which is not today, tomorrow or yesterday."""
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(datetime.now(UTC).weekday() + 3) % 7]
    return f'{{timezone: UTC, days: {day}, open: "09:00", close: "17:00"}}'


@pytest.mark.parametrize("policy", ["cooldown: 300ms", "action: none"])
async def test_a_feed_that_fails_while_its_market_is_closed_is_critical_when_that_opens(
    tmp_path: Path, policy: str
) -> None:
    errors = f"{{max_consecutive: 3, {policy}}}"
    exhausted = ", max_attempts: 2" if "none" in policy else ""
    async with ScriptedProvider() as provider:
        provider.answer = UNAVAILABLE
        text = config(provider.url, errors, hours=closed_today(), reconnect=exhausted)
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: failures(tmp_path), 10)
            feeds = await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "stopped")
            assert feeds["us"]["market_open"] is False
            assert 'pricestream_market_open{feed="us"} 0.0' in await daemon.get("/metrics")
            health = await daemon.get("/health")
            assert (health["status"], health["feeds"]["us"]["healthy"]) == ("healthy", True)
            assert "its market is closed" in health["feeds"]["us"]["reason"]
            assert [failure["severity"] for failure in failures(tmp_path)] == ["warning"]
            daemon.config.write_text(config(provider.url, errors, reconnect=exhausted))
            daemon.process.send_signal(1)
            await eventually(lambda: len(failures(tmp_path)) == 2, 10)
            assert [failure["severity"] for failure in failures(tmp_path)] == ["warning", "critical"]
            assert (await daemon.get("/health", status=503))["status"] == "unhealthy"
