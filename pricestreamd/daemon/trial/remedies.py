"""What went wrong with a feed, in one sentence that ends with what to do about it."""

from __future__ import annotations

from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import AuthenticationFailed, FeedError, HandshakeRejected, ProtocolError
from pricestreamd.model.secret import redact

# By the stable word of an error.
_REMEDIES = {
    "dns": "check the spelling of `endpoint`, and this machine's name server",
    "timeout": "check `endpoint`, and whether a firewall or a proxy is in the way",
    "refused": "check host and port in `endpoint`, and that the server is up",
    "proxy": "check `proxy`, and that it lets this host through",
    "reset": "check `endpoint`, and whether a firewall or a proxy is in the way",
    "eof": "check `endpoint`; a provider may also close a connection that it does not want",
    "network": "check this machine's network, and `endpoint`",
    "subscribe_timeout": "check the spelling of the symbols, and the channel; or subscribe_timeout is too short",
    "connection_limit": "stop what else uses this key, or wait a few minutes for its old connections to end",
    "too_big": "raise max_message_size",
}

_PLAIN_SERVER = "nothing speaks TLS there: check the port in `endpoint`, or write ws:// if that is meant"
# Of "tls", by words of the TLS library, or of ours. The first that are in the text count.
_TLS_REMEDIES: tuple[tuple[str, str], ...] = (
    ("cannot use the certificates in", "mend the file, or name another one in tls.ca_file"),
    ("mismatch", "write the name that the certificate is for in `endpoint`"),
    ("certificate has expired", "check this machine's clock; else the provider has to renew it"),
    ("not yet valid", "check this machine's clock"),
    (
        "the certificate of",
        (
            "if its authority is your own, name that in tls.ca_file; else something between this machine and the "
            "provider reads along"
        ),
    ),
    ("wrong version number", _PLAIN_SERVER),
    ("record layer failure", _PLAIN_SERVER),
    ("http request", _PLAIN_SERVER),
    ("", "check host and port in `endpoint`, and what stands between this machine and the provider"),
)


def sentence(error: FeedError, settings: FeedSettings) -> str:
    """`error` and its remedy; without secrets, as far as they are known."""
    text = redact(str(error)).rstrip(".")
    remedy = _remedy(error, settings)
    return f"{text}: {remedy}" if remedy and remedy not in text else text


def _remedy(error: FeedError, settings: FeedSettings) -> str:
    if isinstance(error, AuthenticationFailed):
        if not settings.api_key:
            return "set api_key or api_key_file"
        return "check the feed's api_key, and that its plan covers streaming"
    if isinstance(error, HandshakeRejected):
        return _after_status(error)
    if isinstance(error, ProtocolError):
        return "check `endpoint`"
    if error.reason == "tls":
        return next(remedy for words, remedy in _TLS_REMEDIES if words in str(error))
    return _REMEDIES.get(error.reason, "")


def _after_status(error: HandshakeRejected) -> str:
    if error.status // 100 == 3 or "`endpoint`" in str(error):
        return ""  # its text says what to do
    if error.status == 429:
        wait = f" for {error.retry_after:.0f} s" if error.retry_after else ""
        return f"too many connections or requests with this key: wait{wait}, then try again"
    if error.status >= 500:
        return "the provider is in trouble: try again later"
    return "check `endpoint`, and the plan of this key"
