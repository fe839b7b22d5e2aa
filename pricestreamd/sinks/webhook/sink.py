"""The sink `webhook`: each event is one signed POST of its flat JSON object (Standard Webhooks 1.0.0).

    2xx             delivered; what else the answer says, and whether its body ever ends, does not matter
    410             the receiver wants nothing more: the sink stops
    anything else   not delivered, tried again: a redirect, which is never followed, as well as 400 or 503. A receiver
                    that refuses one message may be mended before its schedule ends. Retry-After is heeded

One attempt takes `DEADLINE` seconds at most, name lookup and TLS included. Private addresses are refused (see
`address_guard`). Messages and errors name the host only: path, query and user of a URL are often secrets.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, to_json
from pricestreamd.model.retry_after import read_retry_after
from pricestreamd.sinks.base import DestinationGone, LeaveAlone, message_id
from pricestreamd.sinks.settings import WebhookSinkSettings
from pricestreamd.sinks.waiting import aside
from pricestreamd.sinks.webhook.address_guard import AddressGuard, address_in, wrong_address
from pricestreamd.sinks.webhook.guarded_resolver import GuardedResolver, refusal
from pricestreamd.sinks.webhook.signature import signed_headers, signing_keys

DEADLINE = 15.0
# Where no request is made, of each address.
CONNECT_SECONDS = 3.0
# Of an answer: read so that the connection can be used again, but no more than this, and not for longer.
MOST_BYTES = 64 * 1024
BODY_SECONDS = 1.0
# Shorter than what servers keep idle connections for, or a request would meet one that is being closed.
KEEP_ALIVE_SECONDS = 4.0

_PORTS = {"http": 80, "https": 443}
_FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


class WebhookSink:
    """Posts events to `settings.url`. `wall` gives epoch seconds, `deadline` is in seconds.

    Raises:
        SinkError: the address or the secret cannot be used.
    """

    carries = ("*",)
    most_at_once = 1
    concurrent = 4

    def __init__(
        self,
        name: str,
        settings: WebhookSinkSettings,
        *,
        wall: Callable[[], float] = time.time,
        deadline: float = DEADLINE,
    ) -> None:
        self.name = name
        self.settings = settings
        self._wall = wall
        self._deadline = deadline
        self._guard = AddressGuard(settings.allow_private)
        self._session: aiohttp.ClientSession | None = None
        try:
            self._url = URL(settings.url.reveal())
            self._keys = signing_keys(settings.secret.reveal()) if settings.secret is not None else ()
        except ValueError as exc:
            text = str(exc) if settings.secret is not None and "whsec_" in str(exc) else "its address cannot be read"
            raise SinkError(f"sink {name}: {text}", sink=name, transient=False) from None
        self._host = self._url.host or ""
        if self._url.scheme not in ("http", "https") or not self._host:
            raise SinkError(f"sink {name}: expected http://... or https://...", sink=name, transient=False)
        if wrong := self._guard.wrong_port(self._url.port):
            raise SinkError(f"sink {name}: {wrong}", sink=name, transient=False)

    async def open(self) -> None:
        """Make the session. Nothing is sent."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=GuardedResolver(self._guard, self.name),
                    use_dns_cache=False,
                    limit=self.concurrent,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "pricestreamd", "Content-Type": "application/json"},
                skip_auto_headers=("Accept", "Accept-Encoding"),
                auto_decompress=False,
            )

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Post the events of `batch`, one after the other.

        Raises:
            DestinationGone: the receiver answered 410.
            SinkError: an event was not taken; transient.
        """
        for event in batch:
            await self._post(event)

    async def probe(self) -> None:
        """Look the host up and connect, TLS included; no request is made.

        Raises:
            SinkError: it leads nowhere, or to an address that is refused, or does not let itself be connected to.
        """
        async with self._told():
            places = await self._places()
            tls = self._url.scheme == "https"
            context = await aside(f"sink {self.name} certificates", ssl.create_default_context) if tls else None
            await _connect(places, self._port, context, self._url.raw_host if tls else None)

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, event: Event) -> None:
        body = self._body(event)
        headers = signed_headers(self._keys, message_id(event), int(self._wall()), body)
        async with self._told():
            await self._exchange(body, headers)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Within the deadline; what goes wrong is told without a word of the address but its host."""
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except TimeoutError as exc:
            # The library's own may quote the address.
            text = str(exc) if isinstance(exc, _NotReachedError) else f"no answer within {self._deadline:g} s"
            raise SinkError(f"{self._host}: {text}", sink=self.name) from exc
        except _FOREIGN as exc:
            # Only what comes from the system itself: others quote the address, or what was answered.
            cause = exc if isinstance(exc, OSError) else None
            raise SinkError(f"{self._host}: {_words(exc)}", sink=self.name) from cause

    def _body(self, event: Event) -> bytes:
        try:
            return to_json(event)
        except (TypeError, ValueError, RecursionError) as exc:
            raise SinkError(f"{event.id} has no form in JSON: {exc}", sink=self.name, transient=False) from exc

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> None:
        self._admitted_address()
        await self.open()
        assert self._session is not None  # noqa: S101 - open has just made it
        response = await self._session.post(self._url, data=body, headers=headers, allow_redirects=False)
        try:
            self._judge(response)
            await _read_to_its_end(response)
        finally:
            # Does nothing where the answer was read to its end: then the connection is kept.
            response.close()

    async def _places(self) -> list[str]:
        """The addresses that a connection may go to; there is one at least."""
        if (address := self._admitted_address()) is not None:
            return [address]
        resolver = GuardedResolver(self._guard, self.name)
        found = await resolver.resolve(self._url.raw_host or "", self._port, socket.AF_UNSPEC)
        return [place["host"] for place in found]

    def _admitted_address(self) -> str | None:
        """The host where it is an address that is admitted; None: it is a name. Raises SinkError."""
        if wrong := wrong_address(self._host):
            raise SinkError(wrong, sink=self.name)
        address = address_in(self._host)
        if address is not None and not self._guard.admits(address):
            raise refusal(self._host, address, self.name)
        return address

    @property
    def _port(self) -> int:
        return self._url.port or _PORTS[self._url.scheme]

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status // 100 == 2:
            return
        if status == HTTPStatus.GONE:
            raise DestinationGone(f"{self._host} answered 410: it wants no more events; the sink stops", sink=self.name)
        hint = ", a redirect, which is not followed" if status // 100 == 3 else ""
        retry_after = read_retry_after(response.headers.get("Retry-After"), self._wall())
        kind = LeaveAlone if retry_after else SinkError
        raise kind(f"{self._host} answered {status}{hint}", sink=self.name, retry_after=retry_after)


class _NotReachedError(TimeoutError):
    """How far a connection came in its time, without a word of the address."""


async def _connect(places: Sequence[str], port: int, tls: ssl.SSLContext | None, host: str | None) -> None:
    """Connect to the first of `places` that lets itself be connected to, and let go of it.

    Raises:
        OSError: what the last one said.
    """
    for place in places:
        try:
            await _connect_to(place, port, tls, host)
        except OSError:
            if place == places[-1]:
                raise
        else:
            return


async def _connect_to(place: str, port: int, tls: ssl.SSLContext | None, host: str | None) -> None:
    after = "no connection"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(place, port)
            try:
                if tls is not None:
                    after = "connected, but no TLS: where nothing there speaks it, name it http://... No answer"
                    await writer.start_tls(tls, server_hostname=host)
            finally:
                writer.transport.abort()
    except TimeoutError as exc:
        raise _NotReachedError(f"{after} within {CONNECT_SECONDS:g} s") from exc


async def _read_to_its_end(response: aiohttp.ClientResponse) -> None:
    """Read a welcome answer, within bounds: it is delivered, whatever comes of this."""
    left = MOST_BYTES
    with suppress(*_FOREIGN, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)


def _words(exc: Exception) -> str:
    """What went wrong on the network, without a word of the address."""
    inner = getattr(exc, "certificate_error", getattr(exc, "os_error", exc))
    if isinstance(exc, aiohttp.ClientConnectorCertificateError) or isinstance(inner, ssl.SSLCertVerificationError):
        why = getattr(inner, "verify_message", "")
        return f"its certificate is refused: {why or 'it is for another host'}"
    if isinstance(inner, ssl.SSLError):
        reason = str(inner.reason or "broken off").replace("_", " ").lower()
        return f"no TLS: {reason}: check the port in its url; where nothing there speaks TLS, name it http://..."
    if isinstance(inner, socket.gaierror):
        return f"its name has no address: {inner.strerror}"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    if isinstance(inner, OSError) and inner.errno:
        return os.strerror(inner.errno).lower()
    asked = isinstance(exc, aiohttp.ClientError) and not isinstance(exc, aiohttp.InvalidURL)
    return "does not speak HTTP as it should" if asked else "no request can be made to this address"
