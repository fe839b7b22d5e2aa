"""Whatever goes wrong with a feed is one sentence that ends with what to do, and shows no key."""

import pytest

from pricestreamd.daemon.trial.remedies import sentence
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import AuthenticationFailed, FeedError, HandshakeRejected, ProtocolError, TransportError
from pricestreamd.model.secret import Secret

KEYLESS = FeedSettings(provider="twelvedata")
KEYED = FeedSettings(provider="twelvedata", api_key=Secret("canary-1b7d"))


@pytest.mark.parametrize(
    ("error", "settings", "told"),
    [
        (AuthenticationFailed("refused"), KEYLESS, "refused: set api_key or api_key_file"),
        (AuthenticationFailed("refused"), KEYED, "refused: check the feed's api_key, and that its plan covers streaming"),
        (HandshakeRejected("HTTP 302, a redirect to x; that is not followed", status=302), KEYED, "HTTP 302, a redirect to x; that is not followed"),
        (HandshakeRejected("HTTP 404: check `endpoint`", status=404), KEYED, "HTTP 404: check `endpoint`"),
        (HandshakeRejected("HTTP 418", status=418), KEYED, "HTTP 418: check `endpoint`, and the plan of this key"),
        (HandshakeRejected("HTTP 429", status=429), KEYED, "HTTP 429: too many connections or requests with this key: wait, then try again"),
        (HandshakeRejected("HTTP 500", status=500), KEYED, "HTTP 500: the provider is in trouble: try again later"),
        (ProtocolError("x does not speak HTTP"), KEYED, "x does not speak HTTP: check `endpoint`"),
        (ProtocolError("no request can be made to x: check `endpoint`."), KEYED, "no request can be made to x: check `endpoint`"),
        (TransportError("no address for x", reason="dns"), KEYED, "no address for x: check the spelling of `endpoint`, and this machine's name server"),
        (TransportError("the certificate of x:1 is refused: Hostname mismatch, certificate is not valid for 'x'.", reason="tls"), KEYED,
         "the certificate of x:1 is refused: Hostname mismatch, certificate is not valid for 'x': write the name that the certificate is for in `endpoint`"),
        (TransportError("the certificate of x:1 is refused: certificate has expired", reason="tls"), KEYED,
         "the certificate of x:1 is refused: certificate has expired: check this machine's clock; else the provider has to renew it"),
        (TransportError("no TLS with x:1: wrong version number", reason="tls"), KEYED,
         "no TLS with x:1: wrong version number: nothing speaks TLS there: check the port in `endpoint`, or write ws:// if that is meant"),
        (TransportError("cannot use the certificates in ca.pem: No such file or directory", reason="tls"), KEYED,
         "cannot use the certificates in ca.pem: No such file or directory: mend the file, or name another one in tls.ca_file"),
        (TransportError("no TLS with x:1: broken off", reason="tls"), KEYED,
         "no TLS with x:1: broken off: check host and port in `endpoint`, and what stands between this machine and the provider"),
        (TransportError("too big", reason="too_big"), KEYED, "too big: raise max_message_size"),
        (TransportError("odd", reason="odd"), KEYED, "odd"),
        (FeedError("your key canary-1b7d"), KEYED, "your key ***"),
    ],
)  # fmt: skip
def test_an_error_is_told_with_its_remedy(error: FeedError, settings: FeedSettings, told: str) -> None:
    assert sentence(error, settings) == told
