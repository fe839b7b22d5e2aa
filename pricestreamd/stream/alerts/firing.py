"""What comes of evaluating a condition: a firing, the time for which it holds, an entry of its past."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from pricestreamd.stream.alert_rule import AlertRule, ConditionRule


class Reading(NamedTuple):
    """What a condition was compared by: its value, and the baseline of a move."""

    rule: ConditionRule
    value: float
    baseline: float | None


@dataclass(frozen=True, slots=True)
class Firing:
    """One condition became true. `held`: seconds for which it was, where it had to be; `crossed`: it was false before.

    `readings` has one entry, or one for each of the conditions that fire together.
    """

    alert: AlertRule
    readings: tuple[Reading, ...]
    timestamp: float
    crossed: bool
    held: float
    late: bool
    after_gap: bool
    firing_id: str

    @property
    def reason(self) -> str:
        """The `alert_reason`."""
        return "+".join(reading.rule.reason for reading in self.readings)


@dataclass(slots=True, eq=False)
class Hold:
    """For how long a condition has been true: `since` by the timers' clock, `begun_at` in event time.

    Time that nobody watched does not count: both are later by as much, and `missed_until` is when it ended last.
    `unseen`: prices may have been missed, so that only a tick can tell whether it still holds.
    """

    since: float
    begun_at: float
    seconds: float
    crossed: bool
    late: bool
    after_gap: bool
    unseen: bool = False
    missed_until: float = -math.inf

    @property
    def due(self) -> float:
        """When that is long enough, by the timers' clock."""
        return self.since + self.seconds

    @property
    def due_at(self) -> float:
        """The same in event time."""
        return self.begun_at + self.seconds

    def without(self, begin: float, end: float, now: float) -> Hold | None:
        """The hold as it stands when prices between two times of the past were not watched; None: nothing is left."""
        lost = max(0.0, end - max(begin, self.begun_at, self.missed_until))
        if not lost:
            return self
        since, begun_at = self.since + lost, self.begun_at + lost
        return replace(self, since=since, begun_at=begun_at, missed_until=end) if since < now else None


class Evaluation(NamedTuple):
    """One entry of the past of a condition: what came out at `timestamp`, and the value where there was one."""

    timestamp: float
    price: float
    outcome: str
    value: float | None
