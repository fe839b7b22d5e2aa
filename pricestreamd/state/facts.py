"""The statements for what is restored after a restart: alert states, what was made over the API, prices, watchlists.

Each function works on an open connection. Those that write begin no transaction of their own.
"""

from __future__ import annotations

import sqlite3
from itertools import starmap

from pricestreamd.state.rows import AlertRow, AlertStateRow, PriceRow, SavedState, StateChange, SymbolRow


def write_facts(connection: sqlite3.Connection, change: StateChange) -> None:
    """Write `change` but for its events. What is gone goes first: of the same key in both, the row stays."""
    many = connection.executemany
    if change.alert_states_gone:
        many("DELETE FROM alert_states WHERE alert_id = ? AND symbol = ?", change.alert_states_gone)
    if change.alert_states:
        many(
            "INSERT INTO alert_states (alert_id, symbol, record) VALUES (?, ?, ?) "
            "ON CONFLICT (alert_id, symbol) DO UPDATE SET record = excluded.record",
            [(row.alert_id, row.symbol, row.record) for row in change.alert_states],
        )
    if change.alerts_gone:
        many("DELETE FROM alerts WHERE alert_id = ?", [(alert_id,) for alert_id in change.alerts_gone])
    if change.alerts:
        many(
            "INSERT INTO alerts (alert_id, definition) VALUES (?, ?) "
            "ON CONFLICT (alert_id) DO UPDATE SET definition = excluded.definition",
            [(row.alert_id, row.definition) for row in change.alerts],
        )
    if change.symbols_gone:
        many("DELETE FROM symbols WHERE feed = ? AND symbol = ?", _symbols(change.symbols_gone))
    if change.symbols:
        many(
            "INSERT INTO symbols (feed, symbol) VALUES (?, ?) ON CONFLICT (feed, symbol) DO NOTHING",
            _symbols(change.symbols),
        )
    if change.prices:
        many(
            "INSERT INTO prices (symbol, price, timestamp, received_at, volume, currency, feed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol) DO UPDATE SET price = excluded.price, "
            "timestamp = excluded.timestamp, received_at = excluded.received_at, volume = excluded.volume, "
            "currency = excluded.currency, feed = excluded.feed",
            [
                (row.symbol, row.price, row.timestamp, row.received_at, row.volume, row.currency, row.feed)
                for row in change.prices
            ],
        )


def _symbols(rows: list[SymbolRow]) -> list[tuple[str, str]]:
    return [(row.feed, row.symbol) for row in rows]


def read_facts(connection: sqlite3.Connection) -> SavedState:
    """Everything that `write_facts` has kept; alerts and symbols in the order in which they were made."""
    read = connection.execute
    return SavedState(
        alert_states=tuple(starmap(AlertStateRow, read("SELECT alert_id, symbol, record FROM alert_states"))),
        alerts=tuple(starmap(AlertRow, read("SELECT alert_id, definition FROM alerts ORDER BY number"))),
        symbols=tuple(starmap(SymbolRow, read("SELECT feed, symbol FROM symbols ORDER BY number"))),
        prices=tuple(
            starmap(PriceRow, read("SELECT symbol, price, timestamp, received_at, volume, currency, feed FROM prices"))
        ),
    )


# --- watchlists


def select_watchlists(connection: sqlite3.Connection) -> list[tuple[str, str, float]]:
    """Feed, symbols as a JSON list, and when they were saved."""
    return connection.execute("SELECT feed, symbols, saved_at FROM watchlists").fetchall()


def upsert_watchlist(connection: sqlite3.Connection, feed: str, symbols: str, now: float) -> None:
    """Keep `symbols`, a JSON list, as those of `feed`."""
    connection.execute(
        "INSERT INTO watchlists (feed, symbols, saved_at) VALUES (?, ?, ?) "
        "ON CONFLICT (feed) DO UPDATE SET symbols = excluded.symbols, saved_at = excluded.saved_at",
        (feed, symbols, now),
    )


def delete_watchlist(connection: sqlite3.Connection, feed: str) -> None:
    """Forget those of `feed`."""
    connection.execute("DELETE FROM watchlists WHERE feed = ?", (feed,))
