"""Connections that the other end ends, rows W11 to W17: how soon it is dialled again, and who is told."""

from __future__ import annotations

import logging
import random
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.errors import AuthenticationFailed
from pricestreamd.model.secret import Secret
from tests.faults.feeds import hasty, running
from tests.support.faultproxy import FaultProxy, LimitData, ResetPeer, SlowClose
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.waiting import eventually
from tests.unit.feeds.connection.driver import Driver

KEY = "canary-key-0815"
# As many connections as symbols; twelvedata itself allows three.
WIDE: dict[str, Any] = {"max_symbols_per_connection": 1, "max_connections": 20}


def delays_of(client: WebSocketClient) -> list[float]:
    """The seconds until each attempt, as they are told."""
    delays: list[float] = []
    client.on_connection(lambda change, data: delays.append(data["delay"]) if change == "reconnecting" else None)
    return delays


@pytest.mark.parametrize(("code", "reason"), [(1000, "closed"), (1001, "going_away")])
async def test_w11_a_goodbye_is_followed_by_a_normal_reconnect_and_no_error_log(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture, code: int, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    client = hasty(provider.url)
    errors: list[str] = []
    delays = delays_of(client)
    client.on_error(lambda word, _: errors.append(word))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.ws.close(code=code)
        await eventually(lambda: client.counters.reconnections == 1 and client.state == "live")
        assert client.counters.reconnects == {reason: 1}
    ours = [record for record in caplog.records if record.name.startswith("pricestreamd")]
    assert not [record for record in ours if record.levelno > logging.INFO]
    assert errors == []
    assert delays == [0.05]


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


@pytest.mark.parametrize(("code", "text"), [(1008, "invalid api key"), (4401, f"API key {KEY} was revoked")])
async def test_w13_a_close_that_speaks_of_the_key_parks_and_is_one_error(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture, code: int, text: str
) -> None:
    client = hasty(provider.url, api_key=Secret(KEY))
    errors: list[Exception] = []
    client.on_error(lambda _, exc: errors.append(exc))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.ws.close(code=code, message=text.encode())
        await eventually(lambda: client.state == "parked")
        assert len(provider.requests) == 1
    (error,) = errors
    assert isinstance(error, AuthenticationFailed)
    assert [record.levelname for record in caplog.records if ": parked: " in record.getMessage()] == ["ERROR"]
    assert f"closed the connection ({code})" in caplog.text
    assert KEY not in caplog.text + str(error)


async def test_w13_another_broken_policy_is_told_by_its_words_and_keeps_us_away_for_half_a_minute(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    client = hasty(provider.url, api_key=Secret(KEY))
    delays, words = delays_of(client), []
    client.on_error(lambda word, _: words.append(word))
    async with running(client):
        await eventually(lambda: client.state == "live")
        await provider.last.ws.close(code=1008, message=f"be nicer, token={KEY}".encode())
        await eventually(lambda: delays)
        assert client.state == "backoff"
    assert (delays, words) == ([30.0], ["policy"])
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING and "1008" in record.message]
    assert warning.levelname == "WARNING"
    assert warning.message == "feed us: policy: the server closed the connection (1008): be nicer, token=***"


async def test_w14_a_restart_is_waited_out_for_5_to_30_seconds_by_chance_and_is_no_error(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = hasty(provider.url, symbols=tuple("ABCDEFGH"), **WIDE)
    delays, words = delays_of(client), []
    client.on_error(lambda word, _: words.append(word))
    async with running(client):
        await eventually(lambda: client.state == "live")
        for conversation in provider.conversations:
            await conversation.ws.close(code=1012)
        await eventually(lambda: len(delays) == 8)
        assert client.counters.reconnects == {"restart": 8}
        assert len(provider.requests) == 8
    assert all(5.0 <= delay <= 30.0 for delay in delays)
    # Eight throws of the dice that lie within a second would be a wonder.
    assert max(delays) - min(delays) > 1.0
    assert words == []
    ours = [record for record in caplog.records if record.name.startswith("pricestreamd")]
    assert not [record for record in ours if record.levelno > logging.INFO]


async def test_w15_try_again_later_keeps_us_away_for_half_a_minute_at_least(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    client = hasty(provider.url, symbols=("A", "B"), **WIDE)
    delays = delays_of(client)
    async with running(client):
        await eventually(lambda: client.state == "live")
        one, other = provider.conversations
        await one.ws.close(code=1013, message=b"busy")
        await eventually(lambda: delays)
        assert client.counters.reconnects == {"try_later": 1}
        assert client.state == "backoff"
        # A longer delay of our own stays: the code is a floor.
        client.set_reconnection_strategy(initial_delay=50.0, max_delay=50.0)
        await other.ws.close(code=1013)
        await eventually(lambda: len(delays) == 2)
        assert len(provider.requests) == 2
    assert delays == [30.0, 50.0]
    assert "feed us: try_later: the server closed the connection (1013): busy" in caplog.messages


async def test_w16_a_server_that_accepts_and_closes_is_dialled_ever_more_slowly(provider: ScriptedProvider) -> None:
    async def accept_then_close(conversation: Conversation) -> None:
        async for message in conversation.messages():
            await conversation.acknowledge(message)
            await conversation.ws.close()

    provider.script = accept_then_close
    client = hasty(provider.url, reconnect=ReconnectSettings(initial_delay=0.01, max_delay=0.32, jitter=0))
    delays = delays_of(client)
    async with running(client):
        await eventually(lambda: len(delays) >= 7)
    assert delays[:7] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.32]


def test_w16_on_a_fake_clock_that_is_fifteen_connects_in_five_minutes_and_then_two_a_minute() -> None:
    settings = FeedSettings(provider="twelvedata", stale_after=StaleSettings(connection=None))
    first, later = [], []
    for seed in range(50):

        def accept_then_close(driver: Driver) -> None:
            driver.accept()
            driver.acknowledge()
            driver.lose("closed", 1000)

        dice = random.Random(seed).uniform
        driver = Driver("AAPL", settings=settings, on_open=accept_then_close, dice=dice).start()
        driver.advance(3600.0)
        first.append(sum(at < driver.dials[0] + 300.0 for at in driver.dials))
        later.append((len(driver.dials) - first[-1]) / 55)
    assert max(first) <= 30
    assert 14 <= statistics.mean(first) <= 16
    assert all(1.8 <= per_minute <= 2.2 for per_minute in later)


async def test_w17_connections_that_drop_together_come_back_one_by_one(provider: ScriptedProvider) -> None:
    usual = ReconnectSettings()
    client = hasty(provider.url, symbols=tuple(f"S{number}" for number in range(20)), reconnect=usual, **WIDE)
    delays = delays_of(client)
    async with running(client):
        await eventually(lambda: client.state == "live")
        for conversation in provider.conversations:
            conversation.reset()
        await eventually(lambda: len(delays) == 20)
    assert all(0.8 <= delay <= 1.2 for delay in delays)
    assert max(delays) - min(delays) > 0.1
    assert len(set(delays)) == 20


async def test_w17_no_host_is_dialled_more_than_sixty_times_a_minute(provider: ScriptedProvider) -> None:
    provider.answer = Answer(503)
    symbols = tuple(f"S{number}" for number in range(20))
    again = ReconnectSettings(initial_delay=0.01, max_delay=0.01, jitter=0)
    client = hasty(provider.url, symbols=symbols, reconnect=again, **WIDE)
    async with running(client):
        await eventually(lambda: len(provider.requests) == 60)
        await eventually(lambda: {one.session.state for one in client.connections} == {"connecting"})
        # All twenty want to dial, a hundredth of a second after their last attempt, and none may.
        with pytest.raises(AssertionError):
            await eventually(lambda: len(provider.requests) > 60, 1.0)
        assert {one.session.state for one in client.connections} == {"connecting"}
