"""When alerts fire: edge-triggered conditions, kept per alert and symbol.

States of a condition: *armed* (false so far, or not evaluated yet) -> fires when it becomes true -> *fired* ->
*armed* again when it is false. An alert that is to fire `once` is *done* for a symbol after any firing there.

    above T           true: price >= T
    below T           true: price <= T
    change_percent P  true: abs(100 * (price - baseline) / baseline) >= P; the baseline is the price at which the
                      condition was set or last fired, so that firing makes it false at once

A book holds the conditions of one symbol, and the *quiet zone*: the closed interval of prices at which nothing would
change. A tick inside it costs one comparison, however many alerts there are.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pricestreamd.model.tick import Tick
from pricestreamd.stream.alert_rule import AlertRule, ConditionRule, exact

# Rounding of `baseline * (1 + P / 100)` must not hide the price at which the exact comparison becomes true.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Firing:
    """One condition became true at one tick. `value` is what was compared with the threshold."""

    alert: AlertRule
    condition: ConditionRule
    value: float
    baseline: float | None
    crossed: bool
    firing_id: str


@dataclass(slots=True, eq=False)
class ConditionState:
    """Where one condition of one alert stands for one symbol. `armed_at`: event time of its (re-)arming."""

    alert: AlertRule
    rule: ConditionRule
    baseline: float | None = None
    armed: bool = True
    armed_at: float | None = None
    firings: int = 0

    def evaluate(self, symbol: str, price: float, timestamp: float) -> Firing | None:
        """Take `price` in; a firing when the condition becomes true with it."""
        first = self.armed_at is None
        if first:
            self.armed_at = timestamp
        rule = self.rule
        baseline: float | None = None
        value = price
        if rule.kind == "above":
            true = price >= rule.threshold
        elif rule.kind == "below":
            true = price <= rule.threshold
        else:
            baseline = self.baseline = price if self.baseline is None else self.baseline
            value = 100.0 * (price - baseline) / baseline
            true = abs(value) >= rule.threshold
        if not true:
            if not self.armed:
                self.armed, self.armed_at = True, timestamp
            return None
        if not self.armed:
            return None
        self.firings += 1
        fired = Firing(self.alert, rule, value, baseline, not first, self._firing_id(symbol))
        if rule.kind == "change_percent":
            self.baseline, self.armed_at = price, timestamp
        else:
            self.armed = False
        return fired

    def _firing_id(self, symbol: str) -> str:
        text = "\n".join((self.alert.alert_id, symbol, self.rule.text, repr(self.armed_at), str(self.firings)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def quiet_zone(self) -> tuple[float, float]:
        """The closed interval of prices at which `evaluate` would change nothing."""
        rule = self.rule
        if self.armed_at is None:
            return math.inf, -math.inf
        if rule.kind == "change_percent":
            baseline = self.baseline or math.nan
            low = baseline * (1 - rule.threshold / 100) * (1 + _ROUNDING)
            return low, baseline * (1 + rule.threshold / 100) * (1 - _ROUNDING)
        if (rule.kind == "above") is self.armed:
            # armed `above`: quiet below T; fired `below`: quiet up to T, which is still true.
            return -math.inf, math.nextafter(rule.threshold, 0.0) if self.armed else rule.threshold
        return math.nextafter(rule.threshold, math.inf) if self.armed else rule.threshold, math.inf


@dataclass(slots=True, eq=False)
class AlertBook:
    """The alerts of one symbol. `low` and `high` bound the quiet zone of all of them together.

    `done`: by alert id, the conditions that are not evaluated any more because their alert has fired `once`.
    """

    symbol: str
    states: list[ConditionState] = field(default_factory=list)
    done: dict[str, list[ConditionState]] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf

    def set(self, alert: AlertRule, price: float | None = None, *, revive: bool = True) -> None:
        """Add `alert`, or put it in the place of the one with its id.

        A condition whose text did not change keeps its state. `price` is the last known price, the baseline of moves.
        What was done (`once`) is armed again only with `revive`: by a person who sets it anew, not by a reload.
        """
        alert_id = alert.alert_id
        known = {state.rule.text: state for state in self.states if state.alert.alert_id == alert_id}
        over = {state.rule.text: state for state in self.done.get(alert_id, ())}
        self.remove(alert_id)
        for rule in alert.conditions:
            finished = over.get(rule.text)
            if finished is None or revive:
                # Firings are counted on: the same firing_id twice would look like one alert sent again.
                firings = finished.firings if finished is not None else 0
                state = known.get(rule.text) or ConditionState(alert, rule, baseline=price, firings=firings)
                self.states.append(state)
            else:
                state = finished
                (self.done.setdefault(alert_id, []) if alert.once else self.states).append(state)
            state.alert = alert
        self._bound()

    def remove(self, alert_id: str) -> None:
        """Forget the alert and its state."""
        self.states = [state for state in self.states if state.alert.alert_id != alert_id]
        self.done.pop(alert_id, None)
        self._bound()

    def evaluate(self, price: float, timestamp: float) -> list[Firing]:
        """Take a price outside the quiet zone in; the firings, in the order in which the alerts were set."""
        firings = []
        finished: set[str] = set()
        for state in self.states:
            if state.alert.alert_id in finished:
                continue
            fired = state.evaluate(self.symbol, price, timestamp)
            if fired is not None:
                firings.append(fired)
                if state.alert.once:
                    finished.add(state.alert.alert_id)
        if finished:
            for state in self.states:
                if state.alert.alert_id in finished:
                    self.done.setdefault(state.alert.alert_id, []).append(state)
            self.states = [state for state in self.states if state.alert.alert_id not in finished]
        self._bound()
        return firings

    def rebase(self, ratio: float) -> None:
        """Prices are told by another market from now on, `ratio` times as high: moves are measured on as before."""
        for state in self.states:
            if state.baseline is not None:
                state.baseline *= ratio
        self._bound()

    def state_of(self, alert_id: str) -> Literal["armed", "firing", "done"] | None:
        """Where the alert stands for this symbol; None where it does not cover it."""
        states = [state for state in self.states if state.alert.alert_id == alert_id]
        if not states:
            return "done" if alert_id in self.done else None
        return "armed" if any(state.armed for state in states) else "firing"

    def _bound(self) -> None:
        zones = [state.quiet_zone() for state in self.states]
        self.low = max((low for low, _ in zones), default=-math.inf)
        self.high = min((high for _, high in zones), default=math.inf)


_UTC = ZoneInfo("UTC")
_NEW_YORK = ZoneInfo("America/New_York")


def market_clock(symbol: str) -> tuple[str, ZoneInfo]:
    """The clock by which people who watch `symbol` live, and its name: UTC for pairs, New York for equities."""
    return ("UTC", _UTC) if "/" in symbol else ("New York", _NEW_YORK)


def sentence(symbol: str, tick: Tick, firing: Firing) -> str:
    """What a person reads on a phone: `AAPL 200.35 crossed above 200.00 at 09:31:02 New York`."""
    rule = firing.condition
    if firing.baseline is not None:
        what = f"moved {firing.value:+.2f} % from {exact(firing.baseline)} (alert at {exact(rule.threshold)} %)"
    else:
        what = f"{'crossed' if firing.crossed else 'is'} {rule.kind} {exact(rule.threshold)}"
    place, zone = market_clock(symbol)
    try:
        clock = datetime.fromtimestamp(tick.timestamp, zone)
    except (ValueError, OverflowError, OSError):
        # No year that a calendar knows: the alert is told without its time.
        return f"{symbol} {exact(tick.price)} {what}"
    return f"{symbol} {exact(tick.price)} {what} at {clock:%H:%M:%S} {place}"
