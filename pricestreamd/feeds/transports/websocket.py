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
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import ClientResponse, ClientWSTimeout, WSMsgType
from yarl import URL

from pricestreamd.feeds.connection.verdict import Loss, close_reason
from pricestreamd.feeds.transports.http_session import Exchange, open_session
from pricestreamd.feeds.transports.tcp import TcpLink
from pricestreamd.feeds.transports.transport import CLOSE_TIMEOUT, Options
from pricestreamd.model.errors import TransportError
from pricestreamd.model.secret import redact
from pricestreamd.providers.base import ConnectParams

# Of the reason in a close frame.
_MAX_REASON = 200
# TLS has a goodbye of its own; a peer that is slow with it does not hold up the next attempt for longer, in seconds.
_LINGER = 0.2
# A close frame without a code.
_NO_CODE = 1005
# The window of permessage-deflate, the largest; the size of a message counts after inflation.
_WINDOW_BITS = 15


class WebSocket:
    """An open connection. `receive` is aiohttp's own, unwrapped: it is on the path of every tick."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ws: aiohttp.ClientWebSocketResponse[Any],
        upgrade: ClientResponse,
        url: URL,
    ) -> None:
        assert upgrade.connection is not None  # noqa: S101 - a connection that is upgraded is not given back
        self._session = session
        self._ws = ws
        self._upgrade = upgrade
        self._link = TcpLink(upgrade.connection)
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
        self._link.reset()

    async def discard(self) -> None:
        """Free everything. A connection that is open, or will not be closed in a moment, is reset."""
        if self._ws.closed:
            await self._link.wait_closed(_LINGER)
        self.abort()
        self._upgrade.close()
        await self._session.close()

    def loss(self, kind: WSMsgType, data: object, text: object) -> Loss:
        """How the connection ended, by the message that `receive` returned last."""
        if kind is WSMsgType.CLOSE:
            code = data if isinstance(data, int) and data else _NO_CODE
            return Loss(close_reason(code), code, redact(str(text or ""))[:_MAX_REASON])
        if kind is WSMsgType.ERROR:
            too_big = self._ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            return Loss("too_big" if too_big else "protocol")
        return Loss(self._link.ending)

    @staticmethod
    async def _sent(sending: Awaitable[None]) -> None:
        try:
            await sending
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise TransportError("the connection is closing", reason="closed") from exc


async def dial(params: ConnectParams, options: Options) -> WebSocket:
    """Open a connection.

    Raises:
        TransportError: the network, TLS, the proxy or the deadline.
        UpgradeRefused: the server answered with another status than 101.
        ProtocolError: the server does not speak WebSocket, or wrongly.
    """
    url = URL(params.url)
    exchange = Exchange(url, options, wanted=HTTPStatus.SWITCHING_PROTOCOLS, what="upgrade")
    session = open_session(options, exchange)
    try:
        with exchange.errors():
            async with asyncio.timeout(options.connect_timeout):
                ws = await session.ws_connect(
                    url,
                    protocols=params.subprotocols,
                    headers={name: secret.reveal() for name, secret in params.headers.items()},
                    proxy=exchange.proxy,
                    timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                    autoping=False,
                    compress=_WINDOW_BITS if params.compress else 0,
                    max_msg_size=options.max_message_size,
                    decode_text=False,
                )
    except BaseException:
        await session.close()
        raise
    assert exchange.response is not None  # noqa: S101 - it saw the 101 that made this connection
    return WebSocket(session, ws, exchange.response, url)
