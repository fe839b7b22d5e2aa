"""The hours of an alert: days and times of day on one clock, and everything else that closes its gate.

A gate is closed after `expires`, outside of `active`, and in the wrong part of the trading day. While it is closed the
alert is not evaluated: it stays as it is. Times are UTC epoch seconds; those that no calendar knows close nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from pricestreamd.stream.alerts.sessions import SessionHours
from pricestreamd.stream.settings import ActiveSettings

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A week and both its neighbours: what is not closed within it is asked for again then.
_HORIZON = 9
_NO_CALENDAR = (ValueError, OverflowError, OSError)


class Closed(NamedTuple):
    """Why a gate is closed (`expired`, `inactive`, `session` or `market_hours_unknown`), and until when at least."""

    reason: str
    until: float


class ActiveHours:
    """The stretches of `settings`; remembers the one that was asked for last. Raises ValueError for what cannot be."""

    def __init__(self, settings: ActiveSettings) -> None:
        self._days = _weekdays(settings.days)
        self._start, self._end = settings.start, settings.end
        try:
            self._zone = ZoneInfo(settings.timezone)
        except (ValueError, OSError, KeyError) as exc:  # KeyError: no zone of that name
            raise ValueError(f"there is no time zone {settings.timezone!r:.60}") from exc
        self._known = (inf, -inf, True)

    def is_open(self, at: float) -> bool:
        """Whether the alert is active at `at`."""
        begin, end, is_open = self._known
        if not begin <= at < end:
            try:
                begin, end, is_open = self._known = self._stretch(at)
            except _NO_CALENDAR:
                return True
        return is_open

    def until(self, at: float) -> float:
        """Up to when that holds, at least."""
        self.is_open(at)
        begin, end, _ = self._known
        return end if begin <= at < end else inf

    def _stretch(self, at: float) -> tuple[float, float, bool]:
        day = datetime.fromtimestamp(at, self._zone).date() - timedelta(days=2)
        before = at
        for begin, end in self._joined(day):
            if at < begin:
                return before, begin, False
            if at < end:
                return begin, end, True
            before = end
        return at, at + 86_400.0, False

    def _joined(self, day: date) -> Iterator[tuple[float, float]]:
        """The stretches from `day` on, those that touch made one."""
        begin = end = -inf
        for one in (day + timedelta(days=n) for n in range(_HORIZON)):
            if one.weekday() not in self._days:
                continue
            last = one if self._end > self._start else one + timedelta(days=1)
            opens = datetime.combine(one, self._start, self._zone).timestamp()
            closes = datetime.combine(last, self._end, self._zone).timestamp()
            if opens > end:
                if end > begin:
                    yield begin, end
                begin = opens
            end = max(end, closes)
        if end > begin:
            yield begin, end


def _weekdays(text: str) -> frozenset[int]:
    """The days in `mon-fri` or `mon,wed,sat`, 0 for Monday; `fri-mon` goes over the weekend."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
            raise ValueError(f"expected days such as mon-fri or mon,wed,sat, got {text!r:.60}")
        begin = _WEEKDAYS.index(first)
        count = (_WEEKDAYS.index(last or first) - begin) % 7 + 1
        found.update((begin + n) % 7 for n in range(count))
    return frozenset(found)


@lru_cache(1024)
def active_hours(settings: ActiveSettings) -> ActiveHours:
    """The hours that `settings` describe; alerts that write the same share one object. Raises ValueError."""
    return ActiveHours(settings)


class Gate:
    """When one alert on one symbol may be evaluated. `hours`: those of the symbol's market, None where unknown."""

    __slots__ = ("_active", "_expires", "_hours", "_session")

    def __init__(
        self,
        expires: float | None,
        active: ActiveSettings | None,
        session: Literal["any", "regular", "extended"],
        hours: SessionHours | None,
    ) -> None:
        self._expires = inf if expires is None else expires
        self._active = active_hours(active) if active is not None else None
        self._session = session
        self._hours = hours

    def closed(self, at: float) -> Closed | None:
        """Why it is closed at `at`; None where it is open."""
        if at >= self._expires:
            return Closed("expired", inf)
        if self._session != "any":
            if self._hours is None:
                return Closed("market_hours_unknown", self._expires)
            if self._hours.is_open(at) is not (self._session == "regular"):
                return Closed("session", self._hours.until(at))
        if self._active is not None and not self._active.is_open(at):
            return Closed("inactive", self._active.until(at))
        return None

    def open_through(self, begin: float, end: float) -> bool:
        """Whether it is open from `begin` to `end`."""
        if end >= self._expires or self.closed(begin) is not None:
            return False
        if self._session != "any" and self._hours is not None and end >= self._hours.until(begin):
            return False
        return self._active is None or self._open_hours_reach(begin, end)

    def _open_hours_reach(self, begin: float, end: float) -> bool:
        hours, at = self._active, begin
        while hours is not None and at <= end:
            if not hours.is_open(at):
                return False
            at = hours.until(at)
        return True


def clock(at: float) -> str:
    """A time for people, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
