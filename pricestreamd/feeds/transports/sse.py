"""The transport of Server-Sent Events: one GET whose answer never ends.

- The data of each event is a message, its bytes untouched; a comment is a sign of life of the transport.
- Nothing can be sent or asked on it, so the kernel asks: with TCP keep-alive a peer that is gone is found within a
  minute, and `receive` ends. A server that is there and says nothing is the session's business.
- Whatever is not 200 with `text/event-stream` is refused, and with it every redirect and every page of a captive
  portal: whoever judges that has the status and the beginning of the text.
- `connect_timeout` covers everything from name resolution to the head of the answer.
- A broken chunk leaves aiohttp's reader waiting for ever, on a connection that aiohttp itself has closed (3.14). So the
  end of the connection is the end of the stream, whatever the reader knows of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus

import aiohttp
from aiohttp import ClientResponse, WSMsgType
from yarl import URL

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.transports.dial_errors import FOREIGN, is_cut_off
from pricestreamd.feeds.transports.event_stream import EventStreamParser
from pricestreamd.feeds.transports.http_session import Exchange, beginning, get, open_session, readable, retry_after
from pricestreamd.feeds.transports.tcp import TcpLink
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import TransportError
from pricestreamd.model.retry_after import MAX_RETRY_AFTER
from pricestreamd.model.secret import redact
from pricestreamd.providers.base import ConnectParams

CONTENT_TYPE = "text/event-stream"

_TEXT = WSMsgType.TEXT
_SIGN_OF_LIFE = (WSMsgType.PONG, b"", "")
_ENDED = (WSMsgType.CLOSED, None, None)
# The end of a connection takes two systems and a network; a peer that is slow with it is reset, in seconds.
_LINGER = 0.2
_MAX_TYPE = 60


class EventStream:
    """An open stream. `receive` awaits the network only when no event is left of what has been read.

    `link` is None where the whole answer has come with its head: what it says still counts.
    """

    def __init__(
        self, session: aiohttp.ClientSession, response: ClientResponse, link: TcpLink | None, url: URL, options: Options
    ) -> None:
        self._session = session
        self._response = response
        self._content = response.content
        self._link = link
        self._parser = EventStreamParser(options.max_message_size)
        self._events: deque[bytes | None] = deque()
        self._loss: Loss | None = None
        self._closing = False
        self.host = url.host or ""
        self.port = url.port or 0
        if link is not None:
            link.keep_alive()
            if link.closed is not None:
                link.closed.add_done_callback(self._end_content)

    async def receive(self) -> tuple[WSMsgType, bytes | None, str | None]:
        """The next event, or what `loss` wants to know."""
        events = self._events
        while not events:
            if self._loss is not None:
                return _ENDED
            await self._read()
        data = events.popleft()
        return _SIGN_OF_LIFE if data is None else (_TEXT, data, "")

    async def send(self, text: str) -> None:  # noqa: ARG002 - part of the port
        """Nothing can be sent.

        Raises:
            TransportError: always.
        """
        raise TransportError("nothing can be sent on an event stream", reason="closed")

    async def ping(self) -> None:
        """Nothing: nobody can be asked."""

    async def pong(self, payload: bytes) -> None:
        """Nothing: nobody asks."""

    async def close(self) -> None:
        """End the connection; there is no other goodbye."""
        self._closing = True
        if self._link is not None:
            self._link.close()
            await self._link.wait_closed(_LINGER)
        self.abort()

    def abort(self) -> None:
        """Reset the connection; `receive` ends at once."""
        if self._link is not None:
            self._link.reset()

    async def discard(self) -> None:
        """Free everything; an open connection is reset."""
        self.abort()
        self._response.close()
        await self._session.close()

    def loss(self, kind: WSMsgType, data: object, text: object) -> Loss:  # noqa: ARG002 - part of the port
        """How the stream ended. With the server's own `retry` as the least delay, where it has sent one."""
        return self._loss or Loss(self._ending)

    @property
    def _ending(self) -> str:
        return "eof" if self._link is None else self._link.ending

    async def _read(self) -> None:
        try:
            chunk = await self._content.readany()
        except FOREIGN as exc:
            self._end(self._ending if is_cut_off(exc) else "protocol")
            return
        if not chunk:
            self._end(self._ending)
        self._events.extend(self._parser.feed(chunk))
        if self._parser.too_big:
            self._end("too_big")

    def _end(self, reason: str) -> None:
        retry = self._parser.retry_seconds
        floor = None if retry is None else min(retry, MAX_RETRY_AFTER)
        self._loss = Loss("closed", 1000) if self._closing else Loss(reason, retry_after=floor)

    def _end_content(self, _closed: object) -> None:
        content = self._content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the answer is no HTTP any more"))


async def dial(params: ConnectParams, options: Options) -> EventStream:
    """Open a stream.

    Raises:
        TransportError: the network, TLS, the proxy or the deadline.
        UpgradeRefused: the server answered with another status than 200, or with something else than an event stream.
        ProtocolError: the server does not speak HTTP, or wrongly.
    """
    url = URL(params.url)
    exchange = Exchange(url, options, wanted=HTTPStatus.OK)
    session = open_session(options)
    try:
        with exchange.errors():
            async with asyncio.timeout(options.connect_timeout):
                response = await get(session, exchange, _own_headers(params), params.headers)
                await _check(response, exchange)
        link = None if response.connection is None else TcpLink(response.connection)
        return EventStream(session, response, link, url, options)
    except BaseException:
        await session.close()
        raise


def _own_headers(params: ConnectParams) -> dict[str, str]:
    encoding = "gzip, deflate" if params.compress else "identity"
    return {"Accept": CONTENT_TYPE, "Accept-Encoding": encoding, "Cache-Control": "no-store"}


async def _check(response: ClientResponse, exchange: Exchange) -> None:
    """Raise if `response` is no event stream."""
    if response.content_type == CONTENT_TYPE:
        return
    text = readable(await beginning(response.content))
    response.close()
    what = redact(response.content_type)[:_MAX_TYPE]
    message = f"{exchange.who} answered with {what} instead of an event stream: check `endpoint`"
    raise UpgradeRefused(message, status=response.status, retry_after=retry_after(response), text=text)
