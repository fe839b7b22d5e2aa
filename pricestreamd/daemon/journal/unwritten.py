"""What has changed and is not in the state's file yet: of each thing only its newest row."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from pricestreamd.state.rows import AlertRow, AlertStateRow, EventRow, Place, PriceRow, StateChange, SymbolRow

_Row = TypeVar("_Row")

# A disk that refuses for days must not take the memory, too. These events were delivered from memory.
MOST_EVENTS = 10_000


class Unwritten:
    """Gathers changes for the next transaction; `lost` counts events that gave way to newer ones."""

    def __init__(self) -> None:
        self.lost = 0
        self._states: dict[Place, AlertStateRow | None] = {}
        self._alerts: dict[str, AlertRow | None] = {}
        self._symbols: dict[SymbolRow, bool] = {}
        self._prices: dict[str, PriceRow] = {}
        self._events: dict[str, EventRow] = {}
        self._owed: dict[str, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._states or self._alerts or self._symbols or self._prices or self._events)

    def add(self, change: StateChange) -> None:
        """What `change` says is newer than what is here. What is gone and comes again in one change, comes."""
        self._states |= dict.fromkeys(change.alert_states_gone)
        self._states |= {(row.alert_id, row.symbol): row for row in change.alert_states}
        self._alerts |= dict.fromkeys(change.alerts_gone)
        self._alerts |= {row.alert_id: row for row in change.alerts}
        self._symbols |= dict.fromkeys(change.symbols_gone, False)
        self._symbols |= dict.fromkeys(change.symbols, True)
        self._prices |= {row.symbol: row for row in change.prices}
        self._events |= {row.event_id: row for row in change.events}
        self._owed |= _by_event(change.owed)
        while len(self._events) > MOST_EVENTS:
            oldest = next(iter(self._events))
            del self._events[oldest]
            self._owed.pop(oldest, None)
            self.lost += 1

    @property
    def events(self) -> Collection[EventRow]:
        """Those that wait to be written, oldest first."""
        return self._events.values()

    def take(self) -> StateChange:
        """All of it, for one transaction; nothing is left here."""
        change = StateChange(
            alert_states=_there(self._states.values()),
            alert_states_gone=[place for place, row in self._states.items() if row is None],
            alerts=_there(self._alerts.values()),
            alerts_gone=[alert_id for alert_id, row in self._alerts.items() if row is None],
            symbols=[row for row, wanted in self._symbols.items() if wanted],
            symbols_gone=[row for row, wanted in self._symbols.items() if not wanted],
            prices=list(self._prices.values()),
            events=list(self._events.values()),
            owed=[(event_id, sink) for event_id, sinks in self._owed.items() for sink in sinks],
        )
        for kept in (self._states, self._alerts, self._symbols, self._prices, self._events, self._owed):
            kept.clear()
        return change

    def put_back(self, change: StateChange) -> None:
        """`change` was taken and not written: what came since is newer."""
        newer = self.take()
        self.add(change)
        self.add(newer)


def _there(rows: Iterable[_Row | None]) -> list[_Row]:
    return [row for row in rows if row is not None]


def _by_event(owed: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for event_id, sink in owed:
        found[event_id] = (*found.get(event_id, ()), sink)
    return found
