"""A daemon of plain records: what `MetricsView` asks for, and nothing that runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pricestreamd.model.histogram import Histogram
from pricestreamd.model.interface import ClientStats, ConnectionState, FeedReport, StreamStats, SymbolReport
from pricestreamd.telemetry.loop_lag import LoopLag


def histogram(*seconds: float) -> Histogram:
    made = Histogram()
    for value in seconds:
        made.observe(value)
    return made


@dataclass
class Counters:
    frames_received: int = 0
    received_bytes: int = 0
    ticks: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    reconnects: dict[str, int] = field(default_factory=dict)
    subscriptions_rejected: int = 0
    ignored: int = 0
    missed: int = 0
    last_message_at: float | None = None
    last_tick_at: float | None = None
    lag: Histogram = field(default_factory=Histogram)


@dataclass
class Feed:
    name: str = "us"
    state: ConnectionState = "live"
    connections: tuple[ConnectionState, ...] = ("live",)
    symbols: Mapping[str, str] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    market_open: bool = True
    stale_symbols: frozenset[str] = frozenset()

    def report(self) -> FeedReport:
        return {
            "provider": "twelvedata",
            "state": self.state,
            "backup": None,
            "market_open": self.market_open,
            "connections": [
                {
                    "connection": slot,
                    "state": state,
                    "silent": state == "stale",
                    "symbols": len(self.symbols),
                    "since": 0.0,
                    "lag_seconds": None,
                    "reconnects": 0,
                    "last_error": None,
                }
                for slot, state in enumerate(self.connections)
            ],
        }

    def symbol_reports(self) -> list[SymbolReport]:
        return [
            {"symbol": symbol, "feed": self.name, "connection": 0, "state": state, "reason": None, "source": "yaml"}  # type: ignore[typeddict-item]  # a table of words
            for symbol, state in self.symbols.items()
        ]


CLIENT_STATS = ClientStats(
    connected=True,
    uptime=1.0,
    messages_received=0,
    messages_sent=0,
    reconnections=0,
    subscriptions=0,
    subscribed_symbols=[],
    heartbeat_enabled=True,
    last_heartbeat=None,
    last_error=None,
)


@dataclass
class Stream:
    rejected: dict[tuple[str, str], int] = field(default_factory=dict)
    dispatch_seconds: Histogram = field(default_factory=Histogram)
    alerts_fired: int = 0
    alerts_blind: int = 0
    updates: int = 0
    alerts_active: int = 0
    prices: dict[str, float | None] = field(default_factory=dict)

    def get_stats(self) -> StreamStats:
        return StreamStats(
            running=True,
            uptime=1.0,
            updates_received=self.updates,
            changes_detected=0,
            alerts_triggered=self.alerts_fired,
            symbols_tracked=len(self.prices),
            alerts_active=self.alerts_active,
            updates_per_second=0.0,
            websocket_stats=CLIENT_STATS,
        )

    def get_all_prices(self) -> dict[str, float | None]:
        return self.prices


@dataclass
class Listener:
    name: str
    errors: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    ours: bool = False


@dataclass
class Dispatcher:
    event_counts: dict[str, int] = field(default_factory=dict)
    registered: list[Listener] = field(default_factory=list)

    def listeners(self) -> list[Listener]:
        return self.registered


@dataclass
class Sink:
    queued: int = 0
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    flush_seconds: Histogram = field(default_factory=Histogram)
    breaker_open: bool = False
    breaker_openings: int = 0
    stopped: bool = False


@dataclass
class Outbox:
    pending: int = 0
    oldest_seconds: float = 0.0


@dataclass
class Watchlist:
    last_success_at: float | None = None


@dataclass
class Reload:
    successful: bool = True
    success_at: float = 1_700_000_000.0


@dataclass
class Deadman:
    calls: int = 0
    failures: int = 0


@dataclass
class Daemon:
    feeds: dict[str, Feed] = field(default_factory=dict)
    service: Stream = field(default_factory=Stream)
    dispatcher: Dispatcher = field(default_factory=Dispatcher)
    sinks: dict[str, Sink] = field(default_factory=dict)
    outbox: Outbox = field(default_factory=Outbox)
    watchlists: dict[str, Watchlist] = field(default_factory=dict)
    loop_lag: LoopLag = field(default_factory=LoopLag)
    reload: Reload = field(default_factory=Reload)
    healthy: dict[str, bool] = field(default_factory=dict)
    state_writable: bool = True
    log_lines_lost: int = 0
    deadman: Deadman = field(default_factory=Deadman)


def busy_daemon() -> Daemon:
    """One with a value for every metric."""
    daemon = Daemon(
        feeds={
            "us": Feed(
                connections=("live", "backoff"),
                symbols={"AAPL": "subscribed", "MSFT": "pending"},
                counters=Counters(
                    frames_received=10,
                    received_bytes=1800,
                    ticks=9,
                    rejected={"json": 1},
                    reconnects={"reset": 2},
                    subscriptions_rejected=1,
                    ignored=4,
                    missed=8,
                    last_message_at=1_700_000_100.5,
                    last_tick_at=1_700_000_100.25,
                    lag=histogram(0.002, 40.0),
                ),
            ),
            "fx": Feed(name="fx", state="parked", connections=("parked",)),
        },
        service=Stream(
            rejected={("us", "future"): 3, ("us", "json"): 4},
            dispatch_seconds=histogram(0.0001, 0.0002),
            alerts_fired=5,
            alerts_blind=1,
            updates=9,
            alerts_active=2,
            prices={"AAPL": 150.25, "MSFT": None, "BTC/USD": 64_000.5},
        ),
        dispatcher=Dispatcher(
            {"price.update": 9, "my.event": 7},
            [
                Listener("mytrading.hooks.pause", 1, histogram(0.001)),
                Listener("mytrading.hooks.pause", 2, histogram(2.0)),
                Listener("sink ticks", 4, histogram(0.5), ours=True),
            ],
        ),
        sinks={"ticks": Sink(4, 90, {"overflow": 6}, 2, histogram(0.01), True, 3)},
        outbox=Outbox(3, 12.5),
        watchlists={"us": Watchlist(1_700_000_090.5), "fx": Watchlist()},
        healthy={"us": True, "fx": False},
        state_writable=False,
        log_lines_lost=17,
        deadman=Deadman(30, 2),
    )
    daemon.loop_lag.observe(0.003)
    return daemon
