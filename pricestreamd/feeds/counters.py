"""What a feed has counted: plain numbers, written on the path of a tick and read by whoever scrapes them.

`rejected` has the reasons of `providers.base.RejectReason`; `reconnects` those of `feeds.connection.verdict` and of the
errors of a dial. Both are sets fixed by the code: nothing that a provider sends becomes a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pricestreamd.model.histogram import Histogram
from pricestreamd.model.tick import Tick


@dataclass(slots=True)
class FeedCounters:
    """Counts of one connection, or of a feed over all of them. Times are epoch seconds, None before the first."""

    frames_received: int = 0
    received_bytes: int = 0
    ticks: int = 0
    refused: int = 0
    """Ticks among them that the stream could not use."""
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
    missed: int = 0
    """Prices that by the provider's own numbering have not come."""
    last_message_at: float | None = None
    latest: Tick | None = None
    """The last tick that was not refused; the times and the lag are read from it."""
    lag: Histogram = field(default_factory=Histogram)
    """Event time to receipt, in seconds, of one tick in 64 and of the last tick of each second."""

    @property
    def last_tick_at(self) -> float | None:
        """When the last tick that was not refused was received."""
        return None if self.latest is None else self.latest.received_at

    @property
    def accepted(self) -> int:
        """Ticks that were not refused."""
        return self.ticks - self.refused

    @property
    def lag_seconds(self) -> float | None:
        """Event time to receipt of the last tick; a provider's clock that is ahead of ours counts as none."""
        return None if self.latest is None else max(0.0, self.latest.received_at - self.latest.timestamp)

    def add(self, other: FeedCounters) -> None:
        """Count what `other` has counted, too."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.rejected, other.rejected), (self.reconnects, other.reconnects)):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.last_message_at = max(filter(None, (self.last_message_at, other.last_message_at)), default=None)
        ticks = [tick for tick in (self.latest, other.latest) if tick is not None]
        self.latest = max(ticks, key=lambda tick: tick.received_at, default=None)
        self.lag.add(other.lag)


_SUMS = (
    "frames_received",
    "received_bytes",
    "ticks",
    "refused",
    "reconnections",
    "subscriptions_rejected",
    "ignored",
    "messages_sent",
    "callback_errors",
    "dropped",
    "missed",
)
