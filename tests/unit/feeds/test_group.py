"""Several feeds as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.errors import AuthenticationFailed, TransportError
from pricestreamd.model.events import Run
from pricestreamd.model.interface import WebSocketInterface
from pricestreamd.model.tick import Tick
from tests.support.provider import Answer, ScriptedProvider
from tests.support.waiting import eventually

FAST = FeedSettings(
    provider="twelvedata",
    reconnect=ReconnectSettings(initial_delay=0.02, jitter=0),
    stale_after=StaleSettings(connection=None),
)


@pytest.fixture
async def providers() -> AsyncIterator[tuple[ScriptedProvider, ScriptedProvider]]:
    async with ScriptedProvider() as one, ScriptedProvider() as two:
        yield one, two


def group(providers: tuple[ScriptedProvider, ScriptedProvider]) -> FeedGroup:
    return FeedGroup(
        WebSocketClient.from_settings(name, replace(FAST, endpoint=provider.url, symbols=(symbol,)), Run("test"))
        for name, provider, symbol in zip(("us", "ca"), providers, ("AAPL", "RY:TSX"), strict=True)
    )


async def test_each_symbol_goes_to_its_feed_and_new_ones_where_they_are_sent(
    providers: tuple[ScriptedProvider, ScriptedProvider],
) -> None:
    feeds = group(providers)
    client: WebSocketInterface = feeds
    ticks: list[Tick] = []
    client.on_message(ticks.append)
    await client.connect()
    await client.subscribe(["ry:tsx", "MSFT", "aapl"])
    await feeds.subscribe(["SHOP:TSX"], "ca")
    assert client.get_subscriptions() == ["AAPL", "MSFT", "RY:TSX", "SHOP:TSX"]
    us, ca = providers
    assert (us.last.subscribed, ca.last.subscribed) == ({"AAPL", "MSFT"}, {"RY:TSX", "SHOP:TSX"})
    await us.last.price("AAPL", 1)
    await ca.last.price("RY", 2)
    await eventually(lambda: len(ticks) == 2)
    assert {(tick.symbol, tick.feed) for tick in ticks} == {("AAPL", "us"), ("RY:TSX", "ca")}
    await client.unsubscribe(["SHOP:TSX", "AAPL"])
    await eventually(lambda: ca.last.subscribed == {"RY:TSX"} and us.last.subscribed == {"MSFT"})
    stats = client.get_stats()
    assert (stats["connected"], stats["messages_received"] >= 4) == (True, True)
    assert stats["subscribed_symbols"] == ["MSFT", "RY:TSX"]
    assert client.is_connected
    with pytest.raises(TransportError, match="several feeds"):
        await client.send({})
    await client.disconnect()
    assert not client.is_connected


async def test_a_feed_that_cannot_be_opened_closes_the_others(
    providers: tuple[ScriptedProvider, ScriptedProvider],
) -> None:
    providers[1].answer = Answer(401)
    feeds = group(providers)
    with pytest.raises(AuthenticationFailed):
        await feeds.connect()
    assert not feeds.is_connected
    await eventually(lambda: not providers[0].conversations or providers[0].last.closed)


async def test_a_fatal_error_of_one_ends_listening(providers: tuple[ScriptedProvider, ScriptedProvider]) -> None:
    feeds = group(providers)
    changes: list[str] = []
    feeds.on_connection(lambda change, _: changes.append(change))
    feeds.on_error(lambda *_: None)
    feeds.on_event(lambda _: None)
    feeds.set_heartbeat(True, 20.0)
    feeds.set_reconnection_strategy(initial_delay=0.01)
    await feeds.connect()
    await feeds.listen(0.05)
    listening = asyncio.create_task(feeds.listen())
    await eventually(lambda: all(client.state == "live" for client in feeds.clients.values()))
    await providers[0].last.send({"status": "error", "message": "invalid api key"})
    with pytest.raises(AuthenticationFailed):
        await listening
    assert changes.count("connected") == 2
    assert not feeds.is_connected


async def test_a_supervised_group_runs_until_disconnect(providers: tuple[ScriptedProvider, ScriptedProvider]) -> None:
    feeds = group(providers)
    running = asyncio.create_task(feeds.run())
    await eventually(lambda: all(client.state == "live" for client in feeds.clients.values()))
    await feeds.disconnect()
    await running


def test_a_group_has_feeds_of_different_names() -> None:
    with pytest.raises(ValueError, match="at least one"):
        FeedGroup([])
    with pytest.raises(ValueError, match="two feeds"):
        FeedGroup([WebSocketClient("twelvedata"), WebSocketClient("twelvedata")])


async def test_a_group_of_one_sends(providers: tuple[ScriptedProvider, ScriptedProvider]) -> None:
    client = WebSocketClient("twelvedata", endpoint=providers[0].url)
    feeds = FeedGroup([client])
    await feeds.connect()
    await feeds.send({"action": "reset"})
    await eventually(lambda: providers[0].last.actions("reset"))
    assert feeds.owner("AAPL") is None
    await feeds.disconnect()
