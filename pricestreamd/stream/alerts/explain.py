"""Why an alert did or did not fire: where it stands, how far it is from firing, and what holds it back."""

from __future__ import annotations

import math
from typing import TypedDict

from pricestreamd.stream.alert_rule import exact
from pricestreamd.stream.alerts.alert import STALE, AlertState, State
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.schedule import clock
from pricestreamd.stream.alerts.terms import Term
from pricestreamd.stream.alerts.text import span

_LACKS = {
    "no_previous": "there is no price before it yet",
    "none_that_old": "no price that old is known yet",
    "no_volume": "the last price came without a volume",
    "open_unknown": "the open of this session is not known: nobody listened when it opened, or prices were missed then",
    "close_unknown": "the close of the last session is not known: nobody listened then, or prices were missed",
    "market_hours_unknown": "the market hours of this symbol are not known",
    "refused": "the provider has refused this symbol: correct its spelling, or the plan of the key",
    "unplaced": "there is no room for this symbol on the connections that its feed may have",
    "feed_down": "its feed does not deliver, and no backup does",
    STALE: "no price has come for longer than there should be none",
}


class TermExplanation(TypedDict):
    """One condition. `distance`: what is missing to its threshold, in the unit of that; 0 or less where it is reached.

    `trigger_prices` are the prices at which it would be true, as far as a price decides; all of it null or empty where
    it is not known.
    """

    condition: str
    true: bool | None
    value: float | None
    threshold: float
    baseline: float | None
    distance: float | None
    trigger_prices: list[float]
    unknown: str | None


class EvaluationExplanation(TypedDict):
    """What came out when a condition was looked at. Only what differs from nothing new is remembered."""

    timestamp: float
    price: float
    value: float | None
    outcome: str


class TriggerExplanation(TypedDict):
    """What fires by itself: a condition, or all of an alert together.

    `state` is that of `AlertExplanation` for this one alone: armed, firing, done or waiting.
    """

    reason: str
    state: State
    armed_at: float | None
    firings: int
    terms: list[TermExplanation]
    evaluations: list[EvaluationExplanation]


class AlertExplanation(TypedDict):
    """One alert on one symbol. `suppressed_by`: sentences, empty where nothing but its conditions is waited for.

    `held_back`: firings that the cooldown counted and did not make. `price` and `timestamp` are those of the last tick.
    """

    alert_id: str
    symbol: str
    state: State
    price: float | None
    timestamp: float | None
    suppressed_by: list[str]
    firings: int
    held_back: int
    triggers: list[TriggerExplanation]


def explained(alert: AlertState, symbol: str, price: float | None, timestamp: float | None) -> AlertExplanation:
    """Where `alert` stands at the last price, at which it may not have been looked at."""
    now, wall = alert.ledger.now(), alert.ledger.wall()
    return {
        "alert_id": alert.rule.alert_id,
        "symbol": symbol,
        "state": alert.state(now, wall),
        "price": price,
        "timestamp": timestamp,
        "suppressed_by": [*_about_alert(alert, now, wall, price), *_about_conditions(alert, now)],
        "firings": sum(condition.firings for condition in alert.conditions),
        "held_back": alert.held_back,
        "triggers": [_trigger(condition, price) for condition in alert.conditions],
    }


def _about_alert(alert: AlertState, now: float, wall: float, price: float | None) -> list[str]:
    """What holds all its conditions back."""
    if alert.is_done:
        return ["it has fired, and was to fire once"]
    found = []
    closed = alert.gate.closed(wall) if alert.gate is not None else None
    if closed is not None and closed.reason == "expired":
        found.append(f"it expired at {clock(alert.rule.expires or 0.0)}")
    elif closed is not None and closed.reason in ("inactive", "session"):
        what = "its active hours" if closed.reason == "inactive" else f"the time of the {alert.rule.session} session"
        until = f": not before {clock(closed.until)}" if closed.until < math.inf else ""
        found.append(f"it is not in {what}{until}")
    if alert.blind is not None:
        found.append(f"it is blind: {_LACKS[alert.blind]}")
    if alert.is_cooling(now):
        found.append(f"its cooldown lasts for another {alert.cooling_for(now):.0f} s")
    if price is None:
        found.append("there is no price yet")
    return found


def _about_conditions(alert: AlertState, now: float) -> list[str]:
    """What holds single conditions back."""
    found = []
    for condition in alert.conditions:
        if condition.done:
            continue
        reason = "+".join(rule.reason for rule in condition.rules)
        if condition.lack is not None and condition.lack != alert.blind:
            found.append(f"{reason}: {_LACKS[condition.lack]}")
        elif condition.hold is not None:
            held = max(0.0, now - condition.hold.since)
            found.append(f"{reason}: true for {held:.0f} s, and has to be for {span(condition.hold.seconds)}")
        elif condition.phase == "muted":
            found.append(f"{reason}: true from the start, and has to be false first")
        elif condition.phase == "fired" and not alert.rule.every_update:
            found.append(f"{reason}: has fired, and has to be false first{_how_far_back(condition, alert)}")
    return found


def _how_far_back(condition: ConditionState, alert: AlertState) -> str:
    """How far back the value must go, where there is a hysteresis and one value."""
    if not alert.rule.hysteresis or len(condition.terms) > 1:
        return ""
    (term,) = condition.terms
    sign = "or more" if term.rule.kind == "below" else "or less"
    return f": back to {exact(term.back)} {sign}"


def _trigger(condition: ConditionState, price: float | None) -> TriggerExplanation:
    if condition.done:
        state: State = "done"
    elif condition.phase == "fired":
        state = "firing"
    else:
        state = "armed" if condition.is_ready else "waiting"
    return {
        "reason": "+".join(rule.reason for rule in condition.rules),
        "state": state,
        "armed_at": condition.armed_at,
        "firings": condition.firings,
        "terms": [_term(term, price) for term in condition.terms],
        "evaluations": [
            {"timestamp": one.timestamp, "price": one.price, "value": one.value, "outcome": one.outcome}
            for one in condition.past or ()
        ],
    }


def _term(term: Term, price: float | None) -> TermExplanation:
    if price is not None:
        term.reread(price)
    value = None if math.isnan(term.value) or term.lack is not None else term.value
    distance = term.distance() if value is not None else None
    return {
        "condition": term.rule.reason,
        "true": None if distance is None else distance <= 0,
        "value": value,
        "threshold": term.rule.threshold,
        "baseline": term.baseline,
        "distance": distance,
        "trigger_prices": term.trigger_prices(),
        "unknown": _LACKS[term.lack] if term.lack is not None else None,
    }
