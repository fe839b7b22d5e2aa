"""A burst of fifty thousand prices a second, row D13: every one is looked at, and afterwards nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess
from tests.support.provider import Conversation, ScriptedProvider

SYMBOLS = [f"S{number}" for number in range(20)]
RATE, SECONDS = 50_000, 1.5
USUAL_RATE = 500
STEP = 0.01
# One price in so many is above the alert's threshold, and the next below it again.
ONE_IN = 97
MIB = 1 << 20


class Market:
    """Prices at `rate` a second, each stamped with the time at which it was written."""

    def __init__(self) -> None:
        self.rate = USUAL_RATE
        self.sent = 0
        self.crossings = 0

    async def trade(self, conversation: Conversation) -> None:
        """The script of the provider."""
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await conversation.acknowledge(message)
                break
        transport = conversation.transport
        assert transport is not None
        loop = asyncio.get_running_loop()
        due, owed = loop.time(), 0.0
        while not transport.is_closing():
            due += STEP
            owed += self.rate * STEP
            count, owed = int(owed), owed % 1
            transport.write(b"".join(self._frame() for _ in range(count)))
            await asyncio.sleep(due - loop.time())

    def _frame(self) -> bytes:
        above = self.sent % ONE_IN == ONE_IN - 1
        self.crossings += above
        text = (
            f'{{"event":"price","symbol":"{SYMBOLS[0 if above or self.sent % ONE_IN == 0 else self.sent % 19 + 1]}",'
            f'"price":{100.5 if above else 99.5},"timestamp":{time.time():.6f}}}'
        ).encode()
        self.sent += 1
        return bytes((0x81, len(text))) + text


def config(url: str) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {url}
    symbols: {json.dumps(SYMBOLS)}
    market_hours: always
alerts: [{{name: all, symbol: S0, above: 100}}]
stream: {{out_of_order: accept}}
sinks: {{events: {{type: file, path: events.jsonl}}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


@pytest.mark.alone
async def test_d13_a_burst_is_evaluated_tick_by_tick_and_leaves_no_trace(tmp_path: Path) -> None:
    market = Market()
    async with ScriptedProvider(market.trade) as provider:
        async with DaemonProcess(tmp_path, config(provider.url), KEY="any-key") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 100)
            market.rate = RATE
            longest = 0.0
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                longest = max(longest, queued(await daemon.get("/metrics")))
            market.rate = USUAL_RATE
            calm_at = time.monotonic()
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["connections"][0]["lag_seconds"] < 0.1)
            assert time.monotonic() - calm_at < 5.0
            sent, crossings = market.sent, market.crossings
            stats = await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] >= sent)
            assert stats["alerts_triggered"] >= crossings
            market.rate = 0
            stats = await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] == market.sent)
            assert market.sent > 0.9 * RATE * SECONDS
            assert stats["alerts_triggered"] == market.crossings
            assert longest <= 10_000
            assert (await daemon.get("/health"))["feeds"]["us"]["connections"][0]["reconnects"] == 0
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()
            assert int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 < 256 * MIB
            assert await daemon.stop() == 0
    alerts = sum('"event":"price.alert"' in line for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert alerts == market.crossings


def queued(scrape: str) -> float:
    """The longest queue of a sink."""
    return max(float(line.split()[-1]) for line in scrape.splitlines() if "_sink_queue_length{" in line)
