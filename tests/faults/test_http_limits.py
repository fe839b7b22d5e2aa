"""Requests that take too long or are too large: rows E2 and E3."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pricestreamd.http.app import HttpServer
from pricestreamd.http.body import BODY_SECONDS
from pricestreamd.http.connection import KEEPALIVE_SECONDS, LINGER_SECONDS
from tests.support.controlled import TOKEN_FILE, controlled, world
from tests.support.http_serving import exchange, serving
from tests.support.small_daemon import SmallDaemon

POST = (
    "POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n"
)
# More than is ever read.
ENDLESS = 64 * 1024 * 1024


@pytest.fixture
def daemon() -> SmallDaemon:
    return SmallDaemon()


async def drip(server: HttpServer, pieces: Sequence[bytes], pause: float = 0.25) -> tuple[float, bytes]:
    """Send pieces one by one, the last over and over; after how many seconds the server ended it, and what it said."""
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = asyncio.create_task(reader.read())
    begun, number = time.monotonic(), 0
    try:
        async with asyncio.timeout(2 * KEEPALIVE_SECONDS):
            while not answer.done():
                if pieces:
                    writer.write(pieces[min(number, len(pieces) - 1)])
                    number += 1
                await asyncio.wait({answer}, timeout=pause)
        with contextlib.suppress(ConnectionError):
            return time.monotonic() - begun, await answer
        return time.monotonic() - begun, b""
    finally:
        answer.cancel()
        writer.transport.abort()


async def test_e2_who_is_slow_is_cut_while_a_live_stream_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, client):
        token = (tmp_path / TOKEN_FILE).read_text().strip()
        post = POST.format(token).encode()
        async with client.get("/api/v1/events") as stream:
            silent, header, second, body, chunked = await asyncio.gather(
                drip(server, ()),
                drip(server, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"x"]),
                drip(server, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /", b"x"]),
                drip(server, [post + b'Content-Length: 1000\r\n\r\n{"symbol": "', b"A"]),
                drip(server, [post + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"]),
            )
            # Beside them the stream has been open for as long.
            assert stream.content.exception() is None
            assert not stream.content.at_eof()
        for seconds, answer in (silent, header):
            assert KEEPALIVE_SECONDS - 1 < seconds < KEEPALIVE_SECONDS + 3
            assert answer == b""
        assert KEEPALIVE_SECONDS - 1 < second[0] < KEEPALIVE_SECONDS + 3
        assert second[1].startswith(b"HTTP/1.1 200 ")
        for seconds, answer in (body, chunked):
            assert seconds < BODY_SECONDS + LINGER_SECONDS + 2
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"application/problem+json" in answer
        assert made.alert_ids() == ["from-yaml"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    ],
    ids=["long header", "long path", "many headers", "tls", "no http", "bad length", "two lengths", "long chunk"],
)
async def test_e3_a_request_that_cannot_be_read_is_400_and_no_log_line(
    daemon: SmallDaemon, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(daemon) as (server, _):
        answer = await exchange(server, request_bytes)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"application/problem+json" in answer
    assert b"X-Content-Type-Options: nosniff" in answer
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_e3_a_gigabyte_that_is_announced_is_413_before_it_comes(tmp_path: Path, method: str) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, _):
        token = (tmp_path / TOKEN_FILE).read_text().strip()
        head = POST.format(token).replace("POST", method) + "Content-Length: 1000000000\r\n\r\n"
        answer = await exchange(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(("path", "status"), [("/api/v1/alerts", b"413"), ("/livez", b"200"), ("/-/reload", b"413")])
async def test_e3_a_body_that_never_ends_is_read_to_its_limit_and_no_further(
    tmp_path: Path, path: str, status: bytes
) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, _):
        token = (tmp_path / TOKEN_FILE).read_text().strip()
        head = POST.format(token).replace("/api/v1/alerts", path)
        if path == "/livez":
            head = head.replace("POST", "GET")
        host, _, port = server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answer = asyncio.create_task(reader.readline())
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent, begun = 0, time.monotonic()
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while not writer.transport.is_closing():
                assert sent < ENDLESS
                writer.write(chunk)
                sent += len(chunk)
                await writer.drain()
                await asyncio.sleep(0.005)
        told = await answer
        writer.transport.abort()
        # What comes after the answer is thrown away for a second, so that it is seen; then it is over.
        assert time.monotonic() - begun < LINGER_SECONDS + 4
        assert told.startswith(b"HTTP/1.1 " + status)
        assert made.alert_ids() == ["from-yaml"]
