"""When prices may be expected: by the shape of a symbol, by what is written, and to the second."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.feeds.settings import CalendarHoursSettings, MarketHours, SessionHoursSettings
from pricestreamd.feeds.silence.calendar_table import VALID_UNTIL
from pricestreamd.feeds.silence.hours import Hours, Sessions, calendar, calendar_names, calendar_warning, hours_of
from pricestreamd.providers import catalogue
from pricestreamd.providers.profile import Profile

ANY = replace(catalogue.profile("twelvedata"), instruments="any", home_calendar="XNYS")
CRYPTO = replace(ANY, instruments="crypto")
NEW_YORK = ZoneInfo("America/New_York")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def name_of(
    symbol: str, setting: MarketHours | MappingProxyType[str, MarketHours] = "auto", profile: Profile = ANY
) -> str | None:
    hours = hours_of(symbol, setting, profile)
    return None if hours is None else hours.name


def written(days: str, opens: str, closes: str, zone: str = "UTC") -> Hours:
    setting = SessionHoursSettings(
        timezone=zone, days=days, open=time.fromisoformat(opens), close=time.fromisoformat(closes)
    )
    hours = hours_of("A", setting, ANY)
    assert hours is not None
    return hours


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("XNYS", ["AAPL", "BRK.B", "BRK/B", "BRK-B", "BAC/PRL", "XYZ/WS", "XYZ.WS", "AAPL:NYSE", "NYSE:IBM", " ibm:nyse ", "USD", "ABCDEF", "F"]),
        ("XNAS", ["AAPL:NASDAQ", "NASDAQ:AAPL", "AAPL:XNGS"]),
        ("XTSE", ["RY:TSX", "RY:XTSE", "ry:tsx", "RY.TO", "SHOP.TRT", "USD:TSX"]),
        ("XLON", ["VOD:LSE", "BT.A:LSE", "BT.A:XLON", "VOD.L", "TSCO.LON"]),
        ("XETR", ["SAP:XETR", "SAP.DE", "MBG.DEX"]),
        ("XFRA", ["SAP:FSX", "SAP.F"]),
        ("XPAR", ["AIR:Euronext", "AIR.PA"]),
        ("XAMS", ["ASML:XAMS", "ASML.AS"]),
        ("XSWX", ["NESN:SIX", "AMS:SIX", "NESN.SW"]),
        ("XTKS", ["7203:JPX", "7203.T"]),
        ("currencies", ["EUR/USD", "eur/usd", "EUR_USD", "EUR-USD", "EURUSD", "XAU/USD", "XAG/EUR", "XPT/USD", "XPD/USD", "USD/CNH", "OANDA:EUR_USD", "FXCM:EUR/USD", "IC MARKETS:EURUSD", "EUR/USD:FOREX", "C:EURUSD"]),
        ("always", ["BTC/USD", "BTC/EUR", "ETH/BTC", "SHIB/DOGE", "BTC-USD", "BTC_USDT", "BTCUSDT", "BINANCE:BTCUSDT", "BINANCE:ETHBTC", "COINBASE:BTC-USD", "BTC/USD:Huobi", "X:BTC-USD", "USDT/USD"]),
        (None, ["RELIANCE:NSE", "NSE:RELIANCE", "OANDA:SPX500_USD", "RELIANCE.BSE", "600519.SS", "A:B"]),
    ],
)  # fmt: skip
def test_auto_decides_by_the_shape_of_the_symbol(name: str | None, symbols: list[str]) -> None:
    assert [symbol for symbol in symbols if name_of(symbol) != name] == []


@pytest.mark.parametrize("symbol", ["BTCUSD", "EUR/USD", "AAPL", "RY:TSX", "XBT/EUR"])
def test_at_a_crypto_provider_everything_trades_always(symbol: str) -> None:
    assert name_of(symbol, profile=CRYPTO) == "always"


def test_a_bare_ticker_has_the_hours_of_the_providers_home() -> None:
    assert name_of("VOD", profile=replace(ANY, home_calendar="XLON")) == "XLON"
    assert name_of("VOD", profile=replace(ANY, home_calendar="XNSE")) is None


@pytest.mark.parametrize("provider", catalogue.provider_names())
def test_the_home_of_every_provider_has_a_calendar(provider: str) -> None:
    if provider != "generic":
        assert catalogue.profile(provider).home_calendar in calendar_names()


def test_what_is_written_wins_over_the_shape() -> None:
    assert name_of("AAPL", "always") == "always"
    assert name_of("BTC/USD", CalendarHoursSettings(calendar="XETR")) == "XETR"
    session = SessionHoursSettings(timezone="Europe/Vilnius", days="mon,wed", open=time(10), close=time(16))
    assert name_of("AAPL", session) == "mon,wed 10:00-16:00 Europe/Vilnius"


def test_in_a_mapping_the_first_glob_that_matches_wins_and_the_others_are_auto() -> None:
    setting: MappingProxyType[str, MarketHours] = MappingProxyType(
        {
            "btc/*": "always",
            "*:tsx": CalendarHoursSettings(calendar="XTSE"),
            "A*": "auto",
            "B*": "always",
            "AB": "always",
        }
    )
    expected = {
        "BTC/USD": "always",
        "ry:TSX": "XTSE",
        "AB": "XNYS",
        "BB": "always",
        "EUR/USD": "currencies",
        "C": "XNYS",
    }
    assert {symbol: name_of(symbol, setting) for symbol in expected} == expected


def test_a_calendar_that_is_not_shipped_is_an_error() -> None:
    with pytest.raises(ValueError, match="no exchange calendar 'XXXX'"):
        hours_of("AAPL", CalendarHoursSettings(calendar="XXXX"), ANY)


def test_symbols_of_one_market_share_their_hours() -> None:
    session = SessionHoursSettings(timezone="UTC", open=time(9), close=time(17))
    same = SessionHoursSettings(timezone="UTC", open=time(9), close=time(17))
    assert hours_of("A", "auto", ANY) is hours_of("B", "auto", ANY)
    assert hours_of("A", session, ANY) is hours_of("B", same, ANY)
    assert hours_of("EUR/USD", "auto", ANY) is hours_of("USD/JPY", "auto", ANY)
    assert hours_of("BTC/USD", "auto", ANY) is hours_of("A", "always", ANY)


def test_always_never_changes() -> None:
    hours = hours_of("A", "always", ANY)
    assert hours is not None
    assert hours.is_open(0.0)
    assert hours.next_change(0.0) is None


@pytest.mark.parametrize(
    ("at", "is_open", "change"),
    [
        ("2026-11-22T21:59:59", False, "2026-11-22T22:00:00"),  # Sunday
        ("2026-11-22T22:00:00", True, "2026-11-27T22:00:00"),
        ("2026-11-25T22:00:00", True, "2026-11-27T22:00:00"),  # one day into the next is no change
        ("2026-11-27T22:00:00", False, "2026-11-29T22:00:00"),  # Friday
        ("2027-03-13T12:00:00", False, "2027-03-14T21:00:00"),  # summer time begins in New York
        ("2026-12-24T21:59:59", True, "2026-12-24T22:00:00"),  # Christmas, a Friday, to Sunday evening
        ("2026-12-24T22:00:00", False, "2026-12-27T22:00:00"),
        ("2027-12-31T23:00:00", False, "2028-01-02T22:00:00"),  # New Year's Day on a Saturday
        ("2029-01-01T00:00:00", False, "2029-01-01T22:00:00"),  # and on a Monday
    ],
)
def test_currencies_trade_from_sunday_to_friday_evening_in_new_york(at: str, *, is_open: bool, change: str) -> None:
    hours = hours_of("EUR/USD", "auto", ANY)
    assert hours is not None
    assert hours.is_open(moment(at)) is is_open
    assert hours.next_change(moment(at)) == moment(change)


def test_a_close_before_the_open_is_on_the_next_day() -> None:
    hours = written("fri", "22:00", "04:00")
    assert [hours.is_open(moment(f"2026-11-{day}")) for day in ("27T21:59", "27T22:00", "28T03:59", "28T04:00")] == [False, True, True, False]  # fmt: skip
    assert not hours.is_open(moment("2026-11-27T03:00"))


def test_a_close_at_the_open_is_round_the_clock() -> None:
    week = written("sun-thu", "17:00", "17:00", "America/New_York")
    assert week.is_open(moment("2026-11-24T22:00"))
    assert week.next_change(moment("2026-11-24T22:00")) == moment("2026-11-27T22:00")
    every_day = written("mon-sun", "00:00", "00:00")
    assert every_day.is_open(moment("2026-11-24T00:00"))
    assert every_day.next_change(moment("2026-11-24T00:00")) is None


@pytest.mark.parametrize(
    ("days", "expected"),
    [("mon-fri", "MTWTF.."), ("mon,wed, sat", "M.W..S."), ("fri-mon", "M...FSS"), ("sun", "......S"), ("mon-tue,sun", "MT....S")],
)  # fmt: skip
def test_days_are_read_as_people_write_them(days: str, expected: str) -> None:
    hours = written(days, "09:00", "17:00")
    monday = moment("2026-11-23T12:00")
    assert "".join("MTWTFSS"[n] if hours.is_open(monday + n * 86_400) else "." for n in range(7)) == expected


def test_written_hours_follow_summer_time() -> None:
    hours = written("mon-fri", "09:30", "16:00", "America/New_York")
    assert hours.next_change(moment("2027-03-13T00:00")) == moment("2027-03-15T13:30")
    assert hours.next_change(moment("2026-10-31T00:00")) == moment("2026-11-02T14:30")


def test_a_session_in_the_hour_that_summer_time_leaves_out_does_not_take_place() -> None:
    hours = written("sun", "02:00", "03:00", "America/New_York")
    assert hours.next_change(moment("2027-03-14T00:00")) == moment("2027-03-21T06:00")


def test_a_lunch_break_is_closed() -> None:
    tokyo = calendar("XTKS")
    assert [tokyo.is_open(moment(f"2026-11-24T{at}")) for at in ("02:29:59", "02:30", "03:29:59", "03:30")] == [True, False, False, True]  # fmt: skip


def test_the_table_warns_before_it_ends_and_after() -> None:
    end = datetime.combine(VALID_UNTIL, time(12), UTC)
    assert calendar_warning((end - timedelta(days=61)).timestamp()) is None
    assert "calendars end on" in (calendar_warning((end - timedelta(days=60)).timestamp()) or "")
    assert "calendars end on" in (calendar_warning(end.timestamp()) or "")
    assert "calendars ended on" in (calendar_warning((end + timedelta(days=1)).timestamp()) or "")


def test_a_market_that_never_opens_is_closed_without_end() -> None:
    hours = Sessions("never", NEW_YORK, lambda _: ())
    assert not hours.is_open(0.0)
    assert hours.next_change(0.0) is None


MOMENTS = st.floats(moment("2024-06-01T00:00"), moment("2033-01-01T00:00"))
MARKETS = st.sampled_from(sorted(calendar_names()))


@given(MARKETS, MOMENTS, st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_the_next_change_and_then_it_does(name: str, at: float, part: float) -> None:
    hours = calendar(name)
    before, change = hours.is_open(at), hours.next_change(at)
    assert change is not None
    assert at < change < at + 15 * 86_400
    between = at + part * (change - at)
    if between < change:
        assert hours.is_open(between) is before
        assert hours.next_change(between) == change
    assert hours.is_open(change) is not before


@given(MARKETS, st.lists(MOMENTS, max_size=8))
def test_what_was_asked_before_does_not_matter(name: str, moments: list[float]) -> None:
    hours = calendar(name)
    calendar.cache_clear()
    assert [hours.is_open(at) for at in moments] == [_fresh(name).is_open(at) for at in moments]


def _fresh(name: str) -> Hours:
    calendar.cache_clear()
    return calendar(name)


@given(
    st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Europe/London", "Australia/Sydney"]),
    st.sets(st.integers(0, 6), min_size=1, max_size=7),
    st.integers(5 * 60, 11 * 60),
    st.integers(12 * 60, 23 * 60),
    MOMENTS,
)
def test_written_hours_are_what_a_clock_on_the_wall_says(
    zone: str, days: set[int], opens: int, closes: int, at: float
) -> None:
    names = ",".join(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day] for day in sorted(days))
    hours = written(names, f"{opens // 60:02}:{opens % 60:02}", f"{closes // 60:02}:{closes % 60:02}", zone)
    wall = datetime.fromtimestamp(at, ZoneInfo(zone))
    minutes = wall.hour * 60 + wall.minute
    assert hours.is_open(at) is (wall.weekday() in days and opens <= minutes < closes)
