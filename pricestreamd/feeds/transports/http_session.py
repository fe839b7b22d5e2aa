"""The aiohttp session behind every transport: it follows nobody, keeps no cookie, and lets only our own errors out.

aiohttp would follow a redirect, and carry the key's header to the other host; and it would dial again by itself when a
new connection is closed early. An `Exchange` stands between: one for each request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from types import SimpleNamespace

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, StreamReader, TraceConfig
from multidict import CIMultiDict
from yarl import URL

from pricestreamd.feeds.transports.dial_errors import FOREIGN, blamed, network_error, refused_by_proxy
from pricestreamd.feeds.transports.endpoint import proxy_for
from pricestreamd.feeds.transports.resolver import Resolver
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import FeedError
from pricestreamd.model.retry_after import read_retry_after
from pricestreamd.model.secret import Secret, redact

# Of an unwelcome answer; more would be a page for people.
_MAX_TEXT = 200
# So much of it is read, because half a key at the end of a text is not recognised as one.
_MAX_BEGINNING = 1024
# The status says what matters: its text may take so many seconds.
_BEGINNING_TIMEOUT = 1.0


class Exchange:
    """One request to `url`: how far it has come, what its answer may be, and whose fault an error is.

    `wanted`: the only status that is let through; None: every one but a redirect. `what` the request is called.

    Raises:
        TransportError: the proxy's address cannot be used.
    """

    def __init__(self, url: URL, options: Options, *, wanted: int | None = None, what: str = "request") -> None:
        self.url = url
        self.proxy = proxy_for(options.proxy, url)
        self.response: ClientResponse | None = None
        """The answer, if it was let through."""
        self._wanted = wanted
        self._what = what
        self.connected = False
        self.reused = False

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send `request`; a middleware of aiohttp."""
        self.connected = self.reused = False
        try:
            response = await handler(request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if self.reused:
                raise  # the server gave up an idle connection: aiohttp asks once more, on a new one
            raise self.error(exc) from blamed(exc)
        redirected = response.status // 100 == 3
        if response.status == self._wanted or (self._wanted is None and not redirected):
            self.response = response
            return response
        raise await self.refusal(response)

    async def refusal(self, response: ClientResponse) -> FeedError:
        """The error for an answer that cannot be used; closes its connection."""
        text = await beginning(response.content)
        response.close()
        if self.proxy is not None and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return refused_by_proxy(self.proxy, response.status)
        return UpgradeRefused(
            f"{self.who} answered the {self._what} with HTTP {with_hint(response.status, response.headers)}",
            status=response.status,
            retry_after=retry_after(response),
            text=readable(text),
        )

    @property
    def who(self) -> str:
        """Who answers, for texts."""
        host = str(self.url.host)
        return host if self.proxy is None else f"{host} through the proxy {self.proxy.host}:{self.proxy.port}"

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What aiohttp raises inside comes out as an error of ours."""
        try:
            yield
        except FOREIGN as exc:
            raise self.error(exc) from blamed(exc)

    def error(self, exc: BaseException) -> FeedError:
        """Our error for one of `FOREIGN`."""
        return network_error(exc, self.url, self.proxy, connected=self.connected)


def open_session(
    options: Options, exchange: Exchange | None = None, *, keep_alive: bool = False
) -> aiohttp.ClientSession:
    """A session that dials as `options` say, one connection at a time. `keep_alive`: it may serve several requests.

    `exchange`: that of every request of it; without it each request brings its own, by `get`.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=options.tls or True,
            limit=1,
            force_close=not keep_alive,
            use_dns_cache=False,
            resolver=Resolver(),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        middlewares=() if exchange is None else (exchange,),
        headers={"User-Agent": "pricestreamd"},
        skip_auto_headers=("Accept", "Accept-Encoding"),
        auto_decompress=False,
        trace_configs=[_trace(exchange)],
    )


async def get(
    session: aiohttp.ClientSession, exchange: Exchange, own: Mapping[str, str], headers: Mapping[str, Secret]
) -> ClientResponse:
    """Ask, and return as soon as the answer begins. `headers` stand above those of our `own`."""
    merged = CIMultiDict(own)
    merged.update({name: secret.reveal() for name, secret in headers.items()})
    return await session.get(
        exchange.url,
        headers=merged,
        proxy=exchange.proxy,
        auto_decompress=True,
        middlewares=(exchange,),
        trace_request_ctx=exchange,
    )


def retry_after(response: ClientResponse) -> float | None:
    """How many seconds the server wants to be left alone, if it says so."""
    return read_retry_after(response.headers.get("Retry-After"), time.time())


def with_hint(status: int, headers: Mapping[str, str]) -> str:
    """An unwelcome status, and what to do about it, for texts."""
    if status // 100 == 3:
        target = None
        with suppress(ValueError):
            target = URL(headers.get("Location", "")).host
        place = redact(target)[:_MAX_TEXT] if target else "itself"
        return f"{status}, a redirect to {place}; that is not followed, name the right host in `endpoint`"
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        return f"{status}: check `endpoint`"
    return str(status)


async def beginning(content: StreamReader) -> bytes:
    """The first bytes of an unwelcome answer, as many as come soon."""
    read = bytearray()
    with suppress(*FOREIGN):
        async with asyncio.timeout(_BEGINNING_TIMEOUT):
            while len(read) < _MAX_BEGINNING and (chunk := await content.read(_MAX_BEGINNING - len(read))):
                read += chunk
    return bytes(read)


def readable(body: bytes) -> str:
    """The beginning of an unwelcome answer as a text without secrets, bounded."""
    return redact(body[:_MAX_BEGINNING].decode("utf-8", "replace"))[:_MAX_TEXT]


def _trace(always: Exchange | None) -> TraceConfig:
    trace = TraceConfig()

    async def created(_session: object, context: SimpleNamespace, _params: object) -> None:
        (always or context.trace_request_ctx).connected = True

    async def reused(_session: object, context: SimpleNamespace, _params: object) -> None:
        exchange = always or context.trace_request_ctx
        exchange.connected = exchange.reused = True

    trace.on_connection_create_end.append(created)
    trace.on_connection_reuseconn.append(reused)
    return trace
