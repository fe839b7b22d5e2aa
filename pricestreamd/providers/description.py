"""A protocol that the configuration describes, for the provider `generic`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pricestreamd.model.secret import Secret
from pricestreamd.model.units import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """How a server is spoken to, and where a price stands in its messages. Paths are dotted, `[0]` for positions.

    The words are those of the configuration (`feeds.settings.GenericFeedSettings`), where each is explained.
    """

    transport: Literal["websocket", "sse"] = "websocket"
    headers: Mapping[str, Secret] = field(default_factory=dict)
    on_open: tuple[Secret, ...] = ()
    subscribe: str | None = None
    unsubscribe: str | None = None
    heartbeat_text: str | None = None
    heartbeat_every: Duration | None = None
    items: str | None = None
    symbol: str = "symbol"
    price: str = "price"
    volume: str | None = None
    timestamp: str | None = None
    time_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = "s"
    match: Mapping[str, str | int | float | bool] = field(default_factory=dict)
