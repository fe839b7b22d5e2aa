"""Retry-After: how long a server wants to be left alone."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = 900.0
"""The longest wait, in seconds, that a server can ask of us."""


def read_retry_after(text: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header: a number of seconds or an HTTP date. `now`: epoch seconds.

    At most `MAX_RETRY_AFTER`. A time that is past, a negative number and anything that is neither give None.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # More than nine digits are more than thirty years; Python refuses to read very long ones.
        seconds = float(text) if len(text) <= 9 else MAX_RETRY_AFTER
    else:
        try:
            date = parsedate_to_datetime(text)
            seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None
