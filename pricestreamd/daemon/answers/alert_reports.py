"""Alerts as those who ask see them: how they were written, and where each stands for each of its symbols."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pricestreamd.daemon.answers.alert_words import in_words
from pricestreamd.http.view import AlertPlace, AlertReport
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.alert import AlertState
from pricestreamd.stream.alerts.condition import ConditionState
from pricestreamd.stream.alerts.explain import AlertExplanation, TriggerExplanation
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.stream.symbol_state import SymbolState

# How far each is from firing is worked out for so many of an answer, the first ones: it takes some 50 us each.
MAX_DISTANCES = 500

_Place = tuple[SymbolState, AlertState]


def alert_reports(service: PriceStreamService) -> list[AlertReport]:
    """Every alert, in the order in which they were set."""
    places: dict[str, list[_Place]] = {}
    for state in service.board.by_symbol.values():
        for alert_id, alert in state.alerts.alerts.items():
            places.setdefault(alert_id, []).append((state, alert))
    left = MAX_DISTANCES
    reports = []
    for rule in service.board.alerts():
        own = places.get(rule.alert_id, [])
        reports.append(_report(service, rule, own, left))
        left = max(0, left - len(own))
    return reports


def alert_report(service: PriceStreamService, alert_id: str) -> AlertReport | None:
    """One alert; None where there is none of this id."""
    rule = service.board.rule(alert_id)
    if rule is None:
        return None
    states = service.board.by_symbol.values()
    own = [(state, alert) for state in states if (alert := state.alerts.alerts.get(alert_id)) is not None]
    return _report(service, rule, own, MAX_DISTANCES)


def written(rule: AlertRule) -> dict[str, Any]:
    """The alert as it would stand in the YAML: `AlertRule.from_settings` of this is the same rule.

    What was taken out of a glob is not in it; see `AlertRule.excluded`.
    """
    found: dict[str, Any] = {} if rule.name is None else {"name": rule.name}
    if len(rule.patterns) == 1:
        found["symbol"] = rule.patterns[0]
    else:
        found["symbols"] = list(rule.patterns)
    found |= rule.written
    if rule.notify:
        found["notify"] = list(rule.notify)
    return found


def _report(service: PriceStreamService, rule: AlertRule, own: Iterable[_Place], distances: int) -> AlertReport:
    places: dict[str, AlertPlace] = {}
    for number, (state, alert) in enumerate(own):
        told = service.explain_alert(rule.alert_id, state.symbol) if number < distances else None
        places[state.symbol] = {
            "state": alert.state(alert.ledger.now(), alert.ledger.wall()),
            "price": state.price,
            "distance_percent": distance_percent(told, alert) if told is not None else None,
            "firings": sum(condition.firings for condition in alert.conditions),
        }
    return {
        "alert_id": rule.alert_id,
        "name": rule.name,
        "symbols": list(rule.patterns),
        "conditions": rule.written,
        "text": in_words(rule.written),
        "notify": list(rule.notify),
        "source": rule.source,
        "state": {symbol: place["state"] for symbol, place in places.items()},
        "written": written(rule),
        "firings": sum(place["firings"] for place in places.values()),
        "places": places,
    }


def distance_percent(told: AlertExplanation, alert: AlertState) -> float | None:
    """The smallest move of the price, in per cent and with its sign, at which the alert could fire.

    A condition that has to be false first, because it has fired or was true from the start, does not count: no move
    towards its threshold makes it fire. None where there is no other.
    """
    price = told["price"]
    if not price:
        return None
    moves = [
        move
        for trigger, condition in zip(told["triggers"], alert.conditions, strict=True)
        if _could_fire(condition) and (move := _move(trigger, price)) is not None
    ]
    return min(moves, key=abs, default=None)


def _could_fire(condition: ConditionState) -> bool:
    every_update = condition.phase == "fired" and condition.alert.rule.every_update
    return not condition.done and (condition.phase in ("armed", "holding") or every_update)


def _move(trigger: TriggerExplanation, price: float) -> float | None:
    """As far as the farthest of its conditions that are not true; None where one of them is not decided by a price."""
    needed = [0.0]
    for term in trigger["terms"]:
        if term["true"]:
            continue
        if term["true"] is None or not term["trigger_prices"]:
            return None
        needed.append(min((100 * (one - price) / price for one in term["trigger_prices"]), key=abs))
    return max(needed, key=abs)
