"""Faults of the wire, rows W1 to W10 and W18: each is noticed, survived, and followed by the current subscriptions."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Iterator

import pytest
from aiohttp import WSMsgType

from pricestreamd.feeds.settings import HeartbeatSettings, StaleSettings
from pricestreamd.model.events import PriceGap, PriceStale
from tests.faults.dialling import upgrade
from tests.faults.feeds import hasty, running
from tests.support.faultproxy import Bandwidth, FaultProxy, Slicer, Timeout
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.raw_http import Asked, RawHttp
from tests.support.waiting import eventually


async def test_w1_a_reset_is_seen_at_once_and_the_symbols_of_the_day_are_subscribed(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    client = hasty(proxy.url(), symbols=("AAPL", "MSFT"))
    events: list[object] = []
    changes: list[tuple[str, float]] = []
    client.on_event(events.append)

    def changed(change: str, _data: object) -> None:
        changes.append((change, time.monotonic()))
        if change == "disconnected":
            client.want(["TSLA"])
            client.unwant(["MSFT"])

    client.on_connection(changed)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.price("AAPL", 1)
        await eventually(lambda: client.counters.ticks == 1)
        reset_at = time.monotonic()
        proxy.reset_all()
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
        asked = [message["params"]["symbols"].split(",") for message in provider.last.actions("subscribe")]
        assert [sorted(symbols) for symbols in asked] == [["AAPL", "TSLA"]]
        assert client.counters.reconnects == {"reset": 1}
        (gap,) = events
        assert isinstance(gap, PriceGap)
        assert (gap.feed, gap.reason, gap.symbols) == ("us", "reset", ("AAPL", "TSLA"))
        assert gap.from_time == client.counters.latest.received_at  # type: ignore[union-attr]
        assert gap.from_time < gap.to_time <= time.time()
    assert dict(reversed(changes))["disconnected"] - reset_at < 0.1


async def test_w2_a_black_hole_is_found_within_interval_and_timeout(
    provider: ScriptedProvider, proxy: FaultProxy
) -> None:
    usual = HeartbeatSettings()
    assert (usual.interval, usual.timeout) == (30.0, 10.0)
    # The same watch, forty times as fast: 40 s are one.
    client = hasty(proxy.url(), heartbeat=HeartbeatSettings(interval=30 / 40, timeout=10 / 40))
    lost: list[float] = []
    client.on_connection(lambda change, _: lost.append(time.monotonic()) if change == "disconnected" else None)
    async with running(client):
        await eventually(lambda: client.state == "live")
        await eventually(lambda: client.get_stats()["last_heartbeat"] is not None)
        # A pong has just come: nothing could be noticed later than what happens now.
        proxy.black_hole()
        dark_at = time.monotonic()
        await eventually(lambda: lost)
        assert 0.9 < lost[0] - dark_at < 1.3
        assert client.counters.reconnects == {"pong": 1}
        proxy.clear()
        await eventually(lambda: client.state == "live")


async def test_w2_a_connection_that_is_dead_is_reset_and_not_said_goodbye_to() -> None:
    heard, endings = bytearray(), []

    async def mute(asked: Asked) -> None:
        await upgrade(asked)
        try:
            while data := await asked._reader.read(65536):
                heard.extend(data)
        except ConnectionResetError:
            endings.append("reset")

    async with RawHttp(mute) as server:
        client = hasty(server.url().replace("http", "ws"))
        async with running(client):
            await eventually(lambda: endings and client.counters.reconnects)
            assert client.counters.reconnects == {"pong": 1}
    opcodes = [first & 0x0F for first in first_bytes(bytes(heard))]
    assert 0x9 in opcodes  # it was asked for a pong
    assert 0x8 not in opcodes


def first_bytes(frames: bytes) -> Iterator[int]:
    """Of each frame in what a client sent; all of them are short."""
    at = 0
    while at < len(frames):
        yield frames[at]
        length = frames[at + 1] & 0x7F
        assert length < 126
        at += 2 + 4 + length


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


@pytest.mark.parametrize(("heartbeat", "reason"), [(True, "pong"), (False, "stale")])
async def test_w5_a_frame_that_trickles_in_for_ever_is_found_too(
    provider: ScriptedProvider, heartbeat: bool, reason: str
) -> None:
    client = hasty(
        provider.url,
        heartbeat=HeartbeatSettings(enabled=heartbeat, interval=0.3, timeout=0.2),
        stale_after=StaleSettings(connection=None if heartbeat else 0.5),
        market_hours="always",
    )

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
        await eventually(lambda: client.counters.reconnects)
        assert set(client.counters.reconnects) == {reason}


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
        await eventually(lambda: provider.conversations[0].close_code == 1009)


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
        await eventually(lambda: provider.conversations[0].close_code == 1009)


async def test_w10_a_ping_is_answered_with_what_it_said(provider: ScriptedProvider) -> None:
    pongs: list[bytes] = []

    async def ask(conversation: Conversation) -> None:
        await conversation.ws.ping(b"are you there")
        async for frame in conversation.ws:
            if frame.type is WSMsgType.PONG:
                pongs.append(frame.data)  # noqa: PERF401 - looked at while they come

    provider.script = ask
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: pongs)
    assert pongs == [b"are you there"]


@pytest.mark.parametrize("kind", ["ping", "pong"])
async def test_w10_some_are_answered_or_ignored_and_more_than_a_hundred_a_second_are_abuse(
    provider: ScriptedProvider, kind: str
) -> None:
    client = hasty(provider.url, heartbeat=HeartbeatSettings(interval=30, timeout=10))
    async with running(client):
        await eventually(lambda: client.state == "live")
        for _ in range(90):
            await getattr(provider.last.ws, kind)()
        await provider.last.price("AAPL", 5)
        await eventually(lambda: client.counters.ticks == 1)
        assert client.counters.reconnects == {}
        for _ in range(110):
            await getattr(provider.last.ws, kind)()
        await eventually(lambda: client.counters.reconnects == {"abuse": 1})
        await eventually(lambda: client.state == "live")


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
