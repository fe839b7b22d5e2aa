"""The life of one condition of one alert on one symbol (or of all its conditions, where they make one).

                 true                         true for `for` seconds
    armed ------------------> holding ------------------------------> fired
      ^  ^                       |                                      |
      |  +------ false ----------+                                      |
      +------------------------- false, and back by the hysteresis -----+

Without `for` it goes from armed to fired at once. A condition that is true at its very first tick and must cross first
is *muted* until it was false. A move from the price of the last firing is false again by firing, so it stays armed.
Truth has three values: what cannot be known (no price that old, no volume) changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from pricestreamd.stream.alert_rule import ConditionRule
from pricestreamd.stream.alerts.firing import Evaluation, Firing, Hold, Reading
from pricestreamd.stream.alerts.moves import term_of
from pricestreamd.stream.alerts.record import ConditionRecord, Phase
from pricestreamd.stream.alerts.terms import EVERYWHERE, NOWHERE, Moment, Term, Zone

if TYPE_CHECKING:
    from pricestreamd.stream.alerts.alert import AlertState

# What `explain` tells of the past of one condition.
_REMEMBERED = 8


class ConditionState:
    """Where a condition stands. `low` and `high`: the zone in which its book has it; `order`: its turn there.

    `armed_at` and `armed_by`: event time, run and number of the tick that armed it; None before it was first evaluated.
    `lack`: why it could not be evaluated; `done`: it is not evaluated any more, because its alert has fired `once`.
    """

    __slots__ = (
        *("alert", "armed_at", "armed_by", "done", "firings", "high", "hold", "lack", "low", "order", "past", "phase"),
        *("rules", "terms", "text"),
    )

    def __init__(self, alert: AlertState, rules: tuple[ConditionRule, ...]) -> None:
        self.text = "+".join(rule.text for rule in rules)
        self.phase: Phase = "armed"
        self.done = False
        self.armed_at: float | None = None
        self.armed_by = ""
        self.firings = 0
        self.hold: Hold | None = None
        self.lack: str | None = None
        self.past: deque[Evaluation] | None = None
        self.order = 0
        self.low, self.high = EVERYWHERE
        self.alert = alert
        self.rules = rules
        self.terms: tuple[Term, ...] = tuple(term_of(rule, alert.rule.hysteresis) for rule in rules)

    def join(self, alert: AlertState) -> None:
        """Go on as a condition of `alert`, whose rule has this one, too, and may say other things around it."""
        self.alert = alert
        for term in self.terms:
            term.back = term.rule.back(alert.rule.hysteresis)
        if self.hold is not None:
            self._hold(replace(self.hold, seconds=alert.rule.hold_for))

    def _hold(self, hold: Hold) -> None:
        self.phase, self.hold = "holding", hold
        self.alert.ledger.deadlines.add(hold.due, self, hold)

    @property
    def is_ready(self) -> bool:
        """Whether it would fire, or begin to hold, at the next tick at which it is true."""
        return self.phase == "armed" and self.lack is None

    def begin_anew(self) -> None:
        """Forget everything but how often it has fired."""
        self.phase, self.done, self.armed_at, self.hold, self.lack = "armed", False, None, None, None
        self.terms = tuple(term_of(rule, self.alert.rule.hysteresis) for rule in self.rules)

    def measure_from(self, price: float) -> None:
        """It was set when the last price was `price`."""
        for term in self.terms:
            term.measure_from(price)

    def rebase(self, ratio: float) -> None:
        """Prices are `ratio` times as high from now on, by another market's telling: moves go on as before."""
        for term in self.terms:
            term.rebase(ratio)
        if any(term.lasts for term in self.terms):
            self.alert.changed()

    # --- a tick

    def evaluate(self, moment: Moment) -> Firing | None:
        """Take a tick in; a firing where one is made."""
        true = self._assess(moment)
        if true is None:
            return None
        first = self.armed_at is None
        if first:
            self._arm(moment)
        if not true:
            self._false(moment)
            return None
        hold = self.hold
        if hold is not None and not self.alert.was_open(hold.begun_at, moment.timestamp):
            self.drop_hold()
        if self.phase == "armed":
            return self._true(moment, first=first)
        if hold is not None:
            hold.after_gap = hold.after_gap or (hold.unseen and self.alert.is_after_gap(moment))
            hold.unseen = False
            return self._fire(moment, hold) if moment.now >= hold.due else None
        if self.phase == "fired" and self.alert.rule.every_update:
            return self._fire(moment, None)
        return None

    def _assess(self, moment: Moment) -> bool | None:
        """Whether all its terms are true. One that is false decides, whatever the others."""
        true: bool | None = True
        lack = None
        for term in self.terms:
            before = term.memory() if term.lasts else None
            found = term.true = term.assess(moment)
            if term.lasts and term.memory() != before:
                self.alert.changed()
            if found is None:
                lack = term.lack
                true = None if true else true
            elif not found:
                true = False
        lack = lack if true is None else None
        if lack != self.lack:
            self.lack = lack
            self.alert.review(moment.timestamp)
            if lack is not None:
                self.note(moment, lack)
        return true

    def _arm(self, moment: Moment) -> None:
        self.phase = "armed"
        ledger = self.alert.ledger
        # With the run: a provider may send the same price again after a restart, and that is another arming.
        self.armed_at, self.armed_by = moment.timestamp, f"{ledger.run}-{moment.number}"
        ledger.turned = True
        self.alert.changed()

    def _false(self, moment: Moment) -> None:
        if self.hold is not None:
            self.drop_hold()
            self.note(moment, "false again before it had held long enough")
        elif self.phase != "armed" and any(term.lack is None and term.is_back() for term in self.terms):
            self._arm_again(moment)
            self.note(moment, "armed")

    def _arm_again(self, moment: Moment) -> None:
        self._arm(moment)
        for term in self.terms:
            term.arm(moment.price)

    def _true(self, moment: Moment, *, first: bool) -> Firing | None:
        rule = self.alert.rule
        if first and rule.require_cross:
            self.phase = "muted"
            self.note(moment, "true from the start")
            return None
        if not rule.hold_for:
            return self._fire(moment, None, crossed=not first)
        after_gap = self.alert.is_after_gap(moment)
        self._hold(Hold(moment.now, moment.timestamp, rule.hold_for, not first, moment.late, after_gap))
        self.alert.changed()
        self.note(moment, "true, and has to hold")
        return None

    # --- firing

    def reach_deadline(self, moment: Moment) -> Firing | None:
        """Its hold is due, at `moment`, whose price is the last one: it fires, without a tick."""
        hold = self.hold
        if hold is not None and not self.alert.was_open(hold.begun_at, hold.due_at):
            self.drop_hold()
            self.note(moment, "held long enough, but not in its hours")
            return None
        for term in self.terms:
            term.reread(moment.price)
        return self._fire(moment, hold)

    def drop_hold(self) -> None:
        """It does not hold any more: it is as it was before."""
        if self.hold is not None:
            self.hold = None
            self.phase = "armed"
            self.alert.changed()

    def doubt(self) -> None:
        """The price may be another one by now: what holds has to be seen again before it fires."""
        if self.hold is not None:
            self.hold.unseen = True

    def miss(self, begin: float, end: float) -> None:
        """Prices between these times may have been missed: they do not count for what holds."""
        hold = self.hold
        left = hold.without(begin, end, self.alert.ledger.now()) if hold is not None else None
        if hold is None or left is None or not self.alert.was_open(hold.begun_at, end):
            self.drop_hold()
            return
        left.unseen = True
        if left is not hold:
            self._hold(left)
            self.alert.changed()

    def _fire(self, moment: Moment, hold: Hold | None, *, crossed: bool = False) -> Firing | None:
        """It is an occasion to fire; whether it is one that is made is the alert's decision."""
        alert = self.alert
        self.phase, self.hold = "fired", None
        made = alert.admit(moment.now)
        firing = None
        if made:
            self.firings += 1
            firing = Firing(
                alert=alert.rule,
                readings=tuple(Reading(term.rule, term.value, term.baseline) for term in self.terms),
                timestamp=moment.timestamp,
                crossed=hold.crossed if hold is not None else crossed,
                held=hold.seconds if hold is not None else 0.0,
                late=moment.late or (hold is not None and hold.late),
                after_gap=alert.is_after_gap(moment) or (hold is not None and hold.after_gap),
                firing_id=self._firing_id(),
            )
        self.note(moment, "fired" if made else "held back by the cooldown")
        anew = [term.fired(moment.price) for term in self.terms]
        if any(anew):
            self._arm_again(moment)
        if made and alert.rule.once:
            alert.finish()
        alert.changed()
        return firing

    def _firing_id(self) -> str:
        alert = self.alert
        arming = f"{self.armed_at!r} {self.armed_by}"
        text = "\n".join((alert.rule.alert_id, alert.key, self.text, arming, str(self.firings)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # --- its quiet zone

    def zone(self) -> Zone:
        """The closed interval of prices, around the last one, at which `evaluate` would change nothing."""
        if self.armed_at is None or self.lack is not None:
            return NOWHERE
        terms = self.terms
        if self.phase == "armed":
            return terms[0].while_false() if len(terms) == 1 else self._zone_of_several()
        if self.hold is not None:
            # With a gate every tick is looked at: what it closes on has to hold anew.
            looked_at = self.hold.unseen or self.alert.gate is not None
            return NOWHERE if looked_at else _common([term.while_true() for term in terms])
        if self.phase == "fired" and self.alert.rule.every_update:
            return NOWHERE
        return _common([term.while_near() for term in terms])

    def _zone_of_several(self) -> Zone:
        """All together are false as long as one is; what the others remember has to be kept up meanwhile."""
        decisive = [term.while_false() for term in self.terms if term.true is False]
        widest = max(decisive, key=lambda zone: zone[1] - zone[0], default=NOWHERE)
        return _common([widest, *(term.while_kept() for term in self.terms)])

    # --- what is kept, and what is told

    def note(self, moment: Moment, outcome: str) -> None:
        """Remember what came out."""
        if self.past is None:
            self.past = deque(maxlen=_REMEMBERED)
        value = self.terms[0].value
        self.past.append(Evaluation(moment.timestamp, moment.price, outcome, None if math.isnan(value) else value))

    def to_record(self, wall: float, now: float) -> ConditionRecord:
        """What is to outlast a restart; `wall` and `now` are the two clocks."""
        return ConditionRecord(
            condition=self.text,
            phase=self.phase,
            done=self.done,
            armed_at=self.armed_at,
            armed_by=self.armed_by,
            firings=self.firings,
            holds_since=wall - max(0.0, now - self.hold.since) if self.hold is not None else None,
            begun_at=self.hold.begun_at if self.hold is not None else None,
            marks=tuple(term.memory() for term in self.terms),
        )

    def restore(self, record: ConditionRecord, wall: float, now: float) -> None:
        """Go on where `record` ends. What held then has to be seen once more.

        Where ticks have come since the start, they say where it stands; the record tells only what is for good.
        """
        # Done it stays only as long as it is to fire once.
        self.done = self.done or (record.done and self.alert.rule.once)
        if self.armed_at is not None:
            self.firings = max(self.firings, record.firings)
            return
        self.phase = "armed" if record.phase == "holding" else record.phase
        self.armed_at, self.armed_by, self.firings = record.armed_at, record.armed_by, record.firings
        for term, mark in zip(self.terms, record.marks, strict=False):
            if mark is not None:
                term.recall(mark)
        if record.holds_since is not None and record.begun_at is not None:
            since, seconds = now - max(0.0, wall - record.holds_since), self.alert.rule.hold_for
            self._hold(Hold(since, record.begun_at, seconds, crossed=True, late=False, after_gap=True, unseen=True))


def _common(zones: list[Zone]) -> Zone:
    """The prices that lie in all of the zones."""
    return max(low for low, _ in zones), min(high for _, high in zones)
