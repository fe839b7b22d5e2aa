"""Durations, sizes and percentages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.units import (
    LONGEST,
    UnitError,
    read_delay,
    read_duration,
    read_percent,
    read_size,
    show_duration,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("12", 12),
        ("0.1s", 0.1),
        ("1.5h", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("soon", ""),
        ("", ""),
        ("-5s", ""),
        ("5 s", "; did you mean 5s?"),
        ("5min", "; did you mean 5m?"),
        ("30 Seconds", "; did you mean 30s?"),
        ("2w", "; did you mean 14d?"),
        ("1e3s", ""),
        ("٣s", ""),
        ("99999999d", "; that is more than a hundred years"),
        ("9" * 30, ""),
    ],
)
def test_what_is_no_duration_is_told_with_what_was_meant(text: str, hint: str) -> None:
    with pytest.raises(UnitError) as raised:
        read_duration(text)
    assert str(raised.value).removeprefix(";") == hint.removeprefix(";")


@pytest.mark.parametrize("text", ["300", "300.0", "301s", "1000ms", "10h"])
def test_delays(text: str) -> None:
    assert read_delay(text) == read_duration(text)


def test_a_bare_delay_above_five_minutes_was_meant_as_milliseconds() -> None:
    with pytest.raises(UnitError, match=r"did you mean 1000ms\? \(or write 1000s\)"):
        read_delay("1000")


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65536), ("4MiB", 4194304), ("1GiB", 2**30), ("512", 512), ("1.5KiB", 1536), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("4MB", "did you mean 4MiB"),
        ("4 kb", "did you mean 4KiB"),
        ("0.5B", "no whole number"),
        ("4 mib", "did you mean 4MiB"),
        ("big", "^$"),
        ("-1", "^$"),
    ],
)
def test_what_is_no_size_is_told_with_what_was_meant(text: str, hint: str) -> None:
    with pytest.raises(UnitError, match=hint):
        read_size(text)


@pytest.mark.parametrize(("text", "percent"), [("5.0", 5), ("5%", 5), ("5.0 %", 5), ("-0.5%", -0.5)])
def test_percentages(text: str, percent: float) -> None:
    assert read_percent(text) == percent


@given(st.floats(min_value=0, max_value=LONGEST, allow_subnormal=False).filter(lambda s: s == 0 or s > 1e-9))
def test_a_duration_that_is_shown_reads_as_the_same_number(seconds: float) -> None:
    shown = show_duration(seconds)
    if len(shown.rstrip("smhd").partition(".")[2]) <= 18:
        assert read_duration(shown) == seconds


@given(st.integers(0, 800_000), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_written_duration_is_shown_as_the_same_duration(count: int, unit: str) -> None:
    seconds = read_duration(f"{count}{unit}")
    assert read_duration(show_duration(seconds)) == seconds


@given(st.integers(0, 10**15))
def test_a_size_that_is_shown_reads_as_the_same_number(size: int) -> None:
    assert read_size(show_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "90s"), (300, "5m"), (604800, "7d")]
)
def test_durations_are_shown_short(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text
