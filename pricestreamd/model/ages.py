"""How long ago something was, and how long it will take, in words that are short and true enough."""

from __future__ import annotations

from datetime import UTC, datetime

# What is late by so much waits for something else than its time.
OVERDUE_SECONDS = 2.0


def ago(seconds: float) -> str:
    """`just now`, `12 s ago`, `3 h 5 min ago`."""
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def ahead(seconds: float) -> str:
    """`at once`, `in 12 s`, `in 3 h 5 min`; of what should have been before now: `when its turn comes`."""
    if seconds <= -OVERDUE_SECONDS:
        return "when its turn comes"
    return "at once" if seconds < 1 else f"in {span(seconds)}"


def utc(timestamp: float) -> str:
    """`2026-11-23 14:30:05Z`; what no calendar knows stays a number."""
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return f"{timestamp:g}"


def span(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h 5 min`, `2 d 7 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
