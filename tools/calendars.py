"""Writes the shipped table of exchange calendars, `pricestreamd/feeds/silence/calendar_table.py`: `make calendars`.

The sessions come from the library exchange-calendars, which needs pandas and numpy; so it lives in a virtual
environment of its own (`requirements/calendars.txt`), and what is shipped is plain literals.

The table tells when trades may be expected, which is not quite when an exchange calls itself open: in the call phase
of a closing auction nothing trades, and the library counts it as open. `CLOSING_CALL` takes it off.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars  # type: ignore[import-not-found]  # installed where this runs, not where it is checked

# Whole years: some of the past for replays, and four to come. Holidays further ahead are guesses.
YEARS_BACK = 1
YEARS_AHEAD = 4

NAMES = (
    *("XNYS", "XNAS", "XTSE"),
    *("XLON", "XDUB", "XETR", "XFRA", "XPAR", "XAMS", "XBRU", "XLIS", "XMIL", "XMAD", "XSWX", "XWBO", "XWAR"),
    *("XSTO", "XHEL", "XCSE", "XOSL"),
    *("XTKS", "XHKG", "XASX"),
)

# Minutes before the library's close in which orders are collected for the closing auction and nothing trades.
# Sources, read 2026-11-22: SIX Swiss Exchange, trading hours (auction from 17:20 to 17:30); Nasdaq Nordic, closing call
# of five minutes in Stockholm, Helsinki and Copenhagen; GPW, session details (pre-closing 16:50 to 17:00); JPX, closing
# auction from 15:25 since 2024-11-05. Elsewhere the library's close is the end of continuous trading.
CLOSING_CALL = {"XSWX": 10, "XSTO": 5, "XHEL": 5, "XCSE": 5, "XWAR": 10, "XTKS": 5}

HEAD = '''"""When the stock exchanges trade: time zone, regular hours, closed days and days with other hours.

Made by `make calendars` from exchange-calendars {version}; do not edit. Hours are those of continuous trading: calls of
closing auctions and lunch breaks are not in them. Days are written MMDD, hours HH:MM-HH:MM of the exchange's own clock.
A weekday that is not named has the regular hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple


class Calendar(NamedTuple):
    """One exchange. Days are written `MMDD`, by year; hours `HH:MM-HH:MM`, two of them where there is a break."""

    timezone: str
    hours: str
    closed: Mapping[int, str]
    special: Mapping[str, Mapping[int, str]]
    """Other hours than the regular ones, and the days that have them."""


VALID_FROM = date({first}, 1, 1)
VALID_UNTIL = date({last}, 12, 31)
"""The last day of the table: after it every weekday has the regular hours."""

'''


@dataclass
class Sessions:
    """One exchange, day by day."""

    timezone: str
    regular: str
    days: dict[date, str] = field(default_factory=dict)
    """Weekdays that are not regular, and their hours; empty where it is closed."""
    moments: tuple[Any, ...] = ()
    """All openings and closings, to see which exchanges have the same."""


def read(name: str, first: int, last: int) -> Sessions:
    """The sessions of an exchange in the years from `first` to `last`."""
    start, end = date(first, 1, 1), date(last, 12, 31)
    # The library wants a session beyond both ends.
    calendar = exchange_calendars.get_calendar(name, start=start - timedelta(days=14), end=end)
    if calendar.weekmask != "1111100":
        raise SystemExit(f"{name}: trades on other days than Monday to Friday, which the table cannot say")
    zone = ZoneInfo(str(calendar.tz))
    call = timedelta(minutes=CLOSING_CALL.get(name, 0))
    hours: dict[date, str] = {}
    moments = []
    for session in calendar.sessions:
        if start <= session.date() <= end:
            spans = list(_spans(calendar, session, call))
            moments.append(tuple(spans))
            local = [(opens.astimezone(zone), closes.astimezone(zone)) for opens, closes in spans]
            if any(moment.date() != session.date() for span in local for moment in span):
                raise SystemExit(f"{name}: a session that goes over midnight, which the table cannot say")
            hours[session.date()] = " ".join(f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in local)
    (regular, _), *_ = Counter(hours.values()).most_common(1)
    found = Sessions(str(zone), regular, moments=tuple(moments))
    for day in (start + timedelta(days=n) for n in range((end - start).days + 1)):
        if day.weekday() < 5 and hours.get(day, "") != regular:
            found.days[day] = hours.get(day, "")
        if day.weekday() >= 5 and day in hours:
            raise SystemExit(f"{name}: open at a weekend, {day}, which the table cannot say")
    return found


def _spans(calendar: Any, session: Any, call: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of trading of a day, in UTC, without the closing call."""
    opens, closes = (moment.to_pydatetime() for moment in calendar.session_open_close(session))
    if calendar.session_has_break(session):
        pause, resumption = (moment.to_pydatetime() for moment in calendar.session_break_start_end(session))
        if pause < closes:
            yield opens, pause
            opens = resumption
    if opens < closes:
        yield opens, closes - call


def written(found: dict[str, Sessions], first: int, last: int) -> str:
    """The whole module."""
    tables: dict[str, Sessions] = {}
    same: dict[str, str] = {}
    for name, sessions in found.items():
        twin = next((other for other, known in tables.items() if known.moments == sessions.moments), None)
        if twin is None:
            tables[name] = sessions
        else:
            same[name] = twin
    lines = [HEAD.format(version=exchange_calendars.__version__, first=first, last=last)]
    lines.append("CALENDARS: Mapping[str, Calendar] = {\n")
    lines += [_table(name, sessions) for name, sessions in tables.items()]
    lines.append("}\n\nSAME: Mapping[str, str] = {\n")
    lines += [f'    "{name}": "{twin}",\n' for name, twin in same.items()]
    lines.append('}\n"""Exchanges whose sessions are those of another, to the minute."""\n')
    return "".join(lines)


def _table(name: str, sessions: Sessions) -> str:
    special: dict[str, list[date]] = defaultdict(list)
    for day, hours in sessions.days.items():
        special[hours].append(day)
    closed = _by_year(special.pop("", []), 12)
    others = "".join(
        f'            "{hours}": {{\n{_by_year(days, 16)}            }},\n' for hours, days in special.items()
    )
    return (
        f'    "{name}": Calendar(\n        timezone="{sessions.timezone}",\n        hours="{sessions.regular}",\n'
        f"        closed={{\n{closed}        }},\n        special={{\n{others}        }},\n    ),\n"
    )


def _by_year(days: Iterable[date], indent: int) -> str:
    years: dict[int, list[str]] = defaultdict(list)
    for day in days:
        years[day.year].append(f"{day:%m%d}")
    return "".join(f'{" " * indent}{year}: "{" ".join(found)}",\n' for year, found in years.items())


def main() -> None:
    """Write the table to the file that is named."""
    (path,) = sys.argv[1:]
    year = datetime.now(UTC).year
    first, last = year - YEARS_BACK, year + YEARS_AHEAD
    found = {name: read(name, first, last) for name in NAMES}
    Path(path).write_text(written(found, first, last), encoding="utf-8")


if __name__ == "__main__":
    main()
