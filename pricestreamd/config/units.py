"""Durations, sizes and percentages as people write them: `250ms`, `4MiB`, `5.0%`.

Reading and showing are exact: what `show_duration` writes, `read_duration` reads back as the same number.
"""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = r"(\d{1,18}(?:\.\d{1,18})?)"
_DURATION = re.compile(_NUMBER + r"(ms|s|m|h|d)?", re.ASCII)
_SIZE = re.compile(_NUMBER + r"(B|KiB|MiB|GiB)?", re.ASCII)
_PERCENT = re.compile(r"([-+]?\d{1,18}(?:\.\d{1,18})?) ?%?", re.ASCII)

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
# What people write instead, and what they mean by it.
_OTHER_DURATIONS = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m"}
_OTHER_DURATIONS |= {unit: unit for unit in _SECONDS}
_OTHER_DURATIONS |= {"minutes": "m", "hr": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "w": "d"}
_OTHER_SIZES = {"k": "KiB", "kb": "KiB", "m": "MiB", "mb": "MiB", "g": "GiB", "gb": "GiB", "kib": "KiB", "mib": "MiB"}
_OTHER_SIZES |= {"gib": "GiB", "b": "B"}
_LOOSE = re.compile(_NUMBER + r"\s*([A-Za-z]+)", re.ASCII)

LONGEST = 36_500 * 86_400.0  # a hundred years: beyond it timers overflow and somebody has mistyped
BARE_DELAY = 300  # a bare number above it, where something waits, was meant as milliseconds


class UnitError(ValueError):
    """A text that is no such quantity; its text is a hint, or empty."""


def read_duration(text: str) -> float:
    """Seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UnitError(_hint(text, _OTHER_DURATIONS))
    seconds = float(Decimal(match[1]) * _SECONDS[match[2] or "s"])
    if seconds > LONGEST:
        raise UnitError("; that is more than a hundred years")
    return seconds


def read_delay(text: str) -> float:
    """Seconds; a bare number above 300 is refused."""
    seconds = read_duration(text)
    if seconds > BARE_DELAY and text[-1].isdigit():
        raise UnitError(f"; a bare number is seconds: did you mean {text}ms? (or write {text}s)")
    return seconds


def read_size(text: str) -> int:
    """Bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UnitError(_hint(text, _OTHER_SIZES))
    size = Decimal(match[1]) * _BYTES[match[2] or "B"]
    if size != size.to_integral_value():
        raise UnitError("; that is no whole number of bytes")
    return int(size)


def read_percent(text: str) -> float:
    """Per cent."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise UnitError("")
    return float(match[1])


def _hint(text: str, others: dict[str, str]) -> str:
    match = _LOOSE.fullmatch(text)
    unit = others.get(match[2].lower()) if match else None
    if match is None or unit is None:
        return ""
    number = str(int(match[1]) * 7) if match[2] == "w" and match[1].isdigit() else match[1]
    return f"; did you mean {number}{unit}?"


def show_duration(seconds: float) -> str:
    """The shortest text that `read_duration` reads as exactly `seconds` (0 or more)."""
    exact = Decimal(repr(float(seconds)))
    for unit in ("d", "h", "m", "s"):
        count = exact / _SECONDS[unit]
        if exact and count == (whole := count.to_integral_value()) and whole * _SECONDS[unit] == exact:
            return f"{whole:f}{unit}"
    if exact and (exact * 1000) % 1 == 0 and exact < 1:
        return f"{(exact * 1000).to_integral_value():f}ms"
    return f"{exact.normalize():f}s" if exact else "0s"


def show_size(size: int) -> str:
    """The shortest text that `read_size` reads as exactly `size` bytes."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
