"""Why a frame is no tick: the reasons that all providers share, found without ever raising.

None of this is on the path of a good tick. An adapter comes here when its typed decoder refused a frame.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec

from pricestreamd.model.tick import price_fault
from pricestreamd.providers.base import RejectReason

DECODE_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that a msgspec decoder raises for bad input: wrong bytes, bad UTF-8 and deep nesting are three families."""

# Python refuses to read integers of more than 4300 digits; any of more than 25 is above every price.
_MAX_DIGITS = 25


class Unreadable:
    """What `parse` returns for a text that is not JSON; `reason` is `json` or `utf8`."""

    __slots__ = ("reason",)

    def __init__(self, reason: RejectReason) -> None:
        self.reason = reason


def parse(data: bytes | str) -> Any:
    """Decode any JSON text; a fault comes back as the `Unreadable` that it is, not as an exception."""
    try:
        if isinstance(data, bytes):
            data.decode()  # msgspec does not look into texts that it skips
        return msgspec.json.decode(data)
    except UnicodeError:
        return Unreadable("utf8")
    except DECODE_ERRORS:
        return Unreadable("json")


def price_reason(value: object) -> RejectReason | None:
    """Why `value` cannot be a price where the protocol writes prices as numbers; None if it can."""
    if isinstance(value, str):
        return "not_finite" if _names_no_number(value) else "type"
    return price_fault(value)  # type: ignore[return-value]  # the same words, typed there as text


def not_finite(data: bytes | str, find_price: Callable[[dict[str, Any]], object]) -> bool:
    """Whether an unreadable text is one only because its price is NaN, infinite or beyond a double.

    Such numbers are no JSON, but some servers write them, and the counter should say what happened.
    """
    try:
        value = json.loads(data, parse_int=_bounded_int)
        price = find_price(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(price, float) and not math.isfinite(price)


def _bounded_int(digits: str) -> int:
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _names_no_number(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
