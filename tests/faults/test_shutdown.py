"""The end of a daemon: rows L2 and L3, with real sinks, on the process itself and as its service manager hears it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.daemon import DaemonProcess
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.receiver import Received, Receiver
from tests.support.service_manager import ManagerSocket
from tests.support.waiting import eventually


def config(url: str, more: str) -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: any-key
    endpoint: {url}
    symbols: [AAPL]
    market_hours: always
stream: {{suspect: null}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


class Market:
    """Sends prices as fast as they are taken, `at_most` so many; `alert` rings at every tenth."""

    def __init__(self, at_most: int = 10**9) -> None:
        self.at_most = at_most
        self.sent = 0

    async def script(self, conversation: Conversation) -> None:
        serving = asyncio.create_task(conversation.serve())
        await eventually(lambda: conversation.subscribed)
        while not serving.done():
            if self.sent < self.at_most:
                self.sent += 1
                try:
                    await conversation.price("AAPL", 110 if self.sent % 10 == 0 else 90)
                except ConnectionError:
                    break
            await asyncio.sleep(0 if self.sent < self.at_most else 0.01)
        await serving


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def owed(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "state.db") as database:
        return {event_id for (event_id,) in database.execute("SELECT event_id FROM outbox")}


ALERT = "alerts: [{name: bell, symbol: AAPL, above: 100}]"


async def test_l2_under_load_it_says_goodbye_delivers_everything_and_ends_with_0(tmp_path: Path) -> None:
    market = Market()
    async with (
        ManagerSocket(tmp_path) as manager,
        Receiver() as receiver,
        ScriptedProvider(market.script) as provider,
    ):
        more = f"""{ALERT}
sinks:
  events: {{type: file, path: events.jsonl, queue: {{size: 1000000}}}}
  prices: {{type: sqlite, path: prices.db, queue: {{size: 1000000}}}}
  hook: {{type: webhook, url: "{receiver.url}", allow_private: true}}
"""
        async with DaemonProcess(tmp_path, config(provider.url, more), **manager.environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 5_000)
            assert await daemon.stop() == 0
        assert provider.last.actions("unsubscribe")
        assert provider.last.close_code == 1000
    assert (tmp_path / "events.jsonl").read_text().endswith("}\n")
    events = lines(tmp_path / "events.jsonl")
    updates = [event["sequence"] for event in events if event["event"] == "price.update"]
    assert updates == list(range(1, len(updates) + 1))
    with sqlite3.connect(tmp_path / "prices.db") as database:
        assert database.execute("SELECT count(*) FROM prices").fetchone() == (len(updates),)
    # Each firing was delivered, or waits for the next start.
    fired = {event["firing_id"] for event in events if event["event"] == "price.alert"}
    assert len(fired) >= 450
    assert fired == set(receiver.ids) | owed(tmp_path)
    assert len(receiver.ids) == len(set(receiver.ids))
    # What its service manager was told.
    assert manager.told[0].startswith("READY=1\nSTATUS=serving on http://")
    assert "STOPPING=1\nSTATUS=stopping: closing connections" in manager.told
    assert manager.statuses[-1] == "stopped"
    said = [record["message"] for record in daemon.records]
    order = [said.index(words) for words in ("SIGTERM: stopping", "stopping: closing connections", "stopped: ok")]
    assert order == sorted(order)


async def test_l2_alerts_that_nobody_takes_wait_in_the_outbox_and_are_no_loss(tmp_path: Path) -> None:
    async def refuse(_request: web.Request, _received: Received) -> web.StreamResponse:
        return web.Response(status=500)

    market = Market(at_most=30)
    async with Receiver() as receiver, ScriptedProvider(market.script) as provider:
        receiver.answer = refuse
        more = f"""{ALERT}
sinks: {{hook: {{type: webhook, url: "{receiver.url}", allow_private: true, events: [price.alert]}}}}
shutdown_timeout: 2s
"""
        async with DaemonProcess(tmp_path, config(provider.url, more)) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 3)
            await eventually(lambda: len(receiver.requests) >= 1)
            assert await daemon.stop() == 0
    assert len(owed(tmp_path)) == 3
    assert any("3 alerts stay in the outbox for the next start" in line for line in daemon.log)


async def test_l3_a_dead_sink_holds_it_up_for_the_shutdown_timeout_and_no_longer(tmp_path: Path) -> None:
    fifo = tmp_path / "nobody-reads"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)
    try:
        async with ManagerSocket(tmp_path) as manager, ScriptedProvider(Market().script) as provider:
            more = f"sinks: {{events: {{type: file, path: {fifo}}}}}\nshutdown_timeout: 2s"
            async with DaemonProcess(tmp_path, config(provider.url, more), **manager.environ) as daemon:
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 2_000)
                asked = time.monotonic()
                assert await daemon.stop() == 75
                took = time.monotonic() - asked
    finally:
        os.close(held)
    assert 1.5 < took < 6.0
    assert any("sink events: " in line and "not delivered before the deadline" in line for line in daemon.log)
    # A person sees what it waits for; nobody is asked for more time, for nothing goes on.
    waits = [
        status for status in manager.statuses if re.fullmatch(r"stopping: delivering \d+ events, \d s left", status)
    ]
    assert len(waits) >= 2
    assert manager.heard("EXTEND_TIMEOUT_USEC") == 0
    assert any('"message": "stopping: delivering ' in line for line in daemon.log)


async def test_l3_more_time_is_asked_for_while_a_slow_sink_gets_on(tmp_path: Path) -> None:
    async def slowly(_request: web.Request, _received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.03)
        return web.Response()

    market = Market(at_most=100)
    async with (
        ManagerSocket(tmp_path) as manager,
        Receiver() as receiver,
        ScriptedProvider(market.script) as provider,
    ):
        receiver.answer = slowly
        more = f'sinks: {{hook: {{type: webhook, url: "{receiver.url}", allow_private: true, events: [price.update]}}}}'
        async with DaemonProcess(tmp_path, config(provider.url, more), **manager.environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] == 100)
            assert len(receiver.accepted) < 70
            assert await daemon.stop() == 0
    assert len(receiver.accepted) == 100
    assert 1 <= manager.heard("EXTEND_TIMEOUT_USEC=3000000") <= 10
    counts = [int(found[1]) for status in manager.statuses if (found := re.search(r"delivering (\d+) event", status))]
    assert len(counts) >= 2
    assert counts == sorted(counts, reverse=True)


async def test_l2_sigint_and_sigterm_are_the_same_and_the_second_of_either_ends_it_now(tmp_path: Path) -> None:
    fifo = tmp_path / "nobody-reads"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)
    try:
        async with ScriptedProvider(Market().script) as provider:
            more = f"sinks: {{events: {{type: file, path: {fifo}}}}}\nshutdown_timeout: 60s"
            async with DaemonProcess(tmp_path, config(provider.url, more)) as daemon:
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 1_000)
                daemon.send(signal.SIGINT)
                await daemon.said("stopping: delivering ")
                asked = time.monotonic()
                daemon.send(signal.SIGTERM)
                assert await daemon.ended() == 75
                assert time.monotonic() - asked < 5.0
    finally:
        os.close(held)
    assert any("SIGTERM again: stopping now" in line for line in daemon.log)
