"""A connection takes another's place: every price once, and whatever happens meanwhile the feed goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from pricestreamd.feeds import pool
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.feeds.slots import Slots
from pricestreamd.model.events import PriceGap, Run
from pricestreamd.model.tick import Tick
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.waiting import eventually

FAST = FeedSettings(
    provider="twelvedata",
    reconnect=ReconnectSettings(initial_delay=0.02, max_delay=0.1, jitter=0),
    stale_after=StaleSettings(connection=None),
    max_symbols_per_connection=2,
    max_connections=10,
    subscribe_timeout=5.0,
    connect_timeout=5.0,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(Slots, "overlap_seconds", 0.3)


@asynccontextmanager
async def running(provider: ScriptedProvider, *symbols: str, **more: Any) -> AsyncIterator[WebSocketClient]:
    settings = replace(FAST, endpoint=provider.url, symbols=symbols, **more)
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    task = asyncio.create_task(client.run())
    try:
        await eventually(lambda: client.state == "live" or task.done())
        yield client
    finally:
        await client.disconnect()
        await asyncio.wait({task})
        assert not task.exception()


@asynccontextmanager
async def prices(provider: ScriptedProvider, delay: Callable[[Conversation], float]) -> AsyncIterator[list[int]]:
    """Prices 1, 2, 3 ... of A to all who have subscribed it, each connection so many seconds behind; yields the last."""
    last = [0]
    sending: set[asyncio.Task[None]] = set()

    async def send(conversation: Conversation, price: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with suppress(ConnectionError):
            await conversation.price("A", float(price))

    async def run() -> None:
        while True:
            last[0] += 1
            for each in provider.conversations:
                if "A" in each.subscribed and not each.closed:
                    task = asyncio.create_task(send(each, last[0], delay(each)))
                    sending.add(task)
                    task.add_done_callback(sending.discard)
            await asyncio.sleep(0.002)

    pump = asyncio.create_task(run())
    try:
        yield last
    finally:
        pump.cancel()
        await asyncio.wait({pump, *sending})


def replaced(client: WebSocketClient) -> bool:
    return not client._pool._slots.replacing


async def replace_one(client: WebSocketClient, old: Connection | None = None) -> None:
    client._pool.replace(old or client.connections[0], "lifetime")
    assert not replaced(client)
    await eventually(lambda: replaced(client))


@pytest.mark.parametrize(("old_lag", "new_lag"), [(0.0, 0.0), (0.0, 0.1), (0.1, 0.0)])
async def test_prices_pass_once_though_they_come_before_the_answer_and_one_side_is_behind(
    old_lag: float, new_lag: float
) -> None:
    async def answers_late(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await asyncio.sleep(0.2 if conversation.number else 0.0)
                await conversation.acknowledge(message)

    seen: list[Tick] = []
    async with ScriptedProvider(answers_late) as provider, running(provider, "A") as client:
        client.on_message(seen.append)
        async with prices(provider, lambda each: new_lag if each.number else old_lag) as last:
            await eventually(lambda: len(seen) > 10)
            await replace_one(client)
            begun = last[0]
            await eventually(lambda: seen[-1].price > begun)
        counts = Counter(int(tick.price) for tick in seen)
        assert counts == dict.fromkeys(range(min(counts), max(counts) + 1), 1)
        assert (len(provider.conversations), client.counters.reconnects) == (2, {"lifetime": 1})


async def test_a_symbol_given_up_while_both_connections_are_open_is_heard_no_more() -> None:
    seen: list[Tick] = []
    async with ScriptedProvider() as provider, running(provider, "A", "B") as client:
        old = client.connections[0]
        client._pool.replace(old, "lifetime")
        await eventually(lambda: client.connections[0] is not old)
        client.on_message(seen.append)
        await client.unsubscribe(["A"])
        for conversation in provider.conversations:
            await conversation.price("A", 1.0)
            await conversation.price("B", 2.0)
        await eventually(lambda: seen)
        await eventually(lambda: replaced(client))
        assert [tick.symbol for tick in seen] == ["B"]


async def test_a_slot_that_is_given_up_while_its_successor_dials_leaves_nothing_behind() -> None:
    async with ScriptedProvider() as provider, running(provider, "A", "B", "C") as client:
        provider.released = asyncio.Event()
        client._pool.replace(client.connections[1], "lifetime")
        await eventually(lambda: len(provider.requests) == 3)
        await client.unsubscribe(["C"])
        provider.released.set()
        await eventually(lambda: client._pool._crew.members == set(client.connections))
        assert (client.state, len(client.connections)) == ("live", 1)
        assert sum(not each.closed for each in provider.conversations) == 1


async def test_what_was_counted_never_becomes_less() -> None:
    async with ScriptedProvider() as provider, running(provider, "A", "B", "C", "D") as client:
        before = client.counters
        for _ in range(5):
            for conversation in provider.conversations:
                for symbol in conversation.subscribed:
                    await conversation.price(symbol, 1.0)
            for one in client.connections:
                client._pool.replace(one, "lifetime")
            while not replaced(client):
                after = client.counters
                assert after.frames_received >= before.frames_received
                assert (after.ticks, after.messages_sent) >= (before.ticks, before.messages_sent)
                before = after
                await asyncio.sleep(0)
        # A slot is given up in the moment in which its old connection has gone: that is counted once.
        old = client.connections[1]
        client._pool.replace(old, "lifetime")
        await eventually(lambda: old not in client._pool._all())
        frames = client.counters.frames_received
        await client.unsubscribe(["C", "D"])
        await eventually(lambda: len(client._pool._all()) == 1)
        assert client.counters.frames_received == frames


async def test_a_successor_that_is_refused_costs_nothing_and_is_not_tried_again_at_once() -> None:
    settings = replace(FAST, symbols=("A",), reconnect=ReconnectSettings(enabled=False))
    errors: list[str] = []
    seen: list[Tick] = []
    async with ScriptedProvider() as provider:
        client = WebSocketClient.from_settings("us", replace(settings, endpoint=provider.url), Run("test"))
        client.on_error(lambda word, _: errors.append(word))
        client.on_message(seen.append)
        await client.connect()
        await eventually(lambda: client.state == "live")
        provider.answer = Answer(401)
        old = client.connections[0]
        client._pool.replace(old, "lifetime")
        await eventually(lambda: errors and replaced(client))
        client._pool.replace(old, "lifetime")
        assert replaced(client)
        await provider.last.price("A", 1.0)
        await eventually(lambda: seen)
        assert (errors, client.state, client.connections, len(provider.requests)) == (["auth"], "live", (old,), 2)
        await client.disconnect()


async def test_a_wish_that_could_not_be_granted_is_heard_again() -> None:
    async with ScriptedProvider() as provider, running(provider, "A") as client:
        old = client.connections[0]
        assert old.session._current is not None
        old.session._current.replacing = "symbols"
        await eventually(lambda: client.connections[0] is not old)
        assert client.counters.reconnects == {"symbols": 1}


async def test_a_feed_that_ends_during_a_replacement_begins_anew_without_a_trace_of_it() -> None:
    gaps: list[PriceGap] = []
    seen: list[Tick] = []
    async with ScriptedProvider() as provider, running(provider, "A") as client:
        client.on_event(lambda event: gaps.append(event) if isinstance(event, PriceGap) else None)
        client.on_message(seen.append)
        provider.released = asyncio.Event()
        client._pool.replace(client.connections[0], "lifetime")
        await eventually(lambda: len(provider.requests) == 2)
        await client.disconnect()
        provider.released.set()
        task = asyncio.create_task(client.run())
        await eventually(lambda: client.state == "live")
        await provider.last.price("A", 1.0)
        await provider.last.price("A", 1.0)
        await eventually(lambda: len(seen) == 2)
        assert (gaps, replaced(client)) == ([], True)
        await client.disconnect()
        await asyncio.wait({task})


async def test_nothing_is_dialled_while_the_feed_says_goodbye() -> None:
    async with ScriptedProvider() as provider, running(provider, "A", "B", "C") as client:
        client.on_connection(lambda change, _: client.set_watchlist(["D", "E"]) if change == "disconnected" else None)
        await client.disconnect()
        assert len(provider.requests) == 2
