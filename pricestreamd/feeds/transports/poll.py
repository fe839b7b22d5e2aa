"""The transport that polls: a connection made of requests, which the adapter names one after the other.

- The first request belongs to the dial, so that a refused key or a dead host is a failed dial, as with any transport.
- After that every answer is a message. Whatever is no answer with 200 ends the connection, and `loss` tells the status,
  the text and the server's Retry-After: there is one place that decides when to try again, and it is not here.
- A page for people is no answer, whatever its status: that is how a captive portal speaks, in the provider's place.
- `abort` and `close` end a `receive` that waits, be it for an answer or for its time.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.transports.fetch import Response, fetch
from pricestreamd.feeds.transports.http_session import open_session, readable, with_hint
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import FeedError, HandshakeRejected, TransportError
from pricestreamd.providers.base import Adapter, HttpRequest

_ENDED = (WSMsgType.CLOSED, None, None)
# The adapter is asked again after so many seconds at most, for other symbols may be wanted by then; and at least, so
# that one that wants no wait at all leaves others their turn.
_LONGEST_WAIT = 1.0
_SHORTEST_WAIT = 0.001
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# White space, and the mark of UTF-8.
_BEFORE_A_PAGE = b" \t\r\n\xef\xbb\xbf"


class Polling:
    """An open connection: `answer` is that to the first request, where there was one already."""

    def __init__(
        self, adapter: Adapter, options: Options, session: aiohttp.ClientSession, url: URL, answer: Response | None
    ) -> None:
        self._adapter = adapter
        self._options = options
        self._session = session
        self._answer = answer
        self._ended: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self.host = url.host or ""
        self.port = url.port or 0

    async def receive(self) -> tuple[WSMsgType, bytes | None, str | None]:
        """The next answer, when its time has come; or what `loss` wants to know."""
        while not self._ended.done():
            if self._answer is not None:
                answer, self._answer = self._answer, None
                return (WSMsgType.TEXT, answer.body, "")
            step = self._adapter.next_poll(time.monotonic())
            if isinstance(step, HttpRequest):
                await self._ask(step)
            else:
                await asyncio.wait({self._ended}, timeout=max(_SHORTEST_WAIT, min(step, _LONGEST_WAIT)))
        return _ENDED

    async def send(self, text: str) -> None:  # noqa: ARG002 - part of the port
        """Nothing can be sent.

        Raises:
            TransportError: always.
        """
        raise TransportError("nothing can be sent to a server that is polled", reason="closed")

    async def ping(self) -> None:
        """Nothing: each request asks already."""

    async def pong(self, payload: bytes) -> None:
        """Nothing: nobody asks."""

    async def close(self) -> None:
        """Ask no more."""
        self._end(Loss("closed", 1000))

    def abort(self) -> None:
        """Ask no more; a request under way is dropped."""
        self._end(Loss("eof"))

    async def discard(self) -> None:
        """Free everything."""
        self.abort()
        await self._session.close()

    def loss(self, kind: WSMsgType, data: object, text: object) -> Loss:  # noqa: ARG002 - part of the port
        """How the connection ended."""
        return self._ended.result()

    async def _ask(self, request: HttpRequest) -> None:
        asking = asyncio.ensure_future(_answered(request, self._options, self._session))
        either: set[asyncio.Future[Any]] = {asking, self._ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        if asking.cancelled():
            return
        match asking.exception():
            case None:
                self._answer = asking.result()
            case HandshakeRejected() as refused:
                text = refused.text if isinstance(refused, UpgradeRefused) else ""
                self._end(Loss("http_error", text=text, status=refused.status, retry_after=refused.retry_after))
            case FeedError() as error:
                self._end(Loss(error.reason))
            case error:
                raise error

    def _end(self, loss: Loss) -> None:
        if not self._ended.done():
            self._ended.set_result(loss)


async def dial(adapter: Adapter, options: Options) -> Polling:
    """Begin to poll: with the first request, if it is time for one.

    Raises:
        TransportError: the network, TLS, the proxy, the deadline, or an answer that is too long.
        UpgradeRefused: the server answered with another status than 200.
        ProtocolError: the server does not speak HTTP, or wrongly.
    """
    session = open_session(options, keep_alive=True)
    try:
        first = adapter.next_poll(time.monotonic())
        if isinstance(first, HttpRequest):
            answer = await _answered(first, options, session)
            return Polling(adapter, options, session, URL(first.url), answer)
        address = adapter.terms.endpoint or adapter.profile.endpoint
        return Polling(adapter, options, session, URL(address), None)
    except BaseException:
        await session.close()
        raise


async def _answered(request: HttpRequest, options: Options, session: aiohttp.ClientSession) -> Response:
    """An answer with 200 that is data; every other is refused."""
    response = await fetch(request, options, session)
    if response.status != HTTPStatus.OK:
        what = f"HTTP {with_hint(response.status, {})}"
    elif response.content_type in _PAGES or response.body.lstrip(_BEFORE_A_PAGE).startswith(b"<"):
        what = "a page instead of prices: a captive portal, or check `endpoint`"
    else:
        return response
    raise UpgradeRefused(
        f"{URL(request.url).host} answered the request with {what}",
        status=response.status,
        retry_after=response.retry_after,
        text=readable(response.body),
    )
