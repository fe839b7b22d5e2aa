"""The address of a watchlist in a database: what is wrong with it, what it needs, and what may be shown of it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from urllib.parse import parse_qs, unquote, urlsplit

from pricestreamd.model.secret import register

SQLITE = "sqlite:///"

_POSTGRES = ("postgresql", "postgres")
# An address may name several hosts, each with or without its port, or none.
_HOST = re.compile(r"(?:[\w.%-]*|\[[\w:.%]+\])(?::\d*)?")
_ESCAPED = "in user name and password : / ? # [ ] @ are written as %3A %2F %3F %23 %5B %5D %40"


def url_fault(url: str) -> str | None:
    """Why `url` cannot be that of a watchlist; None if it can. The text holds nothing of the address."""
    if not url.isprintable():
        return "an address has no control characters"
    if url.startswith("sqlite:"):
        if url.startswith(SQLITE) and url.removeprefix(SQLITE).strip("/"):
            return None
        return "expected sqlite:///relative.db (three slashes) or sqlite:////absolute.db (four)"
    try:
        parts = urlsplit(url)
    except ValueError:
        return _ESCAPED
    if parts.scheme not in _POSTGRES or "://" not in url:
        return "expected sqlite:///path.db or postgresql://user:password@host/database"
    hosts = parts.netloc.rpartition("@")[2].split(",")
    # What is written unescaped ends up in the wrong part.
    misplaced = "@" in parts.path or "@" in parts.query or "#" in url or parts.netloc.count("@") > 1
    return _ESCAPED if misplaced or not all(map(_HOST.fullmatch, hosts)) else None


def missing_extra(url: str) -> str | None:
    """What has to be installed before `url` can be read; None if nothing."""
    if url.startswith(SQLITE) or find_spec("asyncpg") is not None:
        return None
    return "PostgreSQL needs the extra postgres: pip install 'pricestreamd[postgres]'"


def shown(url: str) -> str:
    """`url` for people: a path, or hosts and database. From now on `redact` hides its password wherever it appears."""
    if url.startswith(SQLITE):
        return url.removeprefix(SQLITE)
    parts = urlsplit(url)
    for password in (unquote(parts.password or ""), *parse_qs(parts.query).get("password", ())):
        register(password)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
