"""A daemon in the small: real prices, events and reports behind the `DaemonView` that the HTTP side asks."""

import time
from collections import deque
from typing import Any

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.http.health import FeedHealth, FeedWatch
from pricestreamd.http.view import AlertReport, Check, HistoryPoint, PriceReport
from pricestreamd.model.events import FeedDisconnected, PriceAlert, PriceChange, PriceError, PriceUpdate, Run
from pricestreamd.model.interface import ConnectionReport, ConnectionState, FeedReport, StreamStats, SymbolReport
from pricestreamd.model.tick import symbol_key


def connection(state: ConnectionState = "live", *, since: float = 0.0, **fields: Any) -> ConnectionReport:
    report: ConnectionReport = {
        "connection": 0,
        "state": state,
        "silent": state == "stale",
        "symbols": 3,
        "since": since,
        "lag_seconds": 0.004,
        "reconnects": 0,
        "last_error": None,
    }
    return report | fields  # type: ignore[return-value]  # tests name fields that exist


def feed(
    *connections: ConnectionReport,
    state: ConnectionState = "live",
    backup: str | None = None,
    market_open: bool = True,
) -> FeedReport:
    return {
        "provider": "twelvedata",
        "state": state,
        "backup": backup,
        "market_open": market_open,
        "connections": list(connections),
    }


class SmallDaemon:
    """Satisfies `DaemonView`. `publish` moves a price and dispatches its `price.update`."""

    def __init__(self, symbols: tuple[str, ...] = ("AAPL", "MSFT", "BTC/USD")) -> None:
        self.run = Run("test")
        self.dispatcher = EventDispatcher(self.run)
        self.feed_reports: dict[str, FeedReport] = {"stocks": feed(connection(since=time.time()))}
        self.symbol_reports: dict[str, SymbolReport] = {symbol: self._wanted(symbol) for symbol in symbols}
        self.price_reports: dict[str, PriceReport] = {}
        self.histories: dict[str, deque[HistoryPoint]] = {}
        self.alert_reports: list[AlertReport] = []
        self.checks = [Check("loop", ok=True)]
        self.ready_checks = [Check("config", ok=True), Check("state", ok=True, detail="writable")]
        self.running = True
        self.alerts_fired = 0
        self.broken = False
        self.started = time.monotonic()
        self._watch = FeedWatch()

    def _wanted(self, symbol: str) -> SymbolReport:
        return {
            "symbol": symbol,
            "feed": "stocks",
            "connection": 0,
            "state": "subscribed",
            "reason": None,
            "source": "yaml",
        }

    # --- what happens

    def publish(self, symbol: str, price: float, *, volume: float | None = 100.0) -> None:
        now = time.time()
        before = self.price_reports.get(symbol)
        last = before["price"] if before else None
        change = price - last if last is not None else 0.0
        percent = 100 * change / last if last else 0.0
        self.price_reports[symbol] = {
            "price": price,
            "change": change,
            "change_percent": percent,
            "volume": volume,
            "timestamp": now,
            "feed": "stocks",
            "stale": False,
        }
        history = self.histories.setdefault(symbol, deque(maxlen=1000))
        history.append({"timestamp": now, "price": price, "volume": volume})
        number = self.run.next_number()
        update = PriceUpdate(
            "test", number, now, symbol, price, volume, last, change, percent, "USD", "stocks", now, number
        )
        self.dispatcher.dispatch(update)

    def change(self, symbol: str, price: float) -> None:
        now, number = time.time(), self.run.next_number()
        self.dispatcher.dispatch(
            PriceChange("test", number, now, symbol, price, None, price, 0.0, 0.0, "USD", "stocks", now, number)
        )

    def alert(self, symbol: str, text: str, **fields: Any) -> None:
        self.alerts_fired += 1
        now, number = time.time(), self.run.next_number()
        price = self.price_reports[symbol]["price"] if symbol in self.price_reports else 1.0
        update = (symbol, price, None, price, 0.0, 0.0, "USD", "stocks", now, number)
        self.dispatcher.dispatch(
            PriceAlert("test", number, now, *update, alert_id=f"{symbol}-1", alert_text=text, **fields)
        )

    def error(self, message: str, **fields: Any) -> None:
        known: dict[str, Any] = {"severity": "warning", "error": "feed_failed", "feed": "stocks"}
        self.dispatcher.dispatch(
            PriceError(
                run="test", number=self.run.next_number(), timestamp=time.time(), message=message, **known | fields
            )
        )

    def disconnected(self, reason: str) -> None:
        self.dispatcher.dispatch(
            FeedDisconnected(
                run="test", number=self.run.next_number(), timestamp=time.time(), feed="stocks", reason=reason
            )
        )

    # --- DaemonView

    def stats(self) -> StreamStats:
        if self.broken:
            raise RuntimeError("secret inside of the daemon")
        uptime = time.monotonic() - self.started
        updates = self.dispatcher.event_counts.get("price.update", 0)
        return {
            "running": self.running,
            "uptime": uptime,
            "updates_received": updates,
            "changes_detected": 0,
            "alerts_triggered": self.alerts_fired,
            "symbols_tracked": len(self.symbol_reports),
            "alerts_active": len(self.alert_reports),
            "updates_per_second": updates / uptime if uptime else 0.0,
            "websocket_stats": {
                "connected": True,
                "uptime": uptime,
                "messages_received": updates,
                "messages_sent": 1,
                "reconnections": 0,
                "subscriptions": len(self.symbol_reports),
                "subscribed_symbols": list(self.symbol_reports),
                "heartbeat_enabled": True,
                "last_heartbeat": 1.0,
                "last_error": None,
            },
        }

    def feeds(self) -> dict[str, FeedReport]:
        return self.feed_reports

    def health(self) -> dict[str, FeedHealth]:
        return self._watch.look(self.feed_reports, time.monotonic())

    def symbols(self) -> list[SymbolReport]:
        return list(self.symbol_reports.values())

    def find_symbol(self, symbol: str) -> str | None:
        key = symbol_key(symbol)
        return next((known for known in self.symbol_reports if symbol_key(known) == key), None)

    def prices(self, symbol: str | None = None) -> dict[str, PriceReport]:
        if symbol is None:
            return self.price_reports
        return {symbol: self.price_reports[symbol]} if symbol in self.price_reports else {}

    def history(self, symbol: str, limit: int | None) -> list[HistoryPoint]:
        entries = list(self.histories.get(symbol, ()))
        return entries if limit is None else entries[-limit:]

    def alerts(self) -> list[AlertReport]:
        return self.alert_reports

    def config(self) -> dict[str, Any]:
        return {"http": {"auth_token": "***"}, "feeds": {"stocks": {"symbols": list(self.symbol_reports)}}}

    def metrics(self, accept: str) -> tuple[bytes, str]:
        if "openmetrics" in accept:
            return b"# EOF\n", "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return b"pricestream_alerts_active 0\n", "text/plain; version=0.0.4; charset=utf-8"

    def liveness(self) -> list[Check]:
        return self.checks

    def readiness(self) -> list[Check]:
        return self.ready_checks
