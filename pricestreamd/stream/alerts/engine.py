"""Ticks to alerts: what fires is counted and told as events, at a tick or when a deadline is reached.

The book of a symbol is asked only where its price has left the quiet zone. Changes of state are collected; whoever
keeps them hears after the events of a firing (`on_firing`), so that both can be made durable together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import AlertBlind, AlertSighted, PriceAlert, PriceStale
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alerts.explain import AlertExplanation, explained
from pricestreamd.stream.alerts.firing import Firing
from pricestreamd.stream.alerts.ledger import AlertLedger, LargestTime
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.alerts.terms import Moment
from pricestreamd.stream.alerts.text import sentence
from pricestreamd.stream.board import Board
from pricestreamd.stream.symbol_state import SymbolState

# A silence is measured from the last price of a connection, and told of by a look once a second.
_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """What has changed since it was asked for last: `records` to keep, and (alert id, symbol) to keep no longer."""

    records: tuple[AlertRecord, ...]
    gone: tuple[tuple[str, str], ...]


class AlertEngine:
    """The alerts over the symbols of `board`. `largest` is shown the time of ticks, for who has no other clock.

    `fired` counts the firings, `firings` those of each alert. `on_firing` is called after the events of a tick or
    deadline at which an alert fired.
    """

    def __init__(self, dispatcher: EventDispatcher, board: Board, largest: LargestTime) -> None:
        self.fired = 0
        self.firings: dict[str, int] = {}
        self.on_firing: Callable[[], object] | None = None
        self.feed_since: dict[str, float] = {}
        """Since when each feed is connected, in epoch seconds; one that is not here has always been."""
        self._board = board
        self._ledger: AlertLedger = board.ledger
        self._largest = largest
        self._run_name = dispatcher.run.name
        self._next_number = dispatcher.run.next_number
        self._alert = dispatcher.route(PriceAlert.event)
        self._blind = dispatcher.route(AlertBlind.event)
        self._sighted = dispatcher.route(AlertSighted.event)

    # --- ticks and time

    def on_tick(self, state: SymbolState, tick: Tick, shared: tuple[Any, ...], before: Tick | None) -> None:
        """Take a tick in whose price has left the quiet zone. `shared`: what its events have in common."""
        timestamp = tick.timestamp
        self._largest.show(timestamp)
        moment = Moment(
            tick.price,
            timestamp,
            self._ledger.now(),
            tick.volume,
            # Two markets differ, and the difference is no move.
            shared[4] if before is not None and before.feed == tick.feed else None,
            tick.late,
            state.updates == state.gap_before,
            before.timestamp if before is not None else None,
        )
        firings = state.alerts.evaluate(moment, self.feed_since.get(tick.feed, -math.inf))
        if self._ledger.news:
            self._tell_news()
        for firing in firings:
            self._publish(shared, firing)
        self._settle()

    @property
    def earliest_deadline(self) -> float:
        """A time, by the timers' clock, before which nothing is due; infinity where nothing ever is."""
        return self._ledger.deadlines.earliest

    def next_deadline(self) -> float | None:
        """When `on_time` has something to do next, by the timers' clock; None: nothing is waited for."""
        due = self._ledger.deadlines.next()
        return due if due < math.inf else None

    def on_time(self, now: float, sequence: int) -> None:
        """Fire what has held long enough by `now`, each at its own time. `sequence`: of the latest tick."""
        self._largest.show(now)
        while (found := self._ledger.deadlines.pop(now)) is not None:
            condition, due = found
            hold, state = condition.hold, self._board.state(condition.alert.key)
            if hold is None or state is None or state.tick is None or state.price is None:
                condition.drop_hold()
                continue
            moment = Moment(state.price, hold.due_at, due, state.tick.volume)
            firing = state.alerts.reach_deadline(condition, moment)
            if firing is not None:
                self._publish(_as_last_seen(state, state.tick, firing.timestamp, sequence), firing)
        self._settle()

    def _settle(self) -> None:
        if self._ledger.fired:
            self._ledger.fired = False
            if self.on_firing is not None:
                self.on_firing()

    # --- events

    def _publish(self, shared: tuple[Any, ...], firing: Firing) -> None:
        """Count a firing, heard or not; the record is built only if it is heard."""
        alert, number = firing.alert, self._next_number()
        self.fired += 1
        self.firings[alert.alert_id] = self.firings.get(alert.alert_id, 0) + 1
        if not self._alert.listeners:
            self._alert.count += 1
            return
        first = firing.readings[0]
        told: dict[str, Any] = {
            "alert_id": alert.alert_id,
            "alert_name": alert.name,
            "alert_reason": firing.reason,
            "alert_conditions": MappingProxyType(alert.written),
            "alert_text": sentence(shared[1], shared[2], firing),
            "alert_value": first.value,
            "alert_threshold": first.rule.threshold,
            "alert_baseline": first.baseline,
            "firing_id": firing.firing_id,
            "late": firing.late,
            "after_gap": firing.after_gap,
        }
        self._alert.send(PriceAlert(self._run_name, number, *shared, **told))

    def _tell_news(self) -> None:
        """Say which alerts have become blind and which can see again."""
        news, self._ledger.news = self._ledger.news, []
        for alert, reason, blind, timestamp in news:
            number, route = self._next_number(), self._blind if blind else self._sighted
            if not route.listeners:
                route.count += 1
                continue
            state = self._board.state(alert.key)
            symbol = state.symbol if state is not None else alert.key
            record = AlertBlind if blind else AlertSighted
            rule = alert.rule
            route.send(record(self._run_name, number, timestamp, rule.alert_id, rule.name, symbol, reason))

    # --- silence

    def on_stale(self, event: PriceStale) -> None:
        """A symbol, or a whole connection, is silent for too long."""
        if event.symbol is not None:
            self._set_stale(event.symbol, "symbol", event.timestamp)
        else:
            heard_before = event.timestamp - event.silent_seconds + _SLACK_SECONDS
            for state in self._of_feed(event.feed):
                if state.tick is None or state.tick.received_at <= heard_before:
                    state.alerts.set_stale("connection", stale=True, timestamp=event.timestamp)
        self._tell_news()

    def on_resumed(self, event: PriceStale) -> None:
        """Prices come again."""
        if event.symbol is not None:
            self._set_stale(event.symbol, "symbol", event.timestamp, stale=False)
        else:
            for state in self._of_feed(event.feed):
                state.alerts.set_stale("connection", stale=False, timestamp=event.timestamp)
        self._tell_news()

    def _set_stale(self, symbol: str, source: str, timestamp: float, *, stale: bool = True) -> None:
        state = self._board.state(symbol)
        if state is not None:
            state.alerts.set_stale(source, stale=stale, timestamp=timestamp)

    def _of_feed(self, feed: str) -> Iterable[SymbolState]:
        """The symbols that come from `feed`, by their last tick; those without one, if there is no other feed."""
        only = len(self.feed_since) < 2
        return [
            state
            for state in self._board.by_symbol.values()
            if (only if state.tick is None else state.tick.feed == feed)
        ]

    # --- what is kept, and why

    def take_changes(self) -> AlertChanges:
        """What has changed since the last call."""
        ledger = self._ledger
        changes = AlertChanges(tuple(alert.to_record() for alert in ledger.changed), tuple(ledger.gone))
        ledger.changed.clear()
        ledger.gone.clear()
        return changes

    def explain(self, alert_id: str, symbol: str) -> AlertExplanation | None:
        """Where the alert stands for `symbol`, and why; None where it does not cover it."""
        state = self._board.state(symbol)
        alert = state.alerts.alerts.get(alert_id) if state is not None else None
        if state is None or alert is None:
            return None
        at = state.tick.timestamp if state.tick is not None else None
        return explained(alert, state.symbol, state.price, at)


def _as_last_seen(state: SymbolState, tick: Tick, timestamp: float, sequence: int) -> tuple[Any, ...]:
    """What the events of a deadline have in common: the last tick, at the time of the deadline."""
    # Exact wherever the price did not more than double or halve in that tick.
    last = tick.price - state.change if state.updates > 1 else None
    return (
        timestamp,
        state.symbol,
        tick.price,
        tick.volume,
        last,
        state.change,
        state.change_percent,
        tick.currency,
        tick.feed,
        tick.received_at,
        sequence,
    )
