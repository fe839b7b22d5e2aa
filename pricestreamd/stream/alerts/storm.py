"""Storms of firings: when one alert on one symbol fires so often that deliveries are better grouped.

A minute is sixty whole seconds of event time, the second of the firing the last of them; time that runs back counts as
standing still. The firing that makes more than `per_minute` in its minute begins a *storm*, and the first that does not
ends it. The firings of a storm are grouped: one delivery for all within sixty seconds from the first of them, then the
next group begins. Events and counts are not touched: this only says how they could be delivered.

For each alert and symbol at most sixty pairs of numbers are remembered.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

MINUTE_SECONDS = 60

Handling = Literal["alone", "begins_group", "joins_group"]
"""How one firing is delivered: by itself, as the first of a new group, or within the group that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormTally:
    """What has become of the firings of one alert on one symbol.

    `grouped` are those beyond what a minute may hold, `groups` the deliveries that they would make. `worst_minute` is
    the highest number of firings in one minute. `longest_seconds`: from the first to the last firing of the storm for
    which that is most.
    """

    firings: int = 0
    storms: int = 0
    grouped: int = 0
    groups: int = 0
    worst_minute: int = 0
    longest_seconds: float = 0.0

    @property
    def saved(self) -> int:
        """Deliveries that grouping spares."""
        return self.grouped - self.groups

    def __add__(self, other: StormTally) -> StormTally:
        """Both together: of the worst and the longest, the greater."""
        return StormTally(
            firings=self.firings + other.firings,
            storms=self.storms + other.storms,
            grouped=self.grouped + other.grouped,
            groups=self.groups + other.groups,
            worst_minute=max(self.worst_minute, other.worst_minute),
            longest_seconds=max(self.longest_seconds, other.longest_seconds),
        )


class StormMeter:
    """Meters every alert and symbol by itself. `per_minute`: so many firings in a minute are no storm, 1 or more."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._minutes: dict[tuple[str, str], _Minute] = {}

    def add(self, alert_id: str, symbol: str, at: float) -> Handling:
        """The alert fired for `symbol` at `at`, in epoch seconds of event time."""
        minute = self._minutes.get((alert_id, symbol))
        if minute is None:
            minute = self._minutes[(alert_id, symbol)] = _Minute()
        return minute.add(at, self.per_minute)

    def tally(self, alert_id: str, symbol: str) -> StormTally:
        """What has become of its firings."""
        minute = self._minutes.get((alert_id, symbol))
        return minute.tally() if minute is not None else StormTally()

    def forget(self, alert_id: str) -> None:
        """The alert is no more."""
        for place in [place for place in self._minutes if place[0] == alert_id]:
            del self._minutes[place]


class _Minute:
    """The last minute of one alert on one symbol, and its tally. `_began`: of the storm that lasts, if one does."""

    __slots__ = (
        *("_began", "_count", "_firings", "_group_ends", "_grouped", "_groups", "_latest", "_longest", "_seconds"),
        *("_storms", "_worst"),
    )

    def __init__(self) -> None:
        # Seconds in which it fired, and how often.
        self._seconds: deque[tuple[int, int]] = deque()
        self._count = 0
        self._latest = -math.inf
        self._began: float | None = None
        self._group_ends = -math.inf
        self._firings = self._storms = self._grouped = self._groups = self._worst = 0
        self._longest = 0.0

    def add(self, at: float, per_minute: int) -> Handling:
        self._latest = at = max(at, self._latest)
        self._firings += 1
        self._count_in(math.floor(at))
        self._worst = max(self._worst, self._count)
        if self._count <= per_minute:
            self._began = None
            return "alone"
        if self._began is None:
            self._began, self._group_ends = at, -math.inf
            self._storms += 1
        self._grouped += 1
        self._longest = max(self._longest, at - self._began)
        if at < self._group_ends:
            return "joins_group"
        self._group_ends = at + MINUTE_SECONDS
        self._groups += 1
        return "begins_group"

    def _count_in(self, second: int) -> None:
        """One more in `second`; what is a minute old does not count any more."""
        seconds = self._seconds
        while seconds and seconds[0][0] <= second - MINUTE_SECONDS:
            self._count -= seconds.popleft()[1]
        before = seconds.pop()[1] if seconds and seconds[-1][0] == second else 0
        seconds.append((second, before + 1))
        self._count += 1

    def tally(self) -> StormTally:
        return StormTally(
            firings=self._firings,
            storms=self._storms,
            grouped=self._grouped,
            groups=self._groups,
            worst_minute=self._worst,
            longest_seconds=self._longest,
        )
