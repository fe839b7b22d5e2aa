"""A silence that outlasts the connections that are given up for it."""

from __future__ import annotations

import pytest

from pricestreamd.feeds.connection.staleness import Staleness


def test_a_silence_is_told_of_once_and_measured_over_all_connections() -> None:
    staleness = Staleness()
    assert staleness.end(5.0) is None
    assert staleness.give_up(30.0, 100.0)
    assert not staleness.give_up(60.0, 200.0)
    assert staleness.since == 70.0
    assert staleness.end(250.0) == 180.0
    assert staleness.give_up(30.0, 400.0)


@pytest.mark.parametrize(
    ("given_up", "limit", "allowed"),
    [(0, 30.0, 30.0), (1, 30.0, 60.0), (3, 30.0, 240.0), (5, 30.0, 900.0), (1000, 30.0, 900.0), (3, 2000.0, 2000.0)],
)
def test_each_connection_in_a_row_is_given_twice_the_time(given_up: int, limit: float, allowed: float) -> None:
    staleness = Staleness()
    for _ in range(given_up):
        staleness.give_up(limit, 1000.0)
    assert staleness.allowed(limit) == allowed


@pytest.mark.parametrize("price", [True, False], ids=["price", "closed market"])
def test_a_price_or_a_closed_market_makes_the_limit_the_usual_one(price: bool) -> None:
    staleness = Staleness()
    staleness.give_up(30.0, 900.0)
    if price:
        staleness.end(1000.0)
    else:
        staleness.excuse()
    assert (staleness.since, staleness.allowed(30.0)) == (None, 30.0)
