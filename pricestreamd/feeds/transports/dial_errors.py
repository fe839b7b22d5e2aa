"""What goes wrong on the network, in our own errors.

aiohttp puts the whole address, query included, into the texts of some of its exceptions. So none of those texts is
used: only hosts, ports, and the words of the operating system and of the TLS library, which know no address. Nor does
such an exception stay as the cause of ours, for a traceback would show it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from yarl import URL

from pricestreamd.model.errors import FeedError, ProtocolError, TransportError

FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""What aiohttp raises for a request; ValueError is for an address, a name or a header that it cannot use."""

# The first kind that fits counts, so the special ones stand before the general ones they derive from.
_KINDS: tuple[tuple[type[BaseException], str, str], ...] = (
    (TimeoutError, "timeout", "no {wanted} {where} in time"),
    (aiohttp.ClientConnectorDNSError, "dns", "no address for {host}: {cause}"),
    (aiohttp.ClientConnectorCertificateError, "tls", "the certificate of {where} is refused: {cause}"),
    (aiohttp.ClientConnectorSSLError, "tls", "no TLS with {where}: {cause}"),
    (aiohttp.ServerDisconnectedError, "eof", "{where} closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "eof", "{where} broke off its answer"),
    (aiohttp.ClientError, "network", "no connection to {where}: {cause}"),
    (OSError, "network", "no connection to {where}: {cause}"),
)
# While there is no way through the proxy yet.
_KINDS_OF_THE_PROXY: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientProxyConnectionError, "no connection to {it}: {cause}"),
    (aiohttp.ClientConnectorDNSError, "no address for {it}: {cause}"),
    (aiohttp.ClientResponseError, "{it} does not speak HTTP"),
    (aiohttp.ServerDisconnectedError, "{it} closed the connection instead of leading to {where}"),
)
_ERRNO_REASONS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}


def network_error(exc: BaseException, url: URL, proxy: URL | None = None, *, connected: bool = False) -> FeedError:
    """Our error for `exc`, one of `FOREIGN`, raised by a request to `url`.

    `connected`: the connection was there already, and with a `proxy` its tunnel too.
    """
    where = f"{url.host}:{url.port}"
    if proxy is not None:
        if (error := _of_the_proxy(exc, proxy, where, connected=connected)) is not None:
            return error
        where = f"{where} through the proxy {_place(proxy)}"
    if isinstance(exc, aiohttp.WSServerHandshakeError):
        return ProtocolError(f"{where} answered the upgrade wrongly: {exc.message}")
    if isinstance(exc, aiohttp.ClientResponseError | HttpProcessingError):
        return ProtocolError(f"{where} does not speak HTTP")
    if isinstance(exc, aiohttp.ClientPayloadError) and not is_cut_off(exc):
        return ProtocolError(f"the answer of {where} cannot be decoded")
    for kind, reason, text in _KINDS:
        if isinstance(exc, kind):
            if reason == "network":
                reason = _ERRNO_REASONS.get(_errno(exc), reason)  # noqa: PLW2901 - a sharper word for the same thing
            wanted = "answer from" if connected else "connection to"
            message = text.format(where=where, host=url.host, cause=_cause(exc), wanted=wanted)
            return TransportError(message, reason=reason)
    return ProtocolError(f"no request can be made to {where}: check endpoint, key and headers")


def refused_by_proxy(proxy: URL, status: int) -> TransportError:
    """The proxy answered for itself."""
    hint = "; it wants another user and password" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else ""
    return TransportError(f"the proxy {_place(proxy)} answered with HTTP {status}{hint}", reason="proxy")


def blamed(exc: BaseException) -> BaseException | None:
    """`exc` as the cause of our error, where it is the system's own; others quote addresses, headers and bodies."""
    quotes = not isinstance(exc, OSError) or isinstance(exc, aiohttp.ServerTimeoutError)
    return None if quotes else exc


def is_cut_off(exc: BaseException) -> bool:
    """Whether an answer ended before it was complete; if not, there was nothing right about it."""
    return isinstance(exc, aiohttp.ClientPayloadError) and not isinstance(exc.__cause__, ContentEncodingError | None)


def _of_the_proxy(exc: BaseException, proxy: URL, where: str, *, connected: bool) -> TransportError | None:
    """The error where it is the proxy's fault for certain."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(proxy, exc.status)
    if connected:
        return None
    for kind, text in _KINDS_OF_THE_PROXY:
        if isinstance(exc, kind):
            it = f"the proxy {_place(proxy)}"
            return TransportError(text.format(it=it, where=where, cause=_cause(exc)), reason="proxy")
    return None


def _place(url: URL) -> str:
    return f"{url.host}:{url.port}"


def _errno(exc: BaseException) -> int:
    inner = getattr(exc, "os_error", exc)
    if isinstance(inner, ConnectionResetError):
        return errno.ECONNRESET  # asyncio gives no number where TLS was broken off
    return getattr(inner, "errno", None) or 0


def _cause(exc: BaseException) -> str:
    certificate = getattr(exc, "certificate_error", None)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        return certificate.verify_message
    inner = getattr(exc, "os_error", exc)
    if isinstance(inner, ssl.SSLError):
        return str(inner.reason or "broken off").replace("_", " ").lower()
    if isinstance(inner, socket.gaierror):
        return str(inner.strerror)
    return os.strerror(_errno(exc)) if _errno(exc) else type(inner).__name__
