"""When prices of a symbol may be expected: by an exchange's calendar, by hours written out, or always.

A timetable says which stretches of trading a local day has; `Sessions` looks them up around a moment, joins those that
touch, and remembers the stretch that it found: it is asked every second for as many symbols as there are, and the
answer changes a few times a day. Symbols of one market share one object.

All moments are UTC epoch seconds. Daylight saving is the time zone's business: hours are wall clock, so on two days a
year a stretch over the switch is an hour longer or shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import cache
from math import inf
from typing import Protocol
from zoneinfo import ZoneInfo

from pricestreamd.feeds.settings import CalendarHoursSettings, MarketHours, SessionHoursSettings
from pricestreamd.feeds.silence.calendar_table import CALENDARS, SAME, VALID_UNTIL
from pricestreamd.feeds.silence.venues import ALWAYS, CURRENCIES, market_of
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.profile import Profile

_DAY = 86_400
# How far a search goes: no market is closed for so long, and what is open for so long is always open.
_HORIZON = timedelta(days=40)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WARNING = timedelta(days=60)

Spans = Sequence[tuple[int, int]]
"""Stretches of trading that belong to a local day, in seconds of wall clock since its midnight, in order: below 0 is
the day before, above 86,400 the day after."""


class Hours(Protocol):
    """When prices may be expected."""

    name: str
    """As `check` prints it."""

    def is_open(self, at: float) -> bool:
        """Whether prices may be expected at `at`."""

    def next_change(self, at: float) -> float | None:
        """When `is_open` changes next after `at`; None: never."""


class Always:
    """Open day and night."""

    name = ALWAYS

    def is_open(self, at: float) -> bool:  # noqa: ARG002  # the protocol's parameter
        """Yes."""
        return True

    def next_change(self, at: float) -> float | None:  # noqa: ARG002  # the protocol's parameter
        """Never."""
        return None


class Sessions:
    """Open in the stretches that `spans_of` gives for each day of the clock in `zone`."""

    def __init__(self, name: str, zone: ZoneInfo, spans_of: Callable[[date], Spans]) -> None:
        self.name = name
        self._zone = zone
        self._spans_of = spans_of
        # The stretch that was asked for last: from, until, open in it.
        self._known = (inf, -inf, False)

    def is_open(self, at: float) -> bool:
        """Whether it is open at `at`."""
        begin, end, is_open = self._known
        if not begin <= at < end:
            begin, end, is_open = self._known = self._stretch(at)
        return is_open

    def next_change(self, at: float) -> float | None:
        """The next opening or closing after `at`; None where there is none within weeks."""
        self.is_open(at)
        end = self._known[1]
        return None if end == inf else end

    def _stretch(self, at: float) -> tuple[float, float, bool]:
        first = datetime.fromtimestamp(at, self._zone).date() - timedelta(days=2)
        before = -inf
        for begin, end in self._stretches(first):
            if at < begin:
                # What lies before the first day that was looked at is not known.
                return at if before == -inf else before, begin, False
            if at < end:
                return begin, end, True
            before = end
        return before, inf, False

    def _stretches(self, first: date) -> Iterator[tuple[float, float]]:
        """Stretches from the day `first`, those that touch joined; the last ends in infinity if it has no end."""
        begin = end = -inf
        for day in (first + timedelta(days=n) for n in range(_HORIZON.days)):
            for opens, closes in self._spans_of(day):
                opening, closing = self._moment(day, opens), self._moment(day, closes)
                # The hour that is left out in spring may swallow a stretch whole.
                if opening >= closing:
                    continue
                if opening > end:
                    if end > begin:
                        yield begin, end
                    begin = opening
                end = max(end, closing)
        if end > begin:
            last = self._moment(first + _HORIZON, 0)
            yield begin, inf if end >= last else end

    def _moment(self, day: date, seconds: int) -> float:
        days, rest = divmod(seconds, _DAY)
        clock = time(rest // 3600, rest // 60 % 60, rest % 60)
        return datetime.combine(day + timedelta(days=days), clock, self._zone).timestamp()


def hours_of(symbol: str, setting: MarketHours | Mapping[str, MarketHours], profile: Profile) -> Hours | None:
    """When prices of `symbol` may be expected; None: nobody knows.

    In a mapping the first glob that matches decides, whatever the case; a symbol that none matches is `auto`.
    Raises ValueError for a calendar that is not shipped.
    """
    if isinstance(setting, Mapping):
        key = symbol_key(symbol)
        setting = next((value for glob, value in setting.items() if fnmatchcase(key, symbol_key(glob))), "auto")
    if isinstance(setting, CalendarHoursSettings):
        return calendar(setting.calendar)
    if isinstance(setting, SessionHoursSettings):
        return _written(setting)
    market = ALWAYS if setting == ALWAYS else market_of(symbol, profile)
    if market == ALWAYS:
        return _ALWAYS
    if market == CURRENCIES:
        return _currencies()
    return calendar(market) if market in calendar_names() else None


def calendar_names() -> frozenset[str]:
    """The exchanges that there is a calendar of."""
    return _NAMES


def calendar_warning(at: float) -> str | None:
    """What an operator should know about the age of the shipped calendars, or None."""
    left = VALID_UNTIL - datetime.fromtimestamp(at, UTC).date()
    if left > _WARNING:
        return None
    advice = "a newer release of pricestreamd knows them"
    if left < timedelta(0):
        return f"the shipped exchange calendars ended on {VALID_UNTIL}: holidays since then are unknown; {advice}"
    return f"the shipped exchange calendars end on {VALID_UNTIL}: later holidays are unknown; {advice}"


@cache
def calendar(name: str) -> Sessions:
    """The sessions of an exchange, by the name of its calendar. Raises ValueError where there is none."""
    if name not in _NAMES:
        raise ValueError(f"no exchange calendar {name!r}")
    table = CALENDARS[SAME.get(name, name)]
    regular = _spans(table.hours)
    irregular: dict[date, Spans] = dict.fromkeys(_days_of(table.closed), ())
    for hours, years in table.special.items():
        irregular |= dict.fromkeys(_days_of(years), _spans(hours))

    def spans_of(day: date) -> Spans:
        return irregular.get(day, regular) if day.weekday() < 5 else ()

    return Sessions(name, ZoneInfo(table.timezone), spans_of)


@cache
def _currencies() -> Sessions:
    """Sunday 17:00 to Friday 17:00 New York, day by day from 17:00 to 17:00.

    Without the days that end on Christmas and New Year: banks are closed around the world.
    """
    banks = {(12, 25), (1, 1)}
    trading = ((-7 * 3600, 17 * 3600),)

    def spans_of(day: date) -> Spans:
        return trading if day.weekday() < 5 and (day.month, day.day) not in banks else ()

    return Sessions(CURRENCIES, ZoneInfo("America/New_York"), spans_of)


@cache
def _written(setting: SessionHoursSettings) -> Sessions:
    """The session that a configuration spells out."""
    days = _weekdays(setting.days)
    opens, closes = _seconds(setting.open), _seconds(setting.close)
    # The same time again is the next day's: round the clock.
    session = ((opens, closes if closes > opens else closes + _DAY),)

    def spans_of(day: date) -> Spans:
        return session if day.weekday() in days else ()

    name = f"{setting.days} {setting.open:%H:%M}-{setting.close:%H:%M} {setting.timezone}"
    return Sessions(name, ZoneInfo(setting.timezone), spans_of)


def _weekdays(text: str) -> frozenset[int]:
    """The days in `mon-fri` or `mon,wed,sat`, 0 for Monday; `fri-mon` goes over the weekend."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        begin = _WEEKDAYS.index(first)
        count = (_WEEKDAYS.index(last or first) - begin) % 7 + 1
        found.update((begin + n) % 7 for n in range(count))
    return frozenset(found)


def _seconds(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second


def _spans(hours: str) -> Spans:
    """The stretches in `09:00-11:30 12:30-15:25`."""
    return tuple(
        (_seconds(time.fromisoformat(opens)), _seconds(time.fromisoformat(closes)))
        for opens, closes in (span.split("-") for span in hours.split())
    )


def _days_of(years: Mapping[int, str]) -> Iterator[date]:
    for year, days in years.items():
        for day in days.split():
            yield date(year, int(day[:2]), int(day[2:]))


_ALWAYS = Always()
_NAMES = frozenset({*CALENDARS, *SAME})
