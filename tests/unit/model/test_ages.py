"""Times and ages in words."""

from __future__ import annotations

import pytest

from pricestreamd.model.ages import ago, ahead, span, utc


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (3599.0, "59 min"),
        (11_100.0, "3 h 5 min"),
        (200_000.0, "2 d 7 h"),
    ],
)
def test_a_span_has_its_two_largest_units_or_one(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_what_is_hardly_past_was_just_now_and_what_is_overdue_waits_for_its_turn() -> None:
    assert [ago(0.9), ago(12.0)] == ["just now", "12 s ago"]
    assert [ahead(12.0), ahead(0.9), ahead(-1.9), ahead(-2.0)] == [
        "in 12 s",
        "at once",
        "at once",
        "when its turn comes",
    ]


def test_a_time_is_that_of_greenwich_and_what_no_calendar_knows_stays_a_number() -> None:
    assert utc(1_700_000_000.0) == "2023-11-14 22:13:20Z"
    assert utc(1e300) == "1e+300"
