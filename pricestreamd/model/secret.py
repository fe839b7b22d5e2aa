"""A secret: a text that no log line, repr, error or page may show, and the one place that hides it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

MASK = "***"

# Query parameters (also `access_token`, `X-Amz-Signature`) and headers whose value is a secret whatever it is. A quoted
# value ends with its quote; `\\?` is for a quote that is escaped in JSON, of which nothing else may be touched.
_NAMED = re.compile(
    r"""(?ix)
    ( (?<![a-z]) (?: api_?key | token | key | secret | password | passwd | signature ) =
    | \b (?: authorization | (?:x|apca)-[a-z-]{0,40}(?:key|key-id|token|secret) ) (?:\\?["'])? \s* [:=] \s*
    )
    (\\?["'])?
    (?: (?:bearer|basic|digest|token|apikey) \s+ )?
    (?(2) [^"'\\\n]+ | [^\s&"',;}\\]+ )
    """
)
_CREDENTIALS_IN_URL = re.compile(r"""(://)(?:[^/\s:@"]*:[^/\s"]*|[^/\s:@"?#]+)@""")

# What a URL library may leave as it is in a query.
_SAFE_IN_QUERY = "/?:@-._~!$'()*,;"
# A shorter text has pieces in base64 that occur by chance.
_LONG_ENOUGH_FOR_PIECES = 8

# The longest first: a form must not be cut up by a shorter one that is a part of it.
_known: list[str] = []


class Secret:
    """A text whose `str` and `repr` are `***`. `reveal()` gives the text to whoever must send it."""

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        register(text)

    def reveal(self) -> str:
        """The text itself; hand it to the wire, never to a message."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


def register(text: str) -> None:
    """Make `redact` hide `text`, also percent-encoded, escaped and in base64. Under 4 characters it hides nothing."""
    if len(text) >= 4:
        _known[:] = sorted({*_known, *_forms(text)}, key=len, reverse=True)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    for safe in ("", "/", _SAFE_IN_QUERY):
        for quoted in (quote(text, safe, errors="surrogatepass"), quote_plus(text, safe, errors="surrogatepass")):
            yield quoted
            yield re.sub(r"%..", lambda code: code[0].lower(), quoted)
    raw = text.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        if len(text) >= _LONG_ENOUGH_FOR_PIECES:
            # Within a longer text, such as `user:password`, a byte can begin at each of three places in a group; the
            # characters at both ends are shared with the neighbours.
            for offset in range(3):
                first, last = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
                yield encode(b"-" * offset + raw).decode()[first:last]


def redact(text: str) -> str:
    """`text` without any registered secret, any value named like one, or any credentials in a URL."""
    for form in tuple(_known):
        if form in text:
            text = text.replace(form, MASK)
    text = _CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", text)
    return _NAMED.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2] or ''}{MASK}"
