"""The last prices after a gap, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.feeds import backfill
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import Run
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from tests.support.provider import ScriptedProvider
from tests.support.waiting import eventually

SETTINGS = FeedSettings(
    provider="twelvedata",
    api_key=Secret("canary-key-9"),
    reconnect=ReconnectSettings(initial_delay=0.02, max_delay=0.1, jitter=0),
    stale_after=StaleSettings(connection=None),
    symbols=("AAPL", "MSFT"),
)


class Rest(ScriptedProvider):
    """Also answers `/price`, with `prices` or with `status`."""

    def __init__(self) -> None:
        super().__init__()
        self.prices: dict[str, Any] = {"AAPL": {"price": "101.5"}, "MSFT": {"price": "55.25"}}
        self.status = 200
        self.asked: list[web.Request] = []
        self.answered = asyncio.Event()
        self.answered.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/price":
            return await super()._handle(request)
        self.asked.append(request)
        await self.answered.wait()
        return web.Response(status=self.status, text=json.dumps(self.prices), content_type="application/json")


@pytest.fixture
async def provider() -> AsyncIterator[Rest]:
    async with Rest() as made:
        yield made


@asynccontextmanager
async def running(provider: Rest, **more: Any) -> AsyncIterator[tuple[WebSocketClient, list[Tick]]]:
    seen: list[Tick] = []
    client = WebSocketClient.from_settings("us", replace(SETTINGS, endpoint=provider.url, **more), Run("test"))
    client.on_message(seen.append)
    task = asyncio.create_task(client.run())
    try:
        await eventually(lambda: client.state == "live")
        yield client, seen
    finally:
        await client.disconnect()
        await asyncio.wait({task})


async def test_after_a_gap_the_last_prices_are_asked_for_and_marked_late(provider: Rest) -> None:
    async with running(provider) as (_, seen):
        assert provider.asked == []
        provider.last.reset()
        await eventually(lambda: len(seen) == 2)
        assert {(tick.symbol, tick.price, tick.late) for tick in seen} == {("AAPL", 101.5, True), ("MSFT", 55.25, True)}
        (asked,) = provider.asked
        assert asked.query["symbol"] == "AAPL,MSFT"
        assert asked.headers["Authorization"] == "apikey canary-key-9"


async def test_the_symbols_of_all_connections_are_asked_for_together(provider: Rest) -> None:
    async with running(provider, max_symbols_per_connection=1) as (_, seen):
        for conversation in list(provider.conversations):
            conversation.reset()
        await eventually(lambda: len(seen) == 2)
        assert sorted(tick.symbol for tick in seen) == ["AAPL", "MSFT"]
        assert len(provider.asked) == 1


async def test_nobody_asks_for_what_has_ticked_since_the_gap_or_is_wanted_no_more(
    provider: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "_SECONDS_BETWEEN", 0.3)
    async with running(provider) as (client, seen):
        provider.last.reset()
        await eventually(lambda: len(seen) == 2)
        provider.last.reset()
        await eventually(lambda: client.counters.reconnections == 2 and client.state == "live")
        await provider.last.price("AAPL", 103.0)
        await eventually(lambda: len(seen) == 3)
        provider.answered.clear()
        await eventually(lambda: len(provider.asked) == 2)
        assert provider.asked[1].query["symbol"] == "MSFT"
        await client.unsubscribe(["MSFT"])
        provider.prices = {"price": "55.25"}
        provider.answered.set()
        await eventually(lambda: client._pool.backfill._task and client._pool.backfill._task.done())
        assert len(seen) == 3


async def test_a_symbol_that_has_ticked_meanwhile_needs_no_late_price(provider: Rest) -> None:
    async with running(provider) as (client, seen):
        provider.answered.clear()
        provider.last.reset()
        await eventually(lambda: provider.asked and client.state == "live")
        await provider.last.price("AAPL", 102.0)
        await eventually(lambda: seen)
        provider.answered.set()
        await eventually(lambda: len(seen) == 2)
        assert [(tick.symbol, tick.price, tick.late) for tick in seen] == [
            ("AAPL", 102.0, False),
            ("MSFT", 55.25, True),
        ]


async def test_nobody_is_asked_twice_in_a_minute(provider: Rest) -> None:
    async with running(provider) as (client, seen):
        provider.last.reset()
        await eventually(lambda: len(seen) == 2)
        provider.last.reset()
        await eventually(lambda: client.counters.reconnections == 2 and client.state == "live")
        await provider.last.price("AAPL", 103.0)
        await eventually(lambda: len(seen) == 3)
        assert len(provider.asked) == 1


async def test_a_server_that_cannot_tell_is_not_asked_again_and_the_stream_goes_on(
    provider: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    provider.status = 404
    async with running(provider) as (client, seen):
        provider.last.reset()
        await eventually(lambda: "HTTP 404" in caplog.text)
        await eventually(lambda: client.state == "live")
        await provider.last.price("AAPL", 103.0)
        await eventually(lambda: len(seen) == 1)
    assert "canary" not in caplog.text
