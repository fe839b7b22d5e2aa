"""How a feed is, for people and programs that ask."""

from __future__ import annotations

import time
from collections.abc import Callable

from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.pool import Pool
from pricestreamd.model.interface import (
    ClientStats,
    ConnectionReport,
    ConnectionState,
    SubscriptionState,
    SymbolReport,
    SymbolSource,
)
from pricestreamd.model.tick import symbol_key

# A feed is as well as the worst of its connections.
_WORST_FIRST: tuple[ConnectionState, ...] = ("stopped", "backoff", "connecting", "subscribing", "stale", "live")


def feed_state(pool: Pool) -> ConnectionState:
    """The state of the feed: `live` when all its connections are, and `parked` when all were refused.

    One that was refused beside others waits like one in `backoff`: the others may show that the key is good.
    """
    states = {connection.session.state for connection in pool.connections.values()}
    if states == {"parked"}:
        return "parked"
    return next(state for state in _WORST_FIRST if state in states or (state == "backoff" and "parked" in states))


def client_stats(announcer: Announcer, pool: Pool) -> ClientStats:
    """Counters of a client. `uptime`: of the youngest connection; 0 unless all are open."""
    now = time.monotonic()
    connections, counters = list(pool.connections.values()), pool.counters
    heard = [one.session.last_heartbeat for one in connections if one.session.last_heartbeat is not None]
    symbols = [symbol for one in connections for symbol in one.session.subscriptions.confirmed]
    connected = all(one.session.is_open for one in connections)
    return {
        "connected": connected,
        "uptime": min(now - one.opened_at for one in connections if one.opened_at is not None) if connected else 0.0,
        "messages_received": counters.frames_received,
        "messages_sent": counters.messages_sent,
        "reconnections": counters.reconnections,
        "subscriptions": len(symbols),
        "subscribed_symbols": symbols,
        "heartbeat_enabled": pool.settings.heartbeat.enabled,
        "last_heartbeat": now - min(heard) if heard else None,
        "last_error": announcer.last_error,
    }


def connection_report(connection: Connection) -> ConnectionReport:
    """One connection."""
    return {
        "connection": connection.number,
        "state": connection.session.state,
        "silent": connection.session.is_silent,
        "symbols": connection.session.subscriptions.confirmed_count,
        "since": connection.since,
        "lag_seconds": connection.counters.lag_seconds,
        "reconnects": max(0, connection.openings - 1),
        "last_error": connection.last_error,
    }


def symbol_reports(feed: str, pool: Pool, source: Callable[[str], SymbolSource]) -> list[SymbolReport]:
    """Every wanted symbol, in the order in which they were asked for; `source`: where a symbol comes from."""
    states: dict[str, tuple[int | None, SubscriptionState, str | None]] = {
        symbol_key(symbol): (connection.number, state, reason)
        for connection in pool.connections.values()
        for symbol, (state, reason) in connection.session.subscriptions.states()
    }
    nowhere: tuple[int | None, SubscriptionState, str | None] = None, "unplaced", pool.allowance.in_words()
    reports: list[SymbolReport] = []
    for symbol in pool.places.wanted:
        number, state, reason = states.get(symbol_key(symbol), nowhere)
        reports.append(
            {
                "symbol": symbol,
                "feed": feed,
                "connection": number,
                "state": state,
                "reason": reason,
                "source": source(symbol),
            }
        )
    return reports
