"""The alerts of one symbol, and the *quiet zone*: the prices at which none of them would change.

A tick inside the zone costs one comparison, however many alerts there are; one outside touches those whose own zone it
has left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pricestreamd.stream.alert_rule import AlertRule, Baseline, ConditionRule
from pricestreamd.stream.alerts.alert import FEED_REASONS, STALE, AlertState, State
from pricestreamd.stream.alerts.background import Background
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.firing import Firing
from pricestreamd.stream.alerts.ledger import AlertLedger
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.alerts.sessions import Mark, MarketHours
from pricestreamd.stream.alerts.terms import EVERYWHERE, NOWHERE, Moment
from pricestreamd.stream.alerts.zones import Zones

# More conditions than one alert can have, so that those of one come before those of the next.
_MOST_CONDITIONS = 8


class AlertBook:
    """The alerts of the symbol whose compared form is `key`, by their ids. `low` and `high` bound their quiet zone.

    `stale` says in what senses the symbol is not seen: it, or its `connection`, is silent for too long (`symbol`), or
    its feed cannot show it (`refused`, `unplaced`, `feed_down`).
    """

    __slots__ = ("_background", "_zones", "alerts", "high", "key", "ledger", "low", "stale")

    def __init__(self, key: str, ledger: AlertLedger) -> None:
        self.key = key
        self.ledger = ledger
        self.low, self.high = EVERYWHERE
        self.alerts: dict[str, AlertState] = {}
        self.stale: frozenset[str] = frozenset()
        self._background = Background()
        self._zones = Zones()

    def _conditions(self) -> Iterator[ConditionState]:
        return (condition for alert in self.alerts.values() for condition in alert.conditions)

    def _holding(self) -> list[ConditionState]:
        return [condition for condition in self._conditions() if condition.hold is not None]

    # --- symbols that come and go

    def listen(self, hours: MarketHours | None, since: float) -> None:
        """The symbol is tracked, since then; its market trades at `hours`."""
        self._background.since = since
        self.take_hours(hours)

    def take_hours(self, hours: MarketHours | None) -> None:
        """The symbol's market trades at these hours from now on; None: nobody knows."""
        if self._background.take_hours(hours):
            for alert in self.alerts.values():
                alert.set_gate(self._background.hours)
            self._rouse(self._conditions())
        self._background.follow(_marks(self._conditions()))
        self._bound()

    def rest(self) -> None:
        """The symbol is not tracked any more: what hangs on every tick begins anew when it comes back."""
        self._background.rest()
        self.stale = frozenset()
        for alert in self.alerts.values():
            alert.unseen, alert.shut = None, None
            for condition in alert.conditions:
                condition.drop_hold()
                condition.lack = None
            alert.review(None)
        self._rouse(self._conditions())

    # --- alerts that come and go

    def set(self, rule: AlertRule, place: int, price: float | None = None, *, revive: bool = True) -> None:
        """Add `rule`, or put it in the place of the one with its id.

        A condition whose text did not change keeps its state. What was done (`once`) is armed again only with `revive`:
        by a person who sets it anew, not by a reload. `place`: its turn among the others; `price`: the last one, from
        which moves begin.
        """
        # Before the old one goes: what both need of the past is kept.
        self._background.need(rule, 1)
        before = self.alerts.get(rule.alert_id)
        alert = AlertState(rule, self.key, self.ledger)
        known = {}
        if before is not None:
            self._forget(before)
            known = {condition.text: condition for condition in before.conditions}
            if not (before.is_done and revive):
                alert.fired_at, alert.held_back = before.fired_at, before.held_back
        alert.unseen = self._why_unseen()
        alert.set_gate(self._background.hours)
        self.alerts[rule.alert_id] = alert
        for turn, rules in enumerate(rule.triggers):
            old = known.pop("+".join(one.text for one in rules), None)
            condition = _condition(alert, rules, old, price, revive=revive)
            condition.order = place * _MOST_CONDITIONS + turn
            alert.conditions.append(condition)
        for condition in known.values():
            condition.hold = None
        alert.review(None)
        alert.changed()
        self._background.follow(_marks(self._conditions()))
        self._rouse(alert.conditions)

    def remove(self, alert_id: str) -> None:
        """Forget the alert and its state."""
        alert = self.alerts.pop(alert_id, None)
        if alert is not None:
            self._forget(alert)
            for condition in alert.conditions:
                condition.hold = None
            self._bound()

    def _forget(self, alert: AlertState) -> None:
        self._zones.forget(alert.conditions)
        self._background.need(alert.rule, -1)
        self.ledger.forget(alert)

    def rearm(self, alert_id: str, price: float | None) -> None:
        """Let the alert begin anew at `price`, cooldown and all."""
        alert = self.alerts[alert_id]
        alert.fired_at, alert.held_back = None, 0
        for condition in alert.conditions:
            condition.begin_anew()
            if price is not None:
                condition.measure_from(price)
        alert.review(None)
        alert.changed()
        self.ledger.revision += 1
        self._rouse(alert.conditions)

    # --- the past of the symbol

    def saw(self, timestamp: float) -> None:
        """A tick of that time has gone by: sessions that are followed from now on are known since then."""
        self._background.since = max(self._background.since, timestamp)

    @property
    def wants_past(self) -> bool:
        """Whether there is a move that could begin with prices of the past."""
        return self._background.wants_past

    def fill_past(self, past: Iterable[tuple[float, float]]) -> None:
        """Times and prices of the past, in order, for moves that know of none yet."""
        self._background.fill(past)

    # --- a tick

    def evaluate(self, moment: Moment, listening_since: float) -> list[Firing]:
        """Take a price outside the quiet zone in; the firings, in the order in which the alerts were set.

        `listening_since`: of the feed that the price came from.
        """
        timestamp = moment.timestamp
        if self.stale:
            self.set_stale(*self.stale, stale=False, timestamp=timestamp)
        self._background.take(moment, listening_since)
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

    def _rouse(self, conditions: Iterable[ConditionState]) -> None:
        """Something else than a tick has changed these: the next one looks at them, whatever its price."""
        for condition in conditions:
            self._zones.rouse(condition)
        self._bound()

    def _bound(self) -> None:
        every_tick = not self._background.is_idle or bool(self.stale)
        self.low, self.high = NOWHERE if every_tick else self._zones.common()

    def rebase(self, ratio: float) -> None:
        """Prices are told by another market from now on, `ratio` times as high: moves are measured on as before."""
        self._background.rebase(ratio)
        for condition in self._conditions():
            condition.rebase(ratio)
        self._rouse(self._conditions())

    # --- what is not seen

    def _why_unseen(self) -> str | None:
        """The gravest reason why the symbol is not seen."""
        return next((reason for reason in FEED_REASONS if reason in self.stale), STALE if self.stale else None)

    def set_stale(self, *sources: str, stale: bool, timestamp: float) -> None:
        """The symbol is not seen any more, or seen again, in this sense."""
        self.stale = self.stale | set(sources) if stale else self.stale - set(sources)
        for alert in self.alerts.values():
            alert.unseen = self._why_unseen()
            alert.review(timestamp)
        if stale:
            for condition in self._holding():
                condition.doubt()
                self._zones.rouse(condition)
        self._bound()

    def miss(self, begin: float, end: float) -> None:
        """Prices between these times may have been missed."""
        self._background.miss(begin, end)
        for condition in self._holding():
            condition.miss(begin, end)
            self._zones.rouse(condition)
        self._bound()

    # --- what is kept, and what is told

    def restore(self, record: AlertRecord) -> None:
        """Go on where `record` ends; it is of an alert in this book."""
        alert = self.alerts[record.alert_id]
        alert.from_record(record)
        self._background.recall(_marks(alert.conditions))
        alert.review(None)
        self.ledger.revision += 1
        self._rouse(alert.conditions)

    def state_of(self, alert_id: str) -> State | None:
        """Where the alert stands for this symbol; None where it does not cover it."""
        alert = self.alerts.get(alert_id)
        return alert.state(self.ledger.now(), self.ledger.wall()) if alert is not None else None


def _marks(conditions: Iterable[ConditionState]) -> Iterator[tuple[Baseline, Mark]]:
    """What conditions remember of where moves begin."""
    for condition in conditions:
        for term in condition.terms:
            mark = term.memory()
            if mark is not None:
                yield term.rule.baseline, mark


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
    if price is not None:
        new.measure_from(price)
    return new
