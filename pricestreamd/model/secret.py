"""A secret: a text that no log line, repr, error or page may show, and the one place that hides it."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

MASK = "***"

# Query parameters and headers whose value is a secret whatever it is.
_NAMED = re.compile(
    r"(?i)(\b(?:api_?key|token|key|secret|password|passwd|signature)=|\b(?:authorization|x-[a-z-]*api-?key)\s*[:=]\s*)"
    r"(?:Bearer\s+|apikey\s+)?[^\s&\"',;}]+"
)
_CREDENTIALS_IN_URL = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@")

_known: dict[str, int] = {}


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


def register(text: str) -> None:
    """Make `redact` hide `text`, also percent-encoded and in base64. Texts under 4 characters hide nothing."""
    if len(text) < 4:
        return
    for form in (text, quote(text, safe=""), base64.b64encode(text.encode()).decode().rstrip("=")):
        _known[form] = len(form)


def redact(text: str) -> str:
    """`text` without any registered secret, any value named like one, or any password in a URL."""
    for form in sorted(_known, key=_known.__getitem__, reverse=True):
        if form in text:
            text = text.replace(form, MASK)
    text = _CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", text)
    return _NAMED.sub(rf"\1{MASK}", text)
