"""A stream of events as a transport: what it takes for one, what comes out of it, and how it ends."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import traceback
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.transports import sse
from pricestreamd.feeds.transports.sse import EventStream
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import FeedError, ProtocolError, TransportError
from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import ConnectParams
from tests.support.adapters import KEY
from tests.support.raw_http import Asked, RawHttp, Script, always, answer, chunk, ending, head, holding, stream_head
from tests.support.waiting import eventually

FAST = Options(connect_timeout=5.0, max_message_size=10_000)
CHUNKED = stream_head(transfer_encoding="chunked")


def params(server: RawHttp, **more: Any) -> ConnectParams:
    return ConnectParams(server.url(), {"X-Api-Key": Secret(KEY)}, **more)


@asynccontextmanager
async def streaming(script: Script, options: Options = FAST, **more: Any) -> AsyncIterator[tuple[EventStream, RawHttp]]:
    async with RawHttp(script) as server:
        transport = await sse.dial(params(server, **more), options)
        try:
            yield transport, server
        finally:
            await transport.discard()


async def received(transport: EventStream) -> tuple[list[bytes | None], Loss]:
    """Everything until the end, signs of life as None, and how it ended."""
    seen: list[bytes | None] = []
    while True:
        kind, data, extra = await transport.receive()
        if kind is WSMsgType.TEXT:
            seen.append(data)
        elif kind is WSMsgType.PONG:
            seen.append(None)
        else:
            return seen, transport.loss(kind, data, extra)


async def test_events_are_messages_and_comments_are_signs_of_life() -> None:
    stream = stream_head(), b": hello\n\ndata: [1]\n\nevent: quote\nid: 3\ndata: [2,\ndata: 3]\n\ndata: \xff\n\n"
    async with streaming(ending(b"".join(stream))) as (transport, server):
        assert await transport.receive() == (WSMsgType.PONG, b"", "")
        assert await transport.receive() == (WSMsgType.TEXT, b"[1]", "")
        assert await received(transport) == ([b"[2,\n3]", b"\xff"], Loss("eof"))
        assert (transport.host, transport.port) == ("127.0.0.1", server.port)
    headers = server.asked[0].headers
    assert (headers["Accept"], headers["X-Api-Key"]) == ("text/event-stream", KEY)
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Cache-Control"] == "no-store"
    assert server.asked[0].target.endswith(f"apikey={KEY}")


async def test_what_is_read_already_is_given_without_the_network() -> None:
    async with streaming(holding(stream_head() + b"data: x\n\n" * 100)) as (transport, server):
        await transport.receive()
        server.asked[0].reset()
        reading = transport.receive()
        with pytest.raises(StopIteration) as done:  # at the first step: nothing was awaited
            reading.send(None)
        assert done.value.value == (WSMsgType.TEXT, b"x", "")


async def test_an_event_comes_as_soon_as_it_is_complete() -> None:
    go = asyncio.Event()

    async def script(asked: Asked) -> None:
        await asked.write(CHUNKED + chunk(b"data: 1\n\nda"))
        await go.wait()
        await asked.write(chunk(b"ta: 2\n\n"))
        await asked.gone()

    async with streaming(script) as (transport, _):
        assert (await transport.receive())[1] == b"1"
        go.set()
        assert (await transport.receive())[1] == b"2"


@pytest.mark.parametrize(
    "content_type", ["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream ;charset=UTF-8"]
)
async def test_the_type_may_have_parameters(content_type: str) -> None:
    async with streaming(ending(head(content_type=content_type) + b"data: 1\n\n")) as (transport, _):
        assert (await received(transport))[0] == [b"1"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", b"<html>please log in, apikey=" + KEY.encode() + b"</html>" + b"x" * 100_000),
        ("application/json", b'{"error": "invalid token"}'),
        ("text/event-stream-not", b""),
        ("", b"data: 1\n\n"),
    ],
)
async def test_200_with_anything_else_than_events_is_refused_with_its_beginning(content_type: str, body: bytes) -> None:
    async with RawHttp(holding(answer(200, body, content_type=content_type))) as server:
        with pytest.raises(UpgradeRefused, match="instead of an event stream: check `endpoint`") as refused:
            await sse.dial(params(server), FAST)
        await eventually(lambda: server.asked[0].ended)
    assert refused.value.status == 200
    assert refused.value.text[:10] == body[:10].decode()
    assert len(refused.value.text) <= 200
    assert KEY not in str(refused.value) + refused.value.text


@pytest.mark.parametrize("status", [204, 206, 400, 401, 402, 403, 404, 414, 429, 500, 503])
async def test_another_status_is_refused_with_retry_after_and_text(status: int) -> None:
    text = b"" if status == 204 else b"no more credits"
    script = always(answer(status, text, content_type="text/event-stream", retry_after="33"))
    async with RawHttp(script) as server:
        with pytest.raises(UpgradeRefused, match=f"127.0.0.1 answered the request with HTTP {status}") as refused:
            await sse.dial(params(server), FAST)
        assert len(server.asked) == 1
    assert (refused.value.status, refused.value.retry_after) == (status, 33.0)
    assert refused.value.text == text.decode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_the_other_host_never_asked(status: int) -> None:
    async with RawHttp(always(answer()), host="127.0.0.2") as other:
        async with RawHttp(always(answer(status, b"", location=other.url()))) as server:
            with pytest.raises(UpgradeRefused, match=r"a redirect to 127\.0\.0\.2; that is not followed"):
                await sse.dial(params(server), FAST)
    assert other.dials == 0


@pytest.mark.parametrize(
    ("script", "error", "reason"),
    [
        (ending(b""), TransportError, "eof"),
        (ending(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), ProtocolError, "protocol"),
        (holding(), TransportError, "timeout"),
        (holding(b"HTTP/1.1 200 OK\r\nContent-Type: text/eve"), TransportError, "timeout"),
        (ending(stream_head(content_encoding="br")), ProtocolError, "protocol"),
    ],
)
async def test_what_is_no_answer_is_a_failed_dial_of_one_connection(
    script: Script, error: type[FeedError], reason: str
) -> None:
    async with RawHttp(script) as server:
        with pytest.raises(error) as raised:
            await sse.dial(params(server), Options(connect_timeout=0.3))
        assert server.dials == 1
    assert raised.value.reason == reason
    assert KEY not in "".join(traceback.format_exception(raised.value))


async def test_a_head_that_trickles_in_is_given_up_at_the_deadline() -> None:
    async def trickle(asked: Asked) -> None:
        for byte in stream_head(x="y" * 100):
            await asked.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async with RawHttp(trickle) as server:
        started = time.monotonic()
        with pytest.raises(TransportError, match="in time"):
            await sse.dial(params(server), Options(connect_timeout=0.3))
        assert 0.25 < time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (ending(stream_head() + b"data: 1\n\ndata: half"), "eof"),
        (ending(CHUNKED + chunk(b"data: 1\n\n") + b"0\r\n\r\n"), "eof"),
        (holding(CHUNKED + chunk(b"data: 1\n\n"), b"0\r\n\r\n"), "eof"),
        (holding(stream_head(content_length="9") + b"data: 1\n", b"\n"), "eof"),
        (holding(CHUNKED + chunk(b"data: 1\n\n"), b"zz\r\n\r\n"), "protocol"),
        (holding(CHUNKED + chunk(b"data: 1\n\n"), b"3\r\nabcd\r\n"), "protocol"),
        (holding(stream_head(content_encoding="gzip") + gzip.compress(b"data: 1\n\n"), b"no gzip"), "protocol"),
        (holding(stream_head() + b"data: 1\n\n", b"data: " + b"x" * 10_001), "too_big"),
        (holding(stream_head() + b"data: 1\n\n", b"data: " + b"x" * 10_001 + b"\n\n"), "too_big"),
        (holding(stream_head() + b"data: 1\n\n", b"data: 123456789\n" * 1_001), "too_big"),
        (holding(stream_head() + b"data: 1\n\n", b":" + b"x" * 20_000), "too_big"),
    ],
)
async def test_every_end_has_its_word_and_what_came_before_it_counts(script: Script, reason: str) -> None:
    async with streaming(script) as (transport, _):
        assert await asyncio.wait_for(received(transport), 2.0) == ([b"1"], Loss(reason))
        assert await received(transport) == ([], Loss(reason))


@pytest.mark.parametrize("opening", [CHUNKED + chunk(b"data: 1\n\n"), stream_head() + b"data: 1\n\n"])
async def test_a_reset_is_told_as_such(opening: bytes) -> None:
    async with streaming(holding(opening)) as (transport, server):
        assert (await transport.receive())[1] == b"1"
        server.asked[0].reset()
        assert await received(transport) == ([], Loss("reset"))


@pytest.mark.parametrize("stop", ["abort", "close", "discard"])
async def test_an_answer_that_is_complete_at_once_may_be_ended_too(stop: str) -> None:
    async with streaming(ending(stream_head(content_length="0"))) as (transport, _):
        await getattr(transport, stop)() if stop != "abort" else transport.abort()
        assert (await received(transport))[0] == []


async def test_the_servers_own_delay_is_told_with_the_loss() -> None:
    async with streaming(ending(stream_head() + b"retry: 7000\n\n")) as (transport, _):
        assert (await received(transport))[1] == Loss("eof", retry_after=7.0)
    async with streaming(ending(stream_head() + b"retry: 999999999\n\n")) as (transport, _):
        assert (await received(transport))[1] == Loss("eof", retry_after=900.0)


async def test_a_packed_stream_is_asked_for_only_where_it_is_wanted_and_flows() -> None:
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(b"data: %d\n\n" % n) + packer.flush(zlib.Z_SYNC_FLUSH) for n in range(3)]
    script = holding(stream_head(content_encoding="gzip"), *pieces)
    async with streaming(script, compress=True) as (transport, server):
        assert [(await transport.receive())[1] for _ in range(3)] == [b"0", b"1", b"2"]
        assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"


async def test_an_abort_ends_a_receive_that_waits() -> None:
    async with streaming(holding(CHUNKED)) as (transport, server):
        waiting = asyncio.create_task(received(transport))
        await asyncio.sleep(0)
        before = time.monotonic()
        transport.abort()
        assert await waiting == ([], Loss("eof"))
        assert time.monotonic() - before < 0.1
        await eventually(lambda: server.asked[0].ended)


@pytest.mark.parametrize("opening", [CHUNKED, stream_head()])
async def test_a_close_ends_a_receive_that_waits_and_is_no_loss(opening: bytes) -> None:
    async with streaming(holding(opening)) as (transport, server):
        waiting = asyncio.create_task(received(transport))
        await asyncio.sleep(0)
        await transport.close()
        assert await waiting == ([], Loss("closed", 1000))
        await eventually(lambda: server.asked[0].ended)


async def test_nothing_can_be_sent_and_nobody_asked() -> None:
    async with streaming(holding(stream_head(), b"data: 1\n\n")) as (transport, _):
        with pytest.raises(TransportError, match="nothing can be sent"):
            await transport.send("hello")
        await transport.ping()
        await transport.pong(b"")
        assert (await transport.receive())[1] == b"1"


async def test_the_kernel_watches_over_the_connection_and_gives_up_within_a_minute() -> None:
    async with streaming(holding(stream_head())) as (transport, _):
        assert transport._link is not None
        raw = transport._link._raw
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, interval, count = (raw.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    assert idle + interval * count <= 60


async def test_a_dial_that_is_cancelled_leaves_nothing_open() -> None:
    async with RawHttp(holding()) as server:
        dialling = asyncio.create_task(sse.dial(params(server), FAST))
        await eventually(lambda: server.asked)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await eventually(lambda: server.asked[0].ended)
