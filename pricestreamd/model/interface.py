"""What the parts of the house promise each other: the client's Protocol and the shapes of statistics and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from pricestreamd.model.tick import Tick

ConnectionState = Literal["connecting", "subscribing", "live", "stale", "backoff", "parked", "stopped"]
SymbolSource = Literal["yaml", "api", "watchlist"]
SubscriptionState = Literal["pending", "subscribed", "rejected", "unplaced"]

MessageCallback = Callable[[Tick], object]
ConnectionCallback = Callable[[str, Mapping[str, Any]], object]
ErrorCallback = Callable[[str, Exception], object]


class ClientStats(TypedDict):
    """What `WebSocketInterface.get_stats` returns. Times are seconds; `last_heartbeat` is an age, or None."""

    connected: bool
    uptime: float
    messages_received: int
    messages_sent: int
    reconnections: int
    subscriptions: int
    subscribed_symbols: list[str]
    heartbeat_enabled: bool
    last_heartbeat: float | None
    last_error: str | None


class StreamStats(TypedDict):
    """What `PriceStreamService.get_stats` returns. `uptime` in seconds."""

    running: bool
    uptime: float
    updates_received: int
    changes_detected: int
    alerts_triggered: int
    symbols_tracked: int
    alerts_active: int
    updates_per_second: float
    websocket_stats: ClientStats


class MostDispatched(TypedDict):
    """The event dispatched most often."""

    event: str
    count: int


class DispatcherStats(TypedDict):
    """What `EventDispatcher.get_stats` returns."""

    total_dispatches: int
    total_listeners: int
    events_registered: int
    event_counts: dict[str, int]
    most_dispatched: MostDispatched | None


class ConnectionReport(TypedDict):
    """One connection, as `/api/v1/feeds` shows it. `since`: epoch seconds at which `state` began.

    `silent`: no price has come for too long, over this connection and those that it replaces, whatever its state.
    """

    connection: int
    state: ConnectionState
    silent: bool
    symbols: int
    since: float
    lag_seconds: float | None
    reconnects: int
    last_error: str | None


class FeedReport(TypedDict):
    """One feed, as `/api/v1/feeds` shows it. `backup`: the feed that stands in for it.

    `market_open`: whether prices of any of its symbols may be expected now.
    """

    provider: str
    state: ConnectionState
    backup: str | None
    market_open: bool
    connections: list[ConnectionReport]


class SymbolReport(TypedDict):
    """One wanted symbol, as `/api/v1/symbols` shows it."""

    symbol: str
    feed: str
    connection: int | None
    state: SubscriptionState
    reason: str | None
    source: SymbolSource


class WebSocketInterface(Protocol):
    """A source of ticks. `WebSocketClient` is one; anything of this shape can stand in its place."""

    async def connect(self) -> None:
        """Open the connection; raise a `FeedError` that says why it could not be opened."""

    async def disconnect(self) -> None:
        """Unsubscribe and close; `listen` returns."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open now."""

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; return when each is answered for, or after the subscribe timeout.

        A symbol that is refused raises nothing: `on_error` is told.
        """

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer."""

    def get_subscriptions(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""

    async def listen(self, timeout: float | None = None) -> None:
        """Deliver messages until `timeout` seconds are over or `disconnect`; raise what is fatal."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON message of your own, paced like all others."""

    def on_message(self, callback: MessageCallback) -> None:
        """Call `callback` with each tick."""

    def on_connection(self, callback: ConnectionCallback) -> None:
        """Call `callback` with a word and a mapping.

        `connected` (`host`, `port`), `disconnected`, `reconnecting` (`attempt` from 1, `delay` in seconds).
        """

    def on_error(self, callback: ErrorCallback) -> None:
        """Call `callback` with a stable word and the exception."""

    def get_stats(self) -> ClientStats:
        """Counters of this client."""

    def set_reconnection_strategy(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Change `enabled`, `max_attempts`, `initial_delay`, `max_delay`, `backoff_multiplier` or `jitter`.

        Delays are seconds, `jitter` a fraction; `max_attempts` 0 is for ever. Raises ValueError for anything else.
        """

    def set_heartbeat(self, enabled: bool, interval: float = 30.0) -> None:
        """Ping every `interval` seconds, or not at all."""


@runtime_checkable
class EventSource(Protocol):
    """A client that also tells of gaps and silence, as events. `WebSocketClient` is one; others need not be."""

    def on_event(self, callback: Callable[[Any], object]) -> None:
        """Call `callback` with each `price.gap`, `price.stale`, `price.resumed` and `price.error` of the client."""


@runtime_checkable
class TickJudge(Protocol):
    """A client that wants to know which ticks were of no use. `WebSocketClient` is one; others need not be."""

    def refuse(self, tick: Tick) -> None:
        """The `tick` that `on_message` tells of now cannot be used."""
