"""Times of every unit become epoch seconds, exactly; what is no time is told, not raised."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricestreamd.providers.times import TimeUnit, to_seconds

UNITS: list[TimeUnit] = ["s", "ms", "us", "ns", "rfc3339"]
NO_TIMES: list[object] = [None, True, [], {}, "", "noon", "nan", "1e400", "0x10", " 1 "]


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (1700000001, "s", 1700000001.0),
        (1700000001.25, "s", 1700000001.25),
        ("1700000001.25", "s", 1700000001.25),
        (0, "s", 0.0),
        (-1, "s", -1.0),
        ("-1.5", "s", -1.5),
        (1700000001120, "ms", 1700000001.12),
        ("1700000001120", "ms", 1700000001.12),
        (1700000001120.5, "ms", 1700000001.1205),
        (1700000001120345, "us", 1700000001.120345),
        (1700000001123456789, "ns", 1700000001.1234567),
        ("1700000001123456789", "ns", 1700000001.1234567),
        ("2023-11-14T22:13:21Z", "rfc3339", 1700000001.0),
        ("2023-11-14t22:13:21z", "rfc3339", 1700000001.0),
        ("2023-11-14 22:13:21.5Z", "rfc3339", 1700000001.5),
        ("2023-11-14T22:13:21.123456789Z", "rfc3339", 1700000001.1234567),
        ("2023-11-15T00:13:21+02:00", "rfc3339", 1700000001.0),
        ("2023-11-14T18:43:21-03:30", "rfc3339", 1700000001.0),
        ("1970-01-01T00:00:00Z", "rfc3339", 0.0),
        ("1969-12-31T23:59:59.75Z", "rfc3339", -0.25),
        # A leap second is the first moment of the next minute.
        ("2016-12-31T23:59:60Z", "rfc3339", 1483228800.0),
    ],
)
def test_a_time_becomes_seconds(value: object, unit: TimeUnit, seconds: float) -> None:
    assert to_seconds(value, unit) == seconds


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        *((value, unit) for unit in UNITS for value in NO_TIMES),
        (math.nan, "s"),
        (math.inf, "ms"),
        (10**400, "ns"),
        ("1_000", "s"),
        ("\u0661", "s"),
        (1700000001, "rfc3339"),
        ("1700000001", "rfc3339"),
        ("2023-11-14T22:13:21Z", "s"),
        ("2023-11-14T22:13:21", "rfc3339"),
        ("2023-11-14", "rfc3339"),
        ("2023-02-29T00:00:00Z", "rfc3339"),
        ("2023-13-01T00:00:00Z", "rfc3339"),
        ("0000-01-01T00:00:00Z", "rfc3339"),
        ("2023-11-14T24:00:00Z", "rfc3339"),
        ("2023-11-14T22:60:00Z", "rfc3339"),
        ("2023-11-14T22:13:61Z", "rfc3339"),
        ("2023-11-14T22:13:21+24:00", "rfc3339"),
        ("2023-11-14T22:13:21+00:60", "rfc3339"),
        ("2023-11-14T22:13:21.Z", "rfc3339"),
        ("2023-11-14T22:13:21Z\n", "rfc3339"),
        ("2023-11-14T22:13:21.1234567890123456789012345678901Z", "rfc3339"),
        ("\u0662023-11-14T22:13:21Z", "rfc3339"),
    ],
)
def test_what_is_no_time_is_none(value: object, unit: TimeUnit) -> None:
    assert to_seconds(value, unit) is None


@given(st.integers(-(10**19), 10**19))
def test_whole_nanoseconds_are_rounded_once(nanoseconds: int) -> None:
    exact = float(Fraction(nanoseconds, 10**9))
    assert to_seconds(nanoseconds, "ns") == exact
    if nanoseconds >= 0:
        assert to_seconds(str(nanoseconds), "ns") == exact


@given(st.integers(-62_000_000_000, 253_000_000_000), st.integers(0, 999_999), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_any_moment_of_any_zone_is_the_moment_it_says(seconds: int, microseconds: int, minutes: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=microseconds)
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    exact = (there - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert to_seconds(there.isoformat(), "rfc3339") == exact


@example("2023-11-14T22:13:21.1Z")
@given(
    st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}(Z|[+-][0-9:]{5})", fullmatch=True)
)
def test_any_text_is_a_finite_time_or_none(text: str) -> None:
    for unit in UNITS:
        seconds = to_seconds(text, unit)
        assert seconds is None or math.isfinite(seconds)
