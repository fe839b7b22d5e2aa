"""Faults of the wire, rows W1 to W18: each is noticed, survived, and followed by the current subscriptions."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pricestreamd.feeds.settings import HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import PriceGap, PriceStale
from tests.faults.feeds import hasty, running
from tests.support.faultproxy import Bandwidth, FaultProxy, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.waiting import eventually


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as made:
        yield made


@pytest.fixture
async def proxy(provider: ScriptedProvider) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(provider.port) as made:
        yield made


async def test_w1_a_reset_is_seen_at_once_and_the_current_symbols_are_subscribed(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    client = hasty(proxy.url())
    events: list[object] = []
    changes: list[tuple[str, float]] = []
    client.on_event(events.append)

    def changed(change: str, _data: object) -> None:
        changes.append((change, time.monotonic()))
        if change == "disconnected":
            client.want(["TSLA"])

    client.on_connection(changed)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.price("AAPL", 1)
        await eventually(lambda: client.counters.ticks == 1)
        reset_at = time.monotonic()
        proxy.reset_all()
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
        assert provider.last.subscribed == {"AAPL", "TSLA"}
        assert client.counters.reconnects == {"reset": 1}
        (gap,) = events
        assert isinstance(gap, PriceGap)
        assert (gap.reason, gap.symbols) == ("reset", ("AAPL", "TSLA"))
        assert gap.from_time == client.counters.latest.received_at  # type: ignore[union-attr]
    assert dict(reversed(changes))["disconnected"] - reset_at < 0.1


async def test_w2_a_black_hole_is_found_within_interval_and_timeout_and_aborted(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    client = hasty(proxy.url())
    lost: list[float] = []
    client.on_connection(lambda change, _: lost.append(time.monotonic()) if change == "disconnected" else None)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await eventually(lambda: provider.last.pings >= 2)
        proxy.black_hole()
        dark_at = time.monotonic()
        await eventually(lambda: lost)
        assert lost[0] - dark_at < 0.3 + 0.2 + 0.25
        assert client.counters.reconnects == {"pong": 1}
        proxy.clear()
        await eventually(lambda: client.state == "live")
    assert provider.conversations[0].close_code != 1000


async def test_w3_pongs_without_prices_are_stale_and_the_connection_is_replaced(provider: ScriptedProvider) -> None:
    client = hasty(provider.url, stale_after=StaleSettings(connection=0.5), market_hours="always")
    events: list[object] = []
    client.on_event(events.append)
    async with running(client):
        await eventually(lambda: len(provider.conversations) == 3)
        assert provider.conversations[0].pings
        assert client.counters.reconnects["stale"] == 2
        assert len([event for event in events if isinstance(event, PriceStale)]) == 1


async def test_w4_a_handshake_that_never_ends_is_given_up_after_connect_timeout(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    proxy.add(Slicer(1))
    proxy.add(Bandwidth(rate=1.0))
    client = hasty(proxy.url(), connect_timeout=0.3)
    started = time.monotonic()
    async with running(client):
        await eventually(lambda: client.counters.reconnects.get("timeout"))
        assert 0.25 < time.monotonic() - started < 1.5
        proxy.clear()
        await eventually(lambda: client.state == "live")


async def test_w4_no_first_acknowledgement_is_given_up_after_subscribe_timeout(provider: ScriptedProvider) -> None:
    provider.script = lambda conversation: conversation.serve(acknowledge=False)
    client = hasty(provider.url, subscribe_timeout=0.3)
    async with running(client):
        await eventually(lambda: client.counters.reconnects.get("subscribe_timeout"))
        provider.script = Conversation.serve
        await eventually(lambda: client.state == "live")


async def test_w5_a_part_of_a_frame_and_then_silence_is_found_by_the_pong(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    client = hasty(proxy.url())
    async with running(client):
        await eventually(lambda: client.state == "live")
        transport = provider.last.transport
        assert transport is not None
        transport.write(b"\x81\x7e\x01\x00partial")
        proxy.add(Timeout())
        await eventually(lambda: client.counters.reconnects.get("pong"))


async def test_w5_a_frame_that_trickles_in_for_ever_is_found_too(provider: ScriptedProvider) -> None:
    client = hasty(provider.url)

    async def trickle(conversation: Conversation) -> None:
        async for message in conversation.messages():
            await conversation.acknowledge(message)
            assert conversation.transport is not None
            conversation.transport.write(b"\x81\x7e\x10\x00")
            while not conversation.transport.is_closing():
                conversation.transport.write(b"x")
                await asyncio.sleep(0.02)

    provider.script = trickle
    async with running(client):
        await eventually(lambda: client.counters.reconnects.get("pong"))


async def test_w6_a_frame_of_invalid_utf8_costs_itself_and_not_the_connection(provider: ScriptedProvider) -> None:
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.send(b'{"event":"price","symbol":"AAPL","currency_base":"\xff","price":1,"timestamp":1}')
        await provider.last.price("AAPL", 2)
        await eventually(lambda: client.counters.ticks == 1)
        assert client.counters.rejected == {"utf8": 1}
        assert client.counters.reconnects == {}


@pytest.mark.parametrize(
    "header", [b"\x81\x7f" + struct.pack("!Q", 64 * 1024 * 1024), b"\x81\x7f" + struct.pack("!Q", 2**62)]
)
async def test_w7_a_frame_that_claims_to_be_huge_is_refused_from_its_header(
    provider: ScriptedProvider, header: bytes
) -> None:
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: client.state == "live")
        transport = provider.last.transport
        assert transport is not None
        transport.write(header + b"x" * 100)
        await eventually(lambda: client.counters.reconnects == {"too_big": 1})
        await eventually(lambda: client.state == "live")


async def test_w9_endless_continuation_frames_end_at_the_cap(provider: ScriptedProvider) -> None:
    client = hasty(provider.url, max_message_size=64 * 1024)
    async with running(client):
        await eventually(lambda: client.state == "live")
        transport = provider.last.transport
        assert transport is not None
        transport.write(b"\x01\x7e" + struct.pack("!H", 1000) + b"x" * 1000)
        for _ in range(100):
            transport.write(b"\x00\x7e" + struct.pack("!H", 1000) + b"x" * 1000)
        await eventually(lambda: client.counters.reconnects == {"too_big": 1})


async def test_w10_pings_are_answered_and_a_flood_of_them_is_abuse(provider: ScriptedProvider) -> None:
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.ws.ping(b"are you there")
        await eventually(lambda: client.is_connected)
        for _ in range(200):
            await provider.last.ws.ping()
        await eventually(lambda: client.counters.reconnects == {"abuse": 1})
        await eventually(lambda: client.state == "live")


@pytest.mark.parametrize(("code", "reason"), [(1000, "closed"), (1001, "going_away")])
async def test_w11_a_goodbye_is_followed_by_a_normal_reconnect_and_no_error_log(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture, code: int, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    client = hasty(provider.url)
    errors: list[str] = []
    client.on_error(lambda word, _: errors.append(word))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.ws.close(code=code)
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
        assert client.counters.reconnects == {reason: 1}
    ours = [record for record in caplog.records if record.name.startswith("pricestreamd")]
    assert not [record for record in ours if record.levelno > logging.INFO]
    assert errors == []


Fault = Callable[[Conversation], Awaitable[object]]


async def eof(conversation: Conversation) -> None:
    conversation.drop()


async def internal_error(conversation: Conversation) -> None:
    await conversation.ws.close(code=1011)


@pytest.mark.parametrize(("fault", "reason"), [(eof, "eof"), (internal_error, "server_error")])
async def test_w12_an_end_without_a_goodbye_is_followed_by_backoff(
    provider: ScriptedProvider, fault: Fault, reason: str
) -> None:
    client = hasty(provider.url)
    errors: list[str] = []
    client.on_error(lambda word, _: errors.append(word))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await fault(provider.last)
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
        assert client.counters.reconnects == {reason: 1}
        assert errors == [reason]


@pytest.mark.parametrize("toxic", [ResetPeer(), LimitData(400), SlowClose(0.1)])
async def test_w12_whatever_the_network_does_the_feed_comes_back(
    provider: ScriptedProvider, proxy: FaultProxy, toxic: ResetPeer | LimitData | SlowClose
) -> None:
    client = hasty(proxy.url())
    async with running(client):
        await eventually(lambda: client.state == "live")
        proxy.add(toxic)
        for n in range(5):
            if client.is_connected and not provider.last.closed:
                await provider.last.price("AAPL", n + 1)
        provider.last.drop()
        await eventually(lambda: client.counters.reconnects)
        proxy.clear()
        await eventually(lambda: client.state == "live" and provider.last.subscribed == {"AAPL"})


async def test_w16_a_server_that_accepts_and_closes_is_dialled_ever_more_slowly(provider: ScriptedProvider) -> None:
    async def accept_then_close(conversation: Conversation) -> None:
        async for message in conversation.messages():
            await conversation.acknowledge(message)
            await conversation.ws.close()

    provider.script = accept_then_close
    delays: list[float] = []
    client = hasty(provider.url, reconnect=ReconnectSettings(initial_delay=0.01, max_delay=0.32, jitter=0))
    client.on_connection(lambda change, data: delays.append(data["delay"]) if change == "reconnecting" else None)
    async with running(client):
        await eventually(lambda: len(delays) >= 7)
    assert delays[:7] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.32]


async def test_w18_a_binary_frame_is_read_like_a_text(provider: ScriptedProvider) -> None:
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: client.state == "live")
        frame = {"event": "price", "symbol": "AAPL", "price": 5, "timestamp": 1}
        await provider.last.ws.send_bytes(json.dumps(frame).encode())
        await provider.last.ws.send_bytes(b"\x00\x01\x02")
        await eventually(lambda: client.counters.ticks == 1 and client.counters.rejected)
        assert client.counters.rejected == {"json": 1}
        assert client.counters.reconnects == {}


async def test_a_slow_and_sliced_connection_loses_nothing(provider: ScriptedProvider, proxy: FaultProxy) -> None:
    proxy.add(Slicer(7))
    client = hasty(proxy.url(), heartbeat=HeartbeatSettings(interval=30, timeout=10))
    seen: list[float] = []
    client.on_message(lambda tick: seen.append(tick.price))
    async with running(client):
        await eventually(lambda: client.state == "live")
        for n in range(200):
            await provider.last.price("AAPL", n + 1)
        await eventually(lambda: len(seen) == 200)
    assert seen == [float(n + 1) for n in range(200)]
