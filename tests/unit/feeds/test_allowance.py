"""What a provider has shown to allow is believed for a while, and then tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pricestreamd.feeds.allowance import Allowance
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.providers.twelvedata import PROFILE

SETTINGS = FeedSettings(provider="twelvedata", max_connections=8, max_symbols_per_connection=10)
QUARTER = 900.0


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(SETTINGS, PROFILE)


def connections(allowance: Allowance) -> int | None:
    return allowance.room(()).slots_at_most


def symbols(allowance: Allowance) -> int | None:
    return allowance.room(()).symbols


def test_what_is_configured_holds_until_the_provider_shows_less(allowance: Allowance) -> None:
    assert (connections(allowance), symbols(allowance)) == (8, 10)
    allowance.shown_connections(3, 0.0)
    allowance.shown_symbols(4, 0.0)
    assert (connections(allowance), symbols(allowance)) == (3, 4)
    allowance.shown_connections(20, 0.0)
    assert connections(allowance) == 8


def test_after_a_quarter_of_an_hour_one_more_connection_is_tried_and_then_another(allowance: Allowance) -> None:
    allowance.shown_connections(6, 0.0)
    assert not allowance.try_more(QUARTER - 1)
    assert allowance.try_more(QUARTER)
    assert connections(allowance) == 7
    assert not allowance.try_more(2 * QUARTER - 1)
    assert allowance.try_more(2 * QUARTER)
    assert connections(allowance) == 8
    assert "has shown" not in allowance.in_words()
    assert not allowance.try_more(100 * QUARTER)


def test_each_further_refusal_is_believed_for_twice_as_long_up_to_four_hours(allowance: Allowance) -> None:
    now, waits = 0.0, []
    for _ in range(7):
        allowance.shown_connections(2, now)
        begun = now
        while not allowance.try_more(now):
            now += 1.0
        waits.append(now - begun)
    assert waits == [900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 14_400.0, 14_400.0]


def test_a_refusal_long_after_the_others_is_believed_as_shortly_as_the_first(allowance: Allowance) -> None:
    for _ in range(5):
        allowance.shown_connections(2, 0.0)
    week = 7 * 86_400.0
    allowance.shown_connections(2, week)
    assert not allowance.try_more(week + QUARTER - 1)
    assert allowance.try_more(week + QUARTER)


def test_a_cap_on_symbols_is_tried_again_too(allowance: Allowance) -> None:
    allowance.shown_symbols(4, 0.0)
    assert allowance.try_more(QUARTER)
    assert symbols(allowance) == 10


def test_nothing_is_tried_where_nothing_was_refused(allowance: Allowance) -> None:
    assert not allowance.try_more(1e9)


def test_when_something_has_changed_nothing_is_believed_any_more(allowance: Allowance) -> None:
    allowance.shown_connections(2, 0.0)
    allowance.shown_symbols(4, 0.0)
    allowance.forget()
    assert (connections(allowance), symbols(allowance)) == (8, 10)


def test_where_nothing_limits_connections_one_more_is_one_more() -> None:
    allowance = Allowance(replace(SETTINGS, max_connections=None), replace(PROFILE, max_connections=None))
    assert connections(allowance) is None
    allowance.shown_connections(2, 0.0)
    assert allowance.try_more(QUARTER)
    assert connections(allowance) == 3
