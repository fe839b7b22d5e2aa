"""One HTTP GET, within a deadline and a size, and only our own errors out of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from aiohttp import ClientResponse
from yarl import URL

from pricestreamd.feeds.transports.http_session import Exchange, beginning, get, open_session, retry_after
from pricestreamd.feeds.transports.transport import Options
from pricestreamd.model.errors import TransportError
from pricestreamd.providers.base import HttpRequest

# What aiohttp can undo without another library.
_OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `body`: all of it where `status` is 200, else its beginning. `retry_after`: the server's, seconds."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    content_type: str = ""


async def fetch(request: HttpRequest, options: Options, session: aiohttp.ClientSession | None = None) -> Response:
    """Ask, and read the answer, all within `options.connect_timeout`.

    `session`: one of `http_session.open_session`, whose connection may be used again; it serves one request at a time.
    Without it there is a connection for this request alone.

    Raises:
        TransportError: the network, TLS, the proxy, the deadline, or an answer longer than `options.max_message_size`.
        UpgradeRefused: the server wants to send us elsewhere.
        ProtocolError: the server does not speak HTTP, or wrongly.
    """
    if session is not None:
        return await _fetch(request, options, session)
    async with open_session(options) as own:
        return await _fetch(request, options, own)


async def _fetch(request: HttpRequest, options: Options, session: aiohttp.ClientSession) -> Response:
    url = URL(request.url)
    exchange = Exchange(url, options)
    with exchange.errors():
        async with asyncio.timeout(options.connect_timeout):
            async with await get(session, exchange, _OWN_HEADERS, request.headers) as response:
                if response.status == HTTPStatus.OK:
                    body = await _read(response, options.max_message_size, f"{url.host}:{url.port}")
                elif response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                    raise await exchange.refusal(response)
                else:
                    body = await beginning(response.content)
                return Response(response.status, body, retry_after(response), response.content_type)


async def _read(response: ClientResponse, limit: int, where: str) -> bytes:
    """The whole body, inflated; no more of it is held than `limit` and one chunk."""
    body = bytearray()
    # A length that is too long is believed; what is really sent is counted all the same.
    if (response.content_length or 0) <= limit:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise TransportError(f"the answer of {where} is longer than {limit} bytes", reason="too_big")
