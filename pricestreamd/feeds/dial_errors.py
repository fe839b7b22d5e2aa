"""What goes wrong while dialling, in our own errors.

aiohttp puts the whole address, query included, into the texts of some of its exceptions. So none of those texts is
used: only the host, the port, and the words of the operating system and of the TLS library, which know no address.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp
from yarl import URL

from pricestreamd.model.errors import FeedError, ProtocolError, TransportError

# The first kind that fits counts, so the special ones stand before the general ones they derive from.
_KINDS: tuple[tuple[type[BaseException], str, str], ...] = (
    (TimeoutError, "timeout", "no connection to {where} in time"),
    (aiohttp.ClientConnectorDNSError, "dns", "no address for {host}: {cause}"),
    (aiohttp.ClientConnectorCertificateError, "tls", "the certificate of {where} is refused: {cause}"),
    (aiohttp.ClientConnectorSSLError, "tls", "no TLS with {where}: {cause}"),
    (aiohttp.ClientProxyConnectionError, "proxy", "no connection to the proxy: {cause}"),
    (aiohttp.ServerDisconnectedError, "eof", "{where} closed the connection before the upgrade"),
    (aiohttp.ClientError, "network", "no connection to {where}: {cause}"),
    (OSError, "network", "no connection to {where}: {cause}"),
)
_ERRNO_REASONS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}


def dial_error(exc: BaseException, url: URL) -> FeedError | None:
    """Our error for `exc`, raised while dialling `url`; None for what does not come from the network."""
    where = f"{url.host}:{url.port}"
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return TransportError(f"the proxy answered with HTTP {exc.status}", reason="proxy")
    if isinstance(exc, aiohttp.WSServerHandshakeError):
        return ProtocolError(f"{where} answered the upgrade wrongly: {exc.message}")
    if isinstance(exc, aiohttp.ClientResponseError):
        return ProtocolError(f"{where} does not speak HTTP")
    for kind, reason, text in _KINDS:
        if isinstance(exc, kind):
            if reason == "network":
                reason = _ERRNO_REASONS.get(_errno(exc), reason)  # noqa: PLW2901 - a sharper word for the same thing
            return TransportError(text.format(where=where, host=url.host, cause=_cause(exc)), reason=reason)
    return None


def is_reset(exc: BaseException | None) -> bool:
    """Whether the other end reset the connection."""
    return exc is not None and _errno(exc) == errno.ECONNRESET


def _errno(exc: BaseException) -> int:
    return getattr(getattr(exc, "os_error", exc), "errno", None) or 0


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
