"""What can be set about a feed: where prices come from and how its connections live.

Facts that `config` reads from a field's metadata: `key` is the word in the file where Python needs another name,
`form` names the shape of a text, `path` says whether a path is `read` or `written`, `secret` what kind of secret a
text is (`value`, `header`, `text`, `url`) or may hold (`address`: an address; `inside`: what the environment put into
it; `file`: the path of one), `at_least`, `above` and `at_most` bound a number, `entries` is the least length of a list.
The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Literal

from pricestreamd.model.secret import Secret
from pricestreamd.model.units import Delay, Duration, Size
from pricestreamd.providers.description import Description

PROVIDERS = (
    "twelvedata",
    "finnhub",
    "alpaca",
    "massive",
    "binance",
    "coinbase",
    "kraken",
    "iex",
    "alphavantage",
    "generic",
)
"""The providers that the product itself names; others come from the entry point group `pricestreamd.providers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectSettings:
    """How a lost connection is dialled again. Delays are seconds; `jitter` is a fraction of the delay.

    Delay before attempt n: `min(max_delay, initial_delay * backoff_multiplier ** (n - 1)) * uniform(1 - jitter,
    1 + jitter)`.
    """

    enabled: bool = True
    """Dial again at all."""
    max_attempts: int = field(default=0, metadata={"at_least": 0})
    """Attempts before `errors.action` applies; 0 is for ever."""
    initial_delay: Delay = field(default=1.0, metadata={"at_least": 0})
    """Delay before the first attempt."""
    max_delay: Delay = field(default=30.0, metadata={"above": 0})
    """The longest delay, before jitter."""
    backoff_multiplier: float = field(default=2.0, metadata={"at_least": 1})
    """Each delay is this many times the one before."""
    jitter: float = field(default=0.2, metadata={"at_least": 0, "at_most": 1})
    """Fraction by which a delay is randomly shorter or longer; 0 gives exact delays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSettings:
    """WebSocket ping and pong. Both times are seconds."""

    enabled: bool = True
    """Send pings."""
    interval: Delay = field(default=30.0, metadata={"above": 0})
    """Time between two pings."""
    timeout: Delay = field(default=10.0, metadata={"above": 0})
    """A connection without a pong for so long is replaced."""


_USUAL_SILENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleSettings:
    """How long silence may last while the market is open. Seconds, `learned` from the rate seen, or None for off."""

    connection: Duration | Literal["learned"] | None = field(default=_USUAL_SILENCE, metadata={"above": 0})
    """Silence of a whole connection: it is replaced. Where a provider is polled, only what is written counts."""
    symbol: Duration | Literal["learned"] | None = field(default="learned", metadata={"above": 0})
    """Silence of one symbol: it is subscribed again, once."""

    @property
    def connection_is_written(self) -> bool:
        """Whether somebody has said how long a connection may be silent, be it as long as is usual."""
        # The very object: a written limit that happens to be as long is another one.
        return self.connection is not _USUAL_SILENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Certificates of the provider are always verified."""

    ca_file: Path | None = field(default=None, metadata={"path": "read"})
    """A private certificate authority, PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistSqlSettings:
    """A query whose first column is the list of symbols."""

    url: Secret = field(metadata={"secret": "url", "path": "read"})
    """sqlite:///relative.db, sqlite:////absolute.db or postgresql://..."""
    query: str
    """A SELECT; its first column holds the symbols."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistSettings:
    """More symbols, read from elsewhere again and again; a failure keeps the last list. `refresh` in seconds."""

    sql: WatchlistSqlSettings | None = None
    """From a database."""
    file: Path | None = field(default=None, metadata={"path": "read"})
    """From a text file, one symbol a line."""
    refresh: Duration = field(default=60.0, metadata={"at_least": 1})
    """Time between two readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarHoursSettings:
    """Market hours by the name of an exchange calendar."""

    calendar: str = field(metadata={"form": "calendar"})
    """Such as XNYS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHoursSettings:
    """Market hours written out: the same session on each of `days`, wall clock of `timezone`."""

    timezone: str = field(metadata={"form": "timezone"})
    """Such as America/New_York."""
    days: str = field(default="mon-fri", metadata={"form": "days"})
    """Such as mon-fri or mon,wed,sat."""
    open: time
    """Start of the session, HH:MM."""
    close: time
    """End of the session, HH:MM; before `open` it means the next day."""


MarketHours = Literal["auto", "always"] | CalendarHoursSettings | SessionHoursSettings
"""`auto` decides by the shape of each symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """One source of prices; its name is the key it has in the file. Times in seconds, sizes in bytes.

    None where the provider's profile knows the answer. After loading, `api_key` holds what `api_key_file` held.
    """

    provider: str = field(metadata={"form": "provider"})
    """Who sends the prices."""
    api_key: Secret | None = field(default=None, metadata={"secret": "value"})
    """The provider's key; better from ${NAME} or api_key_file than written out."""
    api_key_file: Path | None = field(default=None, metadata={"path": "read", "secret": "file"})
    """A file that holds the key, such as ${CREDENTIALS_DIRECTORY}/twelvedata."""
    api_secret: Secret | None = field(default=None, metadata={"secret": "value"})
    """The second half of the key, where the provider has one."""
    api_secret_file: Path | None = field(default=None, metadata={"path": "read", "secret": "file"})
    """A file that holds the second half."""
    endpoint: str | None = field(default=None, metadata={"form": "feed-url", "secret": "address"})
    """Address of the server; without it the provider's own."""
    allow_plaintext: bool = False
    """Allow ws:// and http:// beyond this machine."""
    channel: Literal["trades", "ticker"] | None = None
    """Which of the provider's channels; without it its trades."""
    symbols: tuple[str, ...] = field(default=(), metadata={"form": "symbol"})
    """The symbols of this feed, as you want to read them everywhere."""
    watchlist: WatchlistSettings | None = None
    """More symbols from a database or a file."""
    max_symbols_per_connection: int | None = field(default=None, metadata={"at_least": 1})
    """More symbols need more connections; without it what the provider allows."""
    max_connections: int | None = field(default=None, metadata={"at_least": 1})
    """Symbols that do not fit on so many are reported by name; without it what the provider allows."""
    connect_timeout: Delay = field(default=30.0, metadata={"above": 0})
    """For name resolution, TCP, TLS and upgrade together."""
    subscribe_timeout: Delay = field(default=15.0, metadata={"above": 0})
    """Until the first acknowledgement, where the provider gives one."""
    max_message_size: Size = field(default=4 * 1024 * 1024, metadata={"at_least": 1024})
    """A longer message closes the connection."""
    reconnect: ReconnectSettings = field(default_factory=ReconnectSettings)
    """How a lost connection is dialled again."""
    heartbeat: HeartbeatSettings = field(default_factory=HeartbeatSettings)
    """WebSocket ping and pong; the provider's own heartbeat runs beside it."""
    stale_after: StaleSettings = field(default_factory=StaleSettings)
    """How long silence may last while the market is open."""
    market_hours: MarketHours | Mapping[str, MarketHours] = "auto"
    """When prices may be expected; one answer for all, or a mapping from symbol glob to answer."""
    tls: TlsSettings = field(default_factory=TlsSettings)
    """Certificates."""
    proxy: Literal["env"] | Secret | None = field(default=None, metadata={"secret": "url"})
    """env takes HTTPS_PROXY; or the address of a proxy."""
    backup: str | None = None
    """Another feed that takes over these symbols while this one is down or stale."""

    @property
    def description(self) -> Description | None:
        """The protocol, where the file describes it."""
        return None


LIVE_SETTINGS = frozenset(
    {
        "symbols",
        "watchlist",
        "max_symbols_per_connection",
        "max_connections",
        "reconnect",
        "heartbeat",
        "stale_after",
        "market_hours",
        "api_key",
        "api_key_file",
        "backup",
    }
)
"""What a feed takes while it runs; a new key counts from the next dial on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericHeartbeatSettings(HeartbeatSettings):
    """Ping and pong, and a text of the provider's own. Seconds."""

    send: str | None = field(default=None, metadata={"secret": "inside"})
    """Text sent as the application's own heartbeat."""
    every: Delay | None = field(default=None, metadata={"above": 0})
    """Time between two such texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericFeedSettings(FeedSettings):
    """A feed of the provider `generic`: a protocol described in the file.

    Paths into messages are dotted, `[0]` for positions: `data[0].price`.
    """

    provider: Literal["generic"]
    """generic"""
    transport: Literal["websocket", "sse"] = "websocket"
    """How messages come."""
    headers: Mapping[str, Secret] = field(default_factory=dict, metadata={"secret": "header"})
    """HTTP headers of the request."""
    on_open: tuple[Secret, ...] = field(default=(), metadata={"secret": "text"})
    """Texts to send when the connection is open."""
    subscribe: str | None = field(default=None, metadata={"secret": "inside"})
    """Text to send, with {symbol} or {symbols}."""
    unsubscribe: str | None = field(default=None, metadata={"secret": "inside"})
    """Text to send, with {symbol} or {symbols}."""
    heartbeat: GenericHeartbeatSettings = field(default_factory=GenericHeartbeatSettings)
    """Ping and pong, and the provider's own heartbeat text."""
    items: str | None = field(default=None, metadata={"form": "message-path"})
    """Path to a list of ticks inside a message."""
    symbol: str = field(default="symbol", metadata={"form": "message-path"})
    """Path to the symbol."""
    price: str = field(default="price", metadata={"form": "message-path"})
    """Path to the price."""
    volume: str | None = field(default=None, metadata={"form": "message-path"})
    """Path to the volume."""
    timestamp: str | None = field(default=None, metadata={"form": "message-path"})
    """Path to the time."""
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = "s"
    """Unit of the time."""
    match: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Path to value: messages without these values are ignored."""

    @property
    def description(self) -> Description:
        """The protocol that the file describes."""
        return Description(
            transport=self.transport,
            headers=self.headers,
            on_open=self.on_open,
            subscribe=self.subscribe,
            unsubscribe=self.unsubscribe,
            heartbeat_text=self.heartbeat.send,
            heartbeat_every=self.heartbeat.every,
            items=self.items,
            symbol=self.symbol,
            price=self.price,
            volume=self.volume,
            timestamp=self.timestamp,
            time_unit=self.time_unit,
            match=self.match,
        )
