"""What the fault tests of dials share: an adapter for each transport, and how a dial or a connection ends."""

from __future__ import annotations

import base64
import hashlib
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from aiohttp import WSMsgType

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.transports.dial import dial
from pricestreamd.feeds.transports.transport import Options, Transport
from pricestreamd.model.errors import FeedError
from pricestreamd.providers.base import Adapter, Terms
from tests.support.adapters import KEY, Polled, Socketed, Streamed
from tests.support.provider import ScriptedProvider
from tests.support.raw_http import Asked, RawHttp, answer, stream_head

Kind = Literal["websocket", "sse", "poll"]
KINDS: tuple[Kind, ...] = ("websocket", "sse", "poll")
FETCHED: tuple[Kind, ...] = ("sse", "poll")


def adapter_for(kind: Kind, url: str, polls: int = 1, *, compress: bool = False) -> Adapter:
    """An adapter that dials `url`, written with http or https."""
    if kind == "poll":
        base, _, rest = url.partition("?")
        return Polled(base, [f"?{rest}"] * polls)
    made = Streamed(Terms(endpoint=url)) if kind == "sse" else Socketed(Terms(endpoint=url.replace("http", "ws", 1)))
    made.compress = compress
    return made


@asynccontextmanager
async def dialled(adapter: Adapter, options: Options | None = None) -> AsyncIterator[Transport]:
    transport = await dial(adapter, options or Options(connect_timeout=5.0))
    try:
        yield transport
    finally:
        await transport.discard()


async def loss_of(transport: Transport) -> Loss:
    """How it ends, whatever comes before."""
    while True:
        kind, data, extra = await transport.receive()
        if kind not in (WSMsgType.TEXT, WSMsgType.PONG):
            return transport.loss(kind, data, extra)


async def refused_dial(adapter: Adapter, options: Options | None = None) -> FeedError:
    """The error of a dial that has to fail, without a key in it."""
    with pytest.raises(FeedError) as error:
        await dial(adapter, options or Options(connect_timeout=5.0))
    told = repr(error.value) + "".join(traceback.format_exception(error.value))
    assert KEY not in told
    assert "hunter22" not in told
    return error.value


async def price(asked: Asked) -> None:
    """A good answer, for a stream as for a poll."""
    if asked.headers.get("Accept") == "text/event-stream":
        await asked.write(stream_head() + b"data: 1\n\n")
        await asked.gone()
    else:
        await asked.write(answer(200, b"1"))


@asynccontextmanager
async def good_server(kind: Kind, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A server for `kind`; gives its port."""
    if kind == "websocket":
        async with ScriptedProvider(tls=tls) as provider:
            yield provider.port
    else:
        async with RawHttp(price, tls=tls) as server:
            yield server.port


async def works(kind: Kind, transport: Transport) -> None:
    if kind == "websocket":
        await transport.send('{"action": "subscribe", "params": {"symbols": "AAPL"}}')
    assert (await transport.receive())[0] is WSMsgType.TEXT


async def upgrade(asked: Asked, extensions: str = "") -> None:
    """Agree to speak WebSocket."""
    key = asked.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
    lines = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extensions}"
    await asked.write(f"HTTP/1.1 101 Switching\r\n{lines}\r\n".encode())
