"""Faults of wire, upgrade, names, TLS and proxies for the other transports, rows W1 to W9 and H2 to H6, and a bomb for all.

Those of the WebSocket alone are in `test_wire` and `test_handshake`.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime as dt
import socket
import ssl
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import WSMsgType

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.transports.endpoint import tls_context
from pricestreamd.feeds.transports.sse import EventStream
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import ProtocolError, TransportError
from pricestreamd.model.secret import Secret
from tests.faults.dialling import (
    FETCHED,
    KINDS,
    Kind,
    adapter_for,
    dialled,
    good_server,
    loss_of,
    price,
    refused_dial,
    upgrade,
    works,
)
from tests.faults.feeds import Authority, hasty, running
from tests.support.adapters import KEY
from tests.support.connect_proxy import ConnectProxy
from tests.support.faultproxy import Bandwidth, FaultProxy, Slicer
from tests.support.provider import ScriptedProvider
from tests.support.raw_http import Asked, RawHttp, Script, always, answer, chunk, ending, head, holding, stream_head
from tests.support.waiting import eventually

MIB = 1 << 20


# --- the wire


async def test_w1_a_reset_is_seen_at_once() -> None:
    async with RawHttp(price) as server, dialled(adapter_for("sse", server.url())) as transport:
        assert (await transport.receive())[1] == b"1"
        server.asked[0].reset()
        before = time.monotonic()
        assert await loss_of(transport) == Loss("reset")
        assert time.monotonic() - before < 0.1


def black_hole(raw: socket.socket) -> None:
    """Let the kernel drop whatever comes for `raw`: no byte, no acknowledgement and no reset will ever go back."""
    drop = struct.pack("HBBI", 6, 0, 0, 0)  # one instruction: return 0
    program = ctypes.create_string_buffer(drop)
    raw.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, ctypes.addressof(program)))  # SO_ATTACH_FILTER


async def test_w2_a_stream_whose_other_end_is_gone_is_ended_by_the_kernel() -> None:
    async with RawHttp(price) as server, dialled(adapter_for("sse", server.url())) as transport:
        assert isinstance(transport, EventStream)
        assert (await transport.receive())[1] == b"1"
        # The same watch, faster: of the real one the unit test asserts that it ends within a minute.
        assert transport._link is not None
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            transport._link._raw.setsockopt(socket.IPPROTO_TCP, option, 1)
        black_hole(server.asked[0].socket)
        before = time.monotonic()
        assert await asyncio.wait_for(loss_of(transport), 10.0) == Loss("timeout")
        assert time.monotonic() - before < 5.0


async def test_w2_a_stream_that_is_only_silent_is_not_ended() -> None:
    async with RawHttp(price) as server, dialled(adapter_for("sse", server.url())) as transport:
        assert isinstance(transport, EventStream)
        assert (await transport.receive())[1] == b"1"
        assert transport._link is not None
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            transport._link._raw.setsockopt(socket.IPPROTO_TCP, option, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.receive(), 2.5)


async def test_w2_a_poll_whose_other_end_is_gone_ends_at_the_deadline() -> None:
    async with RawHttp(price) as server:
        options = Options(connect_timeout=0.5)
        async with dialled(adapter_for("poll", server.url(), polls=2), options) as transport:
            assert (await transport.receive())[1] == b"1"
            black_hole(server.asked[0].socket)
            before = time.monotonic()
            assert await loss_of(transport) == Loss("timeout")
            assert time.monotonic() - before < 1.5


@pytest.mark.parametrize("kind", KINDS)
async def test_w4_a_dial_that_never_ends_is_given_up_after_connect_timeout(kind: Kind) -> None:
    async with RawHttp(price) as server, FaultProxy(server.port) as proxy:
        proxy.add(Slicer(1))
        proxy.add(Bandwidth(rate=1.0))
        started = time.monotonic()
        url = f"http://127.0.0.1:{proxy.port}/?apikey={KEY}"
        error = await refused_dial(adapter_for(kind, url), Options(connect_timeout=0.3))
        assert 0.25 < time.monotonic() - started < 1.5
    assert (type(error), error.reason) == (TransportError, "timeout")


@pytest.mark.parametrize("kind", FETCHED)
async def test_w6_invalid_utf8_is_a_message_like_any_other(kind: Kind) -> None:
    script = always(answer(200, b"\xff\xfe")) if kind == "poll" else holding(stream_head() + b"data: \xff\xfe\n\n")
    async with RawHttp(script) as server, dialled(adapter_for(kind, server.url())) as transport:
        assert await transport.receive() == (WSMsgType.TEXT, b"\xff\xfe", "")


QUOTE = b'data: [{"symbol": "AAPL", "latestPrice": 191.45, "latestUpdate": 1704905376803}]\n\n'


async def test_w1_a_feed_of_events_comes_back_with_its_symbols() -> None:
    async with RawHttp(holding(stream_head() + QUOTE)) as server:
        client = hasty(server.url("/stream"), provider="iex", api_key=Secret(KEY))
        async with running(client):
            await eventually(lambda: client.state == "live" and client.counters.ticks == 1)
            server.asked[0].reset()
            await eventually(lambda: client.counters.ticks == 2)
            assert client.counters.reconnects == {"reset": 1}
    assert [asked.target for asked in server.asked] == [f"/stream?token={KEY}&symbols=aapl"] * 2


async def test_w10_a_flood_of_comments_is_abuse() -> None:
    async def flood(asked: Asked) -> None:
        await asked.write(stream_head() + QUOTE + (b": x\n\n" * 300 if asked.dial == 0 else b""))
        await asked.gone()

    async with RawHttp(flood) as server:
        client = hasty(server.url("/stream"), provider="iex", api_key=Secret(KEY))
        async with running(client):
            await eventually(lambda: client.counters.reconnects == {"abuse": 1})
            await eventually(lambda: client.state == "live" and server.dials == 2)


# --- what is too big


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """The process grows by no more than this, not even for a moment."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak()
    yield
    assert _peak() - before < mebibytes * MIB


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def bomb(size: int, prefix: bytes = b"") -> bytes:
    """Deflated zeros, after `prefix`; each mebibyte of them takes a kilobyte."""
    packer = zlib.compressobj(9, wbits=-15)
    first = packer.compress(prefix) + packer.flush(zlib.Z_FULL_FLUSH) if prefix else b""
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (size // MIB)


GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


async def endless(asked: Asked, first: bytes, piece: bytes) -> None:
    await asked.write(first)
    while True:
        await asked.write(piece)


async def endless_frame(asked: Asked, claimed: int) -> None:
    await upgrade(asked)
    await endless(asked, b"\x81\x7f" + struct.pack("!Q", claimed), b"x" * 65_536)


async def endless_fragments(asked: Asked) -> None:
    await upgrade(asked)
    length = b"\x7f" + struct.pack("!Q", 65_536)
    await endless(asked, b"\x01" + length + b"x" * 65_536, b"\x00" + length + b"x" * 65_536)


@pytest.mark.parametrize("script", [partial(endless_frame, claimed=64 * MIB), partial(endless_frame, claimed=2**62)])
async def test_w7_a_frame_that_claims_to_be_huge_takes_no_memory(script: Script) -> None:
    async with RawHttp(script) as server, dialled(adapter_for("websocket", server.url())) as transport:
        with at_most(10):
            assert await loss_of(transport) == Loss("too_big")


async def test_w9_fragments_without_an_end_take_no_more_than_the_limit() -> None:
    async with RawHttp(endless_fragments) as server, dialled(adapter_for("websocket", server.url())) as transport:
        with at_most(20):
            assert await loss_of(transport) == Loss("too_big")


async def endless_line(asked: Asked) -> None:
    await endless(asked, stream_head() + b"data: ", b"x" * 65_536)


async def endless_event(asked: Asked) -> None:
    await endless(asked, stream_head(transfer_encoding="chunked"), chunk(b"data: x\n" * 8_192))


async def endless_chunks(asked: Asked) -> None:
    await endless(asked, head(transfer_encoding="chunked"), chunk(b"x" * 65_536))


async def endless_answer(asked: Asked) -> None:
    await endless(asked, head(), b"x" * 65_536)


@pytest.mark.parametrize("script", [endless_line, endless_event])
async def test_w7_w9_an_event_without_an_end_is_refused_at_the_limit(script: Script) -> None:
    async with RawHttp(script) as server, dialled(adapter_for("sse", server.url())) as transport:
        with at_most(10):
            assert await loss_of(transport) == Loss("too_big")


@pytest.mark.parametrize("script", [endless_chunks, endless_answer, holding(head(content_length=str(2**62)))])
async def test_w7_w9_an_answer_without_an_end_is_refused_at_the_limit(script: Script) -> None:
    async with RawHttp(script) as server:
        with at_most(10):
            error = await refused_dial(adapter_for("poll", server.url()))
        assert error.reason == "too_big"

        async def later(asked: Asked) -> None:
            await (script if len(server.asked) > 1 else always(answer()))(asked)

        server.script, server.asked = later, []
        async with dialled(adapter_for("poll", server.url(), polls=2)) as transport:
            with at_most(10):
                assert await loss_of(transport) == Loss("too_big")


def upgraded(*messages: bytes) -> Script:
    """A WebSocket that agrees to deflate, and sends `messages`, which are deflated already."""

    async def script(asked: Asked) -> None:
        assert asked.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        await upgrade(asked, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        for message in messages:
            await asked.write(b"\xc1\x7f" + struct.pack("!Q", len(message)) + message)
        await asked.gone()

    return script


def deflated(message: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


async def test_w8_a_deflated_message_is_inflated_where_the_provider_deflates() -> None:
    messages = [b'{"price": %d}' % n for n in range(3)]
    async with RawHttp(upgraded(*map(deflated, messages))) as server:
        async with dialled(adapter_for("websocket", server.url(), compress=True)) as transport:
            assert [(await transport.receive())[1] for _ in messages] == messages


async def test_w8_nobody_else_is_asked_to_deflate() -> None:
    async with ScriptedProvider() as provider:
        async with dialled(adapter_for("websocket", provider.url.replace("ws", "http", 1))):
            assert "Sec-WebSocket-Extensions" not in provider.last.headers


async def test_w8_a_deflate_bomb_ends_the_connection_and_takes_no_memory() -> None:
    async with RawHttp(upgraded(deflated(b"1"), bomb(512 * MIB))) as server:
        async with dialled(adapter_for("websocket", server.url(), compress=True)) as transport:
            assert (await transport.receive())[1] == b"1"
            with at_most(10):
                assert await loss_of(transport) == Loss("too_big")


async def test_w8_a_message_that_inflates_to_the_limit_is_taken() -> None:
    async with RawHttp(upgraded(deflated(bytes(MIB)), deflated(bytes(MIB + 1)))) as server:
        options = Options(max_message_size=MIB)
        async with dialled(adapter_for("websocket", server.url(), compress=True), options) as transport:
            assert len((await transport.receive())[1]) == MIB
            assert await loss_of(transport) == Loss("too_big")


async def test_w8_a_gzip_bomb_in_a_stream_ends_it_and_takes_no_memory() -> None:
    packed = GZIP_HEAD + bomb(512 * MIB, b"data: 1\n\ndata: ")
    async with RawHttp(holding(stream_head(content_encoding="gzip"), packed)) as server:
        async with dialled(adapter_for("sse", server.url(), compress=True)) as transport:
            assert (await transport.receive())[1] == b"1"
            with at_most(10):
                assert await loss_of(transport) == Loss("too_big")


async def test_w8_a_gzip_bomb_in_an_answer_is_refused_and_takes_no_memory() -> None:
    script = holding(answer(200, GZIP_HEAD + bomb(512 * MIB), content_encoding="gzip"))
    async with RawHttp(script) as server:
        with at_most(10):
            error = await refused_dial(adapter_for("poll", server.url()))
    assert error.reason == "too_big"


# --- the answer


def http_date(seconds: float) -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("kind", FETCHED)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("120", 120.0, 120.0),
        ("999999999", 900.0, 900.0),
        ("in ten minutes", 500.0, 600.0),
        ("ten minutes ago", None, None),
        ("-5", None, None),
        ("soon", None, None),
    ],
)
async def test_h2_retry_after_is_told_and_garbage_is_none(
    kind: Kind, status: int, value: str, low: float | None, high: float | None
) -> None:
    dates = {"in ten minutes": 600.0, "ten minutes ago": -600.0}
    text = http_date(dates[value]) if value in dates else value
    async with RawHttp(always(answer(status, b"", retry_after=text))) as server:
        error = await refused_dial(adapter_for(kind, server.url()))
    if low is None or high is None:
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert low <= error.retry_after <= high


@pytest.mark.parametrize("kind", FETCHED)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_h3_a_redirect_is_refused_and_the_other_host_never_contacted(kind: Kind, status: int) -> None:
    async with RawHttp(price, host="127.0.0.2") as other:
        async with RawHttp(always(answer(status, b"", location=other.url()))) as server:
            error = await refused_dial(adapter_for(kind, server.url()))
        assert "a redirect to 127.0.0.2; that is not followed" in str(error)
        assert isinstance(error, UpgradeRefused)
        assert other.dials == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_h4_a_host_to_be_redirected_to_is_told_without_a_key(kind: Kind) -> None:
    async with RawHttp(always(answer(302, b"", location=f"https://{KEY}.example.org/"))) as server:
        assert "a redirect to ***.example.org" in str(await refused_dial(adapter_for(kind, server.url())))


PAGE = f"<html>please log in, apikey={KEY}".encode() + b"x" * 100_000
PORTALS = [(PAGE, "text/html"), (b"\xef\xbb\xbf\r\n" + PAGE, "application/json"), (b"please log in", "text/html")]


@pytest.mark.parametrize("kind", FETCHED)
async def test_h4_a_page_instead_of_prices_is_refused_and_not_told(kind: Kind) -> None:
    async with RawHttp(always(answer(200, PAGE, content_type="text/html"))) as server:
        error = await refused_dial(adapter_for(kind, server.url()))
    assert isinstance(error, UpgradeRefused)
    assert "please" not in str(error)
    assert len(error.text) <= 200
    assert KEY not in error.text


@pytest.mark.parametrize(("page", "content_type"), PORTALS)
async def test_h4_a_page_instead_of_an_answer_ends_a_poll(page: bytes, content_type: str) -> None:
    async def portal_later(asked: Asked) -> None:
        good = len(server.asked) == 1
        await asked.write(answer() if good else answer(200, page, content_type=content_type))

    async with RawHttp(portal_later) as server, dialled(adapter_for("poll", server.url(), polls=2)) as transport:
        assert (await transport.receive())[0] is WSMsgType.TEXT
        with at_most(10):
            loss = await loss_of(transport)
    assert (loss.reason, loss.status) == ("http_error", 200)
    assert KEY not in loss.text


async def test_h4_a_feed_that_polls_is_not_live_behind_a_captive_portal() -> None:
    """It is once somebody has logged in."""
    quote = b'{"Global Quote": {"01. symbol": "IBM", "05. price": "200.0", "07. latest trading day": "2026-03-02"}}'
    behind = [PAGE]

    async def portal(asked: Asked) -> None:
        await asked.write(answer(200, behind[0], content_type="text/html" if behind[0] is PAGE else "application/json"))

    async with RawHttp(portal) as server:
        client = hasty(server.url(), provider="alphavantage", api_key=Secret(KEY), symbols=("IBM",))
        states: set[str] = set()
        told: list[str] = []
        client.on_error(lambda word, error: told.append(str(error)))
        client.on_connection(lambda change, data: states.add(client.state))
        async with running(client):
            await eventually(lambda: len(server.asked) > 3)
            assert "live" not in states | {client.state}
            assert "a page instead of prices" in told[0]
            behind[0] = quote
            await eventually(lambda: client.state == "live" and client.counters.ticks == 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", range(150, 260, 10))
async def test_h4_half_a_key_at_the_end_of_a_text_is_none_either(kind: Kind, at: int) -> None:
    async with RawHttp(always(answer(500, b"-" * at + KEY.encode() + b"-" * 2000))) as server:
        error = await refused_dial(adapter_for(kind, server.url()))
    assert isinstance(error, UpgradeRefused)
    assert error.text.strip("-*") == ""


@pytest.mark.parametrize("kind", FETCHED)
async def test_h5_a_name_without_an_address_is_told_by_name(kind: Kind) -> None:
    error = await refused_dial(adapter_for(kind, f"https://no-such-host.invalid/?apikey={KEY}"))
    assert error.reason == "dns"
    assert "no-such-host.invalid" in str(error)


# --- certificates


@pytest.mark.parametrize("kind", FETCHED)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("expired", "certificate has expired"),
        ("wrong host", "Hostname mismatch"),
        ("unknown", "unable to get"),
    ],
)
async def test_h6_a_certificate_that_does_not_verify_is_refused_by_name(
    authority: Authority, tmp_path: Path, kind: Kind, fault: str, words: str
) -> None:
    match fault:
        case "expired":
            past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
            tls = authority.server("localhost", not_before=past - dt.timedelta(days=9), not_after=past)
        case "wrong host":
            tls = authority.server("example.org")
        case _:
            tls = Authority(tmp_path).server("localhost")
    async with RawHttp(price, tls=tls) as server:
        error = await refused_dial(adapter_for(kind, server.url()), Options(tls=tls_context(authority.file)))
        assert server.asked == []
    assert (type(error), error.reason) == (TransportError, "tls")
    assert words in str(error)
    assert f"localhost:{server.port}" in str(error)


@pytest.mark.parametrize("kind", FETCHED)
async def test_h6_a_private_authority_is_trusted_when_it_is_named_and_only_then(
    authority: Authority, kind: Kind
) -> None:
    async with RawHttp(price, tls=authority.server("localhost")) as server:
        async with dialled(adapter_for(kind, server.url()), Options(tls=tls_context(authority.file))) as transport:
            assert (await transport.receive())[1] == b"1"
        for tls in (None, tls_context(None)):
            assert (await refused_dial(adapter_for(kind, server.url()), Options(tls=tls))).reason == "tls"
        assert len(server.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_h6_tls_older_than_1_2_is_refused(authority: Authority, kind: Kind) -> None:
    tls = authority.server("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
        tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    options = Options(tls=tls_context(authority.file))
    assert options.tls is not None
    options.tls.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that nothing but the version is in the way
    async with RawHttp(price, tls=tls) as server:
        error = await refused_dial(adapter_for(kind, server.url()), options)
        assert server.asked == []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            options.tls.minimum_version = ssl.TLSVersion.TLSv1_1
        async with dialled(adapter_for("poll", server.url()), options) as transport:
            assert (await transport.receive())[1] == b"1"
    assert error.reason in ("tls", "reset")  # the server refuses too, and may go without a word


@pytest.mark.parametrize("kind", KINDS)
async def test_h6_a_server_that_speaks_no_tls_is_told_as_such(kind: Kind) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/?apikey={KEY}"
        error = await refused_dial(adapter_for(kind, url), Options(tls=tls_context(None)))
    assert error.reason == "tls"


# --- proxies


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("credentials", ["", "user:hunter22", "us%40er:hunt%2Fer22"])
async def test_a_tunnel_leads_through_the_proxy_and_tls_to_the_server_itself(
    authority: Authority, kind: Kind, credentials: str
) -> None:
    name = "feed.example.org:8443"
    wanted = credentials.replace("%40", "@").replace("%2F", "/") or None
    async with good_server(kind, authority.server("feed.example.org")) as port:
        async with ConnectProxy({name: port}, credentials=wanted) as proxy:
            options = Options(tls=tls_context(authority.file), proxy=proxy.url(credentials))
            async with dialled(adapter_for(kind, f"https://{name}/?apikey={KEY}"), options) as transport:
                await works(kind, transport)
                assert (transport.host, transport.port) == ("feed.example.org", 8443)
            assert proxy.connects == [name]
            assert proxy.forwards == []


@pytest.mark.parametrize("kind", KINDS)
async def test_plaintext_is_forwarded_by_the_proxy(kind: Kind) -> None:
    async with good_server(kind, None) as port:
        async with ConnectProxy({"feed.example.org:80": port}, credentials="user:hunter22") as proxy:
            options = Options(proxy=proxy.url("user:hunter22"))
            async with dialled(adapter_for(kind, "http://feed.example.org/prices?a=b"), options) as transport:
                await works(kind, transport)
            assert proxy.connects == []
            scheme = "ws" if kind == "websocket" else "http"
            assert proxy.forwards == [f"{scheme}://feed.example.org/prices?a=b"]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_environment_names_the_proxy_and_who_needs_none(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    async with good_server(kind, authority.server("localhost")) as port, ConnectProxy() as proxy:
        options = Options(tls=tls_context(authority.file), proxy="env")
        adapter = adapter_for(kind, f"https://localhost:{port}/?apikey={KEY}", polls=2)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        monkeypatch.setenv("https_proxy", proxy.url())
        monkeypatch.setenv("no_proxy", "")
        async with dialled(adapter, options) as transport:
            await works(kind, transport)
        assert proxy.connects == [f"localhost:{port}"]
        monkeypatch.setenv("no_proxy", "localhost")
        async with dialled(adapter, options) as transport:
            await works(kind, transport)
        assert len(proxy.connects) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_wrong_password_is_said_to_be_the_proxys(kind: Kind, scheme: str) -> None:
    async with ConnectProxy(credentials="user:right") as proxy:
        options = Options(proxy=proxy.url("user:hunter22"))
        error = await refused_dial(adapter_for(kind, f"{scheme}://feed.example.org/?apikey={KEY}"), options)
        assert len(proxy.connects + proxy.forwards) == 1
    assert (type(error), error.reason) == (TransportError, "proxy")
    assert str(error) == (
        f"the proxy 127.0.0.1:{proxy.port} answered with HTTP 407; it wants another user and password"
    )


async def test_a_wrong_password_in_the_middle_is_a_loss() -> None:
    async def once(asked: Asked) -> None:
        await asked.write(answer(200 if len(server.asked) == 1 else 407))

    async with RawHttp(once) as server:
        options = Options(proxy=server.url(""))
        async with dialled(adapter_for("poll", "http://feed.example.org/", polls=2), options) as transport:
            assert await loss_of(transport) == Loss("proxy")


async def lying_reset(asked: Asked) -> None:
    await asked.write(b"HTTP/1.1 200 Fine\r\n\r\n")
    asked.reset()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("script", "reasons", "words"),
    [
        (ending(head(403, content_length="0")), {"proxy"}, "answered with HTTP 403"),
        (ending(head(502, content_length="0")), {"proxy"}, "answered with HTTP 502"),
        (ending(b""), {"proxy"}, "closed the connection instead of leading to feed.example.org:443"),
        (ending(b"SSH-2.0\r\n\r\n"), {"proxy"}, "does not speak HTTP"),
        (holding(), {"timeout"}, "no connection to feed.example.org:443 through"),
        (holding(b"HTTP/1.1 200 Fine\r\n"), {"timeout"}, "no connection to feed.example.org:443 through"),
        (holding(b"HTTP/1.1 200 Fine\r\n\r\n"), {"timeout"}, "no connection to feed.example.org:443 through"),
        (holding(b"HTTP/1.1 200 Fine\r\n\r\n", b"no TLS" * 100), {"tls"}, "no TLS with feed.example.org:443 through"),
        (ending(b"HTTP/1.1 200 Fine\r\n\r\n"), {"reset"}, "feed.example.org:443 through"),
        (lying_reset, {"reset"}, "feed.example.org:443 through"),
    ],
    ids=["403", "502", "closes", "garbage", "hangs", "half an answer", "tunnel to nowhere", "no tls", "lies", "resets"],
)
async def test_a_proxy_that_refuses_hangs_or_lies_is_named_without_its_password(
    kind: Kind, script: Script, reasons: set[str], words: str
) -> None:
    async with RawHttp(script) as proxy:
        options = Options(
            tls=tls_context(None), connect_timeout=0.3, proxy=f"http://user:hunter22@127.0.0.1:{proxy.port}"
        )
        started = time.monotonic()
        error = await refused_dial(adapter_for(kind, f"https://feed.example.org/?apikey={KEY}"), options)
        assert time.monotonic() - started < 1.5
        assert proxy.dials == 1
    assert isinstance(error, TransportError)
    assert error.reason in reasons
    assert words in str(error)
    assert f"the proxy 127.0.0.1:{proxy.port}" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_leads_elsewhere_does_not_get_the_key(authority: Authority, kind: Kind) -> None:
    async with RawHttp(price, tls=authority.server("evil.example.org")) as evil:
        async with ConnectProxy({"feed.example.org:443": evil.port}) as proxy:
            options = Options(tls=tls_context(authority.file), proxy=proxy.url("user:hunter22"))
            error = await refused_dial(adapter_for(kind, f"https://feed.example.org/?apikey={KEY}"), options)
        assert evil.asked == []
    assert error.reason == "tls"
    assert f"feed.example.org:443 through the proxy 127.0.0.1:{proxy.port} is refused: Hostname mismatch" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_is_not_there_or_has_no_address_is_named(kind: Kind) -> None:
    adapter = adapter_for(kind, f"https://feed.example.org/?apikey={KEY}", polls=2)
    error = await refused_dial(adapter, Options(proxy="http://user:hunter22@127.0.0.1:2"))
    assert (error.reason, str(error)) == ("proxy", "no connection to the proxy 127.0.0.1:2: Connection refused")
    error = await refused_dial(adapter, Options(proxy="http://user:hunter22@no-such-proxy.invalid:3128"))
    assert error.reason == "proxy"
    assert str(error).startswith("no address for the proxy no-such-proxy.invalid:3128: ")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_proxy_at_all_is_an_error_of_ours(kind: Kind) -> None:
    adapter = adapter_for(kind, f"https://feed.example.org/?apikey={KEY}")
    error = await refused_dial(adapter, Options(proxy="socks5://user:hunter22@127.0.0.1:1080"))
    assert error.reason == "proxy"


@pytest.mark.parametrize("kind", KINDS)
async def test_behind_a_tunnel_a_broken_server_is_the_servers_fault(authority: Authority, kind: Kind) -> None:
    async with RawHttp(ending(b"no HTTP\r\n\r\n"), tls=authority.server("feed.example.org")) as server:
        async with ConnectProxy({"feed.example.org:443": server.port}) as proxy:
            options = Options(tls=tls_context(authority.file), proxy=proxy.url())
            error = await refused_dial(adapter_for(kind, f"https://feed.example.org/?apikey={KEY}"), options)
            await eventually(lambda: server.asked)
    assert isinstance(error, ProtocolError)
    assert str(error).startswith("feed.example.org:443 through the proxy 127.0.0.1:")
