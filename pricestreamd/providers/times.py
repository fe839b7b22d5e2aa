"""What a provider writes as the time of a price, as UTC epoch seconds.

Numbers may come as JSON numbers or as decimal text. RFC 3339 needs its zone; a fraction may have any number of digits,
and all of them count, as far as a double goes. A leap second is the first moment of the next minute.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Literal

from pricestreamd.providers.rejection import decimal

TimeUnit = Literal["s", "ms", "us", "ns", "rfc3339"]
"""How a time is written: as so many of a unit since 1970, or as RFC 3339 text."""

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each unit are a second."""

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = date(1970, 1, 1).toordinal()
_MAX_DIGITS = 30


def to_seconds(value: object, unit: TimeUnit) -> float | None:
    """`value` in seconds since 1970; None where it is no time of that unit."""
    if unit == "rfc3339":
        return _from_text(value) if isinstance(value, str) else None
    if isinstance(value, str):
        value = int(value) if _is_whole(value) else decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = value / PER_SECOND[unit]  # of two integers, so that nanoseconds are rounded only once
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _from_text(text: str) -> float | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    sign, hours, minutes = found[8], int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or hours > 23 or minutes > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    offset = (hours * 60 + minutes) * (-60 if sign == "-" else 60)
    whole = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
    fraction = found[7] or ""
    scale: int = 10 ** len(fraction)
    return (whole * scale + int(fraction or 0)) / scale
