"""Whatever aiohttp raises, our error names hosts and ports, and neither shows nor holds on to a key."""

from __future__ import annotations

import errno
import socket
import ssl
import traceback

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from aiohttp.http_exceptions import BadStatusLine, ContentEncodingError, TransferEncodingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pricestreamd.feeds.transports.dial_errors import FOREIGN, blamed, network_error
from pricestreamd.model.errors import FeedError, ProtocolError, TransportError
from tests.support.adapters import KEY

FEED = URL(f"wss://user:{KEY}@feed.example.org/v1?apikey={KEY}")
PROXY = URL("http://user:hunter22@proxy.example.org:3128")
INFO = RequestInfo(FEED, "GET", CIMultiDictProxy(CIMultiDict({"X-Api-Key": KEY})), FEED)
FEED_KEY = ConnectionKey("feed.example.org", 443, True, True, None, None, None, None)
PROXY_KEY = ConnectionKey("proxy.example.org", 3128, False, True, None, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "refused")
RESET = ConnectionResetError(errno.ECONNRESET, "reset")
VERIFY = ssl.SSLCertVerificationError(1, "no")
VERIFY.verify_message = "certificate has expired"
TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
TLS.reason = "WRONG_VERSION_NUMBER"
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def payload_error(cause: BaseException) -> aiohttp.ClientPayloadError:
    error = aiohttp.ClientPayloadError("broken")
    error.__cause__ = cause
    return error


DIRECT: list[tuple[BaseException, type[FeedError], str, str]] = [
    (TimeoutError(), TransportError, "timeout", "no connection to feed.example.org:443 in time"),
    (aiohttp.ConnectionTimeoutError(f"Connection timeout to host {FEED}"), TransportError, "timeout", "in time"),
    (aiohttp.ClientConnectorDNSError(FEED_KEY, NO_NAME), TransportError, "dns", "no address for feed.example.org: "),
    (aiohttp.ClientConnectorError(FEED_KEY, REFUSED), TransportError, "refused", ": Connection refused"),
    (aiohttp.ClientConnectorError(FEED_KEY, OSError("odd")), TransportError, "network", ": OSError"),
    (aiohttp.ClientConnectorCertificateError(FEED_KEY, VERIFY), TransportError, "tls", "certificate has expired"),
    (aiohttp.ClientConnectorSSLError(FEED_KEY, TLS), TransportError, "tls", ": wrong version number"),
    (aiohttp.ServerDisconnectedError(f"{FEED}"), TransportError, "eof", "closed the connection without an answer"),
    (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), TransportError, "reset", ": Connection reset by peer"),
    (RESET, TransportError, "reset", ": Connection reset by peer"),
    (payload_error(TransferEncodingError("cut")), TransportError, "eof", "broke off its answer"),
    (payload_error(ContentEncodingError("gzip")), ProtocolError, "protocol", "cannot be decoded"),
    (aiohttp.ClientPayloadError("broken"), ProtocolError, "protocol", "cannot be decoded"),
    (TransferEncodingError("bad"), ProtocolError, "protocol", "does not speak HTTP"),
    (BadStatusLine(KEY), ProtocolError, "protocol", "does not speak HTTP"),
    (aiohttp.ClientResponseError(INFO, (), status=400, message=KEY), ProtocolError, "protocol", "does not speak HTTP"),
    (
        aiohttp.WSServerHandshakeError(INFO, (), status=101, message="Invalid upgrade header"),
        ProtocolError,
        "protocol",
        "answered the upgrade wrongly: Invalid upgrade header",
    ),
    (aiohttp.InvalidURL(FEED), TransportError, "network", "no connection to feed.example.org:443: InvalidURL"),
    (
        UnicodeError(f"label too long {KEY}"),
        ProtocolError,
        "protocol",
        "no request can be made to feed.example.org:443",
    ),
    (ValueError("Newline in header"), ProtocolError, "protocol", "check endpoint, key and headers"),
]

PROXIED: list[tuple[BaseException, type[FeedError], str, str]] = [
    (
        aiohttp.ClientProxyConnectionError(PROXY_KEY, REFUSED),
        TransportError,
        "proxy",
        "no connection to the proxy {}: ",
    ),
    (aiohttp.ClientConnectorDNSError(PROXY_KEY, NO_NAME), TransportError, "proxy", "no address for the proxy {}: "),
    (
        aiohttp.ClientHttpProxyError(INFO, (), status=407, message=KEY),
        TransportError,
        "proxy",
        "the proxy {} answered with HTTP 407; it wants another user and password",
    ),
    (
        aiohttp.ClientHttpProxyError(INFO, (), status=403),
        TransportError,
        "proxy",
        "the proxy {} answered with HTTP 403",
    ),
    (aiohttp.ClientResponseError(INFO, (), status=400), TransportError, "proxy", "the proxy {} does not speak HTTP"),
    (
        aiohttp.ServerDisconnectedError(),
        TransportError,
        "proxy",
        "the proxy {} closed the connection instead of leading to feed.example.org:443",
    ),
    (TimeoutError(), TransportError, "timeout", "no connection to feed.example.org:443 through the proxy {} in time"),
    (
        aiohttp.ClientConnectorCertificateError(FEED_KEY, VERIFY),
        TransportError,
        "tls",
        "the certificate of feed.example.org:443 through the proxy {} is refused",
    ),
    (
        aiohttp.ClientConnectorSSLError(FEED_KEY, TLS),
        TransportError,
        "tls",
        "feed.example.org:443 through the proxy {}",
    ),
]


def checked(error: FeedError, exc: BaseException, kind: type[FeedError], reason: str, text: str) -> None:
    assert type(error) is kind
    assert error.reason == reason
    assert text in str(error)
    try:
        raise error from blamed(exc)
    except FeedError as raised:
        told = repr(raised) + "".join(traceback.format_exception(raised))
    assert KEY not in told
    assert "hunter22" not in told


@pytest.mark.parametrize(("exc", "kind", "reason", "text"), DIRECT)
def test_an_error_names_who_and_why_and_no_key(
    exc: BaseException, kind: type[FeedError], reason: str, text: str
) -> None:
    assert isinstance(exc, FOREIGN)
    checked(network_error(exc, FEED), exc, kind, reason, text)


@pytest.mark.parametrize(("exc", "kind", "reason", "text"), PROXIED)
def test_an_error_on_the_way_through_a_proxy_names_the_proxy_and_no_password(
    exc: BaseException, kind: type[FeedError], reason: str, text: str
) -> None:
    checked(network_error(exc, FEED, PROXY), exc, kind, reason, text.format("proxy.example.org:3128"))


def test_once_there_is_a_tunnel_the_server_is_to_blame() -> None:
    for exc, reason in ((aiohttp.ServerDisconnectedError(), "eof"), (TimeoutError(), "timeout")):
        error = network_error(exc, FEED, PROXY, connected=True)
        assert error.reason == reason
        assert "feed.example.org:443 through the proxy proxy.example.org:3128" in str(error)
    assert "no answer from" in str(network_error(TimeoutError(), FEED, connected=True))
