"""What metrics and statistics need from the daemon: plain numbers that are read at scrape time.

The components satisfy these Protocols by the attributes they have anyway; none of them knows of this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pricestreamd.model.histogram import Histogram
from pricestreamd.model.interface import FeedReport, StreamStats, SymbolReport
from pricestreamd.telemetry.loop_lag import LoopLag


class FeedCountersView(Protocol):
    """What one feed counts. Times are epoch seconds, None before the first."""

    @property
    def frames_received(self) -> int:
        """Messages from the provider."""

    @property
    def received_bytes(self) -> int:
        """Bytes of these messages."""

    @property
    def ticks(self) -> int:
        """Prices decoded."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """Reason to prices that could not be decoded."""

    @property
    def reconnects(self) -> Mapping[str, int]:
        """Reason to connections that were replaced."""

    @property
    def subscriptions_rejected(self) -> int:
        """Symbols refused by the provider."""

    @property
    def ignored(self) -> int:
        """Messages of kinds that nobody has a use for."""

    @property
    def missed(self) -> int:
        """Prices that by the provider's own numbering have not come."""

    @property
    def last_message_at(self) -> float | None:
        """When the last message came."""

    @property
    def last_tick_at(self) -> float | None:
        """When the last price came."""

    @property
    def lag(self) -> Histogram:
        """Seconds from a price's own time to its receipt."""


class FeedView(Protocol):
    """One feed."""

    @property
    def counters(self) -> FeedCountersView:
        """Its counters."""

    @property
    def market_open(self) -> bool:
        """Whether prices of any subscribed symbol may be expected now."""

    @property
    def stale_symbols(self) -> frozenset[str]:
        """The symbols that are silent for too long."""

    def report(self) -> FeedReport:
        """Its state and that of its connections."""

    def symbol_reports(self) -> list[SymbolReport]:
        """Its wanted symbols and their state."""


class StreamView(Protocol):
    """The stream service."""

    @property
    def rejected(self) -> Mapping[tuple[str, str], int]:
        """(feed, reason) to prices that the stream refused."""

    @property
    def dispatch_seconds(self) -> Histogram:
        """Seconds from receipt to the return of the last listener."""

    @property
    def alerts_fired(self) -> int:
        """Firings of all alerts."""

    @property
    def alerts_blind(self) -> int:
        """Alerts that cannot see what they wait for, for some symbol."""

    def get_stats(self) -> StreamStats:
        """The service's own statistics."""

    def get_all_prices(self) -> Mapping[str, float | None]:
        """Symbol to its last price, in the order in which the symbols came."""


class ListenerView(Protocol):
    """One registered listener. Several may have one name."""

    @property
    def name(self) -> str:
        """Where the function lives."""

    @property
    def errors(self) -> int:
        """Calls that raised."""

    @property
    def seconds(self) -> Histogram:
        """Seconds of its (sampled) calls."""

    @property
    def ours(self) -> bool:
        """Whether it is a part of the daemon, no function of the user's."""


class DispatcherView(Protocol):
    """The event dispatcher."""

    @property
    def event_counts(self) -> Mapping[str, int]:
        """Event name to how often it was detected."""

    def listeners(self) -> Sequence[ListenerView]:
        """All registrations."""


class SinkView(Protocol):
    """The worker of one sink."""

    @property
    def queued(self) -> int:
        """Events that wait."""

    @property
    def delivered(self) -> int:
        """Events the sink has taken."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Reason to events given up."""

    @property
    def retries(self) -> int:
        """Deliveries tried again."""

    @property
    def flush_seconds(self) -> Histogram:
        """Seconds of each delivery of a batch."""

    @property
    def breaker_open(self) -> bool:
        """Whether so many attempts in a row have failed that little is tried until one succeeds."""

    @property
    def breaker_openings(self) -> int:
        """How often that came about."""

    @property
    def stopped(self) -> bool:
        """Whether the destination wants nothing more, and the sink waits for a person."""


class OutboxView(Protocol):
    """What all sinks owe of what must not be lost."""

    @property
    def pending(self) -> int:
        """Deliveries that wait."""

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest of them; 0 where there is none."""


class WatchlistView(Protocol):
    """The watchlist of one feed."""

    @property
    def last_success_at(self) -> float | None:
        """Epoch seconds of its last reading; None before the first."""


class ReloadView(Protocol):
    """How the last reload went. The configuration read at start counts as the first."""

    @property
    def successful(self) -> bool:
        """Whether the last one was applied."""

    @property
    def success_at(self) -> float:
        """Epoch seconds of the last one that was applied."""


class DeadmanView(Protocol):
    """The calls to whoever raises the alarm when they stay away."""

    @property
    def calls(self) -> int:
        """Calls that were taken."""

    @property
    def failures(self) -> int:
        """Calls that were not."""


class MetricsView(Protocol):
    """The daemon, as metrics and statistics see it. `feeds` and `sinks` go by their names in the configuration."""

    @property
    def feeds(self) -> Mapping[str, FeedView]:
        """Name to feed."""

    @property
    def service(self) -> StreamView:
        """The stream service."""

    @property
    def dispatcher(self) -> DispatcherView:
        """The event dispatcher."""

    @property
    def sinks(self) -> Mapping[str, SinkView]:
        """Name to the worker of the sink."""

    @property
    def outbox(self) -> OutboxView:
        """What sinks owe."""

    @property
    def healthy(self) -> Mapping[str, bool]:
        """Name of a feed to whether `/health` finds it well; empty before the first look."""

    @property
    def state_writable(self) -> bool:
        """Whether what must last could be written the last time."""

    @property
    def log_lines_lost(self) -> int:
        """Lines of the log that nobody took."""

    @property
    def deadman(self) -> DeadmanView:
        """The calls of the deadman; none where it is off."""

    @property
    def watchlists(self) -> Mapping[str, WatchlistView]:
        """Name of a feed to its watchlist; feeds without one are left out."""

    @property
    def loop_lag(self) -> LoopLag:
        """The lag of the event loop."""

    @property
    def reload(self) -> ReloadView:
        """The outcome of the last reload."""
