"""What a program or JSON writes about an alert, read as the settings want it: `"10m"`, `"0.3%"`, `{"from": "09:30"}`.

Numbers are taken as they are: seconds for durations, per cent for percentages. Every reader raises ValueError with a
text that says what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from pricestreamd.stream.settings import ActiveSettings

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = re.compile(r"([-+]?\d{1,12}(?:\.\d{1,12})?) ?%?", re.ASCII)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_ACTIVE_KEYS = ("days", "from", "to", "timezone")

Reader = Callable[[Any], Any]


def shown(value: object) -> str:
    """A value as a message may name it: it comes from outside, so no more than its beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def number(value: Any) -> Any:
    """A finite number, as it was given."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, got {shown(value)}")
    return value


def positive(value: Any) -> Any:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"expected a positive number, got {shown(value)}")
    return value


def percent(value: Any) -> Any:
    """Per cent: a number, or a text such as `5.0%`."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) if match is not None else number(value)


def positive_percent(value: Any) -> Any:
    """Per cent above 0."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return positive(float(match[1]) if match is not None else value)


def duration(value: Any) -> float:
    """Seconds, 0 or more: a number, or a text such as `30s`."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"expected a duration such as 30s, got {shown(value)}")
        return float(match[1]) * _SECONDS[match[2] or "s"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"expected a duration such as 30s, got {shown(value)}")
    return float(value)


def flag(value: Any) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected True or False, got {shown(value)}")


def name(value: Any) -> str:
    """A text that can be an identity."""
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= 128:
        return value
    raise ValueError(f"expected a text of 1 to 128 printable characters, got {shown(value)}")


def sink_names(value: Any) -> tuple[str, ...]:
    """One name, or several."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else None
    if names is None or not all(isinstance(one, str) for one in names):
        raise ValueError(f"expected the names of sinks, got {shown(value)}")
    return names


def choice(*words: str) -> Reader:
    """A reader of one of `words`."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"expected {' or '.join(words)}, got {shown(value)}")
        return value

    return read


def baseline(value: Any) -> str | float:
    """What a move is measured from: a word, or how long ago."""
    words = ("armed", "previous", "open", "close")
    if isinstance(value, str) and value in words:
        return value
    try:
        seconds = duration(value)
    except ValueError:
        raise ValueError(f"expected {', '.join(words)} or a duration such as 15m, got {shown(value)}") from None
    if not seconds:
        raise ValueError("a price 0 seconds ago is the price itself: expected a duration such as 15m")
    return seconds


def instant(value: Any) -> datetime:
    """A moment with its offset: a datetime, or an RFC 3339 text."""
    found = value
    if isinstance(value, str) and _INSTANT.match(value):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise ValueError(f"expected a time with its offset such as 2030-01-31T16:00:00-05:00, got {shown(value)}")
    try:
        moment = found.astimezone(UTC)
    except OverflowError:
        moment = None
    # At either end of time an offset leads out of the calendar, here or wherever the moment is shown.
    if moment is None or not 1 < moment.year < 9999:
        raise ValueError(f"expected a time between the years 2 and 9998, got {shown(value)}")
    return moment


def active(value: Any) -> ActiveSettings:
    """The hours of an alert: a mapping with `days`, `from`, `to`, `timezone`, or the settings themselves."""
    if isinstance(value, ActiveSettings):
        return value
    if not (isinstance(value, Mapping) and set(value) <= set(_ACTIVE_KEYS)):
        raise ValueError(f"expected a mapping of {', '.join(_ACTIVE_KEYS)}, got {shown(value)}")
    fields: dict[str, Any] = {}
    for key, entry in value.items():
        if key in ("from", "to"):
            fields["start" if key == "from" else "end"] = _clock(entry)
        elif isinstance(entry, str):
            fields[key] = entry
        else:
            raise ValueError(f"{key}: expected a text, got {shown(entry)}")
    return ActiveSettings(**fields)


def _clock(value: Any) -> time:
    if isinstance(value, time):
        return value
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a time of day such as 09:30, got {shown(value)}")
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


READERS: Mapping[str, Reader] = {
    "name": name,
    "above": positive,
    "below": positive,
    "change_percent": positive_percent,
    "trailing_percent": percent,
    "day_volume_above": positive,
    "trade_size_above": positive,
    "baseline": baseline,
    "hysteresis": percent,
    "when": choice("any", "all"),
    "trigger": choice("edge", "every_update"),
    "on_start": choice("fire", "require_cross"),
    "once": flag,
    "cooldown": duration,
    "for": duration,
    "expires": instant,
    "active": active,
    "session": choice("any", "regular", "extended"),
    "on_blind": choice("ignore", "notify"),
    "notify": sink_names,
}
"""Name in the file to the reader of its value."""
