"""The daemon as those who ask see it: a scrape of the metrics, and people and programs over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pricestreamd.daemon.alive.deadman import Deadman
from pricestreamd.daemon.alive.health import Health
from pricestreamd.daemon.answers.alert_reports import alert_reports
from pricestreamd.daemon.answers.config import in_force
from pricestreamd.daemon.outlets import SinkSums
from pricestreamd.daemon.parts import Parts
from pricestreamd.daemon.reload import ReloadOutcome
from pricestreamd.daemon.watchlists import WatchlistReader
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.http.health import FeedHealth
from pricestreamd.http.view import AlertReport, Check, HistoryPoint, PriceReport
from pricestreamd.model.interface import FeedReport, StreamStats, SymbolReport
from pricestreamd.model.tick import symbol_key
from pricestreamd.state.rows import Backlog
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.telemetry.exposition import Exposition
from pricestreamd.telemetry.logs import LogControl
from pricestreamd.telemetry.loop_lag import LoopLag

# A loop this late is not serving; the limit of what the watchdog tolerates is set in the unit.
LATE_SECONDS = 5.0


class Gauges:
    """The daemon as metrics and statistics see it (`telemetry.view.MetricsView`)."""

    def __init__(
        self,
        parts: Parts,
        reload: ReloadOutcome,
        loop_lag: LoopLag,
        *,
        health: Health,
        deadman: Deadman,
        logs: LogControl,
    ) -> None:
        self._parts = parts
        self.reload = reload
        self.loop_lag = loop_lag
        self.deadman = deadman
        self.health = health
        self._logs = logs

    @property
    def feeds(self) -> Mapping[str, WebSocketClient]:
        """Name to the feed's client."""
        return self._parts.feeds.clients

    @property
    def service(self) -> PriceStreamService:
        """The stream service."""
        return self._parts.service

    @property
    def dispatcher(self) -> EventDispatcher:
        """The dispatcher."""
        return self._parts.dispatcher

    @property
    def sinks(self) -> Mapping[str, SinkSums]:
        """Name to what the sink counts."""
        return self._parts.outlets.sums()

    @property
    def outbox(self) -> OutboxSize:
        """What all sinks owe."""
        return OutboxSize(self._parts.owing.backlogs.values())

    @property
    def healthy(self) -> Mapping[str, bool]:
        """Name of a feed to whether it is well."""
        return {name: health.healthy for name, health in self.health.by_feed.items()}

    @property
    def state_writable(self) -> bool:
        """Whether what must last could be written the last time."""
        return self._parts.journal.failure is None

    @property
    def log_lines_lost(self) -> int:
        """Lines of the log that nobody took."""
        return self._logs.dropped

    @property
    def watchlists(self) -> Mapping[str, WatchlistReader]:
        """Name of a feed to the reader of its watchlist, where it has one."""
        return self._parts.watchlists.configured


class OutboxSize:
    """What sinks owe together, by what each owes."""

    def __init__(self, backlogs: Iterable[Backlog]) -> None:
        self._backlogs = [backlog for backlog in backlogs if backlog.pending]

    @property
    def pending(self) -> int:
        """Deliveries that wait."""
        return sum(backlog.pending for backlog in self._backlogs)

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest of them; 0 where there is none."""
        begun = min((backlog.oldest_at for backlog in self._backlogs if backlog.oldest_at), default=None)
        return 0.0 if begun is None else max(0.0, time.time() - begun)


class Answers:
    """The daemon as those who ask over HTTP see it (`http.view.DaemonView`)."""

    def __init__(self, parts: Parts, gauges: Gauges) -> None:
        self._parts = parts
        self._gauges = gauges
        self._at_start = parts.settings
        self._exposition = Exposition(gauges, parts.settings.metrics)

    @property
    def dispatcher(self) -> EventDispatcher:
        """Where the live stream listens while it has readers."""
        return self._parts.dispatcher

    def stats(self) -> StreamStats:
        """The service's own statistics."""
        return self._parts.service.get_stats()

    def feeds(self) -> Mapping[str, FeedReport]:
        """Every feed by its name."""
        return {name: client.report() for name, client in self._parts.feeds.clients.items()}

    def health(self) -> Mapping[str, FeedHealth]:
        """The judgement on each feed."""
        return self._gauges.health.look()

    def symbols(self) -> Sequence[SymbolReport]:
        """Every wanted symbol, feed by feed."""
        return [report for client in self._parts.feeds.clients.values() for report in client.symbol_reports()]

    def find_symbol(self, symbol: str) -> str | None:
        """The configured spelling, or None."""
        state = self._parts.service.board.state(symbol)
        return state.symbol if state is not None else None

    def prices(self, symbol: str | None = None) -> Mapping[str, PriceReport]:
        """The last price of each symbol that has had one.

        A symbol is stale while its feed does not deliver, and while it is itself silent for too long.
        """
        board = self._parts.service.board
        states = [board.by_symbol[symbol]] if symbol is not None else board.by_symbol.values()
        clients = self._parts.feeds.clients
        live = {name: client.state == "live" for name, client in clients.items()}
        silent = {symbol_key(symbol) for client in clients.values() for symbol in client.stale_symbols}
        return {
            state.symbol: {
                "price": state.tick.price,
                "change": state.change,
                "change_percent": state.change_percent,
                "volume": state.tick.volume,
                "timestamp": state.tick.timestamp,
                "feed": state.tick.feed,
                "stale": not live.get(state.tick.feed, False) or symbol_key(state.symbol) in silent,
            }
            for state in states
            if state.tick is not None
        }

    def history(self, symbol: str, limit: int | None) -> Sequence[HistoryPoint]:
        """The newest entries, oldest first."""
        return [
            {"timestamp": entry["timestamp"], "price": entry["price"], "volume": entry["volume"]}
            for entry in self._parts.service.get_history(symbol, limit)
        ]

    def alerts(self) -> Sequence[AlertReport]:
        """Every alert, in the order in which they were set."""
        return alert_reports(self._parts.service)

    def config(self) -> Mapping[str, Any]:
        """The configuration in force, without its secrets."""
        return in_force(self._parts.settings, self._at_start)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The scrape."""
        self._exposition.apply(self._parts.settings.metrics)
        return self._exposition.render(accept)

    def liveness(self) -> Sequence[Check]:
        """Whether the loop turns: who gets this answer knows it."""
        lag = self._gauges.loop_lag.last
        return [Check("loop", lag < LATE_SECONDS, f"last lag {lag * 1000:.1f} ms")]

    def readiness(self) -> Sequence[Check]:
        """The stream runs, and what must last can be written. A reload that was refused is told, and is no reason."""
        failure = self._parts.journal.failure
        reload = self._gauges.reload
        return [
            Check("stream", self._parts.service.is_running),
            Check("state", failure is None, failure or "writable"),
            Check("configuration", ok=True, detail="" if reload.successful else "the last reload was refused"),
            *self._spools(),
        ]

    def _spools(self) -> list[Check]:
        """Of each durable sink, whether what it owes can be kept."""
        workers = self._parts.outlets.workers.values()
        return [
            Check(f"spool of {worker.name}", worker.spool_failure is None, worker.spool_failure or "writable")
            for worker in workers
            if worker.settings.durable
        ]
