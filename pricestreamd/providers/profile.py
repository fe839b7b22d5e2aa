"""What is known of a provider before the first connection: limits, units and habits, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pricestreamd.model.units import Duration, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One provider's capabilities. Times are seconds; None means that there is none, or that none is known."""

    name: str
    documentation: str
    """Address of the provider's own documentation."""
    transport: Literal["websocket", "sse", "poll"] = "websocket"
    endpoint: str
    auth: Literal["header", "query", "message", "none"]
    acknowledges: bool = True
    """Whether a subscription is answered; where not, what was asked for counts as subscribed."""
    max_symbols_per_connection: int | None = None
    max_connections: int | None = None
    """Connections that one key may hold at a time."""
    control_messages: int
    """Texts of ours that may be sent within `control_window`."""
    control_window: Duration = 60.0
    batch_size: int | None = None
    """Symbols in one request."""
    max_request_bytes: Size | None = None
    heartbeat_interval: Duration | None = None
    """How often the provider wants a text from us."""
    heartbeat_silence: Duration | None = None
    """Without any message for so long the connection is dead, because heartbeats are answered."""
    volume: Literal["day", "trade", "none"]
    """What `Tick.volume` counts: the day's total, the trade's size, or nothing."""
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339", "none"]
    """How the provider writes the time of a price."""
    text_prices: bool = False
    """Whether prices come as text."""
