"""The WebSocket transport: aiohttp behind one door, through which only our own errors come out.

Decisions made here, each of them tested:

- Texts stay bytes (`decode_text=False`), so that a bad byte costs one frame and not the connection.
- Pings and pongs are ours (`autoping=False`): the session has the clocks.
- An upgrade that is not answered with 101 is refused before aiohttp can follow a redirect: it would carry the key's
  header to the other host. aiohttp's own second attempt after an early close is stopped at the same place.
- `connect_timeout` covers everything from name resolution to upgrade.
- `abort` resets the connection instead of waiting for a peer that may be gone.
- An end of stream without a close frame is 1006, whatever aiohttp makes of it, and a reset is told from it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientWSTimeout, WSMsgType
from aiohttp.connector import Connection
from yarl import URL

from pricestreamd.feeds.backoff import read_retry_after
from pricestreamd.feeds.dial_errors import dial_error, is_reset
from pricestreamd.feeds.endpoint import proxy_for
from pricestreamd.feeds.transport import CLOSE_TIMEOUT, Options, UpgradeRefused
from pricestreamd.feeds.verdict import Loss, close_reason
from pricestreamd.model.errors import FeedError, TransportError
from pricestreamd.model.secret import redact
from pricestreamd.providers.base import ConnectParams

# Of a refused upgrade's body; more would be a page for people.
_MAX_ANSWER = 200
# SO_LINGER on, zero seconds: close() sends RST and keeps nothing.
_NO_LINGER = struct.pack("ii", 1, 0)
# TLS has a goodbye of its own; a peer that is slow with it does not hold up the next attempt for longer, in seconds.
_LINGER = 0.2
# A close frame without a code.
_NO_CODE = 1005


class WebSocket:
    """An open connection. `receive` is aiohttp's own, unwrapped: it is on the path of every tick."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ws: aiohttp.ClientWebSocketResponse[Any],
        connection: Connection,
        url: URL,
    ) -> None:
        self._session = session
        self._ws = ws
        transport, protocol = connection.transport, connection.protocol
        assert transport is not None  # noqa: S101 - aiohttp has just upgraded it
        assert protocol is not None  # noqa: S101 - as above
        self._transport = transport
        # Asked for now, because a TLS transport that is closed cannot name its socket any more.
        self._raw = transport.get_extra_info("socket")
        self._closed = protocol.closed
        self._was_reset = False
        if self._closed is not None:
            self._closed.add_done_callback(self._note_reset)
        self.host = url.host or ""
        self.port = url.port or 0
        self.receive: Callable[[], Awaitable[Any]] = ws.receive

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            TransportError: the connection is closing.
        """
        await self._sent(self._ws.send_str(text))

    async def ping(self) -> None:
        """Send a ping frame; raises as `send`."""
        await self._sent(self._ws.ping())

    async def pong(self, payload: bytes) -> None:
        """Send a pong frame; raises as `send`."""
        await self._sent(self._ws.pong(payload))

    async def close(self) -> None:
        """Say goodbye with 1000 and wait for the answer, `CLOSE_TIMEOUT` at most; then reset."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._ws.close(code=aiohttp.WSCloseCode.OK)
        except TimeoutError:
            self.abort()
        else:
            if self._ws.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
                self.abort()

    def abort(self) -> None:
        """Reset the connection; `receive` ends at once."""
        with suppress(OSError):  # closed already
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    async def discard(self) -> None:
        """Free everything. A connection that is open, or will not be closed in a moment, is reset."""
        if self._ws.closed and self._closed is not None:
            await asyncio.wait({self._closed}, timeout=_LINGER)
        self.abort()
        await self._session.close()

    def loss(self, kind: WSMsgType, data: object, text: object) -> Loss:
        """How the connection ended, by the message that `receive` returned last."""
        if kind is WSMsgType.CLOSE:
            code = data if isinstance(data, int) and data else _NO_CODE
            return Loss(close_reason(code), code, redact(str(text or ""))[:_MAX_ANSWER])
        if kind is WSMsgType.ERROR:
            too_big = self._ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            return Loss("too_big" if too_big else "protocol")
        return Loss("reset" if self._was_reset else "eof")

    def _note_reset(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled() and (error := closed.exception()) is not None:
            self._was_reset = is_reset(error.__cause__)

    @staticmethod
    async def _sent(sending: Awaitable[None]) -> None:
        try:
            await sending
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise TransportError("the connection is closing", reason="closed") from exc


async def dial(params: ConnectParams, options: Options) -> WebSocket:
    """Open a connection.

    Raises:
        TransportError: the network, TLS or the deadline.
        UpgradeRefused: the server answered with another status than 101.
        ProtocolError: the server does not speak WebSocket, or wrongly.
    """
    url = URL(params.url)
    upgrade = _Upgrade()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=options.tls or True, limit=1, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        middlewares=(upgrade,),
        headers={"User-Agent": "pricestreamd"},
        skip_auto_headers=("Accept", "Accept-Encoding"),
        auto_decompress=False,
    )
    try:
        async with asyncio.timeout(options.connect_timeout):
            ws = await session.ws_connect(
                url,
                protocols=params.subprotocols,
                headers={name: secret.reveal() for name, secret in params.headers.items()},
                proxy=proxy_for(options.proxy, url),
                timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                autoping=False,
                compress=15 if params.compress else 0,
                max_msg_size=options.max_message_size,
                decode_text=False,
            )
    except BaseException as exc:
        await session.close()
        error = None if isinstance(exc, FeedError) else dial_error(exc, url)
        if error is None:
            raise
        raise error from exc
    assert upgrade.connection is not None  # noqa: S101 - the middleware saw the 101 that made this connection
    return WebSocket(session, ws, upgrade.connection, url)


class _Upgrade:
    """Let nothing but 101 through to aiohttp, which would follow a redirect, or dial again after an early close."""

    connection: Connection | None = None

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        try:
            response = await handler(request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            raise dial_error(exc, request.url) or exc from exc
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.connection = response.connection
            return response
        text = b""
        with suppress(aiohttp.ClientError):
            text = await response.content.read(_MAX_ANSWER)
        response.close()
        raise UpgradeRefused(
            _refusal(response),
            status=response.status,
            retry_after=read_retry_after(response.headers.get("Retry-After"), time.time()),
            text=redact(text.decode("utf-8", "replace")),
        )


def _refusal(response: ClientResponse) -> str:
    what = f"{response.url.host} answered the upgrade with HTTP {response.status}"
    if response.status // 100 == 3:
        target = None
        with suppress(ValueError):
            target = URL(response.headers.get("Location", "")).host
        return f"{what}, a redirect to {target or 'itself'}; that is not followed, name the right host in `endpoint`"
    if response.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        return f"{what}: check `endpoint`"
    return what
