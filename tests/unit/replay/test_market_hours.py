"""Whose market hours a symbol of a replay has: its feed's, or what its provider and its spelling tell."""

from datetime import UTC, datetime

import pytest

from pricestreamd.feeds.settings import CalendarHoursSettings, FeedSettings
from pricestreamd.providers.catalogue import profile
from pricestreamd.replay.market_hours import ReplayHours

LONDON = CalendarHoursSettings(calendar="XLON")
STOCKS = FeedSettings(provider="twelvedata", symbols=("AAPL", "BTC/USD"), market_hours=LONDON)
COINS = FeedSettings(provider="binance", symbols=("BTC/USDT",))


def name(hours: ReplayHours, symbol: str) -> str | None:
    known = hours.of(symbol)
    return known.name if known is not None else None


def clock(hours: ReplayHours, symbol: str) -> tuple[bool, bool]:
    """Whether it is open at nine in London, and at half past twelve in New York, when London has closed."""
    known = hours.of(symbol)
    assert known is not None
    nine, half_past_five = (datetime(2026, 1, 5, hour, minute, tzinfo=UTC) for hour, minute in ((9, 0), (17, 30)))
    return known.is_open(nine.timestamp()), known.is_open(half_past_five.timestamp())


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("AAPL", "XNYS"), ("BTC/USD", "always"), ("EUR/USD", "currencies"), ("VOD:LSE", "XLON"), ("X.KS", None)],
)
def test_without_a_configuration_the_spelling_decides(symbol: str, expected: str | None) -> None:
    assert name(ReplayHours(), symbol) == expected


def test_the_feed_that_lists_a_symbol_decides_whatever_the_case() -> None:
    hours = ReplayHours(lambda: {"coins": COINS, "stocks": STOCKS})
    assert clock(hours, "aapl ") == (True, False)
    assert clock(hours, "MSFT") == (False, True)
    assert name(hours, "BTC/USDT") == "always"


def test_a_glob_of_a_feeds_market_hours_is_as_good_as_a_list() -> None:
    mixed = FeedSettings(provider="twelvedata", market_hours={"FUND*": "always"})
    hours = ReplayHours(lambda: {"coins": COINS, "mixed": mixed})
    assert name(hours, "fund-1") == "always"
    assert name(hours, "AAPL") == "XNYS"


def test_one_feed_alone_decides_about_every_symbol() -> None:
    assert clock(ReplayHours(lambda: {"stocks": STOCKS}), "MSFT") == (True, False)
    assert name(ReplayHours(lambda: {"coins": COINS}), "WHATEVER") == "always"


@pytest.mark.parametrize("names", [("main", "spare"), ("spare", "main")])
def test_of_a_feed_and_its_backup_the_feed_decides(names: tuple[str, str]) -> None:
    feeds = {
        "main": FeedSettings(provider="twelvedata", symbols=("AAPL",), market_hours=LONDON, backup="spare"),
        "spare": FeedSettings(provider="twelvedata", symbols=("AAPL",), market_hours="always"),
    }
    assert clock(ReplayHours(lambda: {key: feeds[key] for key in names}), "AAPL") == (True, False)


def test_a_provider_that_is_not_known_here_leaves_it_to_the_spelling() -> None:
    odd = FeedSettings(provider="nobody-has-it", symbols=("AAPL",))
    assert name(ReplayHours(lambda: {"odd": odd}), "AAPL") == "XNYS"


def test_the_provider_that_told_of_a_symbol_decides_where_no_feed_does() -> None:
    hours = ReplayHours(profile_of={"ODDCOIN": profile("binance")}.get)
    assert name(hours, "ODDCOIN") == "always"
    assert name(hours, "ODD") == "XNYS"


def test_the_feeds_are_asked_for_once_and_not_before_a_symbol_is() -> None:
    asked = []

    def feeds() -> dict[str, FeedSettings]:
        asked.append(1)
        return {"stocks": STOCKS}

    hours = ReplayHours(feeds)
    assert asked == []
    hours.of("AAPL")
    hours.of("MSFT")
    assert asked == [1]
