"""One alert on one symbol: what its conditions share, and where it stands.

They share the cooldown, the gate (`expires`, `active`, `session`), being done (`once`) and being blind. An alert is
blind while its symbol is silent for too long, or while something it is measured by is not known.
"""

from __future__ import annotations

from typing import Literal

from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.ledger import AlertLedger, News
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.alerts.schedule import Gate
from pricestreamd.stream.alerts.sessions import SessionHours
from pricestreamd.stream.alerts.terms import Moment

State = Literal["armed", "firing", "cooling", "done", "blind", "expired", "waiting"]
# What an alert cannot do without; other things that are not known yet come with time.
_BLINDING = frozenset({"open_unknown", "close_unknown", "market_hours_unknown"})
STALE = "stale"
# Graver than silence: the feed cannot show the symbol at all.
FEED_REASONS = ("refused", "unplaced", "feed_down")
EXPIRED = "expired"


class AlertState:
    """Where `rule` stands for the symbol whose compared form is `key`.

    `fired_at`: the timers' clock at the last firing. `held_back`: firings that the cooldown counted and did not make.
    `unseen`: why no price of the symbol comes. `gate` is None where nothing closes it; `shut` says why it is closed.
    """

    __slots__ = ("blind", "conditions", "fired_at", "gate", "held_back", "key", "ledger", "rule", "shut", "unseen")

    def __init__(self, rule: AlertRule, key: str, ledger: AlertLedger) -> None:
        self.rule = rule
        self.key = key
        self.ledger = ledger
        self.conditions: list[ConditionState] = []
        self.fired_at: float | None = None
        self.held_back = 0
        self.gate: Gate | None = None
        self.shut: str | None = None
        self.unseen: str | None = None
        self.blind: str | None = None

    def set_gate(self, hours: SessionHours | None) -> None:
        """Open when the rule says so, by these market hours."""
        rule = self.rule
        needed = rule.expires is not None or rule.active is not None or rule.session != "any"
        self.gate = Gate(rule.expires, rule.active, rule.session, hours) if needed else None

    def changed(self) -> None:
        """Its record is another one now."""
        ledger = self.ledger
        ledger.changed[self] = None
        if ledger.gone:
            ledger.gone.pop((self.rule.alert_id, self.key), None)

    # --- firing

    def is_after_gap(self, moment: Moment) -> bool:
        """Whether it has not seen what was before `moment`: data was missed, or its gate or its market was closed."""
        if moment.after_gap or self.gate is None or moment.before is None:
            return moment.after_gap
        return not self.gate.open_through(moment.before, moment.timestamp)

    def was_open(self, begin: float, end: float) -> bool:
        """Whether its gate was open from `begin`, when it was, to `end`."""
        return self.gate is None or self.gate.open_through(begin, end)

    def admit(self, now: float) -> bool:
        """Whether an occasion to fire becomes a firing, which begins the cooldown; otherwise it is counted."""
        if self.is_cooling(now):
            self.held_back += 1
            return False
        self.fired_at = now
        self.ledger.turned = True
        return True

    def is_cooling(self, now: float) -> bool:
        """Whether the cooldown lasts at `now`."""
        return self.cooling_for(now) > 0

    def cooling_for(self, now: float) -> float:
        """Seconds for which the cooldown still lasts at `now`; never more than is configured."""
        if self.fired_at is None:
            return 0.0
        return min(max(0.0, self.fired_at + self.rule.cooldown - now), self.rule.cooldown)

    def finish(self) -> None:
        """It has fired and was to fire once: nothing of it is evaluated any more."""
        for condition in self.conditions:
            condition.drop_hold()
            condition.done = True
        self.ledger.revision += 1
        self.review(None)
        self.changed()

    @property
    def is_done(self) -> bool:
        """Whether it will never fire again for this symbol."""
        return all(condition.done for condition in self.conditions)

    # --- blindness

    def close(self, reason: str | None, timestamp: float) -> None:
        """Its gate is closed for this reason at `timestamp`; None: it is open."""
        if reason != self.shut:
            self.shut = reason
            self.review(timestamp)

    @property
    def is_blind(self) -> bool:
        """Whether it could not notice what it waits for."""
        return self.blind is not None

    def review(self, timestamp: float | None) -> None:
        """See whether it is blind; a change is news, of `timestamp` (None: nobody needs to hear of it)."""
        expires = self.rule.expires
        if expires is not None and timestamp is not None and timestamp >= expires:
            self.shut = EXPIRED
        is_over = self.is_done or self.shut == EXPIRED
        before, self.blind = self.blind, None if is_over else self._blindness()
        if self.blind is None:
            self.ledger.blind.pop(self, None)
        else:
            self.ledger.blind[self] = None
        if is_over or not self.rule.tells_blind or timestamp is None:
            return
        if (before is None) is not (self.blind is None):
            self.ledger.news.append(News(self, self.blind or before or "", self.blind is not None, timestamp))

    def _blindness(self) -> str | None:
        if self.unseen is not None:
            return self.unseen
        if self.shut == "market_hours_unknown":
            return self.shut
        return next((one.lack for one in self.conditions if one.lack in _BLINDING and not one.done), None)

    # --- where it stands

    def state(self, now: float, at: float) -> State:
        """Where it stands. `now`: the timers' clock; `at`: epoch seconds."""
        if self.is_done:
            return "done"
        if self.rule.expires is not None and at >= self.rule.expires:
            return "expired"
        if self.is_blind:
            return "blind"
        if self.is_cooling(now):
            return "cooling"
        waiting = [one for one in self.conditions if not one.done]
        if any(one.phase == "fired" for one in waiting) and not any(one.phase == "armed" for one in waiting):
            return "firing"
        closed = self.gate is not None and self.gate.closed(at) is not None
        return "waiting" if closed or not any(one.is_ready for one in waiting) else "armed"

    # --- what is kept

    def to_record(self) -> AlertRecord:
        """What is to outlast a restart, as of now."""
        wall, now = self.ledger.wall(), self.ledger.now()
        return AlertRecord(
            alert_id=self.rule.alert_id,
            symbol=self.key,
            fired_at=None if self.fired_at is None else wall - max(0.0, now - self.fired_at),
            held_back=self.held_back,
            conditions=tuple(condition.to_record(wall, now) for condition in self.conditions),
        )

    def from_record(self, record: AlertRecord) -> None:
        """Go on where `record` ends; conditions that it does not know begin anew."""
        wall, now = self.ledger.wall(), self.ledger.now()
        if record.fired_at is not None:
            fired_at = now - max(0.0, wall - record.fired_at)
            self.fired_at = fired_at if self.fired_at is None else max(self.fired_at, fired_at)
        self.held_back = max(self.held_back, record.held_back)
        known = {kept.condition: kept for kept in record.conditions}
        for condition in self.conditions:
            if condition.text in known:
                condition.restore(known[condition.text], wall, now)
