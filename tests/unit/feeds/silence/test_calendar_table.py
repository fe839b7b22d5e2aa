"""The shipped calendars: dates that are known from elsewhere, and a table that does not run out unseen."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pricestreamd.feeds.silence.calendar_table import CALENDARS, SAME, VALID_FROM, VALID_UNTIL
from pricestreamd.feeds.silence.hours import Hours, calendar, calendar_names

DAY = timedelta(days=1)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def sessions(name: str, day: str) -> str:
    """The stretches of trading that begin on a day of UTC, as `HH:MM-HH:MM` of UTC."""
    hours: Hours = calendar(name)
    at, end = moment(day), moment(day) + 86_400
    found = []
    while at < end:
        change = hours.next_change(at)
        assert change is not None
        if hours.is_open(at):
            found.append(f"{datetime.fromtimestamp(at, UTC):%H:%M}-{datetime.fromtimestamp(change, UTC):%H:%M}")
        at = change
    return " ".join(found)


# Written down by hand from the rules of the holidays and the hours of the exchanges, not from the table.
KNOWN = [
    ("XNYS", "2026-11-23", "14:30-21:00"),
    ("XNYS", "2026-11-26", ""),  # Thanksgiving
    ("XNYS", "2026-11-27", "14:30-18:00"),  # the day after: a half day
    ("XNYS", "2026-11-28", ""),  # Saturday
    ("XNYS", "2026-12-24", "14:30-18:00"),
    ("XNYS", "2026-12-25", ""),
    ("XNYS", "2027-01-01", ""),
    ("XNYS", "2027-01-18", ""),  # Martin Luther King Day
    ("XNYS", "2027-03-26", ""),  # Good Friday
    ("XNYS", "2027-03-12", "14:30-21:00"),  # before summer time begins on the 14th
    ("XNYS", "2027-03-15", "13:30-20:00"),
    ("XNYS", "2027-06-18", ""),  # Juneteenth, a Saturday, is kept on Friday
    ("XNYS", "2027-07-05", ""),  # Independence Day, a Sunday, is kept on Monday
    ("XNYS", "2026-10-30", "13:30-20:00"),
    ("XNYS", "2026-11-02", "14:30-21:00"),  # summer time ended on the 1st
    ("XNYS", "2025-01-09", ""),  # a day of mourning
    ("XNAS", "2026-11-27", "14:30-18:00"),
    ("XTSE", "2026-11-26", "14:30-21:00"),  # not Canada's Thanksgiving
    ("XTSE", "2026-10-12", ""),
    ("XTSE", "2026-12-28", ""),  # Boxing Day, a Saturday
    ("XLON", "2026-12-24", "08:00-12:30"),
    ("XLON", "2026-12-28", ""),
    ("XLON", "2026-12-31", "08:00-12:30"),
    ("XLON", "2027-03-26", ""),
    ("XLON", "2027-03-29", ""),  # Easter Monday, the day after summer time began
    ("XLON", "2027-03-30", "07:00-15:30"),
    ("XLON", "2027-08-30", ""),  # the bank holiday in August
    ("XETR", "2026-12-24", ""),
    ("XETR", "2026-12-30", "08:00-13:00"),  # the last session of a year ends early
    ("XETR", "2026-12-31", ""),
    ("XETR", "2027-03-26", ""),
    ("XETR", "2027-03-29", ""),
    ("XETR", "2026-06-03", "07:00-15:30"),
    ("XFRA", "2026-12-24", ""),
    ("XPAR", "2026-12-24", "08:00-13:05"),
    ("XAMS", "2026-12-31", "08:00-13:05"),
    ("XLIS", "2026-11-23", "08:00-16:30"),
    ("XSWX", "2026-08-03", "07:00-15:20"),  # without the call of the closing auction
    ("XSWX", "2028-08-01", ""),  # the national holiday
    ("XSTO", "2026-06-19", ""),  # Midsummer's Eve
    ("XSTO", "2026-11-23", "08:00-16:25"),
    ("XCSE", "2026-06-05", ""),  # Constitution Day
    ("XHEL", "2027-12-06", ""),  # Independence Day
    ("XOSL", "2027-05-17", ""),  # Constitution Day
    ("XOSL", "2027-03-24", "08:00-12:00"),  # the Wednesday before Easter
    ("XWAR", "2026-11-11", ""),  # Independence Day
    ("XWAR", "2026-11-23", "08:00-15:50"),
    ("XMIL", "2029-08-15", ""),  # Assumption
    ("XDUB", "2026-12-24", "08:00-12:28"),
    ("XTKS", "2026-11-24", "00:00-02:30 03:30-06:25"),  # with a lunch break, without the closing call
    ("XTKS", "2026-11-23", ""),  # Labour Thanksgiving Day
    ("XTKS", "2027-01-04", "00:00-02:30 03:30-06:25"),
    ("XHKG", "2026-12-24", "01:30-04:00"),
    ("XHKG", "2027-02-08", ""),  # Lunar New Year
    ("XHKG", "2026-11-23", "01:30-04:00 05:00-08:00"),
    ("XASX", "2026-07-06", "00:00-06:00"),
]


@pytest.mark.parametrize(("name", "day", "expected"), KNOWN)
def test_the_sessions_of_a_known_day(name: str, day: str, expected: str) -> None:
    assert sessions(name, day) == expected


def test_sydney_opens_the_evening_before_in_utc_while_it_has_summer_time() -> None:
    hours = calendar("XASX")
    assert hours.is_open(moment("2026-11-22T23:00:00"))
    assert not hours.is_open(moment("2026-11-22T22:59:59"))
    assert hours.next_change(moment("2026-11-22T23:00:00")) == moment("2026-11-23T05:00:00")


@pytest.mark.parametrize("name", sorted(CALENDARS))
def test_each_row_says_what_its_kind_demands(name: str) -> None:
    row = CALENDARS[name]
    assert row.timezone == str(ZoneInfo(row.timezone))
    spans = [row.hours, *row.special]
    assert all(re.fullmatch(r"\d\d:\d\d-\d\d:\d\d( \d\d:\d\d-\d\d:\d\d)?", span) for span in spans)
    # Times go forward through the day.
    assert all((times := re.findall(r"\d\d:\d\d", span)) == sorted(set(times)) for span in spans)
    days = [date(year, int(day[:2]), int(day[2:])) for years in (row.closed, *row.special.values()) for year, text in years.items() for day in text.split()]  # fmt: skip
    assert len(days) == len(set(days))
    assert all(day.weekday() < 5 and VALID_FROM <= day <= VALID_UNTIL for day in days)
    # No market has fewer than three holidays on weekdays a year, nor more than twenty-five.
    assert set(row.closed) == set(range(VALID_FROM.year, VALID_UNTIL.year + 1))
    assert all(3 <= len(text.split()) <= 25 for text in row.closed.values())


MAIN = """
    XNYS XNAS XTSE XLON XETR XFRA XPAR XAMS XBRU XLIS XMIL XMAD XSWX XSTO XHEL XCSE XOSL XWBO XDUB XWAR XTKS XHKG XASX
"""


def test_the_main_exchanges_are_there() -> None:
    assert set(MAIN.split()) == calendar_names()
    assert set(SAME.values()) <= set(CALENDARS)


def test_beyond_the_table_every_weekday_is_regular() -> None:
    christmas = VALID_UNTIL.replace(year=VALID_UNTIL.year + 3, day=25)
    while christmas.weekday() >= 5:
        christmas += DAY
    assert sessions("XNYS", christmas.isoformat()) == "14:30-21:00"
    long_ago = VALID_FROM.replace(year=VALID_FROM.year - 20)
    while long_ago.weekday() >= 5:
        long_ago += DAY
    assert sessions("XNYS", long_ago.isoformat()) == "14:30-21:00"


def test_whoever_installs_a_release_has_holidays_for_two_years() -> None:
    """When this fails: `make calendars`, look through the difference, and release."""
    assert VALID_UNTIL - datetime.now(UTC).date() > timedelta(days=730)
