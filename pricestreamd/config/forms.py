"""The shapes of texts that settings name by `form`: addresses, symbols, time zones, functions.

A form is a function that says what is wrong with a text, or None. It gets the text and the words by which a message
may name it, and uses only these: the text may come from the environment, and an address may hold a secret.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.feeds.silence.hours import calendar_names
from pricestreamd.feeds.silence.venues import calendar_of

_EVENT = re.compile(r"\*|[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:\.\*)?", re.IGNORECASE)
_CALLABLE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_MESSAGE_PATH = re.compile(r"[^.\[\]\s]*(?:\[\d+\])*(?:\.[^.\[\]\s]+(?:\[\d+\])*)*")
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"{_DAY}(?:-{_DAY})?(?:,\s*{_DAY}(?:-{_DAY})?)*")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")

FEED_SCHEMES = ("wss", "https", "ws", "http")


def split_address(text: str) -> SplitResult | None:
    """The parts of an address, or None where it has none: no host, or a port that is no port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and port != 0 and not re.search(r"\s", text) else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def split_listen(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `[::1]:port`; None for anything else. An empty host is every interface."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        return None
    return (host, int(port)) if not host or _HOST.fullmatch(host) else None


def _feed_url(text: str, _shown: str) -> str | None:
    parts = split_address(text)
    if parts is None or parts.scheme not in FEED_SCHEMES:
        return "expected an address such as wss://host/path"
    return "an address of a feed has no #part" if parts.fragment else None


def _listen(text: str, shown: str) -> str | None:
    if text.startswith("unix:"):
        return None if text.startswith("unix:/") else "expected the whole path of the socket, unix:/path"
    return None if split_listen(text) else f"expected host:port or unix:/path, got {shown}"


def _host(text: str, shown: str) -> str | None:
    bare = _HOST.fullmatch(text.rpartition(":")[0] if split_listen(text) else text)
    return None if bare else f"expected a host name, got {shown}"


def _network(text: str, shown: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f"expected a network such as 10.0.0.0/8, got {shown}"
    return None


def _name(text: str, _shown: str) -> str | None:
    if not text.strip():
        return "expected a name, got an empty text"
    if not text.isprintable():
        return "a name has no control characters"
    return None if len(text) <= 128 else "a name has at most 128 characters"


def _symbol(text: str, shown: str) -> str | None:
    fault = _name(text, shown)
    return fault and fault.replace("name", "symbol")


def _event(text: str, shown: str) -> str | None:
    if _EVENT.fullmatch(text):
        return None
    return f'expected an event such as price.alert, a family such as price.*, or "*", got {shown}'


def _callable(text: str, shown: str) -> str | None:
    return None if _CALLABLE.fullmatch(text) else f"expected package.module:function, got {shown}"


def _message_path(text: str, shown: str) -> str | None:
    return None if text and _MESSAGE_PATH.fullmatch(text) else f"expected a path such as data[0].price, got {shown}"


def _days(text: str, shown: str) -> str | None:
    return None if _DAYS.fullmatch(text) else f"expected days such as mon-fri or mon,wed,sat, got {shown}"


def _timezone(text: str, shown: str) -> str | None:
    try:
        zoneinfo.ZoneInfo(text)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return f"no time zone {shown}{did_you_mean(text, zoneinfo.available_timezones())}"
    return None


def _calendar(text: str, shown: str) -> str | None:
    known = calendar_names()
    if text in known:
        return None
    meant = calendar_of(text)
    hint = f"; did you mean {meant!r}?" if meant in known else did_you_mean(text, known)
    return f"no exchange calendar {shown}{hint or f'; there are {one_of(sorted(known))}'}"


FORMS: Mapping[str, Callable[[str, str], str | None]] = MappingProxyType(
    {
        "calendar": _calendar,
        "callable": _callable,
        "days": _days,
        "event": _event,
        "feed-url": _feed_url,
        "host": _host,
        "listen": _listen,
        "message-path": _message_path,
        "name": _name,
        "network": _network,
        "provider": _name,
        "symbol": _symbol,
        "timezone": _timezone,
    }
)


def read_time(text: str) -> time | None:
    """A time of day, HH:MM or HH:MM:SS, or None."""
    match = _TIME.fullmatch(text)
    return time(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def read_datetime(text: str) -> datetime | None:
    """An RFC 3339 time with its offset, in UTC, or None. The first and the last year are not taken.

    There an offset leads out of the calendar, here or wherever the time is shown.
    """
    if not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", text):
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and 1 < moment.year < 9999 else None
