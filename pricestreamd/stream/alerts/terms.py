"""What a condition compares: one class a kind, each with what it has to remember of the past.

    above T, below T        the price
    day_volume_above V      the volume of the tick
    trade_size_above V      the same: the feed's profile says which of the two it is

Moves are in `moves`.

A term also knows its *zones*: closed intervals of prices inside which nothing about it can change. They let a tick pass
by all alerts with one comparison, so they may be too small, by a rounding, and never too large.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from pricestreamd.stream.alert_rule import ConditionRule
from pricestreamd.stream.alerts.price_trail import PriceTrail
from pricestreamd.stream.alerts.sessions import Mark, SessionHours, SessionPrices

Zone = tuple[float, float]
EVERYWHERE: Zone = (-math.inf, math.inf)
NOWHERE: Zone = (math.inf, -math.inf)


@dataclass(slots=True, eq=False)
class Moment:
    """One tick as the alerts of its symbol see it.

    `now` is the clock of timers; `last` the price before, None where there is none that compares; `gap`: data was
    missed before it; `before`: the time of the tick before; `number` is its own, which no other tick of the run has.
    """

    price: float
    timestamp: float
    now: float
    volume: float | None = None
    last: float | None = None
    late: bool = False
    gap: bool = False
    before: float | None = None
    number: int = 0
    hours: SessionHours | None = None
    sessions: SessionPrices | None = None
    trails: Mapping[float, PriceTrail] | None = None

    @property
    def after_gap(self) -> bool:
        """Whether it is the first after a gap, or of a session."""
        if self.gap or self.hours is None or self.before is None:
            return self.gap
        return self.hours.opens_between(self.before, self.timestamp)


class Term(ABC):
    """One condition at work on one symbol.

    After `assess`, `true` is what it said, `value` what was compared with the threshold and `baseline` what it was
    measured from; where that could not be known, `lack` says why. `lasts`: the baseline has to outlast a restart.
    """

    __slots__ = ("back", "baseline", "lack", "lasts", "rule", "true", "value")

    def __init__(self, rule: ConditionRule, hysteresis: float, *, lasts: bool = False) -> None:
        self.rule = rule
        self.back = rule.back(hysteresis)
        self.value = math.nan
        self.baseline: float | None = None
        self.lack: str | None = None
        self.true: bool | None = None
        self.lasts = lasts

    @property
    def _start(self) -> float:
        """Where a move begins that has been measured."""
        return math.nan if self.baseline is None else self.baseline

    @abstractmethod
    def assess(self, moment: Moment) -> bool | None:
        """Whether it is true now; None where it cannot be told."""

    def is_back(self) -> bool:
        """Whether the value, which is known and not true, has moved back far enough to fire again."""
        return self.value <= self.back

    def reread(self, price: float) -> None:  # noqa: B027 - not all live by the price
        """Know the value at a price inside the zone, without a tick."""

    def distance(self) -> float:
        """What is missing to the threshold, in its unit; 0 or less where it is reached."""
        return self.rule.threshold - self.value

    def trigger_prices(self) -> list[float]:
        """The prices at which it becomes true, as far as a price decides and a baseline is known."""
        return []

    def measure_from(self, price: float) -> None:  # noqa: B027 - not all measure from a price of their own
        """It was set when the last price was `price`."""

    def arm(self, price: float) -> None:  # noqa: B027 - nor do all begin anew
        """It waits again, from `price` on."""

    def rebase(self, ratio: float) -> None:
        """Prices are `ratio` times as high from now on, by another market's telling: moves go on as before."""
        if self.baseline is not None:
            self.baseline *= ratio

    def fired(self, price: float) -> bool:  # noqa: ARG002 - for those that begin anew
        """It was told of at `price`. True: it is false again at once, for it is measured from there now."""
        return False

    def while_false(self) -> Zone:
        """Where it stays false, being false."""
        return NOWHERE

    def while_true(self) -> Zone:
        """Where it stays true, being true."""
        return NOWHERE

    def while_near(self) -> Zone:
        """Where it is not far enough back yet."""
        return NOWHERE

    def while_kept(self) -> Zone:
        """Where what it remembers stays as it is."""
        return EVERYWHERE

    def memory(self) -> Mark | None:
        """What has to outlast a restart."""
        return Mark(self.baseline, 0.0) if self.lasts and self.baseline is not None else None

    def recall(self, mark: Mark) -> None:
        """Take what outlasted a restart."""
        self.baseline = mark.price


class Above(Term):
    """price >= T."""

    __slots__ = ()

    def assess(self, moment: Moment) -> bool:
        """See `Term`."""
        self.value = moment.price
        return moment.price >= self.rule.threshold

    def reread(self, price: float) -> None:
        """See `Term`."""
        self.value = price

    def trigger_prices(self) -> list[float]:
        """See `Term`."""
        return [self.rule.threshold]

    def while_false(self) -> Zone:
        """See `Term`."""
        return -math.inf, math.nextafter(self.rule.threshold, 0.0)

    def while_true(self) -> Zone:
        """See `Term`."""
        return self.rule.threshold, math.inf

    def while_near(self) -> Zone:
        """See `Term`."""
        return math.nextafter(self.back, math.inf), math.inf


class Below(Term):
    """price <= T."""

    __slots__ = ()

    def assess(self, moment: Moment) -> bool:
        """See `Term`."""
        self.value = moment.price
        return moment.price <= self.rule.threshold

    def is_back(self) -> bool:
        """See `Term`."""
        return self.value >= self.back

    def reread(self, price: float) -> None:
        """See `Term`."""
        self.value = price

    def distance(self) -> float:
        """See `Term`."""
        return self.value - self.rule.threshold

    def trigger_prices(self) -> list[float]:
        """See `Term`."""
        return [self.rule.threshold]

    def while_false(self) -> Zone:
        """See `Term`."""
        return math.nextafter(self.rule.threshold, math.inf), math.inf

    def while_true(self) -> Zone:
        """See `Term`."""
        return -math.inf, self.rule.threshold

    def while_near(self) -> Zone:
        """See `Term`."""
        return -math.inf, math.nextafter(self.back, 0.0)


class Volume(Term):
    """The volume of the tick reaches V. A tick without one says nothing."""

    __slots__ = ()

    def assess(self, moment: Moment) -> bool | None:
        """See `Term`."""
        volume = moment.volume
        if volume is None or not math.isfinite(volume):
            self.lack = "no_volume"
            return None
        self.lack, self.value = None, volume
        return volume >= self.rule.threshold
