"""How a feed is, for people and programs that ask."""

from __future__ import annotations

import time
from collections.abc import Collection

from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.connection import Connection
from pricestreamd.model.interface import ClientStats, ConnectionReport, SymbolReport
from pricestreamd.model.tick import symbol_key


def client_stats(announcer: Announcer, connection: Connection) -> ClientStats:
    """Counters of a client. `uptime`: of the present connection; 0 without one."""
    now = time.monotonic()
    session, counters = connection.session, announcer.counters
    since, heard = announcer.connected_at, session.last_heartbeat
    symbols = session.subscriptions.confirmed
    return {
        "connected": session.is_open,
        "uptime": now - since if session.is_open and since is not None else 0.0,
        "messages_received": counters.frames_received,
        "messages_sent": counters.messages_sent,
        "reconnections": counters.reconnections,
        "subscriptions": len(symbols),
        "subscribed_symbols": symbols,
        "heartbeat_enabled": session.settings.heartbeat.enabled,
        "last_heartbeat": None if heard is None else now - heard,
        "last_error": announcer.last_error,
    }


def connection_report(announcer: Announcer, connection: Connection) -> ConnectionReport:
    """One connection."""
    return {
        "connection": connection.number,
        "state": connection.session.state,
        "symbols": connection.session.subscriptions.confirmed_count,
        "since": connection.since,
        "lag_seconds": announcer.counters.lag_seconds,
        "reconnects": announcer.counters.reconnections,
        "last_error": announcer.last_error,
    }


def symbol_reports(feed: str, connection: Connection, configured: Collection[str]) -> list[SymbolReport]:
    """Every wanted symbol, in the order in which they were asked for; `configured` ones come from the file."""
    from_file = set(map(symbol_key, configured))
    return [
        {
            "symbol": symbol,
            "feed": feed,
            "connection": None if state == "unplaced" else connection.number,
            "state": state,
            "reason": reason,
            "source": "yaml" if symbol_key(symbol) in from_file else "api",
        }
        for symbol, (state, reason) in connection.session.subscriptions.states()
    ]
