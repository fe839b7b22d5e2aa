"""Too many connections with one key."""

from __future__ import annotations

import pytest

from pricestreamd.feeds.connection.crowding import Crowding
from pricestreamd.feeds.connection.verdict import Verdict, silence
from pricestreamd.model.errors import TransportError


def low(least: float, most: float) -> float:
    return least


def ended(reason: str, floor: float = 0.0) -> Verdict:
    return Verdict(reason, TransportError("x", reason=reason), floor)


def test_silent_ends_of_short_lives_in_a_row_are_too_many_connections() -> None:
    crowding = Crowding(low, evicts=True)
    reasons = [crowding.judge(ended("eof"), 5.0).reason for _ in range(5)]
    assert reasons == ["eof", "eof", "eof", "connection_limit", "connection_limit"]


@pytest.mark.parametrize(
    ("between", "lived", "fourth"),
    [
        ("reset", 5.0, "eof"),
        ("pong", None, "eof"),
        ("stale", 30.0, "eof"),
        ("eof", 61.0, "eof"),
        ("closed", 5.0, "connection_limit"),
    ],
)
def test_an_end_of_another_kind_ends_the_row(between: str, lived: float | None, fourth: str) -> None:
    crowding = Crowding(low, evicts=True)
    for _ in range(2):
        crowding.judge(ended("eof"), 5.0)
    crowding.judge(ended(between), lived)
    assert crowding.judge(ended("eof"), 5.0).reason == fourth


def test_an_end_before_the_first_price_neither_counts_nor_ends_the_row() -> None:
    crowding = Crowding(low, evicts=True)
    reasons = [crowding.judge(ended("eof"), lived).reason for lived in (5.0, None, 5.0, 5.0, None, 5.0)]
    assert reasons == ["eof", "eof", "eof", "eof", "eof", "connection_limit"]


def test_the_pause_grows_each_time_up_to_a_quarter_of_an_hour() -> None:
    crowding = Crowding(low, evicts=False)
    assert [crowding.judge(ended("connection_limit", 60.0), None).floor for _ in range(6)] == [
        60.0,
        120.0,
        240.0,
        480.0,
        900.0,
        900.0,
    ]
    crowding.judge(silence("stale", "us"), 3600.0)
    assert crowding.judge(ended("connection_limit", 60.0), None).floor == 60.0


@pytest.mark.parametrize(("reason", "lived"), [("reset", 5.0), ("eof", None), ("eof", 61.0), ("pong", 5.0)])
def test_other_ends_are_taken_as_they_are(reason: str, lived: float | None) -> None:
    crowding = Crowding(low, evicts=True)
    assert {crowding.judge(ended(reason), lived).reason for _ in range(10)} == {reason}


def test_a_provider_that_says_so_is_not_suspected_of_silence() -> None:
    crowding = Crowding(low, evicts=False)
    assert {crowding.judge(ended("eof"), 5.0).reason for _ in range(10)} == {"eof"}
