"""Retry-After, as servers write it (row H2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.retry_after import MAX_RETRY_AFTER, read_retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 7 ", 7),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("99999999", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:30:00 GMT", 120),
        ("Wed, 21 Oct 2015 07:30:00", 120),
        ("Wed, 21 Oct 2015 07:27:00 GMT", None),
        ("Fri, 21 Oct 2095 07:28:00 GMT", MAX_RETRY_AFTER),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Mon, 01 Jan 0000 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_garbage_is_ignored(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(st.text())
def test_retry_after_never_raises_and_never_exceeds_its_cap(text: str) -> None:
    seconds = read_retry_after(text, NOW)
    assert seconds is None or 0 < seconds <= MAX_RETRY_AFTER
