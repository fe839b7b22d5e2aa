"""What the conditions of one symbol need to know besides its last price: old prices, and the sessions of its market.

It is kept only while some condition asks for it, for it costs something at every tick.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pricestreamd.stream.alert_rule import AlertRule, Baseline
from pricestreamd.stream.alerts.moves import needs_of
from pricestreamd.stream.alerts.price_trail import PriceTrail
from pricestreamd.stream.alerts.sessions import Mark, MarketHours, SessionHours, SessionPrices
from pricestreamd.stream.alerts.terms import Moment


class Background:
    """`hours` are those of the symbol's market, None where nobody knows them; `trails` by their seconds.

    `since`: event time since which no price went by unseen; negative infinity in a replay, before its first price.
    """

    __slots__ = ("_needs", "hours", "sessions", "since", "trails")

    def __init__(self) -> None:
        self.hours: SessionHours | None = None
        self.sessions: SessionPrices | None = None
        self.since = -math.inf
        self.trails: dict[float, PriceTrail] = {}
        # How many conditions ask for what.
        self._needs: Counter[float | str] = Counter()

    # --- who asks

    def need(self, rule: AlertRule, change: int) -> None:
        """The conditions of `rule` come (1) or go (-1)."""
        for condition in rule.conditions:
            need = needs_of(condition)
            if need is None:
                continue
            self._needs[need] += change
            if not self._needs[need]:
                self._drop(need)
            elif isinstance(need, float):
                self.trails.setdefault(need, PriceTrail(need))

    def _drop(self, need: float | str) -> None:
        if isinstance(need, float):
            del self.trails[need]
        else:
            self.sessions = None

    @property
    def is_idle(self) -> bool:
        """Whether it can do without hearing of every tick."""
        return self.sessions is None and not self.trails

    # --- hours and sessions

    def take_hours(self, hours: MarketHours | None) -> bool:
        """The market trades at these hours from now on; None: nobody knows. False: that was so before."""
        known = self.hours
        if known is None if hours is None else known is not None and known.are(hours):
            return False
        self.hours = SessionHours(hours) if hours is not None else None
        self.sessions = None
        return True

    def follow(self, marks: Iterable[tuple[Baseline, Mark]]) -> None:
        """Follow the sessions, if somebody asks for them and nobody does yet. `marks`: what is known of them."""
        if self.sessions is None and self.hours is not None and self._needs["sessions"]:
            self.sessions = SessionPrices(self.hours, self.since)
            self.recall(marks)

    def recall(self, marks: Iterable[tuple[Baseline, Mark]]) -> None:
        """What was known of the sessions earlier; of several, the latest counts."""
        for baseline, mark in marks:
            if self.sessions is not None and (baseline == "open" or baseline == "close"):  # noqa: PLR1714 - for mypy
                self.sessions.restore(baseline, mark)

    # --- prices

    @property
    def wants_past(self) -> bool:
        """Whether there is a trail that could begin with prices of the past."""
        return any(not len(trail) for trail in self.trails.values())

    def fill(self, past: Iterable[tuple[float, float]]) -> None:
        """Times and prices of the past, in order, for the trails that have none yet."""
        empty = [trail for trail in self.trails.values() if not len(trail)]
        for timestamp, price in past:
            for trail in empty:
                trail.push(timestamp, price)

    def take(self, moment: Moment, listening_since: float) -> None:
        """A tick, which is shown all this. `listening_since`: of the feed that it came from."""
        for trail in self.trails.values():
            trail.push(moment.timestamp, moment.price)
        if self.sessions is not None:
            self.sessions.take(moment.timestamp, moment.price, listening_since)
        moment.hours, moment.sessions, moment.trails = self.hours, self.sessions, self.trails

    def miss(self, begin: float, end: float) -> None:
        """Prices between these times may have been missed."""
        if self.sessions is not None:
            self.sessions.miss(begin, end)

    def rebase(self, ratio: float) -> None:
        """Prices are `ratio` times as high from now on, and so are those of before."""
        for trail in self.trails.values():
            trail.rebase(ratio)
        if self.sessions is not None:
            self.sessions.rebase(ratio)

    def rest(self) -> None:
        """Ticks are not heard for a while: what hangs on every one begins anew after it."""
        self.hours = self.sessions = None
        self.trails = {seconds: PriceTrail(seconds) for seconds in self.trails}
