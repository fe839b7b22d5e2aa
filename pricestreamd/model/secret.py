"""A secret: a text that no log line, repr, error or page may show, and the one place that hides it."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterator

from pricestreamd.model.spelling import Spelling, has_escapes

MASK = "***"

# Of a long text so many characters are looked at, and so many at the end of that may be half of a secret.
_LOOKED_AT = 16 * 1024
_BORDER = 8 * 1024

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

# A line of a longer secret that is shorter may be any word.
_SHORTEST_LINE = 8
# Of a signing secret by Standard Webhooks the key is what follows.
_SIGNING = "whsec_"

# The longest first.
_known: list[Spelling] = []


class Secret:
    """A text whose `str` and `repr` are `***`. `reveal()` gives the text to whoever must send it.

    `known`: from now on `redact` hides it wherever it appears; false for a text that can be a secret and is none.
    """

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str, *, known: bool = True) -> None:
        self._text = text
        if known:
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
    """Make `redact` hide `text` in all its spellings. Under 4 characters it hides nothing.

    Of a text of several lines, or of several signing secrets, each is hidden by itself, too.
    """
    parts = {text, text.strip(), *_parts(text)} - {known.text for known in _known}
    for part in parts:
        if len(part) >= 4:
            # At no moment is one of them missing: other threads register and redact meanwhile.
            insort(_known, Spelling(part), key=_shortness)


def _parts(text: str) -> Iterator[str]:
    yield from (line.strip() for line in text.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
    for word in text.split():
        if word.startswith(_SIGNING):
            yield word
            yield word.removeprefix(_SIGNING)


def redact(text: str) -> str:
    """`text` without any registered secret, any value named like one, or any credentials in a URL."""
    # What is longer cannot be in it: of the names and ids in events that is nearly all.
    if found := _known[bisect_left(_known, -len(text), key=_shortness) :]:
        escapes = has_escapes(text)
        for known in found:
            text = known.replaced(text, MASK, escapes=escapes)
    if "://" in text:
        text = _CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", text)
    return _NAMED.sub(_without_value, text) if "=" in text or ":" in text else text


def redact_bounded(text: str, most: int) -> str:
    """At most `most` (of 8192) characters from the beginning of `redact(text)`; it takes no longer for megabytes.

    Before it is cut, so that no half of a secret is left, up to 8 KiB of one.
    """
    if len(text) <= _LOOKED_AT:
        return redact(text)[:most]
    return redact(text[:_LOOKED_AT])[:-_BORDER][:most] or MASK


def _shortness(known: Spelling) -> int:
    return known.shortness


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2] or ''}{MASK}"
