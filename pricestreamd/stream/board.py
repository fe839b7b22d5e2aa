"""The board: the tracked symbols with all that is known of each, and the alerts that lie over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from pricestreamd.model.tick import Tick, price_fault, symbol_key
from pricestreamd.stream.alert_rule import AlertRule, is_glob
from pricestreamd.stream.alerts.book import AlertBook
from pricestreamd.stream.alerts.ledger import AlertLedger, LargestTime
from pricestreamd.stream.alerts.record import AlertRecord
from pricestreamd.stream.alerts.rule_index import RuleIndex
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.history import History, HistoryEntry
from pricestreamd.stream.settings import StreamSettings
from pricestreamd.stream.symbol_state import SpikeWindow, SymbolState


class Board:
    """`by_symbol` holds each state under the configured spelling; look-ups by other spellings go through `state`.

    `clock` gives epoch seconds; without one, symbols have been listened to for ever. `hours_of` knows market hours.
    """

    def __init__(
        self,
        settings: StreamSettings,
        ledger: AlertLedger | None = None,
        *,
        clock: Callable[[], float] | None = None,
        hours_of: HoursOf | None = None,
    ) -> None:
        self.by_symbol: dict[str, SymbolState] = {}
        timeless = LargestTime().read
        self.ledger = ledger or AlertLedger(timeless, timeless)
        self._by_key: dict[str, SymbolState] = {}
        # Also of symbols that are not tracked now: the state of an alert outlasts the subscription.
        self._books: dict[str, AlertBook] = {}
        self._rules = RuleIndex()
        # Last prices from before a restart, until their symbols are here.
        self._restored: dict[str, Tick] = {}
        # Which alerts are done for all of their symbols, as of a revision of the ledger.
        self._done: tuple[int, frozenset[str]] = (-1, frozenset())
        self._clock = clock
        self._hours_of = hours_of
        self._settings = settings

    def apply(self, settings: StreamSettings) -> None:
        """Keep histories and spike windows by `settings` from now on."""
        self._settings = settings
        for state in self.by_symbol.values():
            self._equip(state)

    def _equip(self, state: SymbolState) -> None:
        history, window = self._settings.history, self._settings.spike.window
        if not history.enabled or not history.size:
            state.history = None
        elif state.history is None:
            state.history = History(history.size)
        elif state.history.size != history.size:
            state.history = state.history.resized(history.size)
        if window is None:
            state.window = None
        elif state.window is None or state.window.seconds != window:
            state.window = SpikeWindow(window)
            if state.price is not None:
                state.window.restart(state.timestamp, state.price)

    # --- symbols

    def track(self, symbols: Iterable[str]) -> None:
        """Take ticks of these symbols from now on; those tracked already stay as they are."""
        since = self._clock() if self._clock is not None else -math.inf
        for symbol in symbols:
            key = symbol_key(symbol)
            if key in self._by_key:
                continue
            known = self._books.get(key)
            book = self._books[key] = known or AlertBook(key, self.ledger)
            rules = self._rules.covering(key)
            book.listen(self._hours_of(symbol) if rules and self._hours_of is not None else None, since)
            for rule in rules:
                self._put(book, rule, None, revive=False)
            # Alerts that are older than this have missed what was before.
            state = SymbolState(symbol=symbol, history=None, alerts=book, gap_before=0 if known is None else 1)
            self._equip(state)
            self.by_symbol[symbol] = self._by_key[key] = state
            self.ledger.revision += 1
            if key in self._restored:
                _begin_at(state, self._restored.pop(key))

    def untrack(self, symbols: Iterable[str]) -> None:
        """Forget these symbols, but for the state of their alerts: their ticks are rejected from now on."""
        for symbol in symbols:
            key = symbol_key(symbol)
            state = self._by_key.pop(key, None)
            if state is not None:
                del self.by_symbol[state.symbol]
                state.alerts.rest()
                self._clear(state.alerts)
                self.ledger.revision += 1

    def _clear(self, book: AlertBook) -> None:
        """Forget a book that nobody needs."""
        if not book.alerts and book.key not in self._by_key:
            del self._books[book.key]

    def restore_price(  # noqa: PLR0917 - the columns of a kept price, in their order
        self,
        symbol: str,
        price: float,
        timestamp: float,
        received_at: float,
        volume: float | None = None,
        currency: str | None = None,
        feed: str = "",
    ) -> None:
        """The last price of `symbol` before a restart; it waits for the symbol where that is not tracked yet.

        It counts as no update. The next tick is compared with it as with any other, and is the first after a gap; new
        alerts do not measure from it. What cannot be a price is ignored, and so it is once there was a tick.
        """
        if price_fault(price) is not None or not math.isfinite(timestamp) or not math.isfinite(received_at):
            return
        tick = Tick(symbol, float(price), timestamp, received_at, volume, currency, feed)
        state = self.state(symbol)
        if state is None:
            self._restored[symbol_key(symbol)] = tick
        elif not state.updates:
            _begin_at(state, tick)

    def prices(self) -> Iterator[SymbolState]:
        """The tracked symbols that have a price, restored or heard; their `tick` is not None."""
        return (state for state in self.by_symbol.values() if state.tick is not None)

    def state(self, symbol: str) -> SymbolState | None:
        """What is known of `symbol`, in any spelling; None where it is not tracked."""
        return self.by_symbol.get(symbol) or self._by_key.get(symbol_key(symbol))

    def mark_gap(self, symbols: Iterable[str], begin: float = -math.inf, end: float = math.inf) -> None:
        """Data of these symbols was missed between two times: the alerts of the next tick of each say so."""
        for symbol in symbols:
            state = self.state(symbol)
            if state is not None:
                state.gap_before = state.updates + 1
                state.alerts.miss(begin, end)

    def history(self, symbol: str, limit: int | None = None) -> list[HistoryEntry]:
        """The last `limit` prices of `symbol`, oldest first; empty where none is kept."""
        state = self.state(symbol)
        return state.history.entries(limit) if state is not None and state.history is not None else []

    # --- alerts

    def set_alert(self, rule: AlertRule, *, revive: bool = True) -> None:
        """Set `rule`, in the place of the one with its id; see `AlertBook.set` for what is kept."""
        before = self._rules.get(rule.alert_id)
        books = self._books_of(*filter(None, (before, rule)))
        self._rules.put(rule)
        for book in books:
            if rule.covers(book.key):
                self._put(book, rule, self._by_key.get(book.key), revive=revive)
            else:
                self._take_out(book, rule.alert_id)
        self.ledger.revision += 1

    def _put(self, book: AlertBook, rule: AlertRule, state: SymbolState | None, *, revive: bool) -> None:
        if state is not None and self._hours_of is not None and (rule.needs_hours or not book.alerts):
            book.take_hours(self._hours_of(state.symbol))
        if state is None or not state.updates:
            book.set(rule, self._rules.place(rule.alert_id), revive=revive)
        else:
            book.saw(state.timestamp)
            book.set(rule, self._rules.place(rule.alert_id), state.price, revive=revive)
        if state is not None and book.wants_past:
            book.fill_past(_past(state))

    def _take_out(self, book: AlertBook, alert_id: str) -> None:
        book.remove(alert_id)
        self._clear(book)

    def remove_alert(self, alert_id: str) -> bool:
        """Forget the alert; False where there was none."""
        rule = self._rules.get(alert_id)
        if rule is None:
            return False
        for book in self._books_of(rule):
            self._take_out(book, alert_id)
        self._rules.remove(alert_id)
        self.ledger.revision += 1
        return True

    def clear_alerts(self, symbol: str) -> None:
        """Remove every alert on `symbol`; an alert on several symbols, or on a glob, stays for the others."""
        for rule in self.alerts():
            if not rule.covers(symbol):
                continue
            others = rule.without(symbol)
            if others is None:
                self.remove_alert(rule.alert_id)
                continue
            for book in self._books_of(rule):
                if not others.covers(book.key):
                    self._take_out(book, rule.alert_id)
            self._rules.put(others)

    def rearm(self, alert_id: str, symbol: str | None = None) -> bool:
        """Let an alert begin anew, for `symbol` or for all of its symbols. False: there is none."""
        rule = self._rules.get(alert_id)
        key = symbol_key(symbol) if symbol is not None else None
        books = [
            book
            for book in (self._books_of(rule) if rule is not None else ())
            if alert_id in book.alerts and key in (None, book.key)
        ]
        for book in books:
            state = self._by_key.get(book.key)
            book.rearm(alert_id, state.price if state is not None and state.updates else None)
        return bool(books)

    def restore(self, records: Iterable[AlertRecord]) -> None:
        """Go on where `records` end, before the first tick. Those of symbols that are not tracked yet wait for them.

        All alerts have been set by now: what is kept of others is to be kept no longer.
        """
        for record in records:
            rule = self._rules.get(record.alert_id)
            if rule is None or not rule.covers(record.symbol):
                self.ledger.gone[(record.alert_id, record.symbol)] = None
                continue
            book = self._books.setdefault(record.symbol, AlertBook(record.symbol, self.ledger))
            if record.alert_id not in book.alerts:
                self._put(book, rule, None, revive=False)
            book.restore(record)
            state = self._by_key.get(record.symbol)
            if state is not None and not state.updates:
                state.gap_before = 1

    def _books_of(self, *rules: AlertRule) -> list[AlertBook]:
        """The books in which alerts may be: of the symbols that they name, or all."""
        if any(is_glob(pattern) for rule in rules for pattern in rule.patterns):
            return list(self._books.values())
        keys = dict.fromkeys(pattern for rule in rules for pattern in rule.patterns)
        return [self._books[key] for key in keys if key in self._books]

    def rule(self, alert_id: str) -> AlertRule | None:
        """The alert of this id."""
        return self._rules.get(alert_id)

    def alerts(self) -> list[AlertRule]:
        """All alerts, in the order in which they were set."""
        return list(self._rules)

    def alerts_active(self) -> int:
        """How many alerts can still fire for some symbol."""
        revision, done = self._done
        if revision != self.ledger.revision:
            done = self._done_everywhere()
            self._done = self.ledger.revision, done
        expiring = self._rules.expiring
        wall = self.ledger.wall() if expiring else 0.0
        return len(self._rules) - len(done.union(one for one, expires in expiring.items() if expires <= wall))

    def _done_everywhere(self) -> frozenset[str]:
        done: set[str] = set()
        waiting: set[str] = set()
        for state in self.by_symbol.values():
            for alert_id, alert in state.alerts.alerts.items():
                (done if alert.is_done else waiting).add(alert_id)
        return frozenset(done - waiting)

    def alerts_blind(self) -> int:
        """How many alerts cannot see what they wait for, for some symbol."""
        return len({alert.rule.alert_id for alert in self.ledger.blind})


def _begin_at(state: SymbolState, tick: Tick) -> None:
    """`tick` was the last one before a restart."""
    state.price = state.reported = tick.price
    state.timestamp, state.tick = tick.timestamp, tick
    state.gap_before = 1
    if state.window is not None:
        state.window.restart(tick.timestamp, tick.price)
    state.alerts.fill_past(_past(state))


def _past(state: SymbolState) -> list[tuple[float, float]]:
    """Times and prices as far as they are known, oldest first."""
    entries = state.history.entries(state.updates - state.switched_at) if state.history is not None else []
    past = [(entry["timestamp"], entry["price"]) for entry in entries]
    return past or [(state.timestamp, state.price)] if state.price is not None else []
