"""Conditions on moves: from which price they measure, and what they remember of it.

change_percent P        abs(100 * (price - baseline) / baseline) >= P, from the price when the alert was set or
                        fired, the tick before, the price some time ago, or the open or close of the session
trailing_percent P      the move from the highest price since arming, down by P; of a negative P from the lowest, up
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pricestreamd.stream.alert_rule import VOLUMES, ConditionRule
from pricestreamd.stream.alerts.sessions import Mark, SessionPrices
from pricestreamd.stream.alerts.terms import Above, Below, Moment, Term, Volume, Zone

# Rounding of `baseline * (1 + P / 100)` must not hide the price at which the exact comparison becomes true.
_ROUNDING = 1e-12
_UP, _DOWN = 1 + _ROUNDING, 1 - _ROUNDING


class Moves(Term):
    """What moves from a baseline have in common."""

    __slots__ = ()

    def _measure(self, price: float, baseline: float) -> bool:
        self.value = 100.0 * (price - baseline) / baseline
        return abs(self.value) >= self.rule.threshold

    def is_back(self) -> bool:
        """See `Term`."""
        return abs(self.value) <= self.back

    def distance(self) -> float:
        """See `Term`."""
        return self.rule.threshold - abs(self.value)

    def trigger_prices(self) -> list[float]:
        """See `Term`."""
        if self.baseline is None:
            return []
        edges = (self.baseline * (1 + sign * self.rule.threshold / 100) for sign in (1, -1))
        return [edge for edge in edges if edge > 0]


class Move(Moves):
    """The move from the price at which the alert was set, or fired last."""

    __slots__ = ()

    def __init__(self, rule: ConditionRule, hysteresis: float) -> None:
        super().__init__(rule, hysteresis, lasts=True)

    def assess(self, moment: Moment) -> bool:
        """See `Term`."""
        if self.baseline is None:
            self.baseline = moment.price
        return self._measure(moment.price, self.baseline)

    def measure_from(self, price: float) -> None:
        """See `Term`."""
        self.baseline = price

    def reread(self, price: float) -> None:
        """See `Term`."""
        if self.baseline is not None:
            self._measure(price, self.baseline)

    def fired(self, price: float) -> bool:
        """See `Term`."""
        self.baseline = price
        return True

    def while_false(self) -> Zone:
        """See `Term`."""
        baseline, share = self._start, self.rule.threshold / 100
        return baseline * (1 - share) * _UP, baseline * (1 + share) * _DOWN

    def while_true(self) -> Zone:
        """See `Term`."""
        baseline, share = self._start, self.rule.threshold / 100
        if self.value > 0:
            return baseline * (1 + share) * _UP, math.inf
        return -math.inf, baseline * (1 - share) * _DOWN


class MoveSince(Moves):
    """The move from the tick before, from the price some time ago, or from the open or close of the session.

    Every tick is looked at, for the baseline moves with time.
    """

    __slots__ = ("_at",)

    def __init__(self, rule: ConditionRule, hysteresis: float) -> None:
        super().__init__(rule, hysteresis, lasts=rule.baseline in ("open", "close"))
        self._at = 0.0

    def assess(self, moment: Moment) -> bool | None:
        """See `Term`."""
        self.baseline = self._find(moment)
        return None if self.baseline is None else self._measure(moment.price, self.baseline)

    def _find(self, moment: Moment) -> float | None:
        which = self.rule.baseline
        if isinstance(which, float):
            trail = moment.trails.get(which) if moment.trails is not None else None
            found = trail.price_before() if trail is not None else None
            self.lack = None if found is not None else "none_that_old"
            return found
        if which == "previous":
            self.lack = None if moment.last is not None else "no_previous"
            return moment.last
        return self._find_mark(which, moment.sessions)

    def _find_mark(self, which: str, sessions: SessionPrices | None) -> float | None:
        if sessions is None:
            self.lack = "market_hours_unknown"
            return None
        mark = sessions.open if which == "open" else sessions.close
        if mark is None:
            self.lack = f"{which}_unknown"
            return None
        self.lack, self._at = None, mark.at
        return mark.price

    def memory(self) -> Mark | None:
        """See `Term`."""
        mark = super().memory()
        return mark._replace(at=self._at) if mark is not None else None

    def recall(self, mark: Mark) -> None:
        """See `Term`."""
        self.baseline, self._at = mark


class Trail(Term):
    """The move from the highest price since arming, down; of a negative percentage from the lowest, up."""

    __slots__ = ("_sign",)

    def __init__(self, rule: ConditionRule, hysteresis: float) -> None:
        super().__init__(rule, hysteresis, lasts=True)
        self._sign = 1.0 if rule.threshold > 0 else -1.0

    def assess(self, moment: Moment) -> bool:
        """See `Term`."""
        price = moment.price
        if self.baseline is None or (price - self.baseline) * self._sign > 0:
            self.baseline = price
        self.reread(price)
        return -self.value * self._sign >= abs(self.rule.threshold)

    def is_back(self) -> bool:
        """See `Term`."""
        return -self.value * self._sign <= self.back

    def distance(self) -> float:
        """See `Term`."""
        return abs(self.rule.threshold) + self.value * self._sign

    def trigger_prices(self) -> list[float]:
        """See `Term`."""
        return [] if self.baseline is None else [self.baseline * (1 - self.rule.threshold / 100)]

    def reread(self, price: float) -> None:
        """See `Term`."""
        if self.baseline is not None:
            self.value = 100.0 * (price - self.baseline) / self.baseline

    def measure_from(self, price: float) -> None:
        """See `Term`."""
        self.baseline = price

    def arm(self, price: float) -> None:
        """See `Term`."""
        self.baseline = price

    def _beyond(self, percent: float) -> Zone:
        """The prices at which the move from the extreme is more than `percent`, for certain."""
        edge = self._start * (1 - self._sign * percent / 100)
        return (-math.inf, edge * _DOWN) if self._sign > 0 else (edge * _UP, math.inf)

    def while_false(self) -> Zone:
        """See `Term`."""
        extreme, edge = self._start, self._start * (1 - self.rule.threshold / 100)
        return (edge * _UP, extreme) if self._sign > 0 else (extreme, edge * _DOWN)

    def while_true(self) -> Zone:
        """See `Term`."""
        return self._beyond(abs(self.rule.threshold))

    def while_kept(self) -> Zone:
        """See `Term`."""
        return (-math.inf, self._start) if self._sign > 0 else (self._start, math.inf)

    def while_near(self) -> Zone:
        """See `Term`."""
        return self._beyond(self.back)


def term_of(rule: ConditionRule, hysteresis: float) -> Term:
    """A new term of a condition."""
    if rule.kind in VOLUMES:
        return Volume(rule, hysteresis)
    if rule.kind == "change_percent":
        return Move(rule, hysteresis) if rule.baseline == "armed" else MoveSince(rule, hysteresis)
    kinds: Mapping[str, type[Term]] = {"above": Above, "below": Below, "trailing_percent": Trail}
    return kinds[rule.kind](rule, hysteresis)


def needs_of(rule: ConditionRule) -> float | str | None:
    """What a condition needs to be kept of its symbol: a trail of so many seconds, `sessions`, or nothing."""
    if rule.kind != "change_percent" or rule.baseline in ("armed", "previous"):
        return None
    return "sessions" if isinstance(rule.baseline, str) else rule.baseline
