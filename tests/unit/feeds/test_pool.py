"""Several connections of one feed, over real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.feeds.transports.gate import DIALS_AT_ONCE
from pricestreamd.model.errors import AuthenticationFailed
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


@asynccontextmanager
async def running(provider: ScriptedProvider, *symbols: str, **more: Any) -> AsyncIterator[WebSocketClient]:
    client = WebSocketClient.from_settings(
        "us", replace(FAST, endpoint=provider.url, symbols=symbols, **more), Run("test")
    )
    task = asyncio.create_task(client.run())
    try:
        await eventually(lambda: client.state == "live" or task.done())
        yield client
    finally:
        await client.disconnect()
        await asyncio.wait({task})
        assert not task.exception()


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as made:
        yield made


def shares(provider: ScriptedProvider) -> list[set[str]]:
    """What is subscribed on each open connection, the oldest first."""
    return [each.subscribed for each in provider.conversations if not each.closed]


def places(client: WebSocketClient) -> dict[str, int | None]:
    return {report["symbol"]: report["connection"] for report in client.symbol_reports()}


async def test_symbols_are_spread_over_as_many_connections_as_they_need(provider: ScriptedProvider) -> None:
    async with running(provider, "A", "B", "C", "D", "E") as client:
        assert sorted(map(sorted, shares(provider))) == [["A", "B"], ["C", "D"], ["E"]]
        assert places(client) == {"A": 0, "B": 0, "C": 1, "D": 1, "E": 2}
        assert [each["connection"] for each in client.report()["connections"]] == [0, 1, 2]
        stats = client.get_stats()
        assert (stats["connected"], stats["subscriptions"], stats["reconnections"]) == (True, 5, 0)


async def test_ticks_of_all_connections_are_heard_and_counted(provider: ScriptedProvider) -> None:
    seen: list[Tick] = []
    async with running(provider, "A", "B", "C") as client:
        client.on_message(seen.append)
        for conversation in provider.conversations:
            for symbol in sorted(conversation.subscribed):
                await conversation.price(symbol, 1.5)
        await eventually(lambda: len(seen) == 3)
        assert {tick.symbol for tick in seen} == {"A", "B", "C"}
        assert client.counters.ticks == 3


async def test_a_connection_is_begun_for_a_new_symbol_and_given_up_with_its_last(provider: ScriptedProvider) -> None:
    async with running(provider, "A", "B") as client:
        await client.subscribe(["C"])
        assert sorted(map(sorted, shares(provider))) == [["A", "B"], ["C"]]
        await client.unsubscribe(["C"])
        await eventually(lambda: len(shares(provider)) == 1)
        assert places(client) == {"A": 0, "B": 0}
        assert provider.conversations[1].close_code == 1000
        # What the connection counted is not forgotten with it.
        assert client.counters.messages_sent >= 2


async def test_a_freed_place_is_taken_by_a_symbol_without_one(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(provider, "A", "B", "C", max_connections=1) as client:
        line = "feed us: no place for 1 of 3 symbols (the feed is given 1 connection of 2 symbols): C"
        assert [record.message for record in caplog.records if "no place" in record.message] == [line]
        assert places(client) == {"A": 0, "B": 0, "C": None}
        report = client.symbol_reports()[2]
        assert (report["state"], report["reason"]) == ("unplaced", "the feed is given 1 connection of 2 symbols")
        await client.unsubscribe(["A"])
        await eventually(lambda: shares(provider) == [{"B", "C"}])


async def test_a_refused_symbol_makes_room_for_another() -> None:
    async def refuse(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                fails = [{"symbol": "BAD", "message": "no"}] if "BAD" in message["params"]["symbols"] else None
                await conversation.acknowledge(message, fails=fails)

    async with (
        ScriptedProvider(refuse) as provider,
        running(provider, "A", "BAD", "C", max_connections=1) as client,
    ):
        await eventually(
            lambda: [each["state"] for each in client.symbol_reports()] == ["subscribed", "rejected", "subscribed"]
        )


async def test_one_lost_connection_leaves_the_others_alone(provider: ScriptedProvider) -> None:
    gaps: list[PriceGap] = []
    async with running(provider, "A", "B", "C", "D") as client:
        client.on_event(lambda event: gaps.append(event) if isinstance(event, PriceGap) else None)
        lost = next(each for each in provider.conversations if each.subscribed == {"C", "D"})
        lost.reset()
        await eventually(lambda: len(provider.conversations) == 3 and client.state == "live")
        assert provider.last.subscribed == {"C", "D"}
        assert not provider.conversations[0].closed or not provider.conversations[1].closed
        assert client.counters.reconnects == {"reset": 1}
        assert [(gap.symbols, gap.reason) for gap in gaps] == [(("C", "D"), "reset")]


async def test_changed_limits_are_taken_on_the_open_connections(provider: ScriptedProvider) -> None:
    async with running(provider, "A", "B", "C") as client:
        client.apply(replace(client.settings, max_symbols_per_connection=3))
        await client.subscribe(["D"])
        await eventually(lambda: sorted(map(sorted, shares(provider))) == [["A", "B", "D"], ["C"]])
        client.apply(replace(client.settings, max_connections=1))
        await eventually(lambda: len(shares(provider)) == 1)
        assert sum(place is None for place in places(client).values()) == 1


async def test_a_connection_is_replaced_without_a_break_and_every_price_comes_once(provider: ScriptedProvider) -> None:
    seen: list[float] = []
    changes: list[str] = []
    gaps: list[PriceGap] = []
    async with running(provider, "A", "B") as client:
        client.on_message(lambda tick: seen.append(tick.price))
        client.on_connection(lambda change, _: changes.append(change))
        client.on_event(lambda event: gaps.append(event) if isinstance(event, PriceGap) else None)
        old = client.connections[0]
        sent = 0
        begun = False
        while client.connections[0] is old or len(shares(provider)) > 1:
            sent += 1
            for conversation in provider.conversations:
                if "A" in conversation.subscribed and not conversation.closed:
                    await conversation.price("A", float(sent))
            if sent == 5 and not begun:
                begun = True
                client._pool.replace(old, "lifetime")
            await asyncio.sleep(0)
        await provider.last.price("A", float(sent + 1))
        await eventually(lambda: seen[-1:] == [float(sent + 1)])
        assert Counter(seen) == Counter(float(price) for price in range(1, sent + 2))
        assert client.counters.reconnects == {"lifetime": 1}
        # The provider may hear of the goodbye before we hear of its answer.
        await eventually(lambda: changes == ["connected", "disconnected"])
        assert gaps == []
        assert provider.conversations[0].close_code == 1000


async def test_the_old_connection_stays_until_the_new_one_carries_every_symbol() -> None:
    hold = asyncio.Event()

    async def one_by_one(conversation: Conversation) -> None:
        answered = 0
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                if conversation.number and answered:
                    await hold.wait()
                answered += 1
                first, *others = message["params"]["symbols"].split(",")
                await conversation.acknowledge({"params": {"symbols": first}})
                if others:
                    if conversation.number:
                        await hold.wait()
                    await conversation.acknowledge({"params": {"symbols": ",".join(others)}})

    async with ScriptedProvider(one_by_one) as provider, running(provider, "A", "B") as client:
        await eventually(lambda: client.get_stats()["subscriptions"] == 2)
        old = client.connections[0]
        client._pool.replace(old, "lifetime")
        await eventually(lambda: len(provider.conversations) == 2)
        successor = client._pool._slots.successor(0)
        assert successor is not None
        await eventually(lambda: successor.session.subscriptions.confirmed == ["A"])
        assert successor.session.state == "live"
        assert client.connections[0] is old
        hold.set()
        await eventually(lambda: client.connections[0] is successor)


async def test_where_no_further_connection_is_allowed_the_old_one_goes_first(provider: ScriptedProvider) -> None:
    async with running(provider, "A", max_connections=1) as client:
        open_at_once: list[int] = []
        client.on_connection(lambda *_: open_at_once.append(sum(not each.closed for each in provider.conversations)))
        client._pool.replace(client.connections[0], "lifetime")
        await eventually(lambda: len(provider.conversations) == 2 and client.state == "live")
        assert provider.last.subscribed == {"A"}
        assert client.counters.reconnects == {"lifetime": 1}


async def test_a_connection_that_dies_while_it_is_replaced_is_followed_by_its_successor() -> None:
    hold = asyncio.Event()

    async def slow_second(conversation: Conversation) -> None:
        if conversation.number:
            await hold.wait()
        await conversation.serve()

    gaps: list[PriceGap] = []
    async with ScriptedProvider(slow_second) as provider, running(provider, "A") as client:
        client.on_event(lambda event: gaps.append(event) if isinstance(event, PriceGap) else None)
        client._pool.replace(client.connections[0], "lifetime")
        await eventually(lambda: len(provider.conversations) == 2)
        provider.conversations[0].reset()
        await eventually(lambda: client.state != "live")
        hold.set()
        await eventually(lambda: client.state == "live")
        assert len(provider.conversations) == 2
        assert [gap.reason for gap in gaps] == ["reset"]


async def test_a_connection_that_the_provider_does_not_allow_is_given_up_and_its_symbols_are_named() -> None:
    heard: list[Conversation] = []

    async def only_two(conversation: Conversation) -> None:
        heard.append(conversation)
        if sum(not each.closed for each in heard) > 2:
            await conversation.ws.close(code=1008, message=b"too many connections")
            conversation.closed = True
            return
        await conversation.serve()

    async with ScriptedProvider(only_two) as provider:
        settings = replace(FAST, endpoint=provider.url, symbols=("A", "B", "C", "D", "E"))
        client = WebSocketClient.from_settings("us", settings, Run("test"))
        task = asyncio.create_task(client.run())
        try:
            await eventually(lambda: list(places(client).values()).count(None) > 0 and client.state == "live")
            assert sum(report["state"] == "subscribed" for report in client.symbol_reports()) == 4
            (lost,) = [report for report in client.symbol_reports() if report["state"] == "unplaced"]
            assert lost["reason"] == "the feed has shown that it allows 2 connections of 2 symbols"
            assert len(provider.conversations) == 3
        finally:
            await client.disconnect()
            await asyncio.wait({task})


async def test_of_connections_that_are_still_dialled_nothing_is_concluded() -> None:
    async def no_fifth(conversation: Conversation) -> None:
        if conversation.number == 1:
            await conversation.ws.close(code=1008, message=b"too many connections")
        else:
            await conversation.serve()

    class Slow(ScriptedProvider):
        async def _handle(self, request: web.Request) -> web.StreamResponse:
            self.begun += 1
            if self.begun in (2, 3, 4):
                await asyncio.sleep(0.3)
            return await super()._handle(request)

        begun = 0

    async with Slow(no_fifth) as provider:
        settings = replace(FAST, endpoint=provider.url, symbols=tuple("ABCDEFGHIJ"))
        client = WebSocketClient.from_settings("us", settings, Run("test"))
        task = asyncio.create_task(client.run())
        try:
            await eventually(lambda: list(places(client).values()).count(None) > 0 and client.state == "live")
            assert list(places(client).values()).count(None) == 2
            assert len(client.connections) == 4
        finally:
            await client.disconnect()
            await asyncio.wait({task})


async def test_a_cap_that_is_shown_where_another_connection_holds_more_costs_that_one_nothing() -> None:
    async with ScriptedProvider() as provider, running(provider, "A", "B", "C") as client:
        assert places(client) == {"A": 0, "B": 0, "C": 1}
        fewer = next(each for each in provider.conversations if each.subscribed == {"C"})
        await fewer.send({"event": "error", "status": "error", "message": "too many symbols"})
        await eventually(lambda: client.get_stats()["last_error"] == "too many symbols")
        assert places(client) == {"A": 0, "B": 0, "C": 1}


async def test_a_cap_that_the_provider_shows_is_believed(provider: ScriptedProvider) -> None:
    async with running(provider, "A", "B", "C", max_symbols_per_connection=None) as client:
        assert shares(provider) == [{"A", "B", "C"}]
        await client.subscribe(["D"])
        await provider.last.send({"event": "error", "status": "error", "message": "too many symbols"})
        await eventually(lambda: client.report()["connections"][0]["last_error"] == "too many symbols")
        await client.subscribe(["E"])
        await eventually(lambda: len(shares(provider)) == 2)
        assert places(client)["E"] == 1


async def test_w17_twenty_connections_that_drop_at_once_dial_five_at_a_time(provider: ScriptedProvider) -> None:
    symbols = tuple(f"S{number}" for number in range(20))
    async with running(provider, *symbols, max_symbols_per_connection=1, max_connections=20) as client:
        assert len(shares(provider)) == 20
        provider.released, before = asyncio.Event(), len(provider.requests)
        for conversation in provider.conversations:
            conversation.reset()
        # All want to dial, and nobody is answered: this is as many as there will be.
        await eventually(lambda: {one.session.state for one in client.connections} == {"connecting"})
        await eventually(lambda: len(provider.requests) == before + DIALS_AT_ONCE)
        assert {one.session.state for one in client.connections} == {"connecting"}
        assert len(provider.requests) == before + DIALS_AT_ONCE
        provider.released.set()
        await eventually(lambda: client.state == "live", timeout=20)
        upgrades = [request for request in provider.requests[before:] if "Upgrade" in request.headers]
        assert len(upgrades) == 20


async def test_a_refused_key_parks_the_whole_feed(provider: ScriptedProvider) -> None:
    provider.answer = Answer(401)
    client = WebSocketClient.from_settings(
        "us", replace(FAST, endpoint=provider.url, symbols=("A", "B", "C")), Run("test")
    )
    task = asyncio.create_task(client.run())
    await eventually(lambda: client.state == "parked")
    provider.answer = None
    client.retry_now()
    await eventually(lambda: client.state == "live")
    await client.disconnect()
    await asyncio.wait({task})


async def test_one_refused_connection_says_nothing_of_those_that_still_dial_and_a_reload_tries_it_again() -> None:
    class Refusing(ScriptedProvider):
        async def _handle(self, request: web.Request) -> web.StreamResponse:
            self.begun += 1
            if self.begun == 1:
                return web.Response(status=403)
            await self.go_on.wait()
            return await super()._handle(request)

        begun = 0
        go_on = asyncio.Event()

    async with Refusing() as provider:
        settings = replace(FAST, endpoint=provider.url, symbols=("A", "B", "C"))
        client = WebSocketClient.from_settings("us", settings, Run("test"))
        task = asyncio.create_task(client.run())
        states = [one.session for one in client.connections]
        await eventually(lambda: [session.state for session in states] == ["parked", "connecting"])
        assert client.state == "backoff"
        provider.go_on.set()
        await eventually(lambda: [session.state for session in states] == ["parked", "live"])
        assert client.state == "backoff"
        client.apply(client.settings)
        await eventually(lambda: client.state == "live")
        await client.disconnect()
        await asyncio.wait({task})


async def test_a_program_that_connects_does_not_wait_for_a_connection_that_is_given_up_meanwhile(
    provider: ScriptedProvider,
) -> None:
    provider.released = asyncio.Event()
    settings = replace(FAST, endpoint=provider.url, symbols=("A", "B", "C"))
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    connecting = asyncio.create_task(client.connect())
    await eventually(lambda: len(provider.requests) == 2)
    await client.unsubscribe(["C"])
    provider.released.set()
    async with asyncio.timeout(5):
        await connecting
    await client.disconnect()


async def test_where_one_connection_is_refused_to_a_program_the_others_say_goodbye() -> None:
    class Refusing(ScriptedProvider):
        async def _handle(self, request: web.Request) -> web.StreamResponse:
            self.begun += 1
            if self.begun == 1:
                return await super()._handle(request)
            await eventually(lambda: self.conversations and self.last.subscribed)
            return web.Response(status=403)

        begun = 0

    async with Refusing() as provider:
        settings = replace(FAST, endpoint=provider.url, symbols=("A", "B", "C"))
        client = WebSocketClient.from_settings("us", settings, Run("test"))
        with pytest.raises(AuthenticationFailed):
            await client.connect()
        assert (client.state, provider.last.close_code) == ("stopped", 1000)


async def test_what_counts_at_the_next_start_does_not_count_at_the_next_dial(provider: ScriptedProvider) -> None:
    async with ScriptedProvider() as another, running(provider, "A") as client:
        client.apply(replace(client.settings, endpoint=another.url, symbols=("B",)))
        assert client.get_subscriptions() == ["B"]
        provider.last.reset()
        await eventually(lambda: len(provider.conversations) == 2 and client.state == "live")
        assert (client.settings.endpoint, another.conversations) == (provider.url, [])


async def test_what_a_program_wants_stays_when_a_watchlist_drops_it(provider: ScriptedProvider) -> None:
    async with running(provider, "A", max_symbols_per_connection=None) as client:
        client.want(["P"])
        client.set_watchlist(["P", "W"])
        client.set_watchlist([])
        assert client.get_subscriptions() == ["A", "P"]


async def test_symbols_without_a_place_are_not_delivered(provider: ScriptedProvider) -> None:
    async with running(provider, "A", "B", "C", max_connections=1) as client:
        assert tuple(map(set, client.undelivered())) == ({"C"}, set())


async def test_a_watchlist_takes_its_symbols_and_gives_them_back(provider: ScriptedProvider) -> None:
    async with running(provider, "A", max_symbols_per_connection=None) as client:
        await client.subscribe(["P"])
        client.set_watchlist(["a", "P", "W", "X"])
        await eventually(lambda: provider.last.subscribed == {"A", "P", "W", "X"})
        assert {report["symbol"]: report["source"] for report in client.symbol_reports()} == {
            "A": "yaml",
            "P": "watchlist",
            "W": "watchlist",
            "X": "watchlist",
        }
        client.set_watchlist(["X", "Y"])
        await eventually(lambda: provider.last.subscribed == {"A", "P", "X", "Y"})
        client.set_watchlist([])
        await eventually(lambda: provider.last.subscribed == {"A", "P"})


async def test_frames_are_shown_as_they_came(provider: ScriptedProvider) -> None:
    frames: list[bytes] = []
    settings = replace(FAST, endpoint=provider.url, symbols=("A",))
    client = WebSocketClient.from_settings("us", settings, Run("test"), on_frame=lambda data, _: frames.append(data))
    await client.connect()
    await eventually(lambda: client.state == "live")
    await provider.last.send(b'{"event":"price","symbol":"A","price":1,"timestamp":2}')
    await eventually(lambda: len(frames) == 2)
    assert frames[1] == b'{"event":"price","symbol":"A","price":1,"timestamp":2}'
    await client.disconnect()
