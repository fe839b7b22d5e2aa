"""What a feed has counted: plain numbers, written on the path of a tick and read by whoever scrapes them.

`rejected` has the reasons of `providers.base.RejectReason`; `reconnects` those of `feeds.verdict` and of the errors of
a dial. Both are sets fixed by the code: nothing that a provider sends becomes a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pricestreamd.model.histogram import Histogram
from pricestreamd.model.tick import Tick


@dataclass(slots=True)
class FeedCounters:
    """Counts of one feed over all its connections. Times are epoch seconds, None before the first."""

    frames_received: int = 0
    received_bytes: int = 0
    ticks: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    reconnects: dict[str, int] = field(default_factory=dict)
    """Attempts to connect again, by the reason why that was necessary."""
    reconnections: int = 0
    """Connections opened after the first."""
    subscriptions_rejected: int = 0
    ignored: int = 0
    """Messages of kinds that this product has no use for."""
    messages_sent: int = 0
    callback_errors: int = 0
    dropped: int = 0
    """Ticks that an `async for` was too slow to take."""
    last_message_at: float | None = None
    latest: Tick | None = None
    """The last tick; the times and the lag are read from it."""
    lag: Histogram = field(default_factory=Histogram)
    """Event time to receipt, in seconds, of one tick in 64 and of the last tick of each second."""

    @property
    def last_tick_at(self) -> float | None:
        """When the last tick was received."""
        return None if self.latest is None else self.latest.received_at

    @property
    def lag_seconds(self) -> float | None:
        """Event time to receipt of the last tick; a provider's clock that is ahead of ours counts as none."""
        return None if self.latest is None else max(0.0, self.latest.received_at - self.latest.timestamp)
