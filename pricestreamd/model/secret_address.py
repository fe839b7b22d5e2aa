"""What of an address is a secret: credentials, values named like one, and parts that look like a key.

Where a whole address is a secret (a webhook's), so is everything behind its host; of a database or a queue the name
is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pricestreamd.model.secret import MASK, Secret, register

# Parts of the name of a query parameter that make its value a secret.
_NAMED = re.compile(r"(?i)key|token|secret|passw|signature|auth|credential")
# A part of an address this long, of letters and digits both, is nothing that a person would have chosen.
_KEY_LENGTH = 16
# A path shorter than that may be part of any other text.
_TELLING_PATH = 12
_WEB = ("http", "https")
# Addresses of places, whose path is the name of a thing or of a file.
_PLACES = ("nats", "postgres", "postgresql", "redis", "rediss", "sqlite", "tls", "unix", "ws", "wss")
# A user name that stands alone is a token there, and just a name elsewhere.
_TOKEN_AS_USER = (*_WEB, "nats", "tls", "ws", "wss")


def secret_address(url: str) -> Secret:
    """`url` as a secret, of which `redact` hides the parts, too, wherever one appears alone.

    An address with nothing secret in it (`redis://127.0.0.1:6379/0`) may be read where somebody names it.
    """
    register_address(url, secret=True)
    return Secret(url, known=masked_address(url, secret=True) != url)


def register_address(url: str, *, secret: bool) -> None:
    """Make `redact` hide the secret parts of `url`, wherever one of them appears alone.

    `secret`: the address is one as a whole, and not merely able to hold one.
    """
    for part in secret_parts(url, secret=secret):
        register(part)


def secret_parts(url: str, *, secret: bool) -> Iterator[str]:
    """The texts in `url` that are secrets by themselves, decoded and as they are written."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query)
    except ValueError:
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if password or (user and (parts.scheme in _TOKEN_AS_USER or _looks_like_a_key(user))):
        yield unquote(password or user)
        yield password or user
    yield from (value for name, value in query if value and _is_secret(name, value))
    if parts.scheme == "sqlite":
        return
    host = parts.netloc.rpartition("@")[2]
    if _is_key_host(host):
        yield from (host, *host.split(":"))
    yield from (unquote(piece) for piece in parts.path.split("/") if _looks_like_a_key(piece))
    behind = _behind_host(parts)
    if secret and parts.scheme not in _PLACES and len(behind) >= _TELLING_PATH:
        yield behind
        yield unquote(behind)


def masked_address(url: str, *, secret: bool) -> str:
    """`url` for people, with `***` for what is secret in it."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return MASK
    credentials, _, host = parts.netloc.rpartition("@")
    start = f"{parts.scheme}://{f'{MASK}@' if credentials else ''}"
    if secret and parts.scheme not in (*_WEB, *_PLACES):
        return f"{parts.scheme}://{MASK}"
    if secret and parts.scheme in _WEB:
        return f"{start}{_host(host)}{f'/{MASK}' if _behind_host(parts) else ''}"
    path = parts.path if parts.scheme == "sqlite" else "/".join(map(_piece, parts.path.split("/")))
    shown = "&".join(f"{quote(name)}={MASK if _is_secret(name, value) else quote(value)}" for name, value in query)
    return f"{start}{_host(host)}{path}{f'?{shown}' if shown else ''}"


def _behind_host(parts: SplitResult) -> str:
    """Path, query and fragment, as they are written; without a path that only ends the host."""
    rest = f"{parts.path}{f'?{parts.query}' if parts.query else ''}{f'#{parts.fragment}' if parts.fragment else ''}"
    return "" if rest == "/" else rest


def _is_secret(name: str, value: str) -> bool:
    return _NAMED.search(name) is not None or _looks_like_a_key(value)


def _looks_like_a_key(piece: str) -> bool:
    return len(piece) >= _KEY_LENGTH and bool(re.search(r"\d", piece)) and bool(re.search(r"[A-Za-z]", piece))


def _is_key_host(host: str) -> bool:
    """Whether a key stands where the host should, as some addresses of messengers have it."""
    return _looks_like_a_key(host) and "." not in host and not host.startswith("[")


def _host(host: str) -> str:
    return MASK if _is_key_host(host) else host


def _piece(text: str) -> str:
    return MASK if _looks_like_a_key(text) else text
