"""The simulator's own chaos, judged by its own ledger: what users can do at home to prove their configuration."""

from __future__ import annotations

import asyncio
from collections import Counter

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import Run
from pricestreamd.model.tick import Tick
from pricestreamd.simulator.server import Simulator
from tests.support.waiting import eventually

SYMBOLS = tuple(f"S{number:03}USDT" for number in range(500))
FAULTS = 12
MARGIN = 0.5
# Of its first faults none is a close frame that asks us to stay away for half a minute; another would only take longer.
SEED = 441
PATIENCE = 70.0


def settings(url: str) -> FeedSettings:
    return FeedSettings(
        provider="binance",
        endpoint=url,
        symbols=SYMBOLS,
        max_symbols_per_connection=100,
        connect_timeout=3.0,
        subscribe_timeout=2.5,
        reconnect=ReconnectSettings(initial_delay=0.2, max_delay=1.0),
        heartbeat=HeartbeatSettings(interval=1.0, timeout=1.0),
        stale_after=StaleSettings(connection=2.0),
    )


def subscribed(client: WebSocketClient) -> int:
    return sum(report["state"] == "subscribed" for report in client.symbol_reports())


async def test_through_chaos_every_tick_that_the_simulator_owes_has_come_exactly_once() -> None:
    received: Counter[int] = Counter()

    def count(tick: Tick) -> None:
        if not tick.late:
            received[int(tick.volume or 0)] += 1

    async with Simulator("binance", rate=500, rates="poisson", ledger=True, seed=SEED) as simulator:
        client = WebSocketClient.from_settings("chaos", settings(simulator.url), Run("test"))
        client.on_message(count)
        life = asyncio.create_task(client.run())
        await eventually(lambda: subscribed(client) == len(SYMBOLS), 20)
        simulator.switch("chaos:1s")
        await eventually(lambda: len(simulator.faults) >= FAULTS, PATIENCE)
        await eventually(lambda: subscribed(client) == len(SYMBOLS), PATIENCE)
        simulator.pause()
        # What is written after the pause is not owed, and what was written before it has nothing in its way.
        ledger, paused_at = simulator.ledger, asyncio.get_running_loop().time()
        assert ledger is not None
        await eventually(lambda: asyncio.get_running_loop().time() > paused_at + MARGIN)
        owed = ledger.owed(paused_at + MARGIN, MARGIN)
        await client.disconnect()
        await life
    assert len(owed) > 3000
    assert not owed - received.keys()
    assert set(received.values()) == {1}
    assert max(received) <= ledger.made
