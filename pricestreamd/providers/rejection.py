"""Why a frame is no tick: the reasons that all providers share, found without ever raising.

None of this is on the path of a good tick. An adapter comes here when its typed decoder refused a frame.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from pricestreamd.model.tick import price_fault
from pricestreamd.providers.base import RejectReason

DECODE_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that a msgspec decoder raises for bad input: wrong bytes, bad UTF-8 and deep nesting are three families."""

# How a number is written as text: no sign but the minus, digits on both sides of the point, no spaces, no separators.
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# The exact decimal form of a double near 1 has 54 characters.
_MAX_DECIMAL = 100
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


def decimal(text: str) -> float | None:
    """The number that `text` writes out, infinite where no double is so large; None where it is no decimal number."""
    return float(text) if len(text) <= _MAX_DECIMAL and _DECIMAL.fullmatch(text) else None


def read_price(value: object) -> float | RejectReason:
    """The price in `value`, or why there is none, where the protocol writes prices as decimal text or as numbers."""
    number: object = value
    if isinstance(value, str):
        number = decimal(value)
        if number is None:
            return "not_finite" if _names_no_number(value) else "type"
    reason = price_fault(number)
    return float(number) if reason is None else reason  # type: ignore[arg-type, return-value]  # checked; typed there as text


def read_number(value: object) -> float | None:
    """A JSON number, or a decimal text, as a finite float; None for anything else."""
    if isinstance(value, str):
        value = decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def tolerant_parse(data: bytes | str) -> Any:
    """`data` read with NaN, infinities and numbers beyond a double, which are no JSON; None where that is no help.

    Such numbers are no JSON, but some servers write them, and the counter should say what happened.
    """
    try:
        return json.loads(data, parse_int=_bounded_int)
    except (ValueError, RecursionError):
        return None


def not_finite(data: bytes | str, find_price: Callable[[dict[str, Any]], object]) -> bool:
    """Whether an unreadable text is one only because its price is NaN, infinite or beyond a double."""
    value = tolerant_parse(data)
    price = find_price(value) if isinstance(value, dict) else None
    return isinstance(price, float) and not math.isfinite(price)


def _bounded_int(digits: str) -> int:
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _names_no_number(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
