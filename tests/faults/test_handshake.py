"""Faults of the upgrade, of names and of TLS, rows H1 to H6 and H8: refused where it must be, and told by name."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections import Counter
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from pricestreamd.feeds.settings import ReconnectSettings, TlsSettings
from pricestreamd.model.errors import AuthenticationFailed, FeedError, ProtocolError, TransportError
from pricestreamd.model.secret import Secret
from tests.faults.feeds import Authority, hasty, running
from tests.support.command import run
from tests.support.daemon import DaemonProcess
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.waiting import eventually
from tests.unit.feeds.connection.driver import Driver

KEY = "canary-key-0815"


@pytest.mark.parametrize("status", [401, 403])
async def test_h1_a_refused_key_parks_is_told_once_an_hour_and_tried_at_once_when_asked(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    provider.answer = Answer(status)
    client = hasty(provider.url, api_key=Secret(KEY))
    errors: list[Exception] = []
    client.on_error(lambda _, exc: errors.append(exc))
    async with running(client):
        for attempt in range(1, 4):
            await eventually(lambda: client.state == "parked")
            assert len(provider.requests) == attempt
            if attempt < 3:
                client.retry_now()
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
        assert all(isinstance(error, AuthenticationFailed) for error in errors)
        provider.answer = None
        client.retry_now()
        await eventually(lambda: client.state == "live")
    assert KEY not in caplog.text


async def test_h1_a_key_refused_in_band_parks_and_the_connection_is_closed(provider: ScriptedProvider) -> None:
    provider.script = lambda conversation: conversation.send({"status": "error", "message": "Invalid API key"})
    client = hasty(provider.url)
    async with running(client):
        await eventually(lambda: client.state == "parked")
        assert not client.is_connected
        assert len(provider.requests) == 1


def http_date(seconds: float) -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("120", 120.0, 120.0),
        ("999999999", 900.0, 900.0),
        (600, 500.0, 600.0),
        (-600, 0.05, 0.05),
        ("-5", 0.05, 0.05),
        ("soon", 0.05, 0.05),
    ],
)
async def test_h2_retry_after_is_a_floor_and_garbage_is_ignored(
    provider: ScriptedProvider, status: int, value: str | int, low: float, high: float
) -> None:
    """A number stands for a date so many seconds from now."""
    text = value if isinstance(value, str) else http_date(value)
    provider.answer = Answer(status, {"Retry-After": text})
    client = hasty(provider.url)
    delays: list[float] = []
    client.on_connection(lambda change, data: delays.append(data["delay"]) if change == "reconnecting" else None)
    async with running(client):
        await eventually(lambda: delays)
    assert low <= delays[0] <= high


async def test_h2_a_longer_delay_of_our_own_stays(provider: ScriptedProvider) -> None:
    provider.answer = Answer(429, {"Retry-After": "1"})
    client = hasty(provider.url, reconnect=ReconnectSettings(initial_delay=7.0, jitter=0))
    delays: list[float] = []
    client.on_connection(lambda change, data: delays.append(data["delay"]) if change == "reconnecting" else None)
    async with running(client):
        await eventually(lambda: delays)
    assert delays == [7.0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_h3_a_redirect_is_refused_and_the_other_host_never_contacted(
    provider: ScriptedProvider, status: int
) -> None:
    async with ScriptedProvider(host="127.0.0.2") as other:
        provider.answer = Answer(status, {"Location": f"http://127.0.0.2:{other.port}/?apikey={KEY}"})
        client = hasty(provider.url, api_key=Secret(KEY))
        with pytest.raises(FeedError) as refused:
            await client.connect()
        assert "a redirect to 127.0.0.2; that is not followed" in str(refused.value)
        assert KEY not in str(refused.value)
        async with running(client):
            await eventually(lambda: len(provider.requests) >= 3)
            assert set(client.counters.reconnects) == {"handshake"}
        assert other.requests == []


async def test_h4_a_page_instead_of_an_upgrade_is_refused_and_not_logged(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.answer = Answer(200, body=f"<html>please log in, apikey={KEY}" + "x" * 100_000)
    client = hasty(provider.url, api_key=Secret(KEY))
    async with running(client):
        await eventually(lambda: client.counters.reconnects.get("handshake"))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("pricestreamd")]
    assert max(map(len, ours)) < 400
    assert not any(KEY in message for message in ours)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            ProtocolError,
        ),
        (b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", ProtocolError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolError),
        (b"\x00\xff" * 100, ProtocolError),
        (b"", TransportError),
    ],
)
async def test_h4_an_answer_that_is_no_upgrade_is_a_protocol_error_and_dialled_once(
    answer: bytes, error: type[FeedError]
) -> None:
    dials = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dials
        dials += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = hasty(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/?apikey={KEY}")
        with pytest.raises(error) as refused:
            await client.connect()
        assert KEY not in str(refused.value)
        assert dials == 1


async def test_h5_a_name_without_an_address_is_tried_again_and_never_blocks_the_loop() -> None:
    client = hasty("wss://no-such-host.invalid/")
    words: list[str] = []
    client.on_error(lambda word, _: words.append(word))
    lags: list[float] = []

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            lags.append(time.monotonic() - before - 0.005)

    beating = asyncio.create_task(beat())
    async with running(client):
        await eventually(lambda: client.counters.reconnects.get("dns", 0) >= 3, 15.0)
    beating.cancel()
    assert set(words) == {"dns"}
    # The two worst may be the machine's; a lookup on the loop would hold up every one of the dials.
    assert sorted(lags)[:-2][-1] < 0.05


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("expired", "certificate has expired"),
        ("wrong host", "IP address mismatch|Hostname mismatch"),
        ("unknown", "self-signed|unable to get"),
    ],
)
async def test_h6_a_certificate_that_does_not_verify_is_refused_by_name(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str, words: str
) -> None:
    match fault:
        case "expired":
            past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
            tls = authority.server("localhost", not_before=past - dt.timedelta(days=9), not_after=past)
        case "wrong host":
            tls = authority.server("example.org")
        case _:
            tls = Authority(tmp_path).server("localhost")
    async with ScriptedProvider(tls=tls) as provider:
        client = hasty(provider.url, tls=TlsSettings(ca_file=authority.file))
        with pytest.raises(TransportError, match=words) as refused:
            await client.connect()
        assert refused.value.reason == "tls"
        async with running(client):
            await eventually(lambda: client.counters.reconnects.get("tls", 0) >= 2)
        assert [record.levelname for record in caplog.records if ": tls: " in record.getMessage()] == ["ERROR"]
        assert provider.requests == []


async def test_h6_a_private_authority_is_trusted_when_it_is_named_and_only_then(authority: Authority) -> None:
    async with ScriptedProvider(tls=authority.server("localhost")) as provider:
        named = hasty(provider.url, tls=TlsSettings(ca_file=authority.file))
        async with running(named):
            await eventually(lambda: named.state == "live")
            await provider.last.price("AAPL", 5)
            await eventually(lambda: named.counters.ticks == 1)
        assert provider.last.close_code == 1000
        with pytest.raises(TransportError) as refused:
            await hasty(provider.url).connect()
        assert refused.value.reason == "tls"


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_h6_a_file_without_certificates_is_said_by_name(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    client = hasty("wss://localhost:1/", tls=TlsSettings(ca_file=file))
    with pytest.raises(TransportError, match=r"cannot use the certificates in .*ca\.pem"):
        await client.connect()


async def test_h6_no_configuration_trusts_anybody(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    feed = "provider: twelvedata, api_key: '${KEY}'"
    file.write_text(
        f"""feeds:
  a: {{{feed}, symbols: [A], tls: {{verify: false}}}}
  b: {{{feed}, symbols: [B], verify: false}}
  c: {{{feed}, symbols: [C], insecure: true}}
  d: {{{feed}, symbols: [D], endpoint: "ws://example.org/"}}
"""
    )
    ran = await run(tmp_path, "check", "--config", file, environ={"KEY": KEY})
    assert ran.code == 78
    for told in (
        "feeds.a.tls.verify: unknown",
        "feeds.b.verify: unknown",
        "feeds.c.insecure: unknown",
        "feeds.d.endpoint: ws:// would send the key to example.org unencrypted",
    ):
        assert told in ran.said


def test_h6_a_bad_certificate_is_looked_at_again_every_five_minutes_at_least() -> None:
    def refuse(driver: Driver) -> None:
        driver.refuse(TransportError("the certificate of x is refused: certificate has expired", reason="tls"))

    driver = Driver("AAPL", on_open=refuse, dice=lambda _, high: high).start()
    driver.advance(3600.0)
    assert max(later - earlier for earlier, later in pairwise(driver.dials)) <= 300.0
    assert driver.now - driver.dials[-1] <= 300.0


async def refusing(conversation: Conversation) -> None:
    """A provider that does not know symbols that begin with BAD."""
    async for message in conversation.messages():
        if message["action"] == "subscribe":
            bad = [name for name in message["params"]["symbols"].split(",") if name.startswith("BAD")]
            fails = [{"symbol": name, "message": "no such symbol"} for name in bad]
            await conversation.acknowledge(message, fails=fails or None)


async def test_h8_refused_symbols_are_named_and_the_others_live(provider: ScriptedProvider, tmp_path: Path) -> None:
    provider.script = refusing
    async with DaemonProcess(tmp_path, many(provider, "A, BAD1, B, BAD2", 120), KEY="any-key") as daemon:
        await daemon.until("/api/v1/feeds", lambda feeds: feeds["us"]["state"] == "live")
        rows = (await daemon.get("/api/v1/symbols"))["symbols"]
        assert {row["symbol"]: (row["state"], row["reason"]) for row in rows} == {
            "A": ("subscribed", None),
            "BAD1": ("rejected", "no such symbol"),
            "B": ("subscribed", None),
            "BAD2": ("rejected", "no such symbol"),
        }
        await provider.last.price("A", 1.5)
        await provider.last.price("B", 2.5)
        await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"A", "B"})
        assert 'pricestream_subscriptions_rejected_total{feed="us"} 2.0' in await daemon.get("/metrics")
        assert await daemon.stop() == 0
    assert len(provider.conversations) == 1
    for name in ("BAD1", "BAD2"):
        assert any(f"{name}: no such symbol" in line for line in daemon.log)


async def test_h8_two_hundred_symbols_are_spread_and_those_beyond_the_plan_are_named(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    names = [f"S{number}" for number in range(200)]
    async with DaemonProcess(tmp_path, many(provider, ", ".join(names), 50), KEY="any-key") as daemon:
        await daemon.until("/metrics", lambda text: 'pricestream_symbols_subscribed{feed="us"} 150.0' in text)
        rows = (await daemon.get("/api/v1/symbols"))["symbols"]
        assert [row["symbol"] for row in rows] == names
        assert Counter(row["connection"] for row in rows) == {0: 50, 1: 50, 2: 50, None: 50}
        unplaced = [row for row in rows if row["state"] == "unplaced"]
        assert [row["symbol"] for row in unplaced] == names[150:]
        assert {row["reason"] for row in unplaced} == {"the feed is given 3 connections of 50 symbols"}
        # What the provider heard: each symbol that has a place once, on one of three connections.
        heard = [conversation.subscribed for conversation in provider.conversations]
        assert [len(symbols) for symbols in heard] == [50, 50, 50]
        assert set.union(*heard) == set(names[:150])
        assert await daemon.stop() == 0
    assert any("S150" in line and "warning" in line for line in daemon.log)


def many(provider: ScriptedProvider, symbols: str, on_a_connection: int) -> str:
    return f"""
feeds:
  us: {{provider: twelvedata, api_key: '${{KEY}}', endpoint: '{provider.url}', symbols: [{symbols}],
       max_symbols_per_connection: {on_a_connection}, max_connections: 3, market_hours: always}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""
