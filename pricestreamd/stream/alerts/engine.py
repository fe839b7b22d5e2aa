"""Ticks to alerts: what fires is counted and told as events, at a tick or when a deadline is reached.

The book of a symbol is asked only where its price has left the quiet zone. Changes of state are collected; whoever
keeps them hears after the events of the tick (`on_turn`), so that both can be made durable together.
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

    `fired` counts the firings, `firings` those of each alert. `on_turn` is called after the events of a tick or
    deadline at which an alert fired or was armed again; `before_deadlines` before any that are due are looked at, and
    it may tell of a gap.
    """

    def __init__(self, dispatcher: EventDispatcher, board: Board, largest: LargestTime) -> None:
        self.fired = 0
        self.firings: dict[str, int] = {}
        self.on_turn: Callable[[], object] | None = None
        self.before_deadlines: Callable[[], object] | None = None
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
        timestamp, ledger = tick.timestamp, self._ledger
        self._largest.show(timestamp)
        now = ledger.now()
        if ledger.deadlines.earliest <= now:
            # What has held until then has fired, whatever this tick says.
            self._reach_deadlines(now, shared[10] - 1, state, before)
        moment = Moment(
            tick.price,
            timestamp,
            now,
            tick.volume,
            # Two markets differ, and the difference is no move.
            shared[4] if before is not None and before.feed == tick.feed else None,
            tick.late,
            state.updates == state.gap_before,
            before.timestamp if before is not None else None,
            shared[10],
        )
        firings = state.alerts.evaluate(moment, self.feed_since.get(tick.feed, -math.inf))
        if ledger.news:
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
        self._reach_deadlines(now, sequence)
        self._settle()

    def _reach_deadlines(
        self, now: float, sequence: int, taken: SymbolState | None = None, before: Tick | None = None
    ) -> None:
        """A tick of `taken` may be on its way: it is the one `before` that counts then."""
        if self.before_deadlines is not None:
            self.before_deadlines()
            if taken is not None:
                # A gap that was told of just now ends with that very tick.
                taken.gap_before = min(taken.gap_before, taken.updates)
        while (found := self._ledger.deadlines.pop(now)) is not None:
            condition, hold = found
            state = self._board.state(condition.alert.key)
            tick = before if state is taken else state.tick if state is not None else None
            if state is None or tick is None or hold.unseen:
                # It waits for a price.
                continue
            moment = Moment(tick.price, hold.due_at, hold.due, tick.volume, number=sequence)
            firing = state.alerts.reach_deadline(condition, moment)
            if firing is not None:
                self._publish(_without_tick(state.symbol, tick, firing.timestamp, sequence), firing)

    def _settle(self) -> None:
        if self._ledger.turned:
            self._ledger.turned = False
            if self.on_turn is not None:
                self.on_turn()

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

    def set_unseen(self, symbol: str, reason: str, *, unseen: bool, timestamp: float) -> None:
        """The feed of `symbol` cannot show it, for one of `FEED_REASONS`; or it can again."""
        self._set_stale(symbol, reason, timestamp, stale=unseen)
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


def _without_tick(symbol: str, last: Tick, timestamp: float, sequence: int) -> tuple[Any, ...]:
    """What the events of a deadline have in common: the last price, which has not changed."""
    price, unmoved = last.price, 0.0
    said = (last.currency, last.feed, last.received_at)
    return (timestamp, symbol, price, last.volume, price, unmoved, unmoved, *said, sequence)
