"""What is known of a provider before the first connection: limits, units and habits, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pricestreamd.model.units import Duration, Size

Channel = Literal["trades", "ticker"]
"""Which of a provider's streams of prices: its executed trades, or its summary of the market."""

Volume = Literal["day", "trade", "none"]
"""What `Tick.volume` counts: the day's total, the trade's size, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One provider's capabilities. Times are seconds; None means that there is none, or that none is known."""

    name: str
    documentation: str
    """Address of the provider's own documentation."""
    transport: Literal["websocket", "sse", "poll"] = "websocket"
    subscribes: Literal["in_band", "connect", "implicit"] = "in_band"
    """How symbols are asked for: by messages; by the address that is dialled, so that other symbols need another
    connection; or not at all, because each poll asks for what is wanted then, or everything comes anyway."""
    endpoint: str
    auth: Literal["header", "query", "message", "none"]
    channels: Mapping[Channel, Volume]
    """Its streams, the one taken without being told first, and what their volumes count."""
    acknowledges: bool = True
    """Whether a subscription is answered; where not, what was asked for counts as subscribed."""
    max_symbols_per_connection: int | None = None
    max_connections: int | None = None
    """Connections that one key may hold at a time."""
    evicts_in_silence: bool = False
    """Whether one connection too many closes the oldest without a word."""
    connects: int | None = None
    """Connections that may be begun within `connects_window`."""
    connects_window: Duration = 60.0
    lifetime: Duration | None = None
    """A connection is closed by the provider at this age."""
    control_messages: int
    """Texts of ours that may be sent within `control_window`; polls, where the transport polls."""
    control_window: Duration = 60.0
    batch_size: int | None = None
    """Symbols in one request."""
    max_request_bytes: Size | None = None
    heartbeat_interval: Duration | None = None
    """How often the provider wants a text from us."""
    heartbeat_silence: Duration | None = None
    """Without any sign of life for so long the connection is dead, because the provider gives heartbeats."""
    pings: bool = False
    """Whether the server's pings are its heartbeats."""
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339", "none"]
    """How the provider writes the time of a price."""
    text_prices: bool = False
    """Whether prices come as text."""
    instruments: Literal["any", "crypto"] = "any"
    """Whether the shape of a symbol says what it is, or everything here is crypto."""
    home_calendar: str = "XNYS"
    """The calendar of equities that name no exchange."""

    @property
    def channel(self) -> Channel:
        """The stream that is taken without being told."""
        return next(iter(self.channels))
