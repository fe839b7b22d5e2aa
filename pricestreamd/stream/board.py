"""The board: the tracked symbols with all that is known of each, and the alerts that lie over them."""

from __future__ import annotations

from collections.abc import Iterable

from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts import AlertBook
from pricestreamd.stream.history import History, HistoryEntry
from pricestreamd.stream.settings import StreamSettings
from pricestreamd.stream.symbol_state import SpikeWindow, SymbolState


class Board:
    """`by_symbol` holds each state under the configured spelling; look-ups by other spellings go through `state`."""

    def __init__(self, settings: StreamSettings) -> None:
        self.by_symbol: dict[str, SymbolState] = {}
        self._by_key: dict[str, SymbolState] = {}
        # Also of symbols that are not tracked any more: the state of an alert outlasts the subscription.
        self._books: dict[str, AlertBook] = {}
        self._rules: dict[str, AlertRule] = {}
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
        for symbol in symbols:
            key = symbol_key(symbol)
            if key in self._by_key:
                continue
            book = self._books.setdefault(key, AlertBook(symbol))
            for rule in self._rules.values():
                if rule.covers(key):
                    book.set(rule, revive=False)
            state = SymbolState(symbol=symbol, history=None, alerts=book)
            self._equip(state)
            self.by_symbol[symbol] = self._by_key[key] = state

    def untrack(self, symbols: Iterable[str]) -> None:
        """Forget these symbols, but for the state of their alerts: their ticks are rejected from now on."""
        for symbol in symbols:
            key = symbol_key(symbol)
            state = self._by_key.pop(key, None)
            if state is not None:
                del self.by_symbol[state.symbol]
                if not state.alerts.states and not state.alerts.done:
                    del self._books[key]

    def state(self, symbol: str) -> SymbolState | None:
        """What is known of `symbol`, in any spelling; None where it is not tracked."""
        return self.by_symbol.get(symbol) or self._by_key.get(symbol_key(symbol))

    def mark_gap(self, symbols: Iterable[str]) -> None:
        """Data of these symbols was missed: the alerts of the next tick of each say so."""
        for symbol in symbols:
            state = self.state(symbol)
            if state is not None:
                state.gap_before = state.updates + 1

    def history(self, symbol: str, limit: int | None = None) -> list[HistoryEntry]:
        """The last `limit` prices of `symbol`, oldest first; empty where none is kept."""
        state = self.state(symbol)
        return state.history.entries(limit) if state is not None and state.history is not None else []

    # --- alerts

    def set_alert(self, rule: AlertRule, *, revive: bool = True) -> None:
        """Set `rule`, in the place of the one with its id; see `AlertBook.set` for what is kept."""
        self._rules[rule.alert_id] = rule
        for key, book in self._books.items():
            if rule.covers(key):
                state = self._by_key.get(key)
                book.set(rule, state.price if state is not None else None, revive=revive)
            else:
                book.remove(rule.alert_id)

    def remove_alert(self, alert_id: str) -> bool:
        """Forget the alert; False where there was none."""
        if self._rules.pop(alert_id, None) is None:
            return False
        for book in self._books.values():
            book.remove(alert_id)
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
            self._rules[rule.alert_id] = others
            for key, book in self._books.items():
                if not others.covers(key):
                    book.remove(rule.alert_id)

    def rule(self, alert_id: str) -> AlertRule | None:
        """The alert of this id."""
        return self._rules.get(alert_id)

    def alerts(self) -> list[AlertRule]:
        """All alerts, in the order in which they were set."""
        return list(self._rules.values())

    def alerts_active(self) -> int:
        """How many alerts can still fire for some symbol."""
        books = [state.alerts for state in self.by_symbol.values()]
        waiting = {state.alert.alert_id for book in books for state in book.states}
        done = {alert_id for book in books for alert_id in book.done}
        return len(self._rules.keys() - (done - waiting))
