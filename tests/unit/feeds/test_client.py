"""`WebSocketClient` over real sockets: the forms in which programs use it, and what it tells them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.feeds.tick_queue import TickQueue
from pricestreamd.model.errors import AuthenticationFailed, HandshakeRejected, SubscriptionRejected, TransportError
from pricestreamd.model.events import PriceGap, PriceResumed, PriceStale, Run
from pricestreamd.model.interface import WebSocketInterface
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.waiting import eventually

KEY = "canary-key-4711"
FAST = FeedSettings(
    provider="twelvedata",
    api_key=Secret(KEY),
    reconnect=ReconnectSettings(initial_delay=0.02, max_delay=0.1, jitter=0),
    stale_after=StaleSettings(connection=None),
    subscribe_timeout=5.0,
    connect_timeout=5.0,
)


def feed(provider: ScriptedProvider, *symbols: str, **more: Any) -> WebSocketClient:
    settings = replace(FAST, endpoint=provider.url, symbols=symbols, **more)
    return WebSocketClient.from_settings("us", settings, Run("test"))


@asynccontextmanager
async def running(client: WebSocketClient) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(client.run())
    try:
        yield task
    finally:
        await client.disconnect()
        await asyncio.wait({task})


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as made:
        yield made


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Connections are accepted by the kernel, and nobody ever answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield int(listening.getsockname()[1])


# --- the forms of the quick start


async def test_connect_subscribe_listen_disconnect(provider: ScriptedProvider) -> None:
    prices: list[Tick] = []
    client: WebSocketInterface = WebSocketClient(
        "twelvedata", api_key="YOUR_API_KEY", endpoint=provider.url, timeout=5.0
    )
    client.on_message(prices.append)
    await client.connect()
    await client.subscribe(["AAPL", "MSFT", "GOOGL"])
    assert client.get_subscriptions() == ["AAPL", "MSFT", "GOOGL"]
    assert client.get_stats()["subscribed_symbols"] == ["AAPL", "MSFT", "GOOGL"]
    await provider.last.price("AAPL", 150.25, day_volume=7)
    await client.listen(0.05)
    assert client.get_stats()["connected"]
    await eventually(lambda: prices)
    assert (prices[0].symbol, prices[0].price, prices[0].volume, prices[0].feed) == ("AAPL", 150.25, 7.0, "twelvedata")
    await client.disconnect()
    assert not client.is_connected
    await eventually(lambda: provider.last.closed)
    assert provider.last.close_code == 1000
    assert provider.last.subscribed == set()
    assert provider.last.headers["X-TD-APIKEY"] == "YOUR_API_KEY"
    assert "YOUR_API_KEY" not in provider.last.path


async def test_an_async_for_connects_and_gets_every_tick(provider: ScriptedProvider) -> None:
    async def five_prices(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await conversation.acknowledge(message)
                for n in range(5):
                    await conversation.price("AAPL", n + 1)

    provider.script = five_prices
    client = feed(provider, "AAPL")
    seen = []
    async for tick in client:
        seen.append(tick.price)
        if len(seen) == 5:
            break
    assert seen == [1, 2, 3, 4, 5]
    await client.disconnect()


async def test_an_async_for_ends_with_disconnect(provider: ScriptedProvider) -> None:
    async with feed(provider, "AAPL") as client:
        assert client.is_connected

        async def read() -> list[float]:
            return [tick.price async for tick in client]

        reading = asyncio.create_task(read())
        await eventually(lambda: provider.last.subscribed)
        await provider.last.price("AAPL", 5)
        await eventually(lambda: client.counters.ticks == 1)
        await client.disconnect()
        assert await reading == [5.0]
    assert provider.last.close_code == 1000


async def test_a_slow_async_for_loses_the_oldest_and_it_is_counted(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    queue = TickQueue(client._announcer.counters)
    for n in range(TickQueue.LIMIT + 3):
        queue.put(Tick("AAPL", n + 1.0, 0.0, 0.0))
    queue.end()
    seen = [tick.price async for tick in queue]
    assert (len(seen), seen[0], client.counters.dropped) == (TickQueue.LIMIT, 4.0, 3)


async def test_listening_connects_first_and_returns_on_disconnect(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    listening = asyncio.create_task(client.listen())
    await eventually(lambda: client.state == "live")
    assert not listening.done()
    await client.disconnect()
    await asyncio.wait_for(listening, 5)


async def test_cancelling_closes(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    for form in (client.listen, client.run):
        task = asyncio.create_task(form())
        await eventually(lambda: client.state == "live")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not client.is_connected
        await eventually(lambda: provider.last.closed)
        assert provider.last.close_code == 1000


async def test_a_client_can_be_used_again_after_disconnect(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    for _ in range(2):
        await client.connect()
        await client.connect()
        await eventually(lambda: client.state == "live")
        await client.disconnect()
        await client.disconnect()
    assert len(provider.conversations) == 2


async def test_connecting_can_be_cancelled_and_called_off(silent_port: int) -> None:
    client = WebSocketClient("twelvedata", endpoint=f"ws://127.0.0.1:{silent_port}/")
    for _ in range(2):
        connecting = asyncio.create_task(client.connect())
        await eventually(lambda: client.state == "connecting")
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert client.state == "stopped"
    connecting = asyncio.create_task(client.connect())
    await eventually(lambda: client.state == "connecting")
    await client.disconnect()
    with pytest.raises(TransportError, match="disconnected while connecting"):
        await connecting


async def test_an_async_for_misses_nothing_from_the_first_tick(provider: ScriptedProvider) -> None:
    async def price_at_once(conversation: Conversation) -> None:
        await conversation.price("AAPL", 1)
        await conversation.serve()

    provider.script = price_at_once
    client = feed(provider, "AAPL")
    async for tick in client:
        assert tick.price == 1
        break
    await client.disconnect()


# --- errors


async def test_connect_says_why_it_could_not(provider: ScriptedProvider, unused_port: int) -> None:
    nobody = WebSocketClient("twelvedata", api_key=KEY, endpoint=f"ws://127.0.0.1:{unused_port}/")
    with pytest.raises(TransportError, match="Connection refused") as refused:
        await nobody.connect()
    assert (refused.value.reason, refused.value.feed) == ("refused", "twelvedata")
    assert nobody.state == "stopped"

    client = feed(provider)
    provider.answer = Answer(503, body="busy")
    with pytest.raises(HandshakeRejected, match="HTTP 503"):
        await client.connect()
    provider.answer = Answer(401, body=f"key {KEY} is bad")
    with pytest.raises(AuthenticationFailed) as fatal:
        await client.connect()
    assert KEY not in str(fatal.value)
    assert "***" in str(fatal.value)
    provider.answer = None
    await client.connect()
    await client.disconnect()


async def test_listen_raises_a_key_refused_in_band(provider: ScriptedProvider) -> None:
    async def refuse(conversation: Conversation) -> None:
        async for _ in conversation.messages():
            await conversation.send({"status": "error", "message": "invalid API key"})

    provider.script = refuse
    client = feed(provider, "AAPL")
    await client.connect()
    with pytest.raises(AuthenticationFailed, match="invalid API key"):
        await client.listen()
    with pytest.raises(AuthenticationFailed):
        async for _ in client:
            pass


async def test_listen_raises_when_reconnecting_is_switched_off(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    client.set_reconnection_strategy(enabled=False)
    await client.connect()
    await eventually(lambda: client.state == "live")
    provider.last.drop()
    with pytest.raises(TransportError, match="lost"):
        await client.listen()
    assert client.get_stats()["last_error"] == "the connection was lost (eof)"


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("ws://example.org/", "in the clear"),
        ("https://example.org/", "wss://"),
        ("nonsense", "wss://"),
        ("wss://", "wss://"),
        ("ws://[::1", "not an address"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_at_once(endpoint: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        WebSocketClient("twelvedata", endpoint=endpoint)


def test_plaintext_stays_on_this_machine_unless_it_is_allowed() -> None:
    for endpoint in ("ws://localhost:1/", "ws://127.0.0.1/", "ws://[::1]:5/", "ws://a.localhost/"):
        WebSocketClient("twelvedata", endpoint=endpoint)
    allowed = replace(FAST, allow_plaintext=True, endpoint="ws://example.org/")
    WebSocketClient.from_settings("us", allowed, Run("test"))


def test_what_is_given_counts_before_the_settings() -> None:
    settings = replace(FAST, endpoint="ws://127.0.0.1:1/", connect_timeout=7.0)
    client = WebSocketClient("twelvedata", settings=settings, timeout=99.0)
    assert client.settings == settings
    client = WebSocketClient("twelvedata", settings=settings, api_key="another-key", endpoint="wss://example.org/")
    assert client.settings == replace(settings, api_key=Secret("another-key"), endpoint="wss://example.org/")
    assert WebSocketClient("twelvedata", timeout=9.0).settings.connect_timeout == 9.0


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'twelvedata'"):
        WebSocketClient("twelvedat")


# --- the supervised life


async def test_run_dials_until_somebody_is_there_and_returns_on_disconnect(unused_port: int) -> None:
    settings = replace(FAST, endpoint=f"ws://127.0.0.1:{unused_port}/", symbols=("AAPL",))
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    words: list[str] = []
    client.on_error(lambda word, _: words.append(word))
    async with running(client) as task:
        await eventually(lambda: client.counters.reconnects.get("refused", 0) >= 3)
        with pytest.raises(RuntimeError, match="runs already"):
            await client.run()
    assert task.exception() is None
    assert client.state == "stopped"
    assert set(words) == {"refused"}


async def test_a_refused_key_parks_a_running_feed_until_a_new_key_comes(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answer = Answer(401, body=f"no such key: {KEY}")
    client = feed(provider, "AAPL")
    errors: list[Exception] = []
    client.on_error(lambda _, exc: errors.append(exc))
    async with running(client):
        await eventually(lambda: client.state == "parked")
        assert isinstance(errors[0], AuthenticationFailed)
        live_before = client.was_live
        client.retry_now()
        await eventually(lambda: len(provider.requests) == 2)
        await eventually(lambda: client.state == "parked")
        assert [record.levelname for record in caplog.records if "parked" in record.message] == ["ERROR"]
        provider.answer = None
        client.apply(replace(client.settings, api_key=Secret("another-key")))
        await eventually(lambda: client.state == "live")
        assert provider.last.headers["X-TD-APIKEY"] == "another-key"
        assert (live_before, client.was_live) == (False, True)
    assert KEY not in caplog.text


async def test_what_goes_to_on_error_is_logged_once_and_marked_as_told_elsewhere(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answer = Answer(503)
    client = feed(provider, "AAPL")
    words: list[str] = []
    client.on_error(lambda word, _: words.append(word))
    async with running(client):
        await eventually(lambda: len(words) == 3)
    marked = [record for record in caplog.records if getattr(record, "told_as", None) == "price.error"]
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(marked) == 1
    assert [record for record in warned if record.name.startswith("pricestreamd")] == marked


async def test_exhausted_attempts_end_a_run(unused_port: int) -> None:
    reconnect = ReconnectSettings(initial_delay=0.01, max_attempts=3, jitter=0)
    settings = replace(FAST, endpoint=f"ws://127.0.0.1:{unused_port}/", reconnect=reconnect)
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    with pytest.raises(TransportError, match="refused"):
        await client.run()
    assert client.counters.reconnects == {"refused": 3}


async def test_disconnect_is_bounded_when_the_other_end_says_nothing_any_more(provider: ScriptedProvider) -> None:
    released = asyncio.Event()

    async def deaf(conversation: Conversation) -> None:
        async for message in conversation.messages():
            await conversation.acknowledge(message)
            assert conversation.transport is not None
            conversation.transport.pause_reading()
            await released.wait()

    provider.script = deaf
    client = feed(provider, "AAPL")
    await client.connect()
    await eventually(lambda: client.state == "live")
    started = asyncio.get_running_loop().time()
    await client.disconnect()
    assert asyncio.get_running_loop().time() - started < 3.0
    released.set()


@pytest.mark.parametrize("state", ["connecting", "backoff"])
async def test_disconnect_while_dialling_or_waiting_is_immediate(
    state: str, silent_port: int, unused_port: int
) -> None:
    port = silent_port if state == "connecting" else unused_port
    settings = replace(FAST, endpoint=f"ws://127.0.0.1:{port}/", reconnect=ReconnectSettings())
    client = WebSocketClient.from_settings("us", settings, Run("test"))
    task = asyncio.create_task(client.run())
    await eventually(lambda: client.state == state)
    started = asyncio.get_running_loop().time()
    await client.disconnect()
    await task
    assert asyncio.get_running_loop().time() - started < 0.5


# --- symbols


async def test_subscribe_returns_when_each_symbol_is_answered_for(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse_bad(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await conversation.acknowledge(message, fails=[{"symbol": "BAD", "message": "no such symbol"}])

    provider.script = refuse_bad
    errors: list[tuple[str, Exception]] = []
    client = feed(provider)
    client.on_error(lambda word, exc: errors.append((word, exc)))
    await client.connect()
    await client.subscribe(["AAPL", "BAD"])
    assert [(report["symbol"], report["state"], report["reason"]) for report in client.symbol_reports()] == [
        ("AAPL", "subscribed", None),
        ("BAD", "rejected", "no such symbol"),
    ]
    ((word, error),) = errors
    assert word == "subscription"
    assert isinstance(error, SubscriptionRejected)
    assert (error.symbol, error.feed) == ("BAD", "us")
    assert [vars(record)["told_as"] for record in caplog.records if "BAD refused" in record.getMessage()] == [
        "price.error"
    ]
    assert client.counters.subscriptions_rejected == 1
    assert client.is_connected
    await client.disconnect()


async def test_subscribe_returns_after_the_timeout_when_nobody_answers(provider: ScriptedProvider) -> None:
    provider.script = lambda conversation: conversation.serve(acknowledge=False)
    client = feed(provider, subscribe_timeout=0.1, heartbeat=HeartbeatSettings(interval=5, timeout=5))
    await client.connect()
    await client.subscribe(["AAPL"])
    assert client.symbol_reports()[0]["state"] == "pending"
    await client.disconnect()


async def test_subscribing_without_a_connection_only_notes_the_symbols(provider: ScriptedProvider) -> None:
    client = feed(provider)
    await client.subscribe(["AAPL"])
    await client.unsubscribe(["MSFT"])
    await client.connect()
    await eventually(lambda: client.get_stats()["subscribed_symbols"] == ["AAPL"])
    await client.unsubscribe(["aapl"])
    await eventually(lambda: provider.last.subscribed == set() and provider.last.received)
    await provider.last.price("AAPL", 1)
    await eventually(lambda: client.counters.rejected == {"unknown_symbol": 1})
    await client.disconnect()


async def test_a_text_is_no_list_of_symbols(provider: ScriptedProvider) -> None:
    client = feed(provider)
    with pytest.raises(TypeError, match=r"\['AAPL'\]"):
        await client.subscribe("AAPL")
    with pytest.raises(TypeError):
        await client.unsubscribe("AAPL")


async def test_changed_settings_are_taken_on_the_same_socket(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL", "MSFT")
    async with running(client):
        await eventually(lambda: client.state == "live")
        await client.subscribe(["TSLA"])
        client.apply(replace(client.settings, symbols=("aapl", "GOOGL"), heartbeat=HeartbeatSettings(interval=0.05)))
        await eventually(lambda: provider.last.subscribed == {"AAPL", "GOOGL", "TSLA"})
        assert [(report["symbol"], report["source"]) for report in client.symbol_reports()] == [
            ("AAPL", "yaml"),
            ("TSLA", "api"),
            ("GOOGL", "yaml"),
        ]
        await eventually(lambda: provider.last.pings)
        assert len(provider.conversations) == 1


async def test_beyond_the_cap_symbols_are_reported_by_name(provider: ScriptedProvider) -> None:
    client = feed(provider, "A", "B", "C", max_symbols_per_connection=2, max_connections=1)
    async with running(client):
        await eventually(lambda: client.state == "live")
        assert [(each["symbol"], each["state"], each["connection"]) for each in client.symbol_reports()] == [
            ("A", "subscribed", 0),
            ("B", "subscribed", 0),
            ("C", "unplaced", None),
        ]


async def test_a_message_of_your_own_is_sent_and_needs_a_connection(provider: ScriptedProvider) -> None:
    client = feed(provider)
    with pytest.raises(TransportError, match="not connected"):
        await client.send({"action": "reset"})
    await client.connect()
    await client.send({"action": "reset"})
    await eventually(lambda: provider.last.actions("reset"))
    await client.disconnect()


async def test_messages_of_your_own_wait_for_their_turn(provider: ScriptedProvider) -> None:
    client = feed(provider)
    await client.connect()
    for n in range(54):
        await client.send({"n": n})
    waiting = asyncio.create_task(client.send({"n": 54}))
    await eventually(lambda: len(provider.last.received) == 54)
    await client.disconnect()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# --- callbacks, events, counters


async def test_connection_callbacks_hear_the_whole_life(provider: ScriptedProvider) -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []
    events: list[object] = []
    client = feed(provider, "AAPL")
    client.on_connection(lambda change, data: told.append((change, data)))
    client.on_event(events.append)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.price("AAPL", 1)
        await eventually(lambda: client.counters.ticks)
        before = client.counters.last_message_at
        provider.last.drop()
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
    where = {"feed": "us", "connection": 0}
    address = {"host": "127.0.0.1", "port": provider.port}
    assert told == [
        ("connected", {**where, **address}),
        ("disconnected", {**where, **address, "reason": "eof"}),
        ("reconnecting", {**where, "attempt": 1, "delay": 0.02, "reason": "eof"}),
        ("connected", {**where, **address}),
        ("disconnected", {**where, **address, "reason": "stopped"}),
    ]
    (gap,) = events
    assert isinstance(gap, PriceGap)
    assert (gap.feed, gap.symbols, gap.reason, gap.from_time, gap.id) == ("us", ("AAPL",), "eof", before, "test-1")
    assert gap.to_time == gap.timestamp > gap.from_time


async def test_a_feed_that_gave_up_and_is_run_again_tells_of_the_gap_and_one_that_was_disconnected_does_not(
    provider: ScriptedProvider,
) -> None:
    events: list[object] = []
    client = feed(provider, "AAPL")
    client.set_reconnection_strategy(enabled=False)
    client.on_event(events.append)
    running_once = asyncio.create_task(client.run())
    await eventually(lambda: client.state == "live")
    await provider.last.price("AAPL", 1)
    await eventually(lambda: client.counters.ticks)
    before = client.counters.last_message_at
    provider.last.drop()
    with pytest.raises(TransportError):
        await running_once
    async with running(client):
        await eventually(lambda: client.state == "live")
    (gap,) = events
    assert isinstance(gap, PriceGap)
    assert (gap.symbols, gap.reason, gap.from_time) == (("AAPL",), "eof", before)
    async with running(client):
        await eventually(lambda: client.state == "live")
    assert events == [gap]


async def test_stale_and_resumed_are_events(provider: ScriptedProvider) -> None:
    events: list[object] = []
    client = feed(provider, "AAPL", stale_after=StaleSettings(connection=0.2), market_hours="always")
    client.on_event(events.append)
    async with running(client):
        await eventually(lambda: client.state == "stale")
        await eventually(lambda: len(provider.conversations) == 2 and provider.last.subscribed)
        await provider.last.price("AAPL", 1)
        await eventually(lambda: client.state == "live")
    stale, *others = events
    assert isinstance(stale, PriceStale)
    assert stale.symbol is None
    assert 0.2 <= stale.silent_seconds < 1.0
    assert {type(event) for event in others} >= {PriceGap, PriceResumed}
    assert client.counters.reconnects["stale"] == 1


async def test_a_callback_that_raises_is_named_counted_and_stops_nothing(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_tick: Tick) -> None:
        raise RuntimeError("my own fault")

    seen: list[Tick] = []
    client = feed(provider, "AAPL")
    client.on_message(broken)
    client.on_message(seen.append)
    client.on_connection(lambda _change, _data: 1 / 0)
    async with running(client):
        await eventually(lambda: client.state == "live")
        for n in range(3):
            await provider.last.price("AAPL", n + 1)
        await eventually(lambda: len(seen) == 3)
    messages = [record.getMessage() for record in caplog.records if "callback" in record.getMessage()]
    assert len([message for message in messages if "broken" in message]) == 1
    assert client.counters.callback_errors == 3 + 2


async def test_a_rejected_frame_is_counted_logged_once_and_changes_nothing(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    client = feed(provider, "AAPL")
    async with running(client):
        await eventually(lambda: client.state == "live")
        for _ in range(5):
            await provider.last.send(f'{{"apikey={KEY}" not json')
            await provider.last.send(b"\xff\xfe")
        await provider.last.price("AAPL", 5)
        await eventually(lambda: client.counters.ticks == 1)
        assert client.counters.rejected == {"json": 5, "utf8": 5}
        assert len(provider.conversations) == 1
    dumps = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert len(dumps) == 2
    assert all(len(dump.rpartition(": ")[2]) <= 120 for dump in dumps)
    assert KEY.encode().hex(" ") not in caplog.text


async def test_a_burst_arrives_whole_in_order_and_lets_others_have_their_turn(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    prices: list[float] = []
    turns: list[int] = []
    client.on_message(lambda tick: prices.append(tick.price))

    async def others() -> None:
        while len(prices) < 5000:
            turns.append(len(prices))
            await asyncio.sleep(0)

    async with running(client):
        await eventually(lambda: client.state == "live")
        other = asyncio.create_task(others())
        for n in range(5000):
            await provider.last.price("AAPL", n + 1)
        await eventually(lambda: len(prices) == 5000)
        await other
        assert sum(client.counters.lag.counts) >= 5000 // 64
    assert prices == [float(n + 1) for n in range(5000)]
    assert max(after - before for before, after in itertools.pairwise(turns)) <= 256


async def test_what_is_no_use_is_counted(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.send({"event": "news"})
        await eventually(lambda: client.counters.ignored == 1)


async def test_reports_and_statistics_say_how_it_is(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL", "MSFT", heartbeat=HeartbeatSettings(interval=0.05))
    assert client.get_stats()["last_heartbeat"] is None
    assert client.report()["state"] == "stopped"
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.price("AAPL", 1)
        await eventually(lambda: client.get_stats()["last_heartbeat"] is not None and client.counters.ticks)
        stats = client.get_stats()
        assert stats["connected"] is True
        assert 0 < stats["uptime"] < 60
        assert stats["messages_received"] == 2
        assert stats["messages_sent"] == 1
        assert stats["subscriptions"] == 2
        assert stats["heartbeat_enabled"] is True
        assert stats["last_error"] is None
        report = client.report()
        assert report["provider"] == "twelvedata"
        (connection,) = report["connections"]
        assert (connection["connection"], connection["state"], connection["symbols"]) == (0, "live", 2)
        assert connection["lag_seconds"] is not None
        assert client.counters.last_tick_at == client.counters.last_message_at
        await eventually(lambda: sum(client.counters.lag.counts) == 1)


# --- settings


async def test_the_reconnection_strategy_takes_the_words_of_the_guide(provider: ScriptedProvider) -> None:
    client = feed(provider, "AAPL")
    delays: list[float] = []
    client.on_connection(lambda change, data: delays.append(data["delay"]) if change == "reconnecting" else None)
    client.set_reconnection_strategy(
        {"enabled": True, "max_attempts": 5, "initial_delay": 0.01, "max_delay": 0.04, "backoff_multiplier": 2},
        jitter=0,
    )
    provider.answer = Answer(500)
    with pytest.raises(HandshakeRejected):
        await client.run()
    assert delays == [0.01, 0.02, 0.04, 0.04, 0.04]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"max_delays": 5}, "unknown setting 'max_delays'"),
        ({"initial_delay": 1000}, "did you mean 1"),
        ({"max_delay": 30000}, "did you mean 30"),
        ({"initial_delay": -1}, "0 or more"),
        ({"initial_delay": float("nan")}, "0 or more"),
        ({"max_attempts": "5"}, "0 or more"),
        ({"backoff_multiplier": 0.5}, "1 or more"),
        ({"jitter": 2}, "between 0 and 1"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        WebSocketClient("twelvedata").set_reconnection_strategy(settings)


def test_heartbeats_need_an_interval() -> None:
    client = WebSocketClient("twelvedata")
    client.set_heartbeat(False)
    assert client.get_stats()["heartbeat_enabled"] is False
    with pytest.raises(ValueError, match="more than 0"):
        client.set_heartbeat(True, 0)


async def test_a_bug_ends_the_feed_loudly(provider: ScriptedProvider, caplog: pytest.LogCaptureFixture) -> None:
    client = feed(provider, "AAPL", heartbeat=HeartbeatSettings(interval=0.05))
    await client.connect()
    await eventually(lambda: client.state == "live")
    # A callback's own fault is survived; a fault of the feed itself is not hidden.
    client.connections[0].session._lasting.requests = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        await client.listen()
    assert not client.is_connected
    assert "internal error" in caplog.text


async def test_no_key_shows_in_any_log(provider: ScriptedProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = feed(provider, "AAPL")
    client.settings = replace(client.settings, endpoint=f"{provider.url}?apikey={KEY}")
    provider.answer = Answer(503, body=f"apikey={KEY}")
    async with running(client):
        await eventually(lambda: client.counters.reconnects)
        provider.answer = None
        await eventually(lambda: client.state == "live")
        provider.last.reset()
        await eventually(lambda: client.counters.reconnects.get("reset"))
    ours = [record for record in caplog.records if record.name.startswith("pricestreamd")]
    assert ours
    assert not any(KEY in record.getMessage() or KEY in str(record.exc_info) for record in ours)


async def test_the_debug_log_tells_the_talk_and_the_states_of_a_connection_and_nothing_of_a_tick(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pricestreamd.feeds")
    many = [f"SYMBOL{n}" for n in range(100)]
    client = feed(provider, *many, heartbeat=HeartbeatSettings(interval=0.05, timeout=5))

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]

    async with running(client):
        await eventually(lambda: "feed us: heard a pong frame" in lines())
        await provider.last.ws.ping(b"?")
        await eventually(lambda: "feed us: sent a pong frame" in lines())
        client.set_heartbeat(enabled=False)
        await provider.last.send({"event": "heartbeat", "status": "ok"})
        await eventually(lambda: "feed us: heard a heartbeat" in lines())
        for _ in range(300):
            await provider.last.price("SYMBOL1", 1)
        await eventually(lambda: client.counters.ticks == 300)
        assert len(lines()) < 40
        provider.last.drop()
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
    (sent, *_) = [line for line in lines() if "subscribe" in line]
    assert sent.startswith('feed us: sent {"action":"subscribe","params":{"symbols":"SYMBOL0,SYMBOL1,')
    assert len(sent) < 250
    expected = [
        "feed us: stopped -> connecting",
        "feed us: connecting -> subscribing",
        "feed us: heard an answer: 100 subscribed, 0 refused, 0 given up",
        "feed us: subscribing -> live",
        "feed us: sent a ping frame",
        "feed us: heard a ping frame",
        "feed us: live -> backoff, dials in 0.02 s",
        "feed us: backoff -> connecting",
        "feed us: live -> stopped",
        "feed us: sent a close frame",
    ]
    assert [line for line in expected if line not in lines()] == []
