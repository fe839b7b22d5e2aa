"""The alerts of one symbol, and the *quiet zone*: the prices at which none of them would change.

A tick inside the zone costs one comparison, however many alerts there are; one outside touches those whose own zone it
has left.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pricestreamd.stream.alert_rule import AlertRule, ConditionRule
from pricestreamd.stream.alerts.alert import AlertState, State
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.firing import Firing
from pricestreamd.stream.alerts.ledger import AlertLedger
from pricestreamd.stream.alerts.moves import needs_of
from pricestreamd.stream.alerts.price_trail import PriceTrail
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.alerts.sessions import MarketHours, SessionHours, SessionPrices
from pricestreamd.stream.alerts.terms import EVERYWHERE, NOWHERE, Moment
from pricestreamd.stream.alerts.zones import Zones


class AlertBook:
    """The alerts of the symbol whose compared form is `key`. `low` and `high` bound the quiet zone of all together.

    `alerts` by their ids, in the order in which they were set. `stale` says in what
    sense the symbol is silent for too long, if it is: `symbol`, `connection`, or both.
    """

    __slots__ = (
        *("_hours", "_needs", "_orders", "_sessions", "_since", "_trails", "_zones", "alerts", "high", "key", "ledger"),
        *("low", "stale"),
    )

    def __init__(self, key: str, ledger: AlertLedger) -> None:
        self.key = key
        self.ledger = ledger
        self.low, self.high = EVERYWHERE
        self.alerts: dict[str, AlertState] = {}
        self.stale: frozenset[str] = frozenset()
        self._hours: SessionHours | None = None
        self._sessions: SessionPrices | None = None
        self._since = -math.inf
        # What conditions need to be kept of the symbol, and how many of them.
        self._needs: Counter[float | str] = Counter()
        self._trails: dict[float, PriceTrail] = {}
        self._zones = Zones()
        self._orders = 0

    # --- symbols that come and go

    def listen(self, hours: MarketHours | None, since: float) -> None:
        """The symbol is tracked, since then; its market trades at `hours`."""
        self._since = since
        self.take_hours(hours)

    def take_hours(self, hours: MarketHours | None) -> None:
        """The symbol's market trades at these hours from now on; None: nobody knows."""
        if hours is None:
            self._hours = self._sessions = None
        elif self._hours is None or not self._hours.are(hours):
            self._hours, self._sessions = SessionHours(hours), None
        for alert in self.alerts.values():
            alert.set_gate(self._hours)
        self._begin_sessions()

    def rest(self) -> None:
        """The symbol is not tracked any more: what hangs on every tick begins anew when it comes back."""
        self._sessions = None
        self.stale = frozenset()
        self._trails = {seconds: PriceTrail(seconds) for seconds in self._trails}
        for alert in self.alerts.values():
            alert.stale = False
            for condition in alert.conditions:
                condition.drop_hold()
                condition.lack = None
                self._zones.place(condition)
            alert.review(None)
        self._bound()

    # --- alerts that come and go

    def set(self, rule: AlertRule, price: float | None = None, *, revive: bool = True) -> AlertState:
        """Add `rule`, or put it in the place of the one with its id.

        A condition whose text did not change keeps its state. `price` is the last known price, the baseline of moves.
        What was done (`once`) is armed again only with `revive`: by a person who sets it anew, not by a reload.
        """
        before = self._take_out(rule.alert_id)
        known = {condition.text: condition for condition in before.conditions} if before is not None else {}
        alert = AlertState(rule, self.key, self.ledger)
        if before is not None:
            alert.fired_at, alert.held_back = before.fired_at, before.held_back
        alert.stale = bool(self.stale)
        alert.set_gate(self._hours)
        self.alerts[rule.alert_id] = alert
        for rules in rule.triggers:
            old = known.pop("+".join(one.text for one in rules), None)
            condition = _condition(alert, rules, old, price, revive=revive)
            self._orders += 1
            condition.order = self._orders
            alert.conditions.append(condition)
        for condition in known.values():
            condition.hold = None
        self._count_needs(rule, 1)
        for condition in alert.conditions:
            self._zones.place(condition)
        alert.review(None)
        alert.changed()
        self._bound()
        return alert

    def remove(self, alert_id: str) -> None:
        """Forget the alert and its state."""
        alert = self._take_out(alert_id)
        if alert is not None:
            for condition in alert.conditions:
                condition.hold = None
            self._bound()

    def _take_out(self, alert_id: str) -> AlertState | None:
        alert = self.alerts.pop(alert_id, None)
        if alert is not None:
            self._zones.forget(alert.conditions)
            self._count_needs(alert.rule, -1)
            self.ledger.forget(alert)
        return alert

    def rearm(self, alert_id: str, price: float | None) -> None:
        """Let the alert begin anew at `price`, cooldown and all."""
        alert = self.alerts[alert_id]
        alert.fired_at = None
        for condition in alert.conditions:
            condition.begin_anew()
            if price is not None:
                condition.measure_from(price)
            self._zones.place(condition)
        alert.review(None)
        alert.changed()
        self.ledger.revision += 1
        self._bound()

    def _count_needs(self, rule: AlertRule, change: int) -> None:
        for condition in rule.conditions:
            need = needs_of(condition)
            if need is None:
                continue
            self._needs[need] += change
            if isinstance(need, float):
                if not self._needs[need]:
                    del self._trails[need]
                elif need not in self._trails:
                    self._trails[need] = PriceTrail(need)
            elif not self._needs[need]:
                self._sessions = None
            else:
                self._begin_sessions()

    def _begin_sessions(self) -> None:
        if self._sessions is None and self._hours is not None and self._needs["sessions"]:
            self._sessions = SessionPrices(self._hours, self._since)

    @property
    def wants_past(self) -> bool:
        """Whether there is a trail that could begin with prices of the past."""
        return any(not len(trail) for trail in self._trails.values())

    def fill_trails(self, past: Iterable[tuple[float, float]]) -> None:
        """Times and prices of the past, in order, for the trails that have none yet."""
        empty = [trail for trail in self._trails.values() if not len(trail)]
        for timestamp, price in past:
            for trail in empty:
                trail.push(timestamp, price)

    # --- a tick

    def evaluate(self, moment: Moment, listening_since: float) -> list[Firing]:
        """Take a price outside the quiet zone in; the firings, in the order in which the alerts were set.

        `listening_since`: of the feed that the price came from.
        """
        timestamp = moment.timestamp
        if self.stale:
            self.set_stale(*self.stale, stale=False, timestamp=timestamp)
        for trail in self._trails.values():
            trail.push(timestamp, moment.price)
        if self._sessions is not None:
            self._sessions.take(timestamp, moment.price, listening_since)
        moment.hours, moment.sessions, moment.trails = self._hours, self._sessions, self._trails
        firings = []
        for condition in self._zones.left_by(moment.price, timestamp):
            alert = condition.alert
            if condition.done:
                continue
            closed = alert.gate.closed(timestamp) if alert.gate is not None else None
            alert.close(closed.reason if closed is not None else None, timestamp)
            if closed is not None:
                self._zones.put_to_sleep(condition, closed.until)
                continue
            fired = condition.evaluate(moment)
            if fired is not None:
                firings.append(fired)
            self._place(condition)
        self._bound()
        return firings

    def reach_deadline(self, condition: ConditionState, moment: Moment) -> Firing | None:
        """A hold of `condition` is due, at `moment`, whose price is the last one."""
        fired = condition.reach_deadline(moment)
        self._place(condition)
        self._bound()
        return fired

    def _place(self, condition: ConditionState) -> None:
        """Where it lies after an evaluation, which may have ended the whole alert."""
        for one in condition.alert.conditions if condition.done else (condition,):
            self._zones.place(one)

    def _bound(self) -> None:
        every_tick = self._trails or self._sessions is not None or bool(self.stale)
        self.low, self.high = NOWHERE if every_tick else self._zones.common()

    def rebase(self, ratio: float) -> None:
        """Prices are told by another market from now on, `ratio` times as high: moves are measured on as before."""
        for trail in self._trails.values():
            trail.rebase(ratio)
        if self._sessions is not None:
            self._sessions.rebase(ratio)
        for alert in self.alerts.values():
            for condition in alert.conditions:
                condition.rebase(ratio)
                self._zones.place(condition)
        self._bound()

    # --- what is not seen

    def set_stale(self, *sources: str, stale: bool, timestamp: float) -> None:
        """The symbol is silent for too long, or heard again, in this sense."""
        self.stale = self.stale | set(sources) if stale else self.stale - set(sources)
        for alert in self.alerts.values():
            alert.stale = bool(self.stale)
            alert.review(timestamp)
        if stale:
            self._doubt_holds()
        self._bound()

    def miss(self, begin: float, end: float) -> None:
        """Prices between these times may have been missed."""
        if self._sessions is not None:
            self._sessions.miss(begin, end)
        self._doubt_holds()
        self._bound()

    def _doubt_holds(self) -> None:
        """What holds has to be seen again before it fires."""
        for alert in self.alerts.values():
            for condition in alert.conditions:
                if condition.hold is not None:
                    condition.hold.unseen = True
                    self._zones.place(condition)

    # --- what is kept, and what is told

    def restore(self, record: AlertRecord) -> None:
        """Go on where `record` ends; it is of an alert in this book."""
        alert = self.alerts[record.alert_id]
        marks = alert.from_record(record)
        if self._sessions is not None:
            self._sessions.restore(open_=marks.get("open"), close=marks.get("close"))
        for condition in alert.conditions:
            self._zones.place(condition)
        alert.review(None)
        self._bound()

    def state_of(self, alert_id: str) -> State | None:
        """Where the alert stands for this symbol; None where it does not cover it."""
        alert = self.alerts.get(alert_id)
        return alert.state(self.ledger.now(), self.ledger.wall()) if alert is not None else None


def _condition(
    alert: AlertState,
    rules: tuple[ConditionRule, ...],
    old: ConditionState | None,
    price: float | None,
    *,
    revive: bool,
) -> ConditionState:
    """The condition of `alert` that these rules make, in the state of the `old` one where that is to be kept.

    `price`: the last one, where there is one.
    """
    if old is not None and not (old.done and revive):
        # Done it stays only as long as it is to fire once.
        old.done = old.done and alert.rule.once
        old.join(alert)
        return old
    new = ConditionState(alert, rules)
    if old is not None:
        # Firings are counted on: the same firing_id twice would look like one alert sent again.
        new.firings = old.firings
    if price is not None:
        new.measure_from(price)
    return new
