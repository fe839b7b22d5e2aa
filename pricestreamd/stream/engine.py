"""The stream engine: a tick in; updates, changes, spikes and alerts out. Plain code on injected time.

The order for one tick: reject | doubt | remember | price.update, price.change, price.spike, price.alert. An event that
nobody hears is counted, and draws its number, but no record of it is built. The daemon, the replay and the tests run
this same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.route import SAMPLE, Route
from pricestreamd.model.events import PriceChange, PriceSpike, PriceUpdate
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.tick import PRICE_FLOOR, PRICE_LIMIT, Tick, price_fault
from pricestreamd.stream.alerts.engine import AlertEngine
from pricestreamd.stream.alerts.ledger import AlertLedger, LargestTime
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.board import Board
from pricestreamd.stream.settings import StreamSettings
from pricestreamd.stream.symbol_state import SuspicionRule, SymbolState

# A price "made" more than a day after it was received is a broken clock or a wrong unit.
FUTURE_SECONDS = 86_400.0

# Providers stamp with whole seconds or the end of a minute, and clocks differ. What is further ahead of its receipt
# than this tells nothing of when the price was made.
AHEAD_SECONDS = 60.0

# A feed that follows another within so many seconds tells of the same market at the same time.
SWITCH_SECONDS = 60.0

RejectHook = Callable[[Tick, str], None]
_Shared = tuple[Any, ...]


class StreamEngine:
    """The rules that turn ticks into events, over the `board` of what is known of each symbol.

    `adopt`: take symbols that nobody asked for as they come (a replay does; a live stream rejects them).
    `on_reject(tick, reason)` is called for every rejected tick, after it was counted. `clock` gives epoch seconds: with
    it, one tick in 64 is timed from receipt to its last listener (`dispatch_seconds`). `monotonic` is the clock of the
    alerts' timers, in seconds; without one it is the largest timestamp so far, as it is seen here. `hours_of` knows the
    market hours of a symbol.
    """

    def __init__(
        self,
        settings: StreamSettings,
        dispatcher: EventDispatcher,
        *,
        adopt: bool = False,
        on_reject: RejectHook | None = None,
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] | None = None,
        hours_of: HoursOf | None = None,
    ) -> None:
        largest = LargestTime()
        now = monotonic or largest.read
        ledger = AlertLedger(now=now, wall=clock or now, run=dispatcher.run.name)
        self.board = Board(settings, ledger, clock=clock, hours_of=hours_of)
        self.alerts = AlertEngine(dispatcher, self.board, largest)
        self._symbols = self.board.by_symbol
        self._run_name = dispatcher.run.name
        self._next_number = dispatcher.run.next_number
        self._update = dispatcher.route(PriceUpdate.event)
        self._change = dispatcher.route(PriceChange.event)
        self._spike = dispatcher.route(PriceSpike.event)
        self._adopt = adopt
        self._on_reject = on_reject
        self._clock = clock
        self.dispatch_seconds = Histogram()
        self.sequence = 0
        self.rejected: dict[tuple[str, str], int] = {}
        self.apply(settings)

    def apply(self, settings: StreamSettings) -> None:
        """Use `settings` from the next tick on; what is known of the symbols is kept."""
        self.settings = settings
        self._min_change = settings.min_change_percent
        self._against_reported = settings.change_baseline == "reported"
        self._spike_percent = settings.spike.percent
        self._drop_late = settings.out_of_order == "drop"
        self._suspect = SuspicionRule.from_settings(settings.suspect)
        # A tick that moves less than this changes only prices, unless it is compared with more than the last one.
        looks_back = self._against_reported or settings.spike.window is not None
        jump = self._suspect.jump if self._suspect is not None else math.inf
        self._rise = -math.inf if looks_back else min(self._min_change, self._spike_percent, jump)
        self._fall = -self._rise
        self.board.apply(settings)

    # --- the path of a tick

    def on_tick(self, tick: Tick) -> None:  # noqa: C901, PLR0912 - one walk, and each call would cost every tick
        """Take one tick in and dispatch what follows from it."""
        try:
            state: SymbolState | None = self._symbols[tick.symbol]
        except KeyError:
            state = self._find(tick)
        if state is None:
            return
        price = tick.price
        if type(price) is not float:
            self._take_other(tick)
            return
        timestamp = tick.timestamp
        received_at = tick.received_at
        if not PRICE_FLOOR <= price < PRICE_LIMIT:
            self._reject(tick, price_fault(price) or "type")
            return
        # Written so that a timestamp that is no number is refused, too, and that the usual one needs no sum.
        if not timestamp <= received_at and not timestamp <= received_at + FUTURE_SECONDS:
            self._reject(tick, "future")
            return
        if timestamp < state.timestamp and self._drop_late and self._is_comparable(state, tick):
            self._reject(tick, "out_of_order")
            return

        last, before = state.price, state.tick
        if last is None or before is None:
            change = percent = 0.0
            moved = True
            state.reported = price
        else:
            change = price - last
            percent = 100.0 * change / last
            # Most ticks move little, on the feed of the last one. Others are looked at twice: before they are believed,
            # and after.
            moved = not self._fall < percent < self._rise or tick.feed is not before.feed
            if moved and self._suspect is not None and self._suspect.doubts(state, last, tick, percent):
                self._publish_suspect(state, tick, change, percent)
                return

        volume = tick.volume
        history = state.history
        if history is not None:
            history.append(timestamp, price, volume)
        state.price = price
        state.timestamp = timestamp
        state.tick = tick
        state.change = change
        state.change_percent = percent
        state.updates += 1
        self.sequence = sequence = self.sequence + 1

        number = self._next_number()
        route = self._update
        if route.listeners:
            route.send(
                PriceUpdate(
                    self._run_name,
                    number,
                    timestamp,
                    state.symbol,
                    price,
                    volume,
                    last,
                    change,
                    percent,
                    tick.currency,
                    tick.feed,
                    received_at,
                    sequence,
                )
            )
        else:
            route.count += 1

        # Most ticks end here: the move is small, and no alert could change its mind at this price.
        if moved or not state.alerts.low <= price <= state.alerts.high:
            self._detect(state, tick, last, before)
        if not sequence % SAMPLE and self._clock is not None:
            self.dispatch_seconds.observe(self._clock() - received_at)

    # --- what happens to few ticks

    def _find(self, tick: Tick) -> SymbolState | None:
        symbol: object = tick.symbol
        if not isinstance(symbol, str) or not symbol.strip():
            self._reject(tick, "missing" if symbol is None or isinstance(symbol, str) else "type")
            return None
        state = self.board.state(symbol)
        if state is None and self._adopt:
            self.board.track([symbol])
            state = self.board.state(symbol)
        if state is None:
            self._reject(tick, "unknown_symbol")
        return state

    def _take_other(self, tick: Tick) -> None:
        """A tick whose price is no float: whole numbers are as good, anything else is rejected."""
        fault = price_fault(tick.price)
        if fault is None:
            self.on_tick(replace(tick, price=float(tick.price)))
        else:
            self._reject(tick, fault)

    def _is_comparable(self, state: SymbolState, tick: Tick) -> bool:
        """Whether the times of the last tick and of `tick` tell their order.

        That of a price that was asked for after the fact is the answer's own; of two feeds one may lag; where the
        provider gives no time it is our clock, which may have been set back; and one tick of the future must not stop
        those of the present. Where a feed's clock is ahead as a whole, its ticks still tell their order.
        """
        if self._clock is not None and tick.timestamp == tick.received_at:
            return False
        last = state.tick
        if last is None:
            return True
        if last.late or last.feed != tick.feed:
            return False
        ahead = last.timestamp - last.received_at
        return not (ahead > AHEAD_SECONDS and ahead - (tick.timestamp - tick.received_at) > AHEAD_SECONDS)

    def _reject(self, tick: Tick, reason: str) -> None:
        key = (tick.feed, reason)
        self.rejected[key] = self.rejected.get(key, 0) + 1
        if self._on_reject is not None:
            self._on_reject(tick, reason)

    def _shared(self, state: SymbolState, tick: Tick, last: float | None, change: float, percent: float) -> _Shared:
        """What all price events of one tick have in common, in the order of the record's fields."""
        return (
            tick.timestamp,
            state.symbol,
            tick.price,
            tick.volume,
            last,
            change,
            percent,
            tick.currency,
            tick.feed,
            tick.received_at,
            self.sequence,
        )

    def _publish(self, route: Route, record: type[PriceUpdate], shared: _Shared, **more: Any) -> None:
        """Count an event, heard or not; the record is built only if it is heard."""
        number = self._next_number()
        if route.listeners:
            route.send(record(self._run_name, number, *shared, **more))
        else:
            route.count += 1

    def _publish_suspect(self, state: SymbolState, tick: Tick, change: float, percent: float) -> None:
        self.sequence += 1
        shared = self._shared(state, tick, state.price, change, percent)
        self._publish(self._update, PriceUpdate, shared, suspect=True)

    def _detect(self, state: SymbolState, tick: Tick, last: float | None, before: Tick | None) -> None:
        """Change, spike and alerts, in this order, of a tick that is already the last price.

        Where it comes from another feed than the one `before`: two markets differ, and the difference is no move. An
        alert that measures moves goes on from where it was, unless so much time has passed that it may be one.
        """
        price = tick.price
        shared = self._shared(state, tick, last, state.change, state.change_percent)
        if before is not None and before.feed != tick.feed:
            state.reported = price
            if state.window is not None:
                state.window.restart(_clock_of(tick), price)
            if last is not None and tick.received_at - before.received_at <= SWITCH_SECONDS:
                state.switched_at = state.updates - 1
                state.alerts.rebase(price / last)
        else:
            self._detect_moves(state, tick, shared)
        book = state.alerts
        if not book.low <= price <= book.high:
            self.alerts.on_tick(state, tick, shared, before)

    def _detect_moves(self, state: SymbolState, tick: Tick, shared: _Shared) -> None:
        price, percent = tick.price, state.change_percent
        reported_percent = 100.0 * (price - state.reported) / state.reported
        measured = reported_percent if self._against_reported else percent
        if measured and abs(measured) >= self._min_change:
            state.reported = price
            self._publish(self._change, PriceChange, shared, reported_change_percent=reported_percent)
        window = state.window
        move = window.move(_clock_of(tick), price) if window is not None else percent
        if abs(move) >= self._spike_percent:
            if window is not None:
                window.restart(_clock_of(tick), price)
            self._publish(self._spike, PriceSpike, shared, spike_percent=move)

    # --- alerts

    @property
    def alerts_fired(self) -> int:
        """Firings of all alerts."""
        return self.alerts.fired

    @property
    def firings(self) -> dict[str, int]:
        """Firings of each alert that has fired."""
        return self.alerts.firings

    def next_deadline(self) -> float | None:
        """When `on_time` has something to do next, by the timers' clock; None: nothing is waited for."""
        return self.alerts.next_deadline()

    def on_time(self, now: float) -> None:
        """It is `now` by the timers' clock: fire the alerts that have held long enough."""
        self.alerts.on_time(now, self.sequence)


def _clock_of(tick: Tick) -> float:
    """The time of `tick` for windows of time, which one tick of the future must not hold open for a day."""
    return min(tick.timestamp, tick.received_at + AHEAD_SECONDS)
