"""The alert engine against a naive model that looks at every condition at every tick and knows no quiet zone."""

import math
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pricestreamd.model.tick import PRICE_FLOOR
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import AlertSettings
from tests.unit.stream.ticking import PLAIN, Stream

# Few thresholds, so that prices meet them; some that no double hits, some close to each other.
THRESHOLDS = (95.0, 99.99, 100.0, 100.1, 100.35, math.nextafter(100.35, math.inf), 105.0)
PERCENTS = (0.1, 0.35, 1.0, 3.3, 5.0, 33.3)

thresholds = st.sampled_from(THRESHOLDS)
percents = st.sampled_from(PERCENTS)


def around(price: float) -> list[float]:
    """Just below, exactly at and just above."""
    return [math.nextafter(price, 0.0), price, math.nextafter(price, math.inf)]


CLOSE = sorted({near for threshold in THRESHOLDS for near in around(threshold)})
prices = st.sampled_from(CLOSE) | st.floats(90.0, 110.0) | st.integers(90, 110).map(float)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    kinds = {"above": thresholds, "below": thresholds, "change_percent": percents}
    chosen = draw(st.sets(st.sampled_from(sorted(kinds)), min_size=1))
    return {kind: draw(kinds[kind]) for kind in sorted(chosen)} | {"once": draw(st.booleans())}


@dataclass(eq=False)
class NaiveCondition:
    """One condition of one alert on one symbol."""

    kind: str
    threshold: float
    baseline: float | None
    fired: bool = False

    def becomes_true(self, price: float) -> bool:
        if self.kind == "change_percent":
            if self.baseline is None:
                self.baseline = price
            true = abs(100.0 * (price - self.baseline) / self.baseline) >= self.threshold
            if true:
                self.baseline = price
            return true
        true = price >= self.threshold if self.kind == "above" else price <= self.threshold
        fires = true and not self.fired
        self.fired = true
        return fires


@dataclass(eq=False)
class NaiveAlert:
    """One alert on one symbol."""

    name: str
    once: bool
    conditions: list[NaiveCondition]
    done: bool = False

    def tick(self, price: float) -> list[tuple[str, str, float]]:
        fired = []
        for condition in self.conditions:
            if not self.done and condition.becomes_true(price):
                fired.append((self.name, condition.kind, condition.threshold))
                self.done = self.once
        return fired


def naive_alert(name: str, written: dict[str, Any], price: float | None) -> NaiveAlert:
    kinds = [kind for kind in ("above", "below", "change_percent") if kind in written]
    return NaiveAlert(name, written["once"], [NaiveCondition(kind, written[kind], price) for kind in kinds])


def fired(stream: Stream, price: float, symbol: str = "AAPL") -> list[tuple[str, str, float]]:
    events = stream.alerts(price, symbol=symbol)
    kinds = {"price_above": "above", "price_below": "below", "change_percent": "change_percent"}
    return [(event.alert_id, kinds[event.alert_reason.rpartition("_")[0]], event.alert_threshold) for event in events]


@given(st.lists(conditions(), max_size=5), st.lists(prices, max_size=40))
@settings(max_examples=400)
def test_the_same_firings_at_the_same_ticks(alerts: list[dict[str, Any]], path: list[float]) -> None:
    stream = Stream(**PLAIN)
    naive = []
    for number, written in enumerate(alerts):
        stream.set_alert(name=f"a{number}", **written)
        naive.append(naive_alert(f"a{number}", written, None))
    for price in path:
        assert fired(stream, price) == [firing for alert in naive for firing in alert.tick(price)]


@given(st.floats(0.01, 1e9), st.floats(1e-6, 500.0), st.lists(st.floats(-2, 2), max_size=20))
@settings(max_examples=400)
def test_a_move_to_exactly_the_threshold_from_any_baseline(base: float, percent: float, steps: list[float]) -> None:
    """The quiet zone is computed otherwise than the move: no rounding may hide a price at which the alert fires."""
    stream = Stream(**PLAIN)
    stream.set_alert(change_percent=percent, name="a")
    naive = naive_alert("a", {"change_percent": percent, "once": False}, None)
    path = [base]
    for step in [1.0, -1.0, *steps]:
        for direction in (1, -1):
            edge = path[-1] * (1 + direction * step * percent / 100)
            path += [price for near in around(edge) for price in around(near) if PRICE_FLOOR <= price < 2.0**60]
    for price in path:
        assert fired(stream, price) == naive.tick(price)


class AlertMachine(RuleBasedStateMachine):
    """Alerts set, edited, removed and reloaded, symbols that come and go, and ticks in between."""

    @initialize()
    def begin(self) -> None:
        self.stream = Stream("AAPL", "MSFT", **PLAIN)
        self.prices: dict[str, float | None] = {"AAPL": None, "MSFT": None}
        self.tracked = {"AAPL", "MSFT"}
        self.written: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {}
        # Per symbol, in the order in which the alerts were set.
        self.naive: dict[str, dict[str, NaiveAlert]] = {"AAPL": {}, "MSFT": {}}

    @rule(
        name=st.sampled_from("abcd"),
        symbols=st.sampled_from([("AAPL",), ("MSFT",), ("AAPL", "MSFT"), ("*",), ("A*",)]),
        written=conditions(),
        revive=st.booleans(),
    )
    def set_alert(self, name: str, symbols: tuple[str, ...], written: dict[str, Any], revive: bool) -> None:
        alert = AlertRule.from_settings(AlertSettings(name=name, symbols=symbols, **written))
        self.stream.board.set_alert(alert, revive=revive)
        self.written[name] = symbols, written
        for symbol, alerts in self.naive.items():
            old = alerts.pop(name, None)
            if symbol in symbols or "*" in symbols or (symbol == "AAPL" and "A*" in symbols):
                price = self.prices[symbol] if symbol in self.tracked else None
                alerts[name] = self.edited(old, name, written, price, revive)

    def edited(
        self, old: NaiveAlert | None, name: str, written: dict[str, Any], price: float | None, revive: bool
    ) -> NaiveAlert:
        new = naive_alert(name, written, price)
        if old is None:
            return new
        kept = {(condition.kind, condition.threshold): condition for condition in old.conditions}
        same = [(condition.kind, condition.threshold) in kept for condition in new.conditions]
        if old.done and not (written["once"] and not revive and all(same)):
            if revive:
                return new
            # Only what changed is armed; of an alert for ever, what did not change goes on from where it was.
            if written["once"]:
                new.conditions = [c for c, known in zip(new.conditions, same, strict=True) if not known]
                return new
        new.conditions = [kept.get((c.kind, c.threshold), c) for c in new.conditions]
        new.done = old.done and written["once"]
        return new

    @rule(name=st.sampled_from("abcd"))
    def remove_alert(self, name: str) -> None:
        assert self.stream.board.remove_alert(name) is (self.written.pop(name, None) is not None)
        for alerts in self.naive.values():
            alerts.pop(name, None)

    @rule()
    def reload(self) -> None:
        for alert in self.stream.board.alerts():
            self.stream.board.set_alert(alert, revive=False)
        # Setting them again puts them in the order of their names' first setting.
        for alerts in self.naive.values():
            for name in [alert.alert_id for alert in self.stream.board.alerts()]:
                if name in alerts:
                    alerts[name] = alerts.pop(name)

    @rule(symbol=st.sampled_from(["AAPL", "MSFT"]))
    def symbol_goes_or_comes(self, symbol: str) -> None:
        if symbol in self.tracked:
            self.tracked.discard(symbol)
            self.stream.board.untrack([symbol])
        else:
            self.tracked.add(symbol)
            self.prices[symbol] = None
            self.stream.board.track([symbol])
            alerts = self.naive[symbol]
            for name in [alert.alert_id for alert in self.stream.board.alerts()]:
                if name in alerts:
                    alerts[name] = alerts.pop(name)

    @rule(symbol=st.sampled_from(["AAPL", "MSFT"]), path=st.lists(prices, min_size=1, max_size=8))
    def ticks(self, symbol: str, path: list[float]) -> None:
        for price in path:
            found = fired(self.stream, price, symbol)
            if symbol not in self.tracked:
                assert found == []
                continue
            self.prices[symbol] = price
            assert found == [firing for alert in self.naive[symbol].values() for firing in alert.tick(price)]

    @invariant()
    def who_is_done_is_known(self) -> None:
        for symbol in self.tracked:
            state = self.stream.board.state(symbol)
            assert state is not None
            for name in "abcd":
                alert = self.naive[symbol].get(name)
                place = state.alerts.state_of(name)
                assert (place is None) is (alert is None)
                if alert is not None:
                    assert (place == "done") is alert.done
        active = [
            name
            for name in self.written
            if not (
                (places := [self.naive[s][name] for s in self.tracked if name in self.naive[s]])
                and all(alert.done for alert in places)
            )
        ]
        assert self.stream.board.alerts_active() == len(active)


AlertMachine.TestCase.settings = settings(max_examples=500, stateful_step_count=30)
TestAlerts = AlertMachine.TestCase
